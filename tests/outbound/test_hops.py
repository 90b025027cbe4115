"""
Tests for L{socksproxy.outbound.hops}: ways through chains.

Alternatives for one hop are in L{tests.outbound.test_hops_alternatives}.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address
from itertools import product
from typing import Any

from twisted.internet import error as twistedError
from twisted.internet.address import HostnameAddress
from twisted.internet.defer import CancelledError
from twisted.internet.endpoints import (
    HostnameEndpoint,
    TCP4ClientEndpoint,
    TCP6ClientEndpoint,
)
from twisted.internet.interfaces import IReactorPluggableNameResolver, IStreamClientEndpoint
from zope.interface import directlyProvides
from zope.interface.verify import verifyObject

from socksproxy.address import Destination, hostFromName
from socksproxy.client.endpoint import TIMEOUT
from socksproxy.client.errors import (
    ProxyAuthenticationFailed,
    ProxyProtocolError,
    ProxyTimedOut,
    ProxyUnreachable,
    TargetAddressTypeNotSupported,
    TargetConnectionRefused,
    TargetFault,
    TargetHostUnreachable,
)
from socksproxy.errors import ConfigurationError
from socksproxy.outbound.hops import directEndpoint
from socksproxy.outbound.proxyurl import proxyFromURL
from socksproxy.socks.client import SOCKS5Client
from tests.client.scripted import EARLY, HOST, PORT, Connecting, Dialect, http, socks4, socks5
from tests.outbound.chains import ONE, SPEAK, THREE, TWO, ChainTestCase
from tests.socksclient import ACCEPTED, ALICE, REJECTED, request, request4

HOSTS = (ONE, TWO, THREE)


def mixtures() -> Iterator[tuple[str, ...]]:
    """
    Give all chains of one to three proxies of the kinds of L{SPEAK}.
    """
    for length in range(1, 4):
        yield from product(SPEAK, repeat=length)


def partsIn(kinds: tuple[str, ...], host: str = HOST, port: int = PORT) -> list[Dialect]:
    """
    Give the conversations with the proxies of a chain, of which each is asked
    for the next one, and the last for a target.
    """
    targets = [*((hop, 1080) for hop in HOSTS[1 : len(kinds)]), (host, port)]
    return [SPEAK[kind](*target) for kind, target in zip(kinds, targets, strict=True)]


class HopsTestCase(ChainTestCase):
    """
    Tests with chains of single proxies.
    """

    def connect(self, urls: str, host: str = HOST, port: int = PORT) -> Connecting:
        """
        Connect through a chain.
        """
        chain = self.chained(urls)
        return Connecting(chain.endpointTo(Destination(hostFromName(host.encode()), port)))

    def through(self, kinds: tuple[str, ...], host: str = HOST) -> Connecting:
        """
        Connect through a chain of kinds.
        """
        urls = ",".join(f"{kind}://{hop}" for kind, hop in zip(kinds, HOSTS, strict=False))
        return self.connect(urls, host)


class MixedTests(HopsTestCase):
    """
    Chains of one to three proxies of all kinds.
    """

    def test_connects(self) -> None:
        """
        Each proxy is asked for the next one over the connection so far, and
        the last for the target, and early data gets to the application.
        """
        for kinds in mixtures():
            self.start()
            connecting = self.through(kinds)
            peer = self.peer()
            self.converse(peer, *partsIn(kinds), early=EARLY)
            self.assertEqual(connecting.told, ["made", "connected", EARLY], kinds)
            protocol: Any = self.successResultOf(connecting.result)
            self.assertEqual(protocol.transport.getPeer(), HostnameAddress(HOST.encode(), PORT))
            protocol.transport.write(b"EHLO")
            self.assertEqual(peer.take(), b"EHLO")
            peer.peerSends(b"250")
            peer.peerEnds()
            self.assertEqual(connecting.told[3:], [b"250", "end"])
            protocol.transport.loseConnection()
            self.assertEqual((self.dialled, self.network.queries), ([ONE], []))
            self.assertEqual(self.network.getDelayedCalls(), [])

    def test_octetByOctet(self) -> None:
        """
        It does not matter how the answers are cut.
        """
        for kinds in mixtures():
            self.start()
            connecting = self.through(kinds)
            peer = self.peer()
            said = b""
            for dialect in partsIn(kinds):
                for answer in dialect.answers:
                    for octet in answer:
                        peer.peerSends(bytes((octet,)))
            peer.peerSends(EARLY)
            said = peer.take()
            self.assertEqual(connecting.told, ["made", "connected", EARLY], kinds)
            parts = partsIn(kinds)
            self.assertEqual(said, b"".join(b"".join(part.messages) for part in parts))

    def test_atOnce(self) -> None:
        """
        Nor if all of them come at once.
        """
        for kinds in mixtures():
            self.start()
            connecting = self.through(kinds)
            answers = b"".join(b"".join(part.answers) for part in partsIn(kinds))
            self.peer().peerSends(answers + EARLY)
            self.assertEqual(connecting.told, ["made", "connected", EARLY], kinds)

    def test_closed(self) -> None:
        """
        If the connection ends while any of them is to say something, a proxy
        is at fault, and nothing is left.
        """
        for kinds in mixtures():
            parts = partsIn(kinds)
            for count, part in enumerate(parts):
                for step in range(len(part.answers)):
                    self.start()
                    connecting = self.through(kinds)
                    peer = self.peer()
                    self.converse(peer, *parts[:count])
                    for answer in part.answers[:step]:
                        peer.peerSends(answer)
                    peer.peerEnds()
                    self.failureResultOf(connecting.result, ProxyProtocolError)
                    self.assertEqual((connecting.told, connecting.fired), ([], 1))
                    self.assertGone()

    def test_silent(self) -> None:
        """
        If any of them falls silent, that is a time-out of a proxy.
        """
        for kinds in mixtures():
            for count in range(len(kinds)):
                self.start()
                connecting = self.through(kinds)
                self.converse(self.peer(), *partsIn(kinds)[:count])
                self.network.advance(TIMEOUT)
                self.failureResultOf(connecting.result, ProxyTimedOut)
                self.assertEqual((connecting.told, connecting.fired), ([], 1))
                self.assertGone()

    def test_cancelled(self) -> None:
        """
        Giving up drops the connection, whichever proxy is being spoken to.
        """
        for kinds in mixtures():
            for count in range(len(kinds)):
                self.start()
                connecting = self.through(kinds)
                peer = self.peer()
                self.converse(peer, *partsIn(kinds)[:count])
                connecting.result.cancel()
                self.failureResultOf(connecting.result, CancelledError)
                self.assertEqual((connecting.told, connecting.fired), ([], 1))
                self.assertTrue(peer.aborted)
                self.assertGone()

    def test_refused(self) -> None:
        """
        If the last one cannot reach the target, that is the target's fault.
        If one cannot reach the next, it is a proxy's.
        """
        for kinds in mixtures():
            parts = partsIn(kinds)
            for count, part in enumerate(parts):
                self.start()
                connecting = self.through(kinds)
                peer = self.peer()
                self.converse(peer, *parts[:count])
                self.answer(peer, part.messages, part.answers[:-1])
                peer.peerSends(part.refusal)
                last = count == len(parts) - 1
                failure = self.failureResultOf(
                    connecting.result, TargetFault if last else ProxyUnreachable
                )
                self.assertIsInstance(failure.value, twistedError.ConnectError)
                self.assertEqual((connecting.told, connecting.fired), ([], 1))
                self.assertGone()

    def test_unreachable(self) -> None:
        """
        A first proxy that is not there is not the target's fault.
        """
        for kinds in mixtures():
            self.start()
            self.network.world.clear()
            connecting = self.through(kinds)
            self.network.advance(0)
            error = self.failureResultOf(connecting.result, ProxyUnreachable).value
            self.assertIsInstance(error.__cause__, twistedError.ConnectionRefusedError)
            self.assertNotIsInstance(error, twistedError.ConnectionRefusedError)
            self.assertGone()


class NamesTests(HopsTestCase):
    """
    Who resolves which names.
    """

    def setUp(self) -> None:
        """
        Have names that can be looked up here.
        """
        super().setUp()
        self.network.world.update(
            {
                "target.test": ["192.0.2.1", "192.0.2.2"],
                "target6.test": ["2001:db8::1"],
                "both.test": ["2001:db8::1", "192.0.2.1"],
                "localhost": ["127.0.0.1"],
                "two.test": [TWO],
            }
        )

    def test_unresolved(self) -> None:
        """
        C{socks5h}, C{socks4a} and C{http} get every name as it is, local ones
        too, and none is looked up here.
        """
        for scheme, speak in SPEAK.items():
            for name in ("target.test", "localhost", "nowhere.test", "router"):
                connecting = self.connect(f"{scheme}://{ONE}", name)
                self.assertConnects(connecting, speak(name, PORT))
        self.assertEqual(self.network.queries, [])

    def test_resolvedHere(self) -> None:
        """
        C{socks5} and C{socks4} get addresses, SOCKS4 only those it can carry.
        """
        for url, name, part in (
            ("socks5", "target.test", socks5("192.0.2.1", PORT)),
            ("socks5", "target6.test", socks5("2001:db8::1", PORT)),
            ("socks5", "localhost", socks5("127.0.0.1", PORT)),
            ("socks4", "target.test", socks4("192.0.2.1", PORT)),
            ("socks4", "both.test", socks4("192.0.2.1", PORT)),
        ):
            self.network.queries.clear()
            connecting = self.connect(f"{url}://{ONE}", name)
            self.assertConnects(connecting, part)
            self.assertEqual(self.network.queries, [name])

    def test_peer(self) -> None:
        """
        The application's peer is what has been asked of the proxy.
        """
        connecting = self.connect(f"socks5://{ONE}", "192.0.2.1")
        self.assertConnects(connecting, socks5("192.0.2.1", PORT))
        assert connecting.application is not None
        self.assertEqual(connecting.application.transport.getPeer().host, "192.0.2.1")  # type: ignore[union-attr]

    def test_notFound(self) -> None:
        """
        A name that is not found here, or has no address that SOCKS4 carries,
        is the target's fault and one of Twisted's errors, and no proxy is
        bothered.
        """
        for url, name in (
            ("socks5", "nowhere.test"),
            ("socks4", "nowhere.test"),
            ("socks4", "target6.test"),
        ):
            connecting = self.connect(f"{url}://{ONE}", name)
            self.network.advance(0)
            error = self.failureResultOf(connecting.result, TargetHostUnreachable).value
            self.assertIsInstance(error, twistedError.ConnectError)
            self.assertEqual(self.network.attempts, [])
            self.assertGone()

    def test_notFoundIsNotLogged(self) -> None:
        """
        A proxy whose name is not found for the proxy before it cannot be
        reached, which is nothing unforeseen.
        """
        connecting = self.connect(f"socks5://{ONE},socks5h://nowhere.test")
        self.network.advance(0)
        self.failureResultOf(connecting.result, ProxyUnreachable)
        self.assertGone()

    def test_nextProxy(self) -> None:
        """
        The name of the next proxy is a name like others: what becomes of it is
        up to the proxy before.
        """
        connecting = self.connect(f"socks5h://{ONE},http://two.test:3128")
        self.assertConnects(connecting, socks5("two.test", 3128), http(HOST, PORT))
        self.assertEqual(self.network.queries, [])
        connecting = self.connect(f"socks5://{ONE},http://two.test:3128")
        self.assertConnects(connecting, socks5(TWO, 3128), http(HOST, PORT))
        self.assertEqual(self.network.queries, ["two.test"])

    def test_cancelled(self) -> None:
        """
        Giving up while a name is being looked up leaves nothing.
        """
        self.patch(self.network, "resolveHostName", lambda receiver, name: None)
        connecting = self.connect(f"socks5://{ONE}", "target.test")
        connecting.result.cancel()
        self.failureResultOf(connecting.result, CancelledError)
        self.assertGone()
        self.assertEqual(self.network.attempts, [])


class TargetsTests(HopsTestCase):
    """
    Targets of all sorts.
    """

    def test_addresses(self) -> None:
        """
        Addresses go to the proxy as such, IPv6 whole.
        """
        for scheme, speak in SPEAK.items():
            for host in ("192.0.2.1", "2001:db8::1"):
                if scheme == "socks4a" and ":" in host:
                    continue
                connecting = self.connect(f"{scheme}://{ONE}", host)
                self.assertConnects(connecting, speak(host, PORT))

    def test_noIPv6InSOCKS4(self) -> None:
        """
        SOCKS4 cannot carry an IPv6 address.
        """
        connecting = self.connect(f"socks4a://{ONE}", "2001:db8::1")
        self.failureResultOf(connecting.result, TargetAddressTypeNotSupported)
        self.assertEqual(self.network.attempts, [])

    def test_proxyByIPv6(self) -> None:
        """
        A proxy may have an IPv6 address, on the wire and behind another one.
        """
        self.network.world["[2001:db8::8]:1080"] = "accept"
        connecting = self.connect("socks5h://[2001:db8::8],socks5h://[2001:db8::9]:9")
        host = self.assertConnects(connecting, socks5("2001:db8::9", 9), socks5(HOST, PORT))
        self.assertEqual(host, "2001:db8::8")


class CredentialsTests(HopsTestCase):
    """
    User names and passwords in URLs.
    """

    def test_socks5(self) -> None:
        """
        SOCKS5 gets them decoded.
        """
        connecting = self.connect(f"socks5h://al%69ce:s%33cret@{ONE}")
        peer = self.peer()
        self.answer(peer, (b"\5\2\2\0", ALICE, request(HOST, PORT)), (b"\5\2", ACCEPTED))
        peer.peerSends(socks5().answers[-1] + EARLY)
        self.assertEqual(connecting.told, ["made", "connected", EARLY])

    def test_socks4(self) -> None:
        """
        SOCKS4 gets the user.
        """
        connecting = self.connect(f"socks4a://al%ffice@{ONE}")
        peer = self.peer()
        self.assertEqual(peer.take(), request4(HOST, PORT, b"al\xffice"))
        connecting.result.cancel()
        self.failureResultOf(connecting.result)

    def test_http(self) -> None:
        """
        HTTP gets them as Basic.
        """
        connecting = self.connect(f"http://alice:s3cret@{ONE}")
        said = self.peer().take()
        self.assertIn(b"\r\nProxy-Authorization: Basic YWxpY2U6czNjcmV0\r\n", said)
        connecting.result.cancel()
        self.failureResultOf(connecting.result)

    def test_each(self) -> None:
        """
        Each proxy gets its own, and no other does.
        """
        connecting = self.connect(f"socks5h://alice:s3cret@{ONE},socks4a://bob@{TWO}")
        peer = self.peer()
        self.answer(peer, (b"\5\2\2\0", ALICE, request(TWO, 1080)), (b"\5\2", ACCEPTED))
        peer.peerSends(socks5().answers[-1])
        self.assertEqual(peer.take(), request4(HOST, PORT, b"bob"))
        connecting.result.cancel()
        self.failureResultOf(connecting.result)

    def test_wrong(self) -> None:
        """
        A wrong password is told without showing it.
        """
        connecting = self.connect(f"socks5h://alice:s3cret@{ONE}")
        self.peer().peerSends(b"\5\2" + REJECTED)
        error = self.failureResultOf(connecting.result, ProxyAuthenticationFailed).value
        self.assertNotIn("s3cret", f"{error} {error!r}")
        self.assertGone()


class ChainTests(ChainTestCase):
    """
    The chain itself.
    """

    def test_interface(self) -> None:
        """
        It gives endpoints, which do nothing before they are told to.
        """
        chain = self.chained(f"socks5h://{ONE},socks5://{TWO}")
        for endpoint in (
            chain.endpointTo(Destination("target.test", 25)),
            chain.endpointTo(Destination(ip_address("192.0.2.1"), 25)),
            chain.proxyEndpoint(chain.last.proxies[0]),
        ):
            verifyObject(IStreamClientEndpoint, endpoint)
        self.network.advance(60)
        self.assertEqual((self.network.attempts, self.network.queries), ([], []))

    def test_shown(self) -> None:
        """
        It is shown without secrets.
        """
        chain = self.chained(f"socks5h://alice:s3cret@{ONE},http://{TWO}|https://x:s3cret@{THREE}")
        self.assertEqual(
            str(chain),
            f"socks5h://***@{ONE}:1080,http://{TWO}:1080|https://***@{THREE}:443",
        )
        self.assertNotIn("s3cret", repr(chain) + repr(chain.hops) + repr(chain.last.proxies))

    def test_none(self) -> None:
        """
        There is no chain without a proxy, nor one with a UNIX socket further
        away.
        """
        for hops in ([], [[]], [[proxyFromURL(f"socks5h://{ONE}")], []]):
            self.assertRaises(ConfigurationError, self.chainOf, hops)
        error = self.assertRaises(
            ConfigurationError, self.chained, f"socks5h://{ONE},socks5h://unix:/run/proxy"
        )
        self.assertIn("UNIX", str(error))
        self.chained("socks5h://unix:/run/proxy,socks5h://proxy.test")

    def chainOf(self, hops: Any) -> object:
        """
        Make a chain of URLs that have been read.
        """
        return type(self.chained(f"socks5h://{ONE}"))(self.network, hops, self.chain.resolver)

    def test_proxyEndpoint(self) -> None:
        """
        It leads to a proxy of the last hop through those before it, and a
        client of it has its credentials.
        """
        chain = self.chained(f"socks5h://{ONE},socks5h://alice:s3cret@{TWO}")
        client = chain.client(chain.last.proxies[0])
        self.assertIsInstance(client, SOCKS5Client)
        resolving = client.resolve("web.test")
        peer = self.peer()
        self.converse(peer, socks5(TWO, 1080))
        self.assertEqual(peer.take(), b"\5\2\2\0")
        peer.peerSends(b"\5\2")
        self.assertEqual(peer.take(), ALICE)
        resolving.cancel()
        self.failureResultOf(resolving)

    def test_direct(self) -> None:
        """
        What leads straight to a place is Twisted's own.
        """
        directlyProvides(self.network, IReactorPluggableNameResolver)
        reactor: Any = self.network
        for host, kind in (
            ("proxy.test", HostnameEndpoint),
            ("192.0.2.1", TCP4ClientEndpoint),
            ("2001:db8::1", TCP6ClientEndpoint),
        ):
            destination = Destination(hostFromName(host.encode()), 1080)
            self.assertIsInstance(directEndpoint(reactor, destination), kind)

    def test_refusedTarget(self) -> None:
        """
        A target that refuses is told as Twisted tells it.
        """
        chain = self.chained(f"socks5h://{ONE}")
        connecting = Connecting(chain.endpointTo(Destination("target.test", 25)))
        self.peer().peerSends(b"\5\0\5\5")
        failure = self.failureResultOf(connecting.result, TargetConnectionRefused)
        self.assertTrue(failure.check(twistedError.ConnectionRefusedError))
        self.assertGone()
