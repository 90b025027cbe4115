"""
Tests for L{socksproxy.socks.endpoints}: what is said to SOCKS proxies, and what
is made of what they say.

What holds for proxies of all kinds is in L{tests.client.test_endpoint}.
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address
from typing import Any

from twisted.internet import error as twistedError
from twisted.internet.address import HostnameAddress, IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from zope.interface import implementer
from zope.interface.verify import verifyObject

from socksproxy.address import Destination
from socksproxy.buffer import Buffer
from socksproxy.client import errors
from socksproxy.client.endpoint import (
    TIMEOUT,
    ProxiedClientEndpoint,
    ProxiedRequest,
    handOver,
)
from socksproxy.client.errors import (
    ProxiedConnectError,
    ProxyAuthenticationFailed,
    ProxyFault,
    ProxyProtocolError,
    TargetAddressTypeNotSupported,
    TargetFault,
    TargetGeneralFailure,
    TargetReplyUnknown,
)
from socksproxy.errors import LocalProtocolError
from socksproxy.negotiation import Blocking
from socksproxy.socks._events import Event
from socksproxy.socks._negotiation5 import ClientNegotiation
from socksproxy.socks.client import SOCKS5Client
from socksproxy.socks.endpoints import SOCKS4ClientEndpoint, SOCKS5ClientEndpoint
from socksproxy.socks.methods import (
    ClientSubNegotiation,
    NoAuthentication,
    ServerSubNegotiation,
    UsernamePassword,
)
from socksproxy.testing import MemoryTransport
from tests.client.scripted import EARLY, ClientTestCase, Connecting
from tests.client.test_errors import FAMILIES
from tests.socksclient import ACCEPTED, NO_AUTHENTICATION, REJECTED, password, request, request4
from tests.socksrequests import granted, granted4

LABEL = "a" * 63
LONGEST = ".".join([LABEL] * 3 + ["b" * 61])
assert len(LONGEST) == 253


class SOCKSTestCase(ClientTestCase):
    """
    Tests with a SOCKS proxy.
    """

    def socks5(
        self, host: Any = "target.test", port: int = 25, **settings: Any
    ) -> SOCKS5ClientEndpoint:
        """
        Make an endpoint of SOCKS5.
        """
        return SOCKS5ClientEndpoint(self.network, self.proxy(), host, port, **settings)

    def socks4(
        self, host: Any = "target.test", port: int = 25, **settings: Any
    ) -> SOCKS4ClientEndpoint:
        """
        Make an endpoint of SOCKS4.
        """
        return SOCKS4ClientEndpoint(self.network, self.proxy(), host, port, **settings)

    def connect(
        self, endpoint: ProxiedClientEndpoint, *answers: bytes
    ) -> tuple[Connecting, MemoryTransport]:
        """
        Begin to connect, and have the proxy say something, in turn.
        """
        connecting = Connecting(endpoint)
        peer = self.peer()
        self.said = [peer.take()]
        for answer in answers:
            peer.peerSends(answer)
            self.said.append(peer.take())
        return connecting, peer

    def assertRefused(
        self, connecting: Connecting, error: type[ProxiedConnectError]
    ) -> ProxiedConnectError:
        """
        Fail unless a connection could not be made for a reason, the
        application has not heard of it, and nothing is left.
        """
        self.assertEqual((connecting.told, connecting.fired), ([], 1))
        failure = self.failureResultOf(connecting.result, error)
        self.assertGone()
        found: ProxiedConnectError = failure.value
        return found

    def assertConnected(self, connecting: Connecting, peer: MemoryTransport) -> None:
        """
        Fail unless an application has been connected.
        """
        self.successResultOf(connecting.result)
        peer.peerSends(EARLY)
        self.assertEqual(connecting.told, ["made", "connected", EARLY])


class SOCKS5RequestTests(SOCKSTestCase):
    """
    What is said to a SOCKS5 proxy.
    """

    def asked(self, host: Any, port: int = 25) -> bytes:
        """
        Give the request for a target.
        """
        self.start()
        connecting, _ = self.connect(self.socks5(host, port), b"\5\0", granted("192.0.2.200"))
        self.successResultOf(connecting.result)
        self.assertEqual(self.network.queries, [])
        return self.said[1]

    def test_names(self) -> None:
        """
        A name goes to the proxy as it is, however local it looks, and is not
        looked up here.
        """
        for name in ("target.test", "localhost", "localhost.localdomain", "router", LONGEST):
            self.assertEqual(self.asked(name), request(name, 25))

    def test_internationalName(self) -> None:
        """
        An international name goes in its ASCII form.
        """
        self.assertEqual(self.asked("b\u00fccher.example"), request("xn--bcher-kva.example", 25))

    def test_addresses(self) -> None:
        """
        An address goes as one, an IPv6 address with all of its octets.
        """
        self.assertEqual(self.asked("192.0.2.1", 80), request("192.0.2.1", 80))
        self.assertEqual(
            self.asked("2001:db8::1", 65535).hex(),
            "05010004" + "20010db8000000000000000000000001" + "ffff",
        )
        self.assertEqual(self.asked(ip_address("::1"), 1), request("::1", 1))

    def test_noHost(self) -> None:
        """
        What cannot be sent is an error when the endpoint is made.
        """
        for host in (f"{LONGEST}b", f"{LONGEST}bb", f"{LONGEST}bbb", "", "127.1", "a b"):
            self.assertRaises(LocalProtocolError, self.socks5, host)
        self.assertRaises(LocalProtocolError, self.socks5, "target.test", 0)
        self.assertRaises(LocalProtocolError, self.socks5, "target.test", 65536)

    def test_methods(self) -> None:
        """
        What is offered is what can be done: a password only if there is one.
        """
        for settings, greeting in (
            ({}, NO_AUTHENTICATION),
            ({"username": "alice", "password": "s3cret"}, b"\5\2\2\0"),
            ({"username": "alice"}, b"\5\2\2\0"),
            ({"password": "s3cret"}, b"\5\2\2\0"),
            ({"methods": [UsernamePassword(b"alice", b"s3cret")]}, b"\5\1\2"),
            ({"methods": [NoAuthentication()], "username": "alice"}, NO_AUTHENTICATION),
        ):
            self.start()
            connecting, _ = self.connect(self.socks5(**settings))
            self.assertEqual(self.said, [greeting])
            connecting.result.cancel()
            self.failureResultOf(connecting.result)

    def test_password(self) -> None:
        """
        User name and password are sent as they are, up to 255 octets, a text
        as UTF-8.
        """
        for user, secret, octets in (
            ("alice", "s3cret", password(b"alice", b"s3cret")),
            (b"alice", b"s3cret", password(b"alice", b"s3cret")),
            ("alice", None, password(b"alice", b"")),
            (None, "s3cret", password(b"", b"s3cret")),
            ("", "", password(b"", b"")),
            (
                "M\u00fcller",
                "p\u00e4\u00df:\u20ac",
                password(b"M\xc3\xbcller", "pä\u00df:€".encode()),
            ),
            (b"\xff\0", b"\0" * 255, password(b"\xff\0", b"\0" * 255)),
            ("a" * 255, "b" * 255, password(b"a" * 255, b"b" * 255)),
        ):
            self.start()
            endpoint = self.socks5(username=user, password=secret)
            connecting, peer = self.connect(endpoint, b"\5\2", ACCEPTED, granted("192.0.2.200"))
            self.assertEqual(self.said[1:3], [octets, request("target.test", 25)])
            self.assertConnected(connecting, peer)

    def test_passwordTooLong(self) -> None:
        """
        What is longer than that is an error when the endpoint is made, which
        does not show it.
        """
        for user, secret in (
            ("a" * 256, "s3cret"),
            ("alice", "s" * 256),
            ("\u00e4" * 128, "s3cret"),
            ("alice", b"s" * 65536),
            ("\ud800", "s3cret"),
        ):
            error = self.assertRaises(
                LocalProtocolError, self.socks5, username=user, password=secret
            )
            self.assertNotIn("sss", str(error))

    def test_noMethods(self) -> None:
        """
        An endpoint that can offer nothing, or more than fits, is an error when
        it is made.
        """
        for count in (0, 256):
            methods = [NoAuthentication()] * count
            self.assertRaises(LocalProtocolError, self.socks5, methods=methods)

    def test_secretsAreNotShown(self) -> None:
        """
        Neither the endpoint nor an error shows the password.
        """
        endpoint = self.socks5(username="alice", password="s3cret")
        self.assertNotIn("s3cret", repr(endpoint))
        connecting, _ = self.connect(endpoint, b"\5\2", REJECTED)
        error = self.assertRefused(connecting, ProxyAuthenticationFailed)
        self.assertNotIn("s3cret", f"{error!r} {error}")


class SOCKS5AnswerTests(SOCKSTestCase):
    """
    What a SOCKS5 proxy may say.
    """

    def reply(self, *answers: bytes) -> Connecting:
        """
        Have a proxy that wants no password answer a request.
        """
        self.start()
        connecting, _ = self.connect(self.socks5(), b"\5\0", *answers)
        return connecting

    def test_version(self) -> None:
        """
        The proxy's answers have to begin with 5.
        """
        for version in (0, 1, 4, 6, 0x48, 255):
            self.start()
            connecting, _ = self.connect(self.socks5(), bytes((version,)))
            self.assertRefused(connecting, ProxyProtocolError)
            connecting = self.reply(bytes((version,)) + granted("192.0.2.200")[1:])
            self.assertRefused(connecting, ProxyProtocolError)

    def test_authenticationVersion(self) -> None:
        """
        Some proxies write a 5 in front of the answer to the password, too,
        and it is taken.
        """
        for version in (1, 5):
            self.start()
            endpoint = self.socks5(username="alice", password="s3cret")
            answers = (b"\5\2", bytes((version, 0)), granted("192.0.2.200"))
            self.assertConnected(*self.connect(endpoint, *answers))

    def test_methodNotOffered(self) -> None:
        """
        A method that was not offered is the proxy's fault, a password above
        all.
        """
        for method in (1, 2, 3, 0x80, 0xFE):
            self.start()
            connecting, _ = self.connect(self.socks5(), bytes((5, method)))
            self.assertEqual(self.said, [NO_AUTHENTICATION, b""])
            error = self.assertRefused(connecting, ProxyProtocolError)
            self.assertIn(str(method), str(error))

    def test_noMethod(self) -> None:
        """
        A proxy that wants a password from who has none, or does not want ours,
        does not let us in.
        """
        for settings in ({}, {"username": "alice", "password": "s3cret"}):
            self.start()
            connecting, _ = self.connect(self.socks5(**settings), b"\5\xff")
            self.assertRefused(connecting, ProxyAuthenticationFailed)

    def test_noPasswordWanted(self) -> None:
        """
        A proxy that wants no password is not told it.
        """
        endpoint = self.socks5(username="alice", password="s3cret")
        connecting, peer = self.connect(endpoint, b"\5\0", granted("192.0.2.200"))
        self.assertEqual(self.said[1], request("target.test", 25))
        self.assertConnected(connecting, peer)

    def test_wrongPassword(self) -> None:
        """
        Any status but 0 means that the password is wrong.
        """
        for status in (1, 2, 255):
            self.start()
            endpoint = self.socks5(username="alice", password="s3cret")
            connecting, _ = self.connect(endpoint, b"\5\2", bytes((1, status)) + EARLY)
            self.assertEqual(self.said[2:], [b""])
            self.assertRefused(connecting, ProxyAuthenticationFailed)

    def test_bound(self) -> None:
        """
        BND may be an address of either kind or a name, even none or one that
        is no name, and the reply is as long as that makes it.
        """
        for bound in (
            "\1" + "\xc0\0\2\1",
            "\4" + "\x20\1" * 8,
            "\3\0",
            "\3\1x",
            "\3\x0bproxy.test.",
            "\3\xff" + "a" * 255,
            "\3\x04\0\xff\n ",
        ):
            reply = b"\5\0\0" + bound.encode("latin-1") + b"\x12\x34"
            connecting = self.reply(reply + EARLY)
            self.assertEqual(connecting.told, ["made", "connected", EARLY])
            self.successResultOf(connecting.result)
            for length in range(len(reply)):
                connecting = self.reply(reply[:length])
                self.assertEqual(connecting.fired, 0)
                self.peer().peerEnds()
                self.assertRefused(connecting, ProxyProtocolError)

    def test_addressType(self) -> None:
        """
        An ATYP that nobody knows is the proxy's fault, found at once.
        """
        for kind in (0, 2, 5, 255):
            connecting = self.reply(bytes((5, 0, 0, kind)))
            self.assertRefused(connecting, ProxyProtocolError)

    def test_refusals(self) -> None:
        """
        Each REP is an error of a class of its own and of Twisted's, which is
        known as soon as REP is, whether or not the proxy says more.
        """
        for code, cls, twisteds in FAMILIES:
            for reply in (
                bytes((5, code)),
                bytes((5, code)) + bytes.fromhex("0001000000000000"),
                bytes((5, code, 255, 255)) + EARLY,
            ):
                connecting = self.reply(reply)
                error = self.assertRefused(connecting, cls)
                self.assertIsInstance(error, (TargetFault, twisteds))
                self.assertNotIsInstance(error, ProxyFault)
                self.assertEqual(error.replyCode, code)

    def test_unknownRefusals(self) -> None:
        """
        A REP that RFC 1928 does not assign is told as a number.
        """
        for code in (*range(9, 256, 41), 0xF0, 0xF7, 0xFF):
            error = self.assertRefused(self.reply(bytes((5, code))), TargetReplyUnknown)
            assert isinstance(error, TargetReplyUnknown)
            self.assertEqual(error.code, code)

    def test_catching(self) -> None:
        """
        Programs that know Twisted's errors only understand.
        """
        caught: list[str] = []

        async def connect(code: int) -> None:
            connecting = self.reply(bytes((5, code)))
            try:
                await connecting.result
            except twistedError.ConnectionRefusedError:
                caught.append("refused")
            except twistedError.TimeoutError:
                caught.append("timed out")
            except twistedError.NoRouteError:
                caught.append("no route")
            except twistedError.ConnectError:
                caught.append("something else")

        for code in (5, 6, 3, 4, 1, 0x70):
            self.successResultOf(Deferred.fromCoroutine(connect(code)))
        self.assertEqual(
            caught,
            ["refused", "timed out", "no route", "no route", "something else", "something else"],
        )

    def test_exported(self) -> None:
        """
        What programs need can be imported from the packages, as the documents
        have it.
        """
        from socksproxy import client, socks

        for name in client.__all__:
            self.assertIs(getattr(client, name), getattr(errors, name))
        for cls in (SOCKS4ClientEndpoint, SOCKS5ClientEndpoint, SOCKS5Client):
            self.assertIn(cls.__name__, socks.__all__)
            self.assertIs(getattr(socks, cls.__name__), cls)


class SOCKS4RequestTests(SOCKSTestCase):
    """
    What is said to a SOCKS4 proxy.
    """

    def asked(self, host: Any, port: int = 25, **settings: Any) -> bytes:
        """
        Give the request for a target.
        """
        self.start()
        connecting, peer = self.connect(
            self.socks4(host, port, **settings), granted4("192.0.2.200")
        )
        self.assertConnected(connecting, peer)
        self.assertEqual(self.network.queries, [])
        return self.said[0]

    def test_targets(self) -> None:
        """
        An IPv4 address goes as one, and a name unresolved, by SOCKS4a.
        """
        for host in ("192.0.2.1", "target.test", "localhost", LONGEST):
            self.assertEqual(self.asked(host), request4(host, 25))
        self.assertEqual(self.asked("b\u00fccher.example"), request4("xn--bcher-kva.example", 25))
        self.assertEqual(self.asked("::ffff:192.0.2.1"), request4("192.0.2.1", 25))

    def test_userID(self) -> None:
        """
        The USERID goes as it is, a text as UTF-8.
        """
        for userID, octets in (
            ("alice", b"alice"),
            (b"\xff", b"\xff"),
            ("M\u00fcller", b"M\xc3\xbcller"),
            ("a" * 255, b"a" * 255),
        ):
            for host in ("192.0.2.1", "target.test"):
                self.assertEqual(self.asked(host, userID=userID), request4(host, 25, octets))

    def test_noUserID(self) -> None:
        """
        A USERID that cannot be sent is an error when the endpoint is made.
        """
        for userID in ("a" * 256, "\u00e4" * 128, "al\0ice", b"\0", "\ud800"):
            self.assertRaises(LocalProtocolError, self.socks4, userID=userID)

    def test_noIPv6(self) -> None:
        """
        An IPv6 address cannot be asked for, which is found without the proxy,
        and said as proxies say it.
        """
        endpoint = self.socks4("2001:db8::1")
        verifyObject(IStreamClientEndpoint, endpoint)
        connecting = Connecting(endpoint)
        self.assertRefused(connecting, TargetAddressTypeNotSupported)
        self.assertEqual(self.network.attempts, [])


class SOCKS4AnswerTests(SOCKSTestCase):
    """
    What a SOCKS4 proxy may say.
    """

    def reply(self, answer: bytes) -> Connecting:
        """
        Have the proxy answer a request.
        """
        self.start()
        connecting, _ = self.connect(self.socks4(), answer)
        return connecting

    def test_version(self) -> None:
        """
        The reply has to begin with 0, or 4 as from some proxies.
        """
        for version in (0, 4):
            connecting = self.reply(bytes((version,)) + granted4("192.0.2.200")[1:] + EARLY)
            self.assertEqual(connecting.told, ["made", "connected", EARLY])
        for version in (1, 5, 0x5A, 0x48, 255):
            self.assertRefused(self.reply(bytes((version,))), ProxyProtocolError)

    def test_refusals(self) -> None:
        """
        A rejection does not say why. That ident does not confirm our USERID
        is about us and not about the target.
        """
        rest = bytes(6)
        for code, cls in (
            (0x5B, TargetGeneralFailure),
            (0x5C, ProxyAuthenticationFailed),
            (0x5D, ProxyAuthenticationFailed),
            (0x5E, TargetGeneralFailure),
            (0, TargetGeneralFailure),
            (255, TargetGeneralFailure),
        ):
            self.assertRefused(self.reply(bytes((0, code)) + rest + EARLY), cls)

    def test_pieces(self) -> None:
        """
        A reply ends after eight octets, whatever they are.
        """
        reply = bytes((0, 0x5A)) + b"\xff" * 6
        for length in range(8):
            connecting = self.reply(reply[:length])
            self.assertEqual(connecting.fired, 0)
            self.peer().peerSends(reply[length:] + EARLY)
            self.assertEqual(connecting.told, ["made", "connected", EARLY])


class AddressTests(SOCKSTestCase):
    """
    What an application sees of the two ends.
    """

    def test_peer(self) -> None:
        """
        It is who was asked for, whatever the proxy says of itself.
        """
        for host, address in (
            ("target.test", HostnameAddress(b"target.test", 25)),
            ("b\u00fccher.example", HostnameAddress(b"xn--bcher-kva.example", 25)),
            ("192.0.2.1", IPv4Address("TCP", "192.0.2.1", 25)),
            ("2001:db8::1", IPv6Address("TCP", "2001:db8::1", 25)),
        ):
            self.start()
            connecting, _ = self.connect(self.socks5(host), b"\5\0" + granted("203.0.113.1", 1))
            protocol = self.successResultOf(connecting.result)
            self.assertEqual(protocol.transport.getPeer(), address)


class _Slow:
    """
    A method that takes long to compute its only message.

    @ivar computed: How often that has been done.
    """

    code = 0x80

    def __init__(self) -> None:
        self.computed = 0

    def compute(self) -> None:
        """
        Take long.
        """
        self.computed += 1

    def serverNegotiation(self) -> ServerSubNegotiation:
        """
        Be of no use to servers.
        """
        raise NotImplementedError

    def clientNegotiation(self) -> ClientSubNegotiation:
        """
        See L{Method}.
        """
        return _SlowClient(self.compute)


class _SlowClient:
    def __init__(self, compute: Callable[[], None]) -> None:
        self._compute = compute
        self._blocked = False

    def start(self) -> bytes:
        return b""

    def receive(self, buffer: Buffer) -> list[Event] | None:
        if self._blocked:
            return None
        self._blocked = True
        return [Blocking(self._compute)]


class SlowMethodTests(SOCKSTestCase):
    """
    A method that computes off the reactor's thread.
    """

    def setUp(self) -> None:
        """
        Play the thread.
        """
        super().setUp()
        self.threads: list[tuple[Callable[[], None], Deferred[None]]] = []

    def begin(self) -> tuple[Connecting, MemoryTransport]:
        """
        Have a client that is computing.
        """
        self.start()
        self.method = _Slow()
        machine = ClientNegotiation(Destination("target.test", 25), [self.method])
        request = ProxiedRequest(self.network, self.proxy(), machine, inThread=self.inThread)
        way = _Asked(request)
        connecting = Connecting(way)
        peer = self.peer()
        peer.peerSends(b"\5\x80")
        self.assertEqual(peer.take(), b"\5\1\x80")
        self.assertEqual((self.method.computed, len(self.threads)), (0, 1))
        return connecting, peer

    def inThread(self, call: Callable[[], None]) -> Deferred[None]:
        """
        Have something called, some time.
        """
        self.threads.append((call, Deferred()))
        return self.threads[-1][1]

    def compute(self) -> None:
        """
        Call it.
        """
        call, done = self.threads.pop()
        call()
        done.callback(None)

    def test_connects(self) -> None:
        """
        The request follows once the computation is over.
        """
        connecting, peer = self.begin()
        self.compute()
        self.assertEqual(peer.take(), request("target.test", 25))
        peer.peerSends(granted("192.0.2.200") + EARLY)
        self.assertEqual(connecting.told, ["made", "connected", EARLY])

    def test_hurry(self) -> None:
        """
        What the proxy says in the meantime waits.
        """
        connecting, peer = self.begin()
        peer.peerSends(granted("192.0.2.200") + EARLY)
        self.assertEqual((connecting.fired, peer.take()), (0, b""))
        self.compute()
        self.assertEqual(connecting.told, ["made", "connected", EARLY])

    def test_ends(self) -> None:
        """
        If it is over before, however, the computation is of no interest any
        more.
        """
        for ends in (
            lambda connecting, peer: connecting.result.cancel(),
            lambda connecting, peer: peer.peerEnds(),
            lambda connecting, peer: peer.peerResets(),
            lambda connecting, peer: self.network.advance(TIMEOUT),
            lambda connecting, peer: peer.peerSends(bytes(1 << 20)),
        ):
            connecting, peer = self.begin()
            ends(connecting, peer)
            self.failureResultOf(connecting.result)
            self.compute()
            self.assertEqual((connecting.told, connecting.fired), ([], 1))
            self.assertEqual(peer.take(), b"")
            self.assertGone()


@implementer(IStreamClientEndpoint)
class _Asked:
    """
    The endpoint of one request.
    """

    def __init__(self, request: ProxiedRequest) -> None:
        self._request = request

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        result: Deferred[IProtocol] = Deferred(lambda _: asking.cancel())
        asking = self._request.start()
        peer = HostnameAddress(b"target.test", 25)
        asking.addCallbacks(
            lambda answer: handOver(answer[0], protocolFactory, peer, result), result.errback
        )
        return result
