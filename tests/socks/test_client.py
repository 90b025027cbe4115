"""
Tests for L{socksproxy.socks.client}: BIND, and asking for names and addresses.

UDP ASSOCIATE is in L{tests.socks.test_relayed}.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

from twisted.internet import error as twistedError
from twisted.internet.address import HostnameAddress, IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory

from socksproxy.client.endpoint import TIMEOUT, legs
from socksproxy.client.errors import (
    ProxyAuthenticationFailed,
    ProxyFault,
    ProxyProtocolError,
    ProxyTimedOut,
    TargetCommandNotSupported,
    TargetConnectionRefused,
    TargetFault,
    TargetHostUnreachable,
    TargetTimedOut,
)
from socksproxy.errors import LocalProtocolError
from socksproxy.relay import Leg
from socksproxy.socks.client import ACCEPT_TIMEOUT, Binding, SOCKS5Client
from socksproxy.socks.endpoints import SOCKS5ClientEndpoint
from socksproxy.testing import MemoryTransport
from tests.client.scripted import (
    EARLY,
    PROXY,
    SOCKS5,
    Application,
    ClientTestCase,
    Connecting,
)
from tests.socksclient import ACCEPTED, ALICE, refused
from tests.socksrequests import BIND, RESOLVE, RESOLVE_PTR, command, granted

LISTENING = granted("192.0.2.200", 50000)
CONNECTED = granted("192.0.2.7", 20)
COMPLETE = b"220 ready\r\n"


class SOCKS5ClientTestCase(ClientTestCase):
    """
    Tests with a client of a SOCKS5 proxy.

    @ivar client: The client.
    """

    client: SOCKS5Client

    def start(self) -> None:
        """
        Have another network, and a client on it.
        """
        super().start()
        self.client = SOCKS5Client(self.network, self.proxy())

    def asked(self, asking: Deferred[Any], said: bytes, *answers: bytes) -> MemoryTransport:
        """
        Have the proxy take a request.

        @param said: The request.
        @param answers: What the proxy says to it.
        """
        peer = self.peer()
        peer.take()
        peer.peerSends(b"\5\0")
        self.assertEqual(peer.take(), said)
        for answer in answers:
            peer.peerSends(answer)
        return peer

    def bind(self, *answers: bytes) -> tuple[Deferred[Binding], MemoryTransport]:
        """
        Ask for a port for C{ftp.test}.
        """
        binding = self.client.bind("ftp.test")
        return binding, self.asked(binding, command(BIND, "ftp.test"), *answers)

    def bound(self, *answers: bytes) -> tuple[Binding, MemoryTransport]:
        """
        Get one.
        """
        binding, peer = self.bind(LISTENING, *answers)
        return self.successResultOf(binding), peer


class ClientTests(SOCKS5ClientTestCase):
    """
    The client itself.
    """

    def test_endpoint(self) -> None:
        """
        It gives endpoints for its proxy.
        """
        endpoint = self.client.endpoint("target.test", 25)
        self.assertIsInstance(endpoint, SOCKS5ClientEndpoint)
        connecting = Connecting(endpoint)
        self.play(SOCKS5).peerSends(EARLY)
        self.assertEqual(connecting.told, ["made", "connected", EARLY])

    def test_password(self) -> None:
        """
        Its password is used for whatever it does.
        """
        client = SOCKS5Client(self.network, self.proxy(), "alice", "s3cret", timeout=5)
        for ask in (
            lambda: client.endpoint("target.test", 25).connect(Factory.forProtocol(Application)),
            lambda: client.bind("ftp.test"),
            lambda: client.resolve("web.test"),
            lambda: client.reverse("192.0.2.1"),
        ):
            asking = ask()
            peer = self.peer()
            self.assertEqual(peer.take(), b"\5\2\2\0")
            peer.peerSends(b"\5\2")
            self.assertEqual(peer.take(), ALICE)
            peer.peerSends(ACCEPTED)
            self.assertEqual(peer.take()[:1], b"\5")
            self.network.advance(5)
            self.failureResultOf(asking, ProxyTimedOut)

    def test_passwordTooLong(self) -> None:
        """
        A password that cannot be sent is an error when the client is made.
        """
        self.assertRaises(
            LocalProtocolError, SOCKS5Client, self.network, self.proxy(), "alice", "s" * 256
        )

    def test_passwordIsNotShown(self) -> None:
        """
        It does not show its password.
        """
        client = SOCKS5Client(self.network, self.proxy(), "alice", "s3cret")
        self.assertNotIn("s3cret", repr(client) + repr(client.endpoint("target.test", 25)))


class BindTests(SOCKS5ClientTestCase):
    """
    A port of the proxy's, and who connects to it.
    """

    def test_address(self) -> None:
        """
        The proxy is asked to wait for somebody, and says where.
        """
        binding, peer = self.bind()
        self.assertNoResult(binding)
        peer.peerSends(LISTENING)
        address = self.successResultOf(binding).address
        self.assertEqual(address, IPv4Address("TCP", "192.0.2.200", 50000))
        self.assertEqual((self.network.queries, self.network.getDelayedCalls()), ([], []))

    def test_expected(self) -> None:
        """
        Who is expected is a name or an address, with or without a port.
        """
        for host, port, said in (
            ("ftp.test", 0, command(BIND, "ftp.test")),
            ("192.0.2.7", 20, command(BIND, "192.0.2.7", 20)),
            (ip_address("2001:db8::7"), 0, command(BIND, "2001:db8::7")),
            ("0.0.0.0", 0, command(BIND, "0.0.0.0")),
        ):
            self.start()
            self.asked(self.client.bind(host, port), said, LISTENING)
        self.assertRaises(LocalProtocolError, self.client.bind, "a b")
        self.assertRaises(LocalProtocolError, self.client.bind, "ftp.test", 65536)

    def test_accept(self) -> None:
        """
        Once the peer has connected, the application has it, and the peer's
        address is the one that the proxy has told.
        """
        binding, peer = self.bound()
        connecting = Accepting(binding)
        self.assertEqual(connecting.told, [])
        peer.peerSends(CONNECTED)
        peer.peerSends(COMPLETE)
        self.assertEqual(connecting.told, ["made", "connected", COMPLETE])
        protocol = self.successResultOf(connecting.result)
        self.assertEqual(protocol.transport.getPeer(), IPv4Address("TCP", "192.0.2.7", 20))
        protocol.transport.write(b"hello")
        self.assertEqual(peer.take(), b"hello")
        self.assertEqual(self.network.getDelayedCalls(), [])

    def test_early(self) -> None:
        """
        What the peer says comes to the application, also if it came together
        with the second reply, or with both, octet by octet or at once, before
        anybody waited for it.
        """
        binding, peer = self.bound()
        connecting = Accepting(binding)
        peer.peerSends(CONNECTED + COMPLETE)
        self.assertEqual(connecting.told, ["made", "connected", COMPLETE])

        self.start()
        asking, _ = self.bind(LISTENING + CONNECTED + COMPLETE)
        connecting = Accepting(self.successResultOf(asking))
        self.network.advance(0)
        self.assertEqual((connecting.told[0], connecting.received), ("made", COMPLETE))

        self.start()
        asking, peer = self.bind()
        for octet in LISTENING + CONNECTED + COMPLETE:
            peer.peerSends(bytes((octet,)))
        connecting = Accepting(self.successResultOf(asking))
        self.network.advance(0)
        self.assertEqual(connecting.received, COMPLETE)

    def test_hurry(self) -> None:
        """
        A peer that sends megabytes before the application waits for it has to
        wait itself, and nothing of it is lost.
        """
        binding, peer = self.bound()
        peer.peerSends(CONNECTED)
        pieces = [bytes((number,)) * 65536 for number in range(32)]
        for piece in pieces:
            peer.peerSends(piece)
        connecting = Accepting(binding)
        self.network.advance(0)
        self.successResultOf(connecting.result)
        self.assertTrue(connecting.received == b"".join(pieces))

    def test_unknownPeer(self) -> None:
        """
        A proxy that tells nothing of the peer but a name, or no name, is
        believed.
        """
        for bound, address in (
            (b"\5\0\0\3\4host\0\x14", HostnameAddress(b"host", 20)),
            (b"\5\0\0\3\0\0\0", HostnameAddress(b"", 0)),
            (granted("0.0.0.0"), IPv4Address("TCP", "0.0.0.0", 0)),
        ):
            self.start()
            binding, peer = self.bound()
            connecting = Accepting(binding)
            peer.peerSends(bound)
            protocol = self.successResultOf(connecting.result)
            self.assertEqual(protocol.transport.getPeer(), address)

    def test_refused(self) -> None:
        """
        A proxy that does no such thing says so.
        """
        for code, error in ((7, TargetCommandNotSupported), (1, TargetFault), (99, TargetFault)):
            self.start()
            binding, _ = self.bind(refused(code))
            self.failureResultOf(binding, error)
            self.assertGone()

    def test_secondRefused(self) -> None:
        """
        The second reply may be a refusal too, as when the wrong peer came.
        """
        for code, error in (
            (4, TargetHostUnreachable),
            (5, TargetConnectionRefused),
            (6, TargetTimedOut),
        ):
            self.start()
            binding, peer = self.bound()
            connecting = Accepting(binding)
            peer.peerSends(refused(code))
            self.failureResultOf(connecting.result, error)
            self.assertEqual(connecting.told, [])
            self.assertGone()

    def test_firstTimesOut(self) -> None:
        """
        The time for the first reply is that of any request.
        """
        binding, _ = self.bind()
        self.network.advance(TIMEOUT)
        self.failureResultOf(binding, ProxyTimedOut)
        self.assertGone()

    def test_secondTimesOut(self) -> None:
        """
        The peer gets its own time, at whose end the port is closed. That is
        nobody's fault but the peer's.
        """
        for given, timeout in ((None, ACCEPT_TIMEOUT), (7.0, 7.0)):
            self.start()
            binding, _ = self.bound()
            self.network.advance(TIMEOUT * 2)
            connecting = Accepting(binding, given)
            self.network.advance(timeout - 0.1)
            self.assertEqual(connecting.fired, 0)
            self.network.advance(0.1)
            error = self.failureResultOf(connecting.result, TargetTimedOut).value
            self.assertIsInstance(error, twistedError.TimeoutError)
            self.assertEqual(connecting.told, [])
            self.assertGone()

    def test_cancelled(self) -> None:
        """
        Giving up, before or after the first reply, closes the port.
        """
        asking, _ = self.bind()
        asking.cancel()
        self.failureResultOf(asking, CancelledError)
        self.assertGone()
        binding, _ = self.bound()
        connecting = Accepting(binding)
        connecting.result.cancel()
        self.failureResultOf(connecting.result, CancelledError)
        self.assertEqual((connecting.told, connecting.fired), ([], 1))
        self.assertGone()

    def test_cancelledAfterwards(self) -> None:
        """
        Once the peer is there, there is nothing to give up.
        """
        binding, peer = self.bound()
        connecting = Accepting(binding)
        peer.peerSends(CONNECTED)
        connecting.result.cancel()
        peer.peerSends(COMPLETE)
        self.assertEqual(connecting.told, ["made", "connected", COMPLETE])

    def test_stopped(self) -> None:
        """
        A port can be closed at any time. Who waits for the peer is told at
        once, and who does so later too.
        """
        binding, peer = self.bound()
        binding.stop()
        binding.stop()
        self.assertTrue(peer.aborted)
        self.failureResultOf(Accepting(binding).result)
        self.assertGone()
        binding, _ = self.bound()
        connecting = Accepting(binding)
        binding.stop()
        self.failureResultOf(connecting.result)
        self.assertEqual((connecting.told, connecting.fired), ([], 1))
        self.assertGone()

    def test_proxyGoes(self) -> None:
        """
        A proxy that closes the connection before the peer has come, or loses
        it, is at fault, whether or not somebody waited already.
        """
        for goes in (MemoryTransport.peerEnds, MemoryTransport.peerResets):
            for patient in (True, False):
                self.start()
                binding, peer = self.bound()
                if not patient:
                    goes(peer)
                connecting = Accepting(binding)
                if patient:
                    goes(peer)
                self.failureResultOf(connecting.result, ProxyProtocolError)
                self.assertEqual((connecting.told, connecting.fired), ([], 1))
                self.assertGone()

    def test_rubbish(self) -> None:
        """
        A second reply that is none is the proxy's fault.
        """
        for rubbish in (b"\4\0", b"\5\0\0\5", bytes(1 << 20), b"HTTP/1.1"):
            self.start()
            binding, peer = self.bound()
            connecting = Accepting(binding)
            peer.peerSends(rubbish)
            self.failureResultOf(connecting.result, ProxyProtocolError)
            self.assertEqual(connecting.told, [])
            self.assertGone()

    def test_factoryRefuses(self) -> None:
        """
        An application that wants no connection gets none, and the proxy's
        port is closed.
        """
        binding, peer = self.bound()

        class Unwilling(Factory):
            def buildProtocol(self, addr: object) -> None:
                pass

        accepting = binding.accept(Unwilling())
        peer.peerSends(CONNECTED)
        self.failureResultOf(accepting)
        self.assertGone()

    def test_leg(self) -> None:
        """
        What is accepted as a leg does not read before it is held.
        """
        binding, peer = self.bound()
        accepting = binding.accept(legs)
        peer.peerSends(CONNECTED + COMPLETE)
        self.assertIsInstance(self.successResultOf(accepting), Leg)
        self.assertTrue(peer.paused)


class ReachableTests(SOCKS5ClientTestCase):
    """
    Where a port of the proxy's is for the rest of the world.
    """

    def addressOf(self, bound: bytes, peer: IAddress | None = None) -> IAddress:
        """
        Give the address of a port.

        @param bound: What the proxy says of it.
        @param peer: Where the proxy is.
        """
        self.start()
        binding, transport = self.bind()
        if peer is not None:
            transport._peer = peer
        transport.peerSends(bound)
        return self.successResultOf(binding).address

    def test_told(self) -> None:
        """
        It is where the proxy says.
        """
        for host in ("192.0.2.200", PROXY, "203.0.113.1"):
            self.assertEqual(self.addressOf(granted(host, 5)), IPv4Address("TCP", host, 5))
        self.assertEqual(
            self.addressOf(granted("2001:db8::5", 5)), IPv6Address("TCP", "2001:db8::5", 5)
        )

    def test_anyAddress(self) -> None:
        """
        If the proxy says "any address", or a name, it is where the proxy is.
        """
        for told in ("0.0.0.0", "::", "::ffff:0.0.0.0", "proxy.internal"):
            self.assertEqual(self.addressOf(granted(told, 5)), IPv4Address("TCP", PROXY, 5))
        self.assertEqual(self.addressOf(b"\5\0\0\3\0\0\5"), IPv4Address("TCP", PROXY, 5))

    def test_internal(self) -> None:
        """
        So it is if the proxy tells an address of its own network, and is not
        in such a network for us.
        """
        for told in ("10.0.0.5", "192.168.1.1", "127.0.0.1", "169.254.1.1", "fd00::1", "::1"):
            self.assertEqual(self.addressOf(granted(told, 5)), IPv4Address("TCP", PROXY, 5))

    def test_bothInternal(self) -> None:
        """
        If both are internal, the proxy knows better.
        """
        for where in ("10.0.0.1", "127.0.0.1"):
            address = self.addressOf(granted("10.0.0.5", 5), IPv4Address("TCP", where, 1080))
            self.assertEqual(address, IPv4Address("TCP", "10.0.0.5", 5))

    def test_nobodyKnows(self) -> None:
        """
        For a proxy on a UNIX socket, or behind another one by its name, that
        does not tell an address it is not known, which is the proxy's fault.
        The port is closed again.
        """
        for where in (UNIXAddress(b"/run/proxy"), HostnameAddress(b"second.test", 1080)):
            for told in (b"\5\0\0\3\0\0\5", granted("0.0.0.0", 5)):
                self.start()
                binding, transport = self.bind()
                transport._peer = where
                transport.peerSends(told)
                self.failureResultOf(binding, ProxyProtocolError)
                self.assertGone()

    def test_known(self) -> None:
        """
        If it does, that is fine.
        """
        address = self.addressOf(granted("10.0.0.5", 5), UNIXAddress(b"/run/proxy"))
        self.assertEqual(address, IPv4Address("TCP", "10.0.0.5", 5))


class ResolveTests(SOCKS5ClientTestCase):
    """
    Names and addresses that the proxy looks up.
    """

    def test_resolve(self) -> None:
        """
        The proxy gives an address for a name, and is not needed after that.
        """
        for address in ("192.0.2.1", "2001:db8::1"):
            self.start()
            asking = self.client.resolve("web.test")
            self.asked(asking, command(RESOLVE, "web.test"), granted(address))
            self.assertEqual(self.successResultOf(asking), ip_address(address))
            self.assertEqual(self.network.queries, [])
            self.assertGone()

    def test_resolveToName(self) -> None:
        """
        A proxy that gives a name, or nothing, breaks its protocol.
        """
        for answer in (granted("web.test"), b"\5\0\0\3\0\0\0"):
            self.start()
            asking = self.client.resolve("web.test")
            self.asked(asking, command(RESOLVE, "web.test"), answer)
            self.failureResultOf(asking, ProxyProtocolError)
            self.assertGone()

    def test_reverse(self) -> None:
        """
        The proxy gives a name for an address.
        """
        for address in ("192.0.2.1", "2001:db8::1"):
            self.start()
            asking = self.client.reverse(address)
            self.asked(asking, command(RESOLVE_PTR, address), granted("web.test"))
            self.assertEqual(self.successResultOf(asking), "web.test")
            self.assertGone()

    def test_reverseToNothing(self) -> None:
        """
        A proxy that gives no name breaks its protocol.
        """
        for answer in (granted("192.0.2.1"), b"\5\0\0\3\0\0\0", b"\5\0\0\3\3a b\0\0"):
            self.start()
            asking = self.client.reverse("192.0.2.1")
            self.asked(asking, command(RESOLVE_PTR, "192.0.2.1"), answer)
            self.failureResultOf(asking, ProxyProtocolError)
            self.assertGone()

    def test_failures(self) -> None:
        """
        A name that is not there, a proxy that cannot do it, one that falls
        silent and one that does not let us in can be told apart.
        """
        for answer, error in (
            (refused(4), TargetHostUnreachable),
            (refused(7), TargetCommandNotSupported),
            (b"", ProxyTimedOut),
        ):
            for ask in (
                lambda: self.client.resolve("web.test"),
                lambda: self.client.reverse("::1"),
            ):
                self.start()
                asking = ask()
                self.peer().peerSends(b"\5\0" + answer)
                if not answer:
                    self.network.advance(TIMEOUT)
                self.failureResultOf(asking, error)
                self.assertGone()
        asking = self.client.resolve("web.test")
        self.peer().peerSends(b"\5\xff")
        failure = self.failureResultOf(asking, ProxyAuthenticationFailed)
        self.assertIsInstance(failure.value, ProxyFault)

    def test_cancelled(self) -> None:
        """
        A question can be taken back.
        """
        asking = self.client.resolve("web.test")
        self.asked(asking, command(RESOLVE, "web.test"))
        asking.cancel()
        self.failureResultOf(asking, CancelledError)
        self.assertGone()


class Accepting(Connecting):
    """
    An application that waits for the peer of a BIND.
    """

    def __init__(self, binding: Binding, timeout: float | None = None) -> None:
        """
        @param timeout: As for L{Binding.accept}, where one is given.
        """
        settings = {} if timeout is None else {"timeout": timeout}
        super().__init__(_Waiting(binding, settings))


class _Waiting:
    """
    A port in the role of an endpoint.
    """

    def __init__(self, binding: Binding, settings: dict[str, float]) -> None:
        self._binding = binding
        self._settings = settings

    def connect(self, factory: Any) -> Any:
        return self._binding.accept(factory, **self._settings)
