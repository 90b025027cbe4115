"""
kcptun's configuration, the file that it takes with C{-c}, and the key in it::

    settings = readConfiguration("kcptun.json")
    imported = importConfiguration(settings, keyFile="key")
    writeKey("key", imported.key)

@see: L{socksproxy.kcp.translation}, which is what there is between the two.
"""

from __future__ import annotations

from typing import Any

from socksproxy.documents import readObject, writeSecret
from socksproxy.errors import ConfigurationError
from socksproxy.kcp.kcptun import MAX_KEY


def readConfiguration(path: str) -> dict[str, Any]:
    """
    Read kcptun's configuration as kcptun does: the case of keys does not
    matter.

    @return: The values, by their keys in lower case; no C{null}.
    @raise ConfigurationError: It cannot be read, or is none.
    """
    return settingsIn(readObject(path))


def settingsIn(document: dict[str, Any]) -> dict[str, Any]:
    """
    Give the settings in a JSON object as L{readConfiguration} does.
    """
    return {name.lower(): value for name, value in document.items() if value is not None}


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
    writeSecret(path, key)
