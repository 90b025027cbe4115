"""
Tests for L{socksproxy.outbound.conduit}: what is sent, and from where.
"""

from __future__ import annotations

import errno

from twisted.internet.error import CannotListenError, MessageLengthError
from twisted.internet.protocol import DatagramProtocol
from zope.interface.verify import verifyObject

from socksproxy.interfaces import IDatagramConduit
from socksproxy.outbound.conduit import MAPPING_IDLE
from socksproxy.testing import MemoryDatagrams, ScriptedNetwork
from tests.memoryproxy import DenyNetworks
from tests.outbound.conduits import ONE, SIX, TWO, ConduitTestCase, NoIPv6

NO_HOSTS = {
    "multicast": "224.0.0.1",
    "multicast, of an organisation": "239.255.255.250",
    "multicast, IPv6": "ff02::1",
    "unspecified": "0.0.0.0",
    "unspecified, IPv6": "::",
    "broadcast": "255.255.255.255",
    "multicast, mapped": "::ffff:224.0.0.1",
    "broadcast, mapped": "::ffff:255.255.255.255",
}
"""
Addresses that no single other host has.
"""

ERRORS = (
    errno.EACCES,
    errno.EAGAIN,
    errno.ECONNREFUSED,
    errno.EHOSTUNREACH,
    errno.EINVAL,
    errno.EMSGSIZE,
    errno.ENETUNREACH,
    errno.ENOBUFS,
    errno.EPERM,
)


class Full(ScriptedNetwork):
    """
    A host that has no socket to spare.

    @ivar full: Whether that is so at the moment.
    """

    full = True

    def listenUDP(
        self, port: int, protocol: DatagramProtocol, interface: str = "", maxPacketSize: int = 8192
    ) -> MemoryDatagrams:
        """
        See C{IReactorUDP}.
        """
        if self.full:
            raise CannotListenError(interface, port, OSError(errno.EMFILE, "too many"))
        return super().listenUDP(port, protocol, interface, maxPacketSize)


class SendTests(ConduitTestCase):
    """
    Datagrams on their way out.
    """

    def test_interface(self) -> None:
        """
        It is a conduit, and has no socket before there is something to send.
        """
        verifyObject(IDatagramConduit, self.conduit())
        self.assertEqual(self.network.datagrams, [])

    def test_everyKind(self) -> None:
        """
        They go to IPv4 and IPv6 addresses and to names, all from one port.
        """
        self.conduit(dns_test=[TWO])
        for host in (ONE, SIX, "dns.test"):
            self.assertTrue(self.send(host, host.encode()))
        self.assertEqual(
            self.sent(),
            [(ONE.encode(), (ONE, 53)), (SIX.encode(), (SIX, 53)), (b"dns.test", (TWO, 53))],
        )
        self.assertEqual(len(self.network.datagrams), 1)

    def test_again(self) -> None:
        """
        So does all that follows, to whatever ports.
        """
        self.conduit()
        for port in (1, 53, 65535):
            for data in (b"one", b"two"):
                self.assertTrue(self.send(data=data, port=port))
        self.assertEqual(
            self.sent(),
            [(data, (ONE, port)) for port in (1, 53, 65535) for data in (b"one", b"two")],
        )
        self.assertEqual(len(self.network.datagrams), 1)

    def test_empty(self) -> None:
        """
        One without octets is a datagram too.
        """
        self.conduit()
        self.assertTrue(self.send(data=b""))
        self.assertEqual(self.sent(), [(b"", (ONE, 53))])

    def test_mapped(self) -> None:
        """
        An IPv4 address in its IPv6 form is that IPv4 address.
        """
        self.conduit()
        self.send(f"::ffff:{ONE}")
        self.assertEqual(self.sent(), [(b"question", (ONE, 53))])

    def test_twoConduits(self) -> None:
        """
        Two clients have two ports, and each gets its own answers.
        """
        got: list[bytes] = []
        self.conduit()
        self.send()
        self.conduit(network=self.network, received=lambda data, source: got.append(data))
        self.send()
        self.assertEqual(len({datagrams.port for datagrams in self.opened}), 2)
        self.opened[1].peerSends(b"answer", ONE, 53)
        self.assertEqual((self.received, got), ([], [b"answer"]))


class RefusalTests(ConduitTestCase):
    """
    Datagrams that are dropped.
    """

    def assertDropped(self, host: str, port: int = 53) -> None:
        """
        Fail if a datagram is sent, or if it is not told that it was not.
        """
        self.assertFalse(self.send(host, port=port), host)
        self.assertEqual(self.sent(), [], host)

    def test_noHosts(self) -> None:
        """
        Nothing is sent to an address that is not a single host's, and no
        socket is opened for it.
        """
        self.conduit()
        for host in NO_HOSTS.values():
            self.assertDropped(host)
        self.assertEqual(self.opened, [])

    def test_noHostsByName(self) -> None:
        """
        A name does not lead there either.
        """
        self.conduit()
        for number, host in enumerate(NO_HOSTS.values()):
            self.network.world[f"{number}.test"] = [host]
            self.send(f"{number}.test")
        self.assertEqual(self.sent(), [])
        self.assertEqual(self.opened, [])

    def test_noPort(self) -> None:
        """
        Nothing is sent to port 0.
        """
        self.conduit(dns_test=[ONE])
        for host in (ONE, SIX, "dns.test"):
            self.assertDropped(host, 0)
        self.assertEqual(self.opened, [])

    def test_denied(self) -> None:
        """
        Nothing is sent to an address that the policy denies, also not after
        something was sent to another.
        """
        self.conduit(policy=DenyNetworks(["192.0.2.2/32", "2001:db8::/32"]))
        for host in (TWO, SIX, f"::ffff:{TWO}"):
            self.assertDropped(host)
        self.assertEqual(self.opened, [])
        self.assertTrue(self.send(ONE))
        self.sent()
        for host in (TWO, SIX):
            self.assertDropped(host)

    def test_errors(self) -> None:
        """
        Whatever error the socket has, the datagram was dropped, and that is
        all. The next one may go.
        """
        self.conduit()
        self.send()
        self.sent()
        for host in (ONE, TWO):
            for number in ERRORS:
                self.raising(OSError(number, "no"))
                self.assertDropped(host)
            self.raising(MessageLengthError())
            self.assertDropped(host)
        del self.socket.write
        self.assertTrue(self.send(TWO))
        self.assertEqual(self.sent(), [(b"question", (TWO, 53))])

    def raising(self, error: Exception) -> None:
        """
        Have the socket raise an error.
        """

        def write(data: bytes, address: object) -> None:
            raise error

        self.socket.write = write  # type: ignore[method-assign, assignment]

    def test_noIPv6(self) -> None:
        """
        On a host without IPv6, IPv4 goes on as ever, and IPv6 is dropped.
        """
        self.conduit(network=NoIPv6())
        self.assertTrue(self.send(ONE))
        self.assertEqual(self.sent(), [(b"question", (ONE, 53))])
        self.assertDropped(SIX)
        self.assertTrue(self.answers(ONE))
        self.assertEqual(self.received, [(b"answer", f"{ONE}:53")])

    def test_noIPv6LeavesNoSocket(self) -> None:
        """
        There, a client that writes to IPv6 only does not keep a socket.
        """
        self.conduit(network=NoIPv6())
        self.assertDropped(SIX)
        self.network.advance(MAPPING_IDLE)
        self.assertEqual(self.made.mappings, 0)
        self.assertEqual(self.opened, [])

    def test_noSocket(self) -> None:
        """
        Where no socket is to be had datagrams are dropped, until there is one.
        """
        network = Full()
        self.conduit(network=network)
        for host in (ONE, SIX):
            self.assertDropped(host)
        network.full = False
        self.assertTrue(self.send())
        self.assertEqual(self.sent(), [(b"question", (ONE, 53))])


class CloseTests(ConduitTestCase):
    """
    A conduit that is closed.
    """

    def test_close(self) -> None:
        """
        Its socket is closed within the call, and nothing is sent or received
        any more.
        """
        self.conduit(dns_test=[TWO])
        self.send()
        self.sent()
        (socket,) = self.opened
        self.made.close()
        self.assertEqual(self.opened, [])
        socket.peerSends(b"answer", ONE, 53)
        for host in (ONE, TWO, SIX, "dns.test"):
            self.assertFalse(self.send(host))
        self.network.advance(0)
        self.assertEqual((self.sent(), self.received), ([], []))
        self.assertEqual(self.opened, [])

    def test_twice(self) -> None:
        """
        It may be closed more than once, and before it was used.
        """
        for used in (False, True):
            self.conduit()
            if used:
                self.send()
            self.made.close()
            self.made.close()
            self.assertEqual(self.opened, [])

    def test_lookingUp(self) -> None:
        """
        Names that are being looked up are given up, any number of them, and
        the socket is closed all the same. Answers that come later lead
        nowhere.
        """
        for number in (1, 2, 5):
            names = self.slowly()
            self.send()
            for name in range(number):
                self.send(f"{name}.test")
            self.made.close()
            self.assertEqual(self.opened, [])
            self.sent()
            for name in range(number):
                names.answer(f"{name}.test", TWO)
            self.network.advance(10)
            self.assertEqual(self.sent(), [])

    def test_closedByTheClient(self) -> None:
        """
        The client may close it when it gets an answer.
        """
        self.conduit(received=lambda data, source: self.made.close())
        self.send()
        self.socket.peerSends(b"answer", ONE, 53)
        self.assertEqual(self.opened, [])
