"""Runs ``manage.py`` for the demo, and ends when the demo does, whatever ended it.

Standard input is a pipe that the demo holds: it closes even if the demo was killed with SIGKILL.
"""

import os
import runpy
import signal
import sys
import threading
from pathlib import Path


def end_with_parent() -> None:
    os.read(sys.stdin.fileno(), 1)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    threading.Thread(target=end_with_parent, daemon=True).start()
    manage = Path(__file__).resolve().parent.with_name("manage.py")
    sys.path[0] = str(manage.parent)  # as if manage.py itself had been started
    runpy.run_path(str(manage), run_name="__main__")
