"""
Test vectors: byte-exact cases as JSON, one file for each family of protocols.

Each file explains its own conventions.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any

Vector = dict[str, Any]


@cache
def document(name: str) -> dict[str, Any]:
    """
    Read a whole file, whose sections are each of a form of their own.

    @param name: C{kcp_vectors} for C{kcp_vectors.json}, and so on.
    """
    path = Path(__file__).parent / f"{name}.json"
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def load(family: str) -> list[Vector]:
    """
    Read the cases of a family of protocols.

    @param family: C{socks} for C{socks_vectors.json}, and so on.
    """
    vectors: list[Vector] = document(f"{family}_vectors")["vectors"]
    return vectors


def messages(family: str, protocol: str) -> list[Vector]:
    """
    Give the cases of one kind of message.

    @param protocol: As the file names it, C{socks5-request} for example.
    """
    return [
        vector
        for vector in load(family)
        if vector["kind"] == "message" and vector["protocol"] == protocol
    ]


def dialogues(family: str) -> list[Vector]:
    """
    Give the cases in which a client and a server talk.
    """
    return [vector for vector in load(family) if vector["kind"] == "dialogue"]


def nameOf(vector: Vector) -> str:
    """
    Give the name by which a failure of a case is reported.
    """
    name: str = vector["name"]
    return name
