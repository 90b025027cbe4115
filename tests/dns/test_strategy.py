"""
Tests for L{socksproxy.dns.strategy}.
"""

import struct
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from socksproxy.dns.reply import readReply
from socksproxy.dns.strategy import IPStrategy
from socksproxy.errors import MalformedMessage
from tests.dns.messages import ANSWERED, POINTER, message, opt, question, record, wire

A, AAAA, SVCB, HTTPS, RRSIG = 1, 28, 64, 65, 46
FIRST, SECOND = IPv4Address("192.0.2.1"), IPv4Address("192.0.2.2")
THIRD, FOURTH = IPv6Address("2001:db8::3"), IPv6Address("2001:db8::4")
MANDATORY, ALPN, PORT, IPV4HINT, IPV6HINT = 0, 1, 3, 4, 6
HINTS = {
    ALPN: b"\x02h2",
    PORT: b"\x01\xbb",
    IPV4HINT: FIRST.packed + SECOND.packed,
    IPV6HINT: THIRD.packed,
    7: b"/dns",
}


def service(parameters: dict[int, bytes], target: str = "") -> bytes:
    """
    Write the RDATA of an HTTPS record.
    """
    written = [struct.pack("!HH", key, len(value)) + value for key, value in parameters.items()]
    return b"\0\1" + wire(target) + b"".join(written)


def without(key: int, parameters: dict[int, bytes] = HINTS) -> dict[int, bytes]:
    """
    Leave a parameter out.
    """
    return {k: value for k, value in parameters.items() if k != key}


def reply(*data: bytes, kind: int = HTTPS, extra: tuple[bytes, ...] = ()) -> bytes:
    """
    Write a reply with HTTPS records.
    """
    answers = [record(POINTER, kind, 300, one) for one in data]
    return message(question("a.test", kind), [*answers, *extra])


class TestSuppresses:
    """
    Tests for C{IPStrategy.suppresses}.
    """

    @pytest.mark.parametrize(
        ("name", "kinds"),
        [
            ("as_is", []),
            ("prefer_v4", []),
            ("prefer_v6", []),
            ("v4_only", [AAAA]),
            ("v6_only", [A]),
        ],
    )
    def test_types(self, name: str, kinds: list[int]) -> None:
        """
        With one family alone, addresses of the other are denied.
        """
        assert [k for k in (A, AAAA, HTTPS, 255) if IPStrategy(name).suppresses(k)] == kinds


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("as_is", [THIRD, FIRST, FOURTH, SECOND]),
        ("prefer_v4", [FIRST, SECOND, THIRD, FOURTH]),
        ("prefer_v6", [THIRD, FOURTH, FIRST, SECOND]),
        ("v4_only", [FIRST, SECOND]),
        ("v6_only", [THIRD, FOURTH]),
    ],
)
def test_ordered(name: str, expected: list[object]) -> None:
    """
    One family comes first or alone, each in the order that it had.
    """
    assert IPStrategy(name).ordered(iter([THIRD, FIRST, FOURTH, SECOND])) == expected


class TestRestricted:
    """
    Tests for C{IPStrategy.restricted}.
    """

    @pytest.mark.parametrize(("name", "gone"), [("v4_only", IPV6HINT), ("v6_only", IPV4HINT)])
    @pytest.mark.parametrize("kind", [HTTPS, SVCB])
    def test_hints(self, name: str, gone: int, kind: int) -> None:
        """
        Hints at addresses of the other family are taken out, and nothing
        else is.
        """
        before = readReply(reply(service(HINTS), service({}, "b.test"), service(HINTS), kind=kind))
        after = IPStrategy(name).restricted(before)
        expected = service(without(gone))
        assert after == readReply(reply(expected, service({}, "b.test"), expected, kind=kind))

    @pytest.mark.parametrize("name", ["as_is", "prefer_v4", "prefer_v6"])
    def test_unrestricted(self, name: str) -> None:
        """
        Where both families may be used, hints stay.
        """
        before = readReply(reply(service(HINTS)))
        assert IPStrategy(name).restricted(before) is before

    def test_nothingToDo(self) -> None:
        """
        What has no such hint stays as it is.
        """
        for octets in (
            reply(service(without(IPV6HINT))),
            reply(b"\0\0" + wire("b.test")),
            message(question("a.test", A), [record(POINTER, A, 60, bytes(4))]),
            message(question("a.test", A), [record(POINTER, HTTPS, 60, service(HINTS))]),
            message(question("a.test", HTTPS)),
            message(b"", flags=ANSWERED | 1),
        ):
            before = readReply(octets)
            assert IPStrategy.IPV4_ONLY.restricted(before) is before

    def test_signed(self) -> None:
        """
        Signed records stay as they are: changed ones would be worth nothing.
        """
        signature = record(POINTER, RRSIG, 300, b"x" * 40)
        before = readReply(reply(service(HINTS), extra=(signature,)))
        assert IPStrategy.IPV4_ONLY.restricted(before) is before

    @pytest.mark.parametrize(
        ("keys", "left"),
        [
            ([ALPN, IPV6HINT], [ALPN]),
            ([IPV6HINT, 7], [7]),
            ([ALPN, IPV6HINT, 7], [ALPN, 7]),
            ([IPV6HINT], None),
            ([ALPN], [ALPN]),
        ],
    )
    def test_mandatory(self, keys: list[int], left: list[int] | None) -> None:
        """
        A parameter that is not there any more need not be understood either.
        """
        mandatory = {MANDATORY: struct.pack(f"!{len(keys)}H", *keys)}
        before = readReply(reply(service({**mandatory, **HINTS})))
        kept = {} if left is None else {MANDATORY: struct.pack(f"!{len(left)}H", *left)}
        expected = readReply(reply(service({**kept, **without(IPV6HINT)})))
        assert IPStrategy.IPV4_ONLY.restricted(before) == expected

    def test_othersStay(self) -> None:
        """
        Other records of the message stay, with names that lead where they
        led; what the name server said of itself is still known.
        """
        alias = record(POINTER, 5, 600, wire("b.test"))
        at = len(message(question("a.test", HTTPS))) + 12

        def made(data: bytes, shift: int) -> bytes:
            server = at + len(wire("b.test")) + 12 + shift
            return message(
                question("a.test", HTTPS),
                [alias, record((0xC000 | at).to_bytes(2), HTTPS, 300, data)],
                [record(wire("ns.test"), 2, 900, b"\2xy" + (0xC000 | at).to_bytes(2))],
                [
                    record((0xC000 | server).to_bytes(2), A, 900, FIRST.packed),
                    opt(512, 0x01000000),
                ],
                flags=ANSWERED | 0x20,
            )

        data, shorter = service(HINTS), service(without(IPV6HINT))
        before = readReply(made(data, len(data)), encrypted=True)
        after = IPStrategy.IPV4_ONLY.restricted(before)
        assert after == readReply(made(shorter, len(shorter)), encrypted=True)
        assert after.ttls == (600, 300, 900, 900)
        assert after.flags & 0x20

    @pytest.mark.parametrize(
        "data", [b"", b"\0", b"\0\1", b"\0\1\1a", b"\0\1\0\0\6\0\1", b"\0\1\0\0"]
    )
    def test_malformed(self, data: bytes) -> None:
        """
        A record that is cut off is refused.
        """
        before = readReply(reply(data, service(HINTS)))
        with pytest.raises(MalformedMessage):
            IPStrategy.IPV4_ONLY.restricted(before)

    @given(
        st.binary(min_size=1, max_size=4),
        st.integers(0, 120),
        st.sampled_from([IPStrategy.IPV4_ONLY, IPStrategy.IPV6_ONLY]),
    )
    @settings(deadline=None)
    def test_damaged(self, noise: bytes, position: int, strategy: IPStrategy) -> None:
        """
        Whatever is in such a record, nothing but our error is raised, and
        what comes out is a reply with as many records.
        """
        data = service({MANDATORY: b"\0\4\0\6", **HINTS})
        octets = reply(data, service(HINTS), extra=(record(b"\xc0\x24", 5, 60, b"\xc0\x0c"),))
        position += 24
        octets = octets[:position] + noise + octets[position + len(noise) :]
        try:
            before = readReply(octets)
            after = strategy.restricted(before)
            assert len(after.ttls) == len(before.ttls)
        except MalformedMessage:
            pass
