"""
The JSON files of other programs, and the secrets that are taken out of them.
"""

from __future__ import annotations

import json
import os
import re
from typing import Any

from socksproxy.errors import ConfigurationError

MAX_FILE = 1 << 20
"""
Octets of the longest file that is read.
"""

# Text in quotes is matched first, and stays as it is.
_COMMENT = re.compile(r'("(?:[^"\\]|\\.)*")|//[^\n]*|/\*.*?\*/', re.DOTALL)
_TRAILING_COMMA = re.compile(r'("(?:[^"\\]|\\.)*")|,(?=\s*[\]}])', re.DOTALL)


def readObject(path: str) -> dict[str, Any]:
    """
    Read a JSON object from a file. What comes after it does not matter, and
    comments and commas before a closing bracket are passed over, as people
    write them.

    @raise ConfigurationError: It cannot be read, or is none.
    """
    try:
        with open(path, "rb") as file:
            octets = file.read(MAX_FILE + 1)
    except OSError as e:
        raise ConfigurationError(f"{path}: {e.strerror}") from None
    if len(octets) > MAX_FILE:
        raise ConfigurationError(f"{path}: it is too long for a configuration")
    text = octets.decode("utf-8", "replace").lstrip("\ufeff")
    for passedOver in (_COMMENT, _TRAILING_COMMA):
        text = passedOver.sub(r"\1", text)
    try:
        read, _ = json.JSONDecoder().raw_decode(text.lstrip(" \t\r\n"))
    except json.JSONDecodeError as e:
        raise ConfigurationError(f"{path}: no JSON: {e}") from None
    except (ValueError, RecursionError):
        raise ConfigurationError(f"{path}: no JSON that a configuration could be") from None
    if not isinstance(read, dict):
        raise ConfigurationError(f"{path}: no JSON object")
    return read


def writeSecret(path: str, secret: bytes) -> None:
    """
    Write a secret to a file that is not there yet, and that nobody else may
    read.

    @raise ConfigurationError: It is there, or cannot be written.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "wb") as file:
            file.write(secret)
    except OSError as e:
        raise ConfigurationError(f"key file {path}: {e.strerror}") from None
