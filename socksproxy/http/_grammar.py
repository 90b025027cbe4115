"""
The grammar of HTTP/1 that reading and writing have in common.

No expression here ever takes more than linear time, whether it matches or not.

@see: U{https://www.rfc-editor.org/rfc/rfc9110#section-5.5}
@see: U{https://www.rfc-editor.org/rfc/rfc9112}
"""

import re
from collections.abc import Iterable, Iterator

_TCHAR = rb"!#$%&'*+\-.^_`|~0-9A-Za-z"

# White space and what RFC 9110 calls VCHAR and obs-text: no controls.
_TEXT = rb"\t\x20-\x7e\x80-\xff"

TOKEN = re.compile(rb"[%b]+" % _TCHAR)

FIELD = re.compile(rb"([%b]+):([%b]*)" % (_TCHAR, _TEXT))
"""
A line with a field, without its end. White space around the value is part of
the second group.
"""

REQUEST_LINE = re.compile(rb"([%b]+) ([!-~]+) HTTP/([0-9])\.([0-9])" % _TCHAR)

STATUS_LINE = re.compile(rb"HTTP/1\.([0-9]) ([1-9][0-9][0-9])(?: ([%b]*))?" % _TEXT)
"""
The reason phrase may be missing, and the space before it then too.
"""

LINES = re.compile(rb"(?:[%b]+:[%b]*\r\n)*" % (_TCHAR, _TEXT))
"""
Any number of lines with fields.
"""

START_LINE = re.compile(rb"[%b]+" % _TEXT)

DIGITS = re.compile(rb"[0-9]{1,18}")
"""
A length, which then fits into 64 bits.
"""

_QUOTED = rb"\"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[%b])*+\"" % _TEXT

CHUNK = re.compile(
    rb"([0-9A-Fa-f]{1,16})(?:;[%b]+(?:=(?:[%b]+|%b))?)*+\r\n" % (_TCHAR, _TCHAR, _QUOTED)
)
"""
The line before a chunk, with extensions, which are of no use to anybody.

@see: U{https://www.rfc-editor.org/rfc/rfc9112#section-7.1}
"""


def members(value: bytes) -> Iterator[bytes]:
    """
    Give the members of a comma-separated list, in lower case; empty ones mean
    nothing.
    """
    for member in value.split(b","):
        word = member.strip(b" \t").lower()
        if word:
            yield word


def listed(fields: Iterable[tuple[bytes, bytes]], name: bytes) -> list[bytes]:
    """
    Give the members of a list that may be spread over several fields.

    @param name: In lower case.
    """
    return [word for key, value in fields if key.lower() == name for word in members(value)]
