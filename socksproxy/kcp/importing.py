"""
kcptun's configuration, the file that it takes with C{-c}, and the key in it::

    settings = readConfiguration("kcptun.json")
    imported = importConfiguration(settings, keyFile="key")
    writeKey("key", imported.key)

@see: L{socksproxy.kcp.translation}, which is what there is between the two.
"""

from __future__ import annotations

import json
import os
from typing import Any

from socksproxy.errors import ConfigurationError
from socksproxy.kcp.kcptun import MAX_KEY

MAX_FILE = 1 << 20
"""
Octets of the longest configuration that is read.
"""


def readConfiguration(path: str) -> dict[str, Any]:
    """
    Read kcptun's configuration as kcptun does: the case of keys does not
    matter, and neither does what comes after the object.

    @return: The values, by their keys in lower case; no C{null}.
    @raise ConfigurationError: It cannot be read, or is none.
    """
    try:
        with open(path, "rb") as file:
            octets = file.read(MAX_FILE + 1)
    except OSError as e:
        raise ConfigurationError(f"{path}: {e.strerror}") from None
    if len(octets) > MAX_FILE:
        raise ConfigurationError(f"{path}: it is too long for a configuration")
    try:
        text = octets.decode("utf-8", "replace").lstrip(" \t\r\n")
        settings, _ = json.JSONDecoder().raw_decode(text)
    except json.JSONDecodeError as e:
        raise ConfigurationError(f"{path}: no JSON: {e}") from None
    except (ValueError, RecursionError):
        raise ConfigurationError(f"{path}: no JSON that a configuration could be") from None
    if not isinstance(settings, dict):
        raise ConfigurationError(f"{path}: no JSON object")
    return {name.lower(): value for name, value in settings.items() if value is not None}


def writeKey(path: str, key: bytes | None) -> None:
    """
    Write a key to a file that is not there yet, and that nobody else may read.

    @raise ConfigurationError: It is there, or cannot be written; or there is no
        key, or none that such a file can hold.
    """
    if key is None:
        raise ConfigurationError(f"no key is in the file, so write it to {path} yourself")
    if key != key.rstrip(b"\r\n") or len(key) > MAX_KEY:
        raise ConfigurationError("key has a line's end at its end, or is too long for a key file")
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "wb") as file:
            file.write(key)
    except OSError as e:
        raise ConfigurationError(f"key file {path}: {e.strerror}") from None
