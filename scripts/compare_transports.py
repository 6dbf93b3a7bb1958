"""Runs the conformance suite on every transport and writes docs/transports/comparison.rst from what came of it.

A transport whose server is not there keeps the column that it has.
"""

from __future__ import annotations

import os
import subprocess
import sys

TESTS = "tests/test_transport_conformance.py"


def main() -> int:
    environment = {**os.environ, "KOMBU_WRITE_TABLE": "1"}
    return subprocess.run([sys.executable, "-m", "pytest", "-q", TESTS], env=environment).returncode


if __name__ == "__main__":
    sys.exit(main())
