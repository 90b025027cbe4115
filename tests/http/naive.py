"""
A reader of HTTP/1 requests that forgives everything, in whichever way it is
told: what some origin might be.

It shares nothing with what it is there to check.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product

Field = tuple[bytes, bytes]


@dataclass(frozen=True)
class Message:
    """
    A request, as understood.
    """

    line: bytes
    fields: list[Field]
    body: bytes
    trailers: list[Field]

    @property
    def names(self) -> list[Field]:
        """
        The fields in an order of their own, names in lower case.
        """
        return sorted((name.lower(), value) for name, value in self.fields)


@dataclass(frozen=True)
class Naive:
    """
    One way of being careless.

    @ivar ending: What ends a line.
    @ivar chunkedFirst: Whether Transfer-Encoding counts more than
        Content-Length.
    @ivar pick: Which of several fields counts.
    """

    ending: bytes
    chunkedFirst: bool
    pick: Callable[[list[bytes]], bytes]

    def read(self, data: bytes) -> tuple[list[Message], bytes]:
        """
        Read as many whole requests as there are.

        @return: They, and what is left.
        """
        messages = []
        while (found := self._one(data)) is not None:
            message, data = found
            messages.append(message)
        return messages, data

    def _one(self, data: bytes) -> tuple[Message, bytes] | None:
        while empty := re.match(self.ending, data):
            data = data[empty.end() :]
        head = self._section(data)
        if head is None:
            return None
        lines, data = head
        fields = list(_fieldsIn(lines[1:]))
        lengths = [value for name, value in fields if name.strip().lower() == b"content-length"]
        codings = [value for name, value in fields if name.strip().lower() == b"transfer-encoding"]
        chunked = bool(codings) and b"chunked" in self.pick(codings).lower()
        if chunked and (self.chunkedFirst or not lengths):
            read = self._chunks(data)
            if read is None:
                return None
            body, trailers, data = read
        else:
            digits = re.search(rb"[0-9]+", self.pick(lengths)) if lengths else None
            length = int(digits[0]) if digits else 0
            if len(data) < length:
                return None
            body, trailers, data = data[:length], [], data[length:]
        return Message(lines[0], fields, body, trailers), data

    def _section(self, data: bytes) -> tuple[list[bytes], bytes] | None:
        """
        Read lines up to an empty one.
        """
        lines: list[bytes] = []
        while True:
            end = re.search(self.ending, data)
            if end is None:
                return None
            line, data = data[: end.start()], data[end.end() :]
            if not line:
                return lines, data
            if lines and line[:1] in (b" ", b"\t"):
                lines[-1] += b" " + line.strip()
            else:
                lines.append(line)

    def _chunks(self, data: bytes) -> tuple[bytes, list[Field], bytes] | None:
        body = b""
        while True:
            end = re.search(self.ending, data)
            if end is None:
                return None
            digits = re.search(rb"[0-9A-Fa-f]+", data[: end.start()])
            size = int(digits[0], 16) if digits else 0
            data = data[end.end() :]
            if not size:
                break
            if len(data) < size + 2:
                return None
            body += data[:size]
            data = data[size + 2 :]
        section = self._section(data)
        if section is None:
            return None
        lines, data = section
        return body, list(_fieldsIn(lines)), data


def _fieldsIn(lines: list[bytes]) -> Iterator[Field]:
    for line in lines:
        name, _, value = line.partition(b":")
        yield name, value.strip()


STRICTEST = Naive(rb"\r\n", True, lambda values: values[-1])
"""
The one that comes closest to the standard.
"""

NAIVES = [
    Naive(ending, chunkedFirst, pick)
    for ending, chunkedFirst, pick in product(
        (rb"\r\n", rb"\r?\n", rb"\r\n?|\n"),
        (True, False),
        (lambda values: values[0], lambda values: values[-1]),
    )
]
"""
All ways of being careless.
"""
