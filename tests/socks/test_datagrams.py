"""
Tests for L{socksproxy.socks.datagrams}.
"""

from __future__ import annotations

from ipaddress import ip_address

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.address import Destination, hostFromName
from socksproxy.errors import LocalProtocolError, MalformedMessage, MessageTooLong, ProtocolError
from socksproxy.events import AccessRecord
from socksproxy.negotiation import Protection
from socksproxy.socks._fragments import TIMEOUT, Reassembly
from socksproxy.socks.datagrams import REMEMBERED, ClientDatagrams
from socksproxy.testing import ScriptedNetwork
from tests.socksrequests import LAST, MAX_DATAGRAM, datagram

CLIENT, STRANGER = "192.0.2.10", "192.0.2.11"
TARGET, SIX = "198.51.100.1", "2001:db8::1"

HEAD = len(datagram(b"", TARGET, 53))
HEAD_SIX = len(datagram(b"", SIX, 53))

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


class Sealing:
    """
    A protection that puts a seal before every datagram.

    @ivar broken: It can protect nothing any more.
    @ivar limit: The longest datagram that it takes.
    """

    carriesDatagrams = True

    def __init__(self) -> None:
        self.broken = False
        self.limit = MAX_DATAGRAM

    def wrapDatagram(self, data: bytes) -> bytes:
        """
        Put the seal on.
        """
        if self.broken:
            raise LocalProtocolError("broken")
        if len(data) > self.limit:
            raise MessageTooLong("too long")
        return b"SEAL" + data

    def unwrapDatagram(self, data: bytes) -> bytes:
        """
        Take the seal off.
        """
        if not data.startswith(b"SEAL"):
            raise MalformedMessage("no seal")
        return data[4:]


class DatagramTestCase(SynchronousTestCase):
    """
    Tests with the client's side of an association.

    @ivar forwarded: What was for others, and for whom.
    @ivar forwards: Whether it can be sent on.
    """

    def setUp(self) -> None:
        self.open()

    def open(
        self,
        announced: int = 0,
        host: str = CLIENT,
        reassembling: bool = False,
        protection: Protection | None = None,
    ) -> None:
        """
        Begin anew.

        @param announced: The port that the client wants to send from.
        """
        self.network = ScriptedNetwork()
        self.record = AccessRecord()
        self.forwarded: list[tuple[bytes, str]] = []
        self.forwards = True
        self.datagrams = ClientDatagrams(
            ip_address(host),
            announced,
            self.record,
            self._forward,
            self.network,
            Reassembly() if reassembling else None,
            protection,
        )
        interface = "::1" if ":" in host else "127.0.0.1"
        self.socket = self.network.listenUDP(0, self.datagrams, interface, 65535)

    def _forward(self, data: bytes, destination: Destination) -> bool:
        self.forwarded.append((data, str(destination)))
        return self.forwards

    def send(self, data: bytes | None = None, port: int = 41000, host: str = CLIENT) -> bool:
        """
        Send a datagram.

        @return: Whether it has been sent on.
        """
        before = len(self.forwarded)
        whole = datagram(b"question", TARGET, 53) if data is None else data
        self.socket.peerSends(whole, host, port)
        return len(self.forwarded) > before

    def answer(self, data: bytes = b"answer", host: str = TARGET, port: int = 53) -> None:
        """
        Have somebody answer.
        """
        source = hostFromName(host.encode())
        self.datagrams.send(data, Destination(source, port))

    def assertClient(self, port: int, host: str = CLIENT) -> None:
        """
        Fail unless answers go to a port of the client's.
        """
        self.answer()
        self.assertEqual(self.socket.take(), [(datagram(b"answer", TARGET, 53), (host, port))])

    def assertCounts(self, sent: int = 0, received: int = 0, dropped: int = 0) -> None:
        """
        Fail unless so many datagrams have been counted.
        """
        record = self.record
        self.assertEqual(
            (record.datagramsSent, record.datagramsReceived, record.datagramsDropped),
            (sent, received, dropped),
        )


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


class FragmentTests(DatagramTestCase):
    """
    Datagrams in pieces.
    """

    def piece(self, fragment: int, data: bytes = b"x", host: str = TARGET) -> bool:
        """
        Send a fragment.
        """
        return self.send(datagram(data, host, 53, fragment))

    def test_dropped(self) -> None:
        """
        By default they are dropped and counted, whatever their position, also
        those for whom something has been sent before.
        """
        self.send()
        fragments = (1, 2, 127, 1 | LAST, 2 | LAST, LAST, 255)
        for fragment in fragments:
            self.assertFalse(self.piece(fragment))
        self.assertCounts(sent=1, dropped=len(fragments))

    def test_joined(self) -> None:
        """
        Where that is wanted they are put together, and sent on as one.
        """
        self.open(reassembling=True)
        self.assertFalse(self.piece(1, b"one "))
        self.assertFalse(self.piece(2, b"two "))
        self.assertTrue(self.piece(3 | LAST, b"three"))
        self.assertEqual(self.forwarded, [(b"one two three", f"{TARGET}:53")])
        self.assertEqual((self.record.datagramsSent, self.record.sent), (1, 13))
        self.assertEqual(self.record.datagramsDropped, 0)

    def test_whole(self) -> None:
        """
        Those that stand alone go on as ever, and end what waits, also if
        their heads have been seen before.
        """
        self.open(reassembling=True)
        self.assertTrue(self.send())
        self.piece(1)
        self.assertTrue(self.send())
        self.assertFalse(self.piece(2 | LAST))
        self.assertEqual(len(self.forwarded), 2)

    def test_pins(self) -> None:
        """
        A fragment decides about the client's port as any datagram does.
        """
        self.open(reassembling=True)
        self.piece(1)
        self.assertFalse(self.send(port=41001))
        self.assertClient(41000)

    def test_ofStrangers(self) -> None:
        """
        Nobody else can put a piece in between.
        """
        self.open(reassembling=True)
        self.piece(1, b"one ")
        self.send(datagram(b"bad", TARGET, 53, 2 | LAST), host=STRANGER)
        self.send(datagram(b"bad", TARGET, 53, 2 | LAST), port=41001)
        self.assertTrue(self.piece(2 | LAST, b"two"))
        self.assertEqual(self.forwarded, [(b"one two", f"{TARGET}:53")])

    def test_timer(self) -> None:
        """
        Five seconds after the first piece all are forgotten, whether or not
        anything comes.
        """
        self.assertEqual(TIMEOUT, 5.0)
        self.open(reassembling=True)
        self.piece(1)
        self.network.advance(4.9)
        self.piece(2)
        self.assertEqual(len(self.network.getDelayedCalls()), 1)
        self.network.advance(0.1)
        self.assertEqual(self.network.getDelayedCalls(), [])
        self.assertFalse(self.piece(3 | LAST))
        self.assertEqual(self.forwarded, [])

    def test_inTime(self) -> None:
        """
        Before that they are not.
        """
        self.open(reassembling=True)
        self.piece(1)
        self.network.advance(4.9)
        self.assertTrue(self.piece(2 | LAST))

    def test_timerOfEachSequence(self) -> None:
        """
        Each sequence has five seconds of its own.
        """
        self.open(reassembling=True)
        self.piece(1)
        self.network.advance(3)
        self.piece(1)
        self.network.advance(3)
        self.assertTrue(self.piece(2 | LAST))
        self.network.advance(10)
        self.assertEqual(self.network.getDelayedCalls(), [])

    def test_oneTimer(self) -> None:
        """
        However many there are, there is one timer.
        """
        self.open(reassembling=True)
        for number in range(1000):
            self.piece(number % 127 + 1)
        self.assertEqual(len(self.network.getDelayedCalls()), 1)
        self.network.advance(6)
        self.network.advance(6)
        self.assertEqual(self.network.getDelayedCalls(), [])

    def test_lostPiecesAreCounted(self) -> None:
        """
        Pieces of datagrams that never became whole are counted as dropped in
        the end, and no timer goes on.
        """
        self.open(reassembling=True)
        self.piece(1)
        self.piece(3)
        self.piece(1)
        self.piece(2)
        for _ in range(2):
            self.datagrams.close()
        self.assertCounts(dropped=4)
        self.assertEqual(self.network.getDelayedCalls(), [])


class ProtectionTests(DatagramTestCase):
    """
    Datagrams with something around them.
    """

    def setUp(self) -> None:
        self.sealing = Sealing()
        self.open(protection=self.sealing)  # type: ignore[arg-type]

    def test_bothWays(self) -> None:
        """
        It is taken off what the client sends and put around what it gets.
        """
        self.assertTrue(self.send(b"SEAL" + datagram(b"question", TARGET, 53)))
        self.assertEqual(self.forwarded, [(b"question", f"{TARGET}:53")])
        self.answer()
        self.assertEqual(
            self.socket.take(), [(b"SEAL" + datagram(b"answer", TARGET, 53), (CLIENT, 41000))]
        )
        self.assertEqual((self.record.sent, self.record.received), (8, 6))

    def test_unprotected(self) -> None:
        """
        What comes without it is dropped and counted, and does not decide about
        the client's port.
        """
        self.assertFalse(self.send(port=41001))
        self.assertCounts(dropped=1)
        self.assertTrue(self.send(b"SEAL" + datagram(b"question", TARGET, 53)))

    def test_tooLong(self) -> None:
        """
        What would be too long with it is dropped and counted.
        """
        self.send(b"SEAL" + datagram(b"question", TARGET, 53))
        self.answer(bytes(MAX_DATAGRAM - HEAD - 4))
        self.assertEqual([len(data) for data, _ in self.socket.take()], [MAX_DATAGRAM])
        self.answer(bytes(MAX_DATAGRAM - HEAD - 3))
        self.sealing.limit = 10
        self.answer()
        self.assertEqual(self.socket.take(), [])
        self.assertCounts(sent=1, received=1, dropped=2)

    def test_broken(self) -> None:
        """
        What cannot be protected is not sent.
        """
        self.send(b"SEAL" + datagram(b"question", TARGET, 53))
        self.sealing.broken = True
        self.assertRaises(ProtocolError, self.sealing.wrapDatagram, b"")
        self.answer()
        self.assertEqual(self.socket.take(), [])
        self.assertCounts(sent=1, dropped=1)
