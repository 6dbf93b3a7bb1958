"""A certificate authority of the tests' own, by the program openssl: for a broker on this machine, and for a client."""

from __future__ import annotations

import subprocess
from pathlib import Path

CLIENT = "guest"
"""The name in the client's certificate."""


class Authority:
    """Its files are in ``folder``: ca.pem; server.pem and client.pem, each with a .key."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ca = folder / "ca.pem"
        _openssl(
            *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"),
            *("-subj", "/CN=kombu tests", "-keyout", folder / "ca.key", "-out", self.ca),
        )

    def sign(self, name: str, common_name: str, alternative: str) -> tuple[Path, Path]:
        """A certificate and its key; ``alternative`` as in ``"DNS:localhost,IP:127.0.0.1"``."""
        certificate, key, asked = (self.folder / f"{name}.{end}" for end in ("pem", "key", "csr"))
        extensions = self.folder / f"{name}.ext"
        extensions.write_text(f"subjectAltName={alternative}\n")
        _openssl(
            *("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={common_name}"),
            *("-keyout", key, "-out", asked),
        )
        _openssl(
            *("x509", "-req", "-in", asked, "-CA", self.ca, "-CAkey", self.folder / "ca.key", "-CAcreateserial"),
            *("-days", "2", "-extfile", extensions, "-out", certificate),
        )
        for each in (certificate, key):
            each.chmod(0o644)  # servers do not run as root
        return certificate, key


def _openssl(*arguments: str | Path) -> None:
    done = subprocess.run(["openssl", *arguments], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
