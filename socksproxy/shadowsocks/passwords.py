"""
Passwords and keys of Shadowsocks: whether one is any good, and new ones.

The key of the classic methods is MD5 of the password, so that whoever has
recorded one stream can try millions of passwords a second. The methods of 2022
take no password at all, but a key.
"""

from __future__ import annotations

import secrets
from base64 import b64encode, urlsafe_b64encode

from socksproxy.shadowsocks._methods import Method

SHORTEST = 16
"""
Characters of a password that is not weak.
"""

_GENERATED = 24


def isWeak(method: Method, password: str) -> bool:
    """
    Tell whether a password could be found by trying.
    """
    if method.edition2022:
        return False
    return len(password) < SHORTEST or len(set(password)) < SHORTEST // 2


def generateKey(method: Method) -> str:
    """
    Make what stands for the password of a method.

    @return: A key in base64 for a method of 2022, and a password that cannot
        be guessed for any other.
    """
    if method.edition2022:
        return b64encode(secrets.token_bytes(method.keyLength)).decode()
    return urlsafe_b64encode(secrets.token_bytes(_GENERATED)).decode()
