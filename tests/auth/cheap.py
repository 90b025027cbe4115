"""
Password hashes that cost nothing, for tests.
"""

from __future__ import annotations

import os
from pathlib import Path

from socksproxy.auth.passwords import ScryptHash


def cheapHash(password: bytes, logN: int = 1) -> ScryptHash:
    """
    Hash a password so that it takes no time.

    @param logN: Different hashes may cost differently little.
    """
    return ScryptHash(os.urandom(16), b"", logN=logN, r=1, p=1).withPassword(password)


def writeRecords(path: str | Path, **passwords: str) -> None:
    """
    Put users into a password file in one go, as our own tool does.

    @param passwords: User name to password.
    """
    path = Path(path)
    temporary = path.with_suffix(".new")
    temporary.write_bytes(
        b"".join(
            b"%b:%b\n" % (user.encode(), cheapHash(password.encode()).encode())
            for user, password in passwords.items()
        )
    )
    temporary.replace(path)
