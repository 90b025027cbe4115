"""
The cases of C{http_proxy_vectors.json}, and how to read them.
"""

from __future__ import annotations

import re

from tests.http.naive import STRICTEST, Message
from tests.vectors import Vector, load

VECTORS = load("http_proxy")

PSEUDONYM = b"proxy-1"
REALM = b"socksproxy"

FORWARDED = [vector for vector in VECTORS if vector["name"].startswith("fwd-")]
"""
What goes to an origin.
"""

TUNNELS = [vector for vector in VECTORS if "client_receives_prefix" in vector["expect"]]
"""
What opens a tunnel.
"""

REFUSED = [vector for vector in VECTORS if "status" in vector["expect"]]
"""
What is answered by the proxy itself.
"""

CHUNK_ERRORS = {vector["name"] for vector in REFUSED if "chunk error" in vector.get("note", "")}
"""
The names of those whose fault shows only once the origin may have been dialled.
"""


def octets(text: str, pseudonym: bytes = PSEUDONYM, realm: bytes = REALM) -> bytes:
    """
    Write out the text of a case, as its conventions say.
    """
    text = re.sub(r"\{a\*(\d+)\}", lambda match: "a" * int(match[1]), text)
    text = re.sub(r"\{X: 1 CRLF\*(\d+)\}", lambda match: "X: 1\r\n" * int(match[1]), text)
    data = text.encode("latin-1")
    return data.replace(b"{via}", pseudonym).replace(b"{realm}", realm)


def requestIn(vector: Vector) -> bytes:
    """
    Give what the client sends.
    """
    return octets(vector["request"])


def messageIn(data: bytes) -> Message:
    """
    Understand what an origin received, which is one request and nothing else.
    """
    messages, rest = STRICTEST.read(data)
    assert len(messages) == 1 and not rest, data
    return messages[0]


def sameRequest(received: bytes, expected: bytes) -> bool:
    """
    Tell whether an origin received what it should: the order of fields and the
    cuts of chunks may differ, and nothing else.
    """
    one, other = messageIn(received), messageIn(expected)
    return (one.line, one.names, one.body, sorted(one.trailers)) == (
        other.line,
        other.names,
        other.body,
        sorted(other.trailers),
    )
