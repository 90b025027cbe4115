"""
Requests that are nearly right, made from right ones by small damage; and the
property that no origin is ever made to see two requests where there is one.

By hand, for a million of them, or as many as there is time for::

    python -m tests.http.mutations 1000000 --seconds 300
"""

from __future__ import annotations

import argparse
import random
import time
from collections import Counter
from collections.abc import Callable

from tests.http.exchanges import forwardAll
from tests.http.naive import NAIVES

HIDDEN = b"GET /hidden HTTP/1.1\r\nHost: inside.test\r\n\r\n"

SEEDS = [
    b"GET http://web.test/a?b=c HTTP/1.1\r\nHost: web.test\r\nAccept: */*\r\n\r\n",
    b"GET http://web.test:8080/ HTTP/1.0\r\nUser-Agent: x\r\n\r\n",
    b"POST http://web.test/p HTTP/1.1\r\nHost: web.test\r\nContent-Length: 3\r\n\r\na=b",
    b"POST http://web.test/p HTTP/1.1\r\nHost: web.test\r\nContent-Length: 43\r\n\r\n" + HIDDEN,
    b"POST http://web.test/p HTTP/1.0\r\nHost: web.test\r\nContent-Length: 3\r\n"
    b"Connection: keep-alive\r\n\r\na=b",
    b"POST http://web.test/p HTTP/1.1\r\nHost: web.test\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"3\r\na=b\r\n0\r\n\r\n",
    b"PUT http://web.test/p HTTP/1.1\r\nHost: web.test\r\nTransfer-Encoding: chunked\r\n"
    b'Trailer: X-Sum\r\n\r\n2b;a=b;c="d;e"\r\n'
    + HIDDEN
    + b"\r\n5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n",
    b"POST http://web.test/p HTTP/1.1\r\nHost: web.test\r\nTE: trailers\r\nExpect: 100-continue\r\n"
    b"Connection: TE, X-Hop\r\nX-Hop: 1\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"0A\r\n0123456789\r\n0\r\n\r\n",
    b"\r\nOPTIONS http://web.test HTTP/1.1\r\nHost: web.test\r\nMax-Forwards: 3\r\n\r\n",
    b"GET http://web.test/ws HTTP/1.1\r\nHost: web.test\r\nConnection: Upgrade\r\n"
    b"Upgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\n",
    b"DELETE http://[2001:db8::5]:81/ HTTP/1.1\r\nHost: [2001:db8::5]:81\r\nCookie: a=b\r\n"
    b"Content-Length: 0\r\nVia: 1.0 a\r\n\r\n",
]
"""
Right ones, with what an attacker hides in bodies.
"""

INTERESTING = [
    *(bytes((octet,)) for octet in b'\r\n\0\t\v\f \x1f\x7f\x85\xa0\xad:;,="+-_x0159aFf\x80\xff'),
    b"\r\n",
    b"\n\n",
    b"\r\n\r\n",
    b"\r\n ",
    b"\r\n\t",
    b"0\r\n\r\n",
    b"0x",
    b", ",
    b"chunked",
    b"%0d%0a",
    HIDDEN,
]

LINES = [
    b"Content-Length: 0",
    b"Content-Length: 5",
    b"Content-Length: 44",
    b"Content-Length: +5",
    b"Content-Length: 5, 5",
    b"Content-Length: 0x5",
    b"Content-Length : 5",
    b"Content_Length: 5",
    b"Content-Length:\t3",
    b"content-length: 3",
    b"Transfer-Encoding: chunked",
    b"transfer-encoding: Chunked",
    b"Transfer-Encoding:chunked",
    b"Transfer-Encoding: identity",
    b"Transfer-Encoding: chunked, chunked",
    b"Transfer-Encoding: gzip, chunked",
    b"Transfer-Encoding: xchunked",
    b"Transfer-Encoding : chunked",
    b"Transfer-Encoding:\x0bchunked",
    b'Transfer-Encoding: "chunked"',
    b" Transfer-Encoding: chunked",
    b"X: a\n Transfer-Encoding: chunked",
    b"Transfer-Encoding",
    b"Connection: Content-Length",
    b"Connection: Transfer-Encoding, close",
    b"Host: other.test",
    b"Trailer: Content-Length",
    b"Upgrade: h2c",
    b"Expect: 100-continue",
    b"",
]

Mutation = Callable[[bytes, random.Random], bytes]


def flipBit(data: bytes, choices: random.Random) -> bytes:
    """
    Turn one bit over.
    """
    at = choices.randrange(len(data))
    return data[:at] + bytes((data[at] ^ 1 << choices.randrange(8),)) + data[at + 1 :]


def insert(data: bytes, choices: random.Random) -> bytes:
    """
    Put something in between.
    """
    at = choices.randrange(len(data) + 1)
    return data[:at] + choices.choice(INTERESTING) + data[at:]


def replace(data: bytes, choices: random.Random) -> bytes:
    """
    Put something over an octet.
    """
    at = choices.randrange(len(data))
    return data[:at] + choices.choice(INTERESTING) + data[at + 1 :]


def delete(data: bytes, choices: random.Random) -> bytes:
    """
    Leave out a few octets.
    """
    at = choices.randrange(len(data))
    return data[:at] + data[at + choices.choice((1, 1, 1, 2, 5)) :]


def duplicate(data: bytes, choices: random.Random) -> bytes:
    """
    Say something twice.
    """
    at = choices.randrange(len(data))
    end = at + choices.choice((1, 1, 2, 10, 40))
    return data[:end] + data[at:end] + data[end:]


def changeLineEnd(data: bytes, choices: random.Random) -> bytes:
    """
    End a line otherwise.
    """
    lines = data.split(b"\r\n")
    if len(lines) < 2:
        return data
    at = choices.randrange(1, len(lines))
    ending = choices.choice(
        (b"\n", b"\r", b"\r\r\n", b"\n\r", b"\r\n\r\n", b"", b" \r\n", b"\0\r\n")
    )
    return b"\r\n".join(lines[:at]) + ending + b"\r\n".join(lines[at:])


def repeatLine(data: bytes, choices: random.Random) -> bytes:
    """
    Repeat a line somewhere, perhaps in other letters.
    """
    lines = data.split(b"\r\n")
    line = choices.choice(lines)
    change = choices.choice((bytes, bytes.upper, bytes.lower, bytes.swapcase, bytes.title))
    lines.insert(choices.randrange(len(lines)), change(line))
    return b"\r\n".join(lines)


def addLine(data: bytes, choices: random.Random) -> bytes:
    """
    Add a field that says something about framing.
    """
    lines = data.split(b"\r\n")
    lines.insert(choices.randrange(1, len(lines) + 1), choices.choice(LINES))
    return b"\r\n".join(lines)


def changeNumber(data: bytes, choices: random.Random) -> bytes:
    """
    Turn a digit into another.
    """
    digits = [at for at, octet in enumerate(data) if chr(octet).isdigit()]
    if not digits:
        return data
    at = choices.choice(digits)
    return data[:at] + choices.choice((b"%d" % choices.randrange(10), b"", b"00")) + data[at + 1 :]


def follow(data: bytes, choices: random.Random) -> bytes:
    """
    Let another request follow.
    """
    return data + choices.choice(SEEDS)


MUTATIONS: list[Mutation] = [
    flipBit,
    insert,
    replace,
    delete,
    duplicate,
    changeLineEnd,
    repeatLine,
    addLine,
    changeNumber,
    follow,
]


def mutated(number: int) -> list[bytes]:
    """
    Make a damaged request, always the same for a number, in pieces.
    """
    choices = random.Random(number)
    data = choices.choice(SEEDS)
    for _ in range(choices.choice((1, 1, 2, 3, 5))):
        data = choices.choice(MUTATIONS)(data, choices) or data
    cuts = sorted(choices.randrange(len(data) + 1) for _ in range(choices.choice((0, 0, 1, 3))))
    return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]


def check(number: int) -> str:
    """
    Require of one damaged request that no origin, however careless, sees
    anything but one request with the body that was sent.

    @return: What became of it.
    """
    pieces = mutated(number)
    sent, bad = forwardAll(pieces)
    for forwarded in sent:
        for naive in NAIVES:
            messages, rest = naive.read(forwarded.octets)
            if forwarded.whole:
                assert len(messages) == 1 and not rest, (number, pieces, forwarded)
                assert messages[0].body == forwarded.body, (number, pieces, forwarded)
            else:
                assert not messages, (number, pieces, forwarded)
    whole = sum(forwarded.whole for forwarded in sent)
    return f"{whole} forwarded" + (", then refused" if bad else "")


def main() -> None:
    """
    Try as many as were asked for.
    """
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("count", type=int)
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--first", type=int, default=0)
    options = parser.parse_args()
    started = time.monotonic()
    outcomes: Counter[str] = Counter()
    for number in range(options.first, options.first + options.count):
        outcomes[check(number)] += 1
        if time.monotonic() - started > options.seconds:
            break
    taken = time.monotonic() - started
    total = outcomes.total()
    print(f"{total} in {taken:.0f} s, {total / taken:.0f} a second")
    for outcome, count in sorted(outcomes.items()):
        print(f"{count:>9} {outcome}")


if __name__ == "__main__":
    main()
