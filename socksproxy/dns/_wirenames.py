"""
Names of DNS as text, and back.

As text a name is in lower case and has no dot at its end; octets that host
names do not have are written C{\\DDD}, with three decimal digits, and so is a
dot that is part of a label: splitting at dots gives the labels. The root is
C{.}.

@see: U{https://www.rfc-editor.org/rfc/rfc1035#section-5.1}
"""

import re

from socksproxy.dns._wire import HEADER, MAX_LABEL, MAX_NAME, labelsAt

_PLAIN = re.compile(rb"[a-z0-9_.-]+")
_DOT = 0x2E


def questionName(octets: bytes, end: int) -> str:
    """
    Give the question's name as text; L{questionEnd} has checked it.

    @param end: Where the name ends.
    """
    # The octets that say how long labels are become dots. Nearly all names
    # are done with that.
    text = bytearray(octets[HEADER.size : end - 1].lower())
    dots = position = 0
    size = len(text)
    while position < size:
        length = text[position]
        text[position] = _DOT
        position += 1 + length
        dots += 1
    if text.count(_DOT) == dots and _PLAIN.fullmatch(text):
        return text[1:].decode("ascii")
    return nameOf(labelsAt(octets, HEADER.size))


def nameOf(labels: list[bytes]) -> str:
    """
    Write a name as text.

    @param labels: As they are on the wire, none of them for the root.
    """
    text = b".".join(labels).lower()
    if _PLAIN.fullmatch(text) and text.count(_DOT) == len(labels) - 1:
        return text.decode("ascii")
    if not labels:
        return "."
    return ".".join("".join(map(_CHARACTERS.__getitem__, label)) for label in labels)


def _character(octet: int) -> str:
    # The rest of what is printable may stand as it is, but for what has a
    # meaning in a file of zones, rules or hosts.
    if 0x20 < octet < 0x7F and octet not in b'.\\"();@$#|,':
        return chr(octet).lower()
    return f"\\{octet:03d}"


_CHARACTERS = [_character(octet) for octet in range(256)]

_ESCAPE = re.compile(rb"\\([0-9]{3})")


def wireName(name: str) -> bytes:
    """
    Write a name as it is on the wire, without pointers.

    @param name: As L{nameOf} writes it; a dot at the end is taken off.
    @raise ValueError: It is no name.
    """
    if name in (".", ""):
        return b"\0"
    labels = [_unescaped(label) for label in name.removesuffix(".").encode("ascii").split(b".")]
    if not all(0 < len(label) <= MAX_LABEL for label in labels):
        raise ValueError("a label is empty or too long")
    wire = b"".join(bytes((len(label),)) + label for label in labels) + b"\0"
    if len(wire) > MAX_NAME:
        raise ValueError("the name is too long")
    return wire


def _unescaped(label: bytes) -> bytes:
    if b"\\" not in label:
        return label
    return _ESCAPE.sub(lambda match: bytes((int(match[1]),)), label)
