"""
DNS messages written by hand, octet by octet, and random ones that Twisted's
codec has written.
"""

import struct
from typing import Any

from hypothesis import strategies as st
from twisted.names import dns

NUMBER = 0x1234
RD = 0x0100
ANSWERED = 0x8180
"""
QR, RD and RA.
"""

HTTPS = 65

POINTER = b"\xc0\x0c"
"""
To the name in the question.
"""


def wire(name: str) -> bytes:
    """
    Write a name without pointers.
    """
    labels = [label.encode() for label in name.split(".") if label]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def question(name: str, kind: int = 1, cls: int = 1) -> bytes:
    """
    Write a question.
    """
    return wire(name) + struct.pack("!HH", kind, cls)


def record(owner: bytes, kind: int, ttl: int, data: bytes, cls: int = 1) -> bytes:
    """
    Write a record.
    """
    return owner + struct.pack("!HHIH", kind, cls, ttl, len(data)) + data


def opt(size: int = 1232, ttl: int = 0, data: bytes = b"") -> bytes:
    """
    Write an OPT record.
    """
    return record(b"\0", 41, ttl, data, size)


def soa(ttl: int, minimum: int, owner: bytes = POINTER) -> bytes:
    """
    Write the SOA record of a negative answer.
    """
    data = b"\0\0" + struct.pack("!IIIII", 1, 2, 3, 4, minimum)
    return record(owner, 6, ttl, data)


def message(
    asked: bytes,
    answers: list[bytes] = [],  # noqa: B006
    authority: list[bytes] = [],  # noqa: B006
    additional: list[bytes] = [],  # noqa: B006
    number: int = NUMBER,
    flags: int = ANSWERED,
) -> bytes:
    """
    Put a message together.

    @param asked: The question; empty for none.
    """
    counts = bool(asked), len(answers), len(authority), len(additional)
    head = struct.pack("!HHHHHH", number, flags, *counts)
    return b"".join([head, asked, *answers, *authority, *additional])


def query(name: str, kind: int = 1, *additional: bytes, flags: int = RD, cls: int = 1) -> bytes:
    """
    Write a client's query.
    """
    return message(question(name, kind, cls), additional=list(additional), flags=flags)


def decoded(octets: bytes) -> Any:
    """
    Read a message as Twisted does.
    """
    found = dns.Message()
    found.fromStr(octets)
    return found


def shown(record: Any) -> tuple[Any, ...]:
    """
    Give what matters of a record that Twisted has read, but for its TTL.
    """
    payload = record.payload
    if payload is not None:
        payload.ttl = None
    return (record.name.name.lower(), record.type, record.cls, payload)


_LABELS = st.sampled_from(["www", "mail", "example", "test", "com", "a", "x" * 63, "_tcp", "B-c"])


def names() -> st.SearchStrategy[str]:
    """
    Make names that have much in common, so that they are compressed.
    """
    return st.lists(_LABELS, min_size=1, max_size=4).map(".".join).filter(lambda n: len(n) < 250)


def _payloads() -> st.SearchStrategy[Any]:
    name = names().map(str.encode)
    short = st.integers(0, 65535)
    octets = st.binary(max_size=40)
    number = st.integers(0, 2**31 - 1)
    return st.one_of(
        st.builds(dns.Record_A, st.ip_addresses(v=4).map(str)),
        st.builds(dns.Record_AAAA, st.ip_addresses(v=6).map(str)),
        st.builds(dns.Record_CNAME, name),
        st.builds(dns.Record_NS, name),
        st.builds(dns.Record_PTR, name),
        st.builds(dns.Record_MX, short, name),
        st.builds(dns.Record_SRV, short, short, short, name),
        st.builds(dns.Record_TXT, octets),
        st.builds(dns.Record_SOA, name, name, number, number, number, number, number),
        st.builds(dns.UnknownRecord, octets),
    )


def _header(owner: str, payload: Any, ttl: int) -> Any:
    kind = payload.TYPE or HTTPS
    return dns.RRHeader(owner.encode(), kind, dns.IN, ttl, payload)


def records() -> st.SearchStrategy[list[Any]]:
    """
    Make the records of a section.
    """
    ttls = st.integers(0, 2**31 - 1)
    return st.lists(st.builds(_header, names(), _payloads(), ttls), max_size=5)


@st.composite
def replies(draw: st.DrawFn) -> bytes:
    """
    Make replies that Twisted has written, with names that are compressed.
    """
    made = dns.Message(draw(st.integers(0, 65535)), answer=1, recDes=1, recAv=1, maxSize=0)
    made.rCode = draw(st.sampled_from([0, 0, 2, 3]))
    kind = draw(st.sampled_from([1, 2, 5, 6, 12, 15, 16, 28, 33, 65, 255]))
    made.addQuery(draw(names()).encode(), kind)
    made.answers, made.authority, made.additional = (
        draw(records()),
        draw(records()),
        draw(records()),
    )
    written: bytes = made.toStr()
    return written
