"""
Tests for L{socksproxy.socks.datagrams}.
"""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from socksproxy.socks.datagrams import REMEMBERED
from tests.socks.clientdatagrams import (
    CLIENT,
    HEAD,
    HEAD_SIX,
    SIX,
    STRANGER,
    TARGET,
    DatagramTestCase,
)
from tests.socksrequests import MAX_DATAGRAM, datagram

WRONG = {
    "empty": b"",
    "only RSV": b"\0\0",
    "no ATYP": b"\0\0\0",
    "no address": b"\0\0\0\1",
    "address cut off": b"\0\0\0\1\xc6\x33\x64",
    "port cut off": datagram(b"", TARGET, 53)[:-1],
    "IPv6 cut off": datagram(b"", SIX, 53)[:-1],
    "name without length": b"\0\0\0\3",
    "name cut off": datagram(b"", "web.test", 53)[:-3],
    "RSV not zero": b"\0\1" + datagram(b"question", TARGET, 53)[2:],
    "RSV not zero either": b"\1\0" + datagram(b"question", TARGET, 53)[2:],
    "unknown ATYP": b"\0\0\0\2" + datagram(b"question", TARGET, 53)[4:],
    "no name": datagram(b"question", "", 53),
    "no host's name": b"\0\0\0\3\x03a b\0\x35question",
    "NUL in the name": b"\0\0\0\3\x05a\0.de\0\x35question",
    "number as a name": b"\0\0\0\3\x05127.1\0\x35question",
    "port 0": datagram(b"question", TARGET, 0),
}
"""
Datagrams that make no sense.
"""


class ForwardTests(DatagramTestCase):
    """
    From the client to others.
    """

    def test_everyKind(self) -> None:
        """
        What is after the head goes to whom the head names: an IPv4 or IPv6
        address, or a name.
        """
        for host, shown in ((TARGET, TARGET), (SIX, f"[{SIX}]"), ("Web.test", "web.test")):
            for port in (1, 53, 65535):
                self.send(datagram(b"question", host, port))
                self.assertEqual(self.forwarded.pop(), (b"question", f"{shown}:{port}"))
        self.assertCounts(sent=9)
        self.assertEqual((self.record.sent, self.record.received), (9 * 8, 0))

    def test_again(self) -> None:
        """
        The same is true of the second one, whose head has been seen before,
        and of one that only has the same beginning.
        """
        for _ in range(2):
            for host, shown in ((TARGET, TARGET), (SIX, f"[{SIX}]")):
                for port in (53, 54):
                    for data in (b"", b"x", b"question"):
                        self.assertTrue(self.send(datagram(data, host, port)))
                        self.assertEqual(self.forwarded[-1], (data, f"{shown}:{port}"))

    def test_empty(self) -> None:
        """
        A datagram may carry nothing.
        """
        self.send(datagram(b"", TARGET, 53))
        self.assertEqual(self.forwarded, [(b"", f"{TARGET}:53")])
        self.assertCounts(sent=1)

    def test_longest(self) -> None:
        """
        It may be as long as UDP allows.
        """
        self.send(datagram(bytes(MAX_DATAGRAM - HEAD), TARGET, 53))
        self.assertEqual(len(self.forwarded[0][0]), MAX_DATAGRAM - HEAD)

    def test_mapped(self) -> None:
        """
        An IPv4 address in its IPv6 form is that IPv4 address.
        """
        self.send(datagram(b"question", f"::ffff:{TARGET}", 53))
        self.assertEqual(self.forwarded, [(b"question", f"{TARGET}:53")])

    def test_numericName(self) -> None:
        """
        A name that is an address is that address.
        """
        self.send(b"\0\0\0\3\x0c198.51.100.1\0\x35question")
        self.assertEqual(self.forwarded, [(b"question", f"{TARGET}:53")])

    def test_dropped(self) -> None:
        """
        What cannot be sent on is counted as dropped, and not as sent.
        """
        self.forwards = False
        self.send()
        self.assertCounts(dropped=1)
        self.assertEqual(self.record.sent, 0)

    def test_wrong(self) -> None:
        """
        What makes no sense is dropped and counted, before there was anything
        that does, and after.
        """
        for pinned in (False, True):
            for kind, data in WRONG.items():
                self.open()
                if pinned:
                    self.send()
                self.assertFalse(self.send(data), kind)
                self.assertCounts(sent=pinned, dropped=1)

    @settings(deadline=None)
    @given(st.binary(max_size=40), st.booleans())
    def test_anything(self, data: bytes, reassembling: bool) -> None:
        """
        Whatever comes, nothing is raised, and it is counted once, but for a
        fragment that waits.
        """
        self.open(reassembling=reassembling)
        waits = reassembling and data[2:3] not in (b"", b"\0")
        self.send(data)
        counted = self.record.datagramsSent + self.record.datagramsDropped
        self.assertIn(counted, (0, 1) if waits else (1,))
        self.datagrams.close()
        self.assertEqual(self.record.datagramsSent + self.record.datagramsDropped, 1)

    def test_memory(self) -> None:
        """
        What is remembered of heads does not grow without end.
        """
        for number in range(3 * REMEMBERED):
            self.send(datagram(b"", f"2001:db8::{number:x}", 53))
            self.answer(host=f"2001:db8::{number:x}")
        self.assertLessEqual(len(self.datagrams._destinations), REMEMBERED)
        self.assertLessEqual(len(self.datagrams._heads), REMEMBERED)
        self.assertCounts(sent=3 * REMEMBERED, received=3 * REMEMBERED)


class SourceTests(DatagramTestCase):
    """
    Who is the client.
    """

    def test_otherHosts(self) -> None:
        """
        Nobody but the host of the client's connection: others are dropped and
        counted, and never answered, neither before the client has written nor
        after.
        """
        for _ in range(2):
            for host in (STRANGER, "127.0.0.1", f"::ffff:{STRANGER}", "::1"):
                self.assertFalse(self.send(host=host), host)
            self.send()
        self.assertCounts(sent=2, dropped=8)
        self.assertClient(41000)

    def test_firstPort(self) -> None:
        """
        The first datagram that makes sense decides about the port; those from
        another one are dropped and counted.
        """
        self.send(port=41000)
        self.assertFalse(self.send(port=41001))
        self.assertCounts(sent=1, dropped=1)
        self.assertClient(41000)

    def test_firstThatMakesSense(self) -> None:
        """
        One that makes no sense decides nothing.
        """
        for kind, data in WRONG.items():
            self.open()
            self.send(data, port=41001)
            self.assertTrue(self.send(port=41000), kind)
            self.assertClient(41000)

    def test_droppedFragment(self) -> None:
        """
        Nor does a fragment, where those are dropped.
        """
        self.send(datagram(b"piece", TARGET, 53, 1), port=41001)
        self.assertTrue(self.send(port=41000))
        self.assertClient(41000)

    def test_mapped(self) -> None:
        """
        The client's address is the same in the IPv6 form in which a socket
        for both families shows it.
        """
        for host in (f"::ffff:{CLIENT}", "::ffff:c000:20a"):
            self.open()
            self.assertTrue(self.send(host=host))
            self.assertFalse(self.send(host=host, port=41001))

    def test_ipv6(self) -> None:
        """
        An IPv6 client is known by its address, however that is written.
        """
        self.open(host="2001:db8::10")
        self.assertFalse(self.send(host="2001:db8::11"))
        self.assertTrue(self.send(host="2001:0db8:0::0010"))

    def test_announced(self) -> None:
        """
        A datagram from the announced port takes over from an earlier one.
        """
        self.open(announced=41000)
        self.assertTrue(self.send(port=41001))
        self.assertClient(41001)
        self.assertTrue(self.send(port=41000))
        self.assertClient(41000)
        self.assertFalse(self.send(port=41001))
        self.assertClient(41000)

    def test_announcedIsNotRequired(self) -> None:
        """
        The client need not send from there: a network translator may have
        changed its port.
        """
        self.open(announced=41000)
        for _ in range(3):
            self.assertTrue(self.send(port=61000))
        self.assertClient(61000)

    def test_announcedMustMakeSense(self) -> None:
        """
        What makes no sense takes nothing over.
        """
        for kind, data in WRONG.items():
            self.open(announced=41000)
            self.send(port=41001)
            self.send(data, port=41000)
            self.assertTrue(self.send(port=41001), kind)
            self.assertClient(41001)

    def test_announcedOfOtherHost(self) -> None:
        """
        The announced port of another host is nothing.
        """
        self.open(announced=41000)
        self.assertFalse(self.send(port=41000, host=STRANGER))
        self.send(port=41001)
        self.assertFalse(self.send(port=41000, host=STRANGER))
        self.assertClient(41001)

    def test_portZero(self) -> None:
        """
        Port 0 means that none is announced: a datagram that claims to come
        from it takes nothing over.
        """
        self.send(port=41000)
        self.assertFalse(self.send(port=0))
        self.assertTrue(self.send(port=41000))
        self.assertClient(41000)


class AnswerTests(DatagramTestCase):
    """
    From others to the client.
    """

    def test_head(self) -> None:
        """
        The client is told the address that it came from, in IPv4 form where
        it is one.
        """
        self.send()
        for host in (TARGET, SIX):
            for port in (53, 54):
                self.answer(host=host, port=port)
                self.assertEqual(
                    self.socket.take(), [(datagram(b"answer", host, port), (CLIENT, 41000))]
                )
        self.assertCounts(sent=1, received=4)
        self.assertEqual((self.record.sent, self.record.received), (8, 24))

    def test_empty(self) -> None:
        """
        It may be empty.
        """
        self.send()
        self.answer(b"")
        self.assertEqual(self.socket.take(), [(datagram(b"", TARGET, 53), (CLIENT, 41000))])

    def test_noClient(self) -> None:
        """
        Before the client has said where it is there is nowhere to send it: it
        is dropped and counted.
        """
        self.answer()
        self.assertEqual(self.socket.take(), [])
        self.assertCounts(dropped=1)
        self.assertEqual(self.record.received, 0)

    def test_tooLong(self) -> None:
        """
        One that would not fit into a datagram with its head is dropped; the
        longest that does is sent.
        """
        self.send()
        for host, head in ((TARGET, HEAD), (SIX, HEAD_SIX)):
            self.answer(bytes(MAX_DATAGRAM - head), host)
            self.assertEqual([len(data) for data, _ in self.socket.take()], [MAX_DATAGRAM])
            self.answer(bytes(MAX_DATAGRAM - head + 1), host)
            self.assertEqual(self.socket.take(), [])
        self.assertCounts(sent=1, received=2, dropped=2)

    def test_errors(self) -> None:
        """
        Whatever error the socket has, it was dropped, and the next one may be
        sent.
        """
        self.send()

        def write(data: bytes, address: object) -> None:
            raise PermissionError(1, "not permitted")

        self.patch(self.socket, "write", write)
        self.answer()
        self.assertCounts(sent=1, dropped=1)
        del self.socket.write
        self.answer()
        self.assertCounts(sent=1, received=1, dropped=1)

    def test_closed(self) -> None:
        """
        After the socket is closed it is dropped.
        """
        self.send()
        self.socket.stopListening()
        self.network.advance(0)
        self.answer()
        self.assertEqual(self.socket.take(), [])
        self.assertCounts(sent=1, dropped=1)

    def test_over(self) -> None:
        """
        When the association is over nothing is sent on any more, even if it
        comes before the socket is closed.
        """
        self.send()
        self.datagrams.close()
        self.assertFalse(self.send())
        self.assertEqual(len(self.forwarded), 1)
