"""
Tests for L{socksproxy.inbound}: from the request to the answer.
"""

from twisted.internet.defer import Deferred, fail
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.errors import LocalProtocolError
from socksproxy.relay import Leg
from socksproxy.testing import ScriptedNetwork
from tests.dns.names import SlowNames
from tests.memoryproxy import WORLD, DenyNetworks, MemoryProxy, SoleUser, asking
from tests.socksclient import (
    GRANTED,
    GRANTED4,
    REFUSED4,
    TO_WEB,
    refused,
    request,
    request4,
)

CODES = {
    "EACCES": 2,
    "EPERM": 2,
    "ENETUNREACH": 3,
    "ENETDOWN": 3,
    "EADDRNOTAVAIL": 3,
    "EAFNOSUPPORT": 3,
    "EHOSTUNREACH": 4,
    "EHOSTDOWN": 4,
    "ECONNREFUSED": 5,
    "ECONNRESET": 5,
    "ETIMEDOUT": 6,
    "EMFILE": 1,
    "ENOBUFS": 1,
    "EINVAL": 1,
}


class SuccessTests(SynchronousTestCase):
    """
    The target answers.
    """

    def setUp(self) -> None:
        self.proxy = MemoryProxy()

    def test_afterTheDial(self) -> None:
        """
        The client is told of success once the target has accepted, not
        before, and once.
        """
        client = asking(self.proxy, TO_WEB)
        self.assertEqual(client.take(), b"")
        self.proxy.settle()
        self.assertEqual(client.take(), GRANTED)
        self.proxy.network.advance(5)
        self.assertEqual(client.take(), b"")

    def test_boundAddress(self) -> None:
        """
        The reply tells the address that the target sees, of either family.
        """
        client = asking(self.proxy, request("2001:db8::1"))
        self.proxy.settle()
        self.assertEqual(client.take().hex(), "05000004" + "00" * 15 + "02" + "c350")

    def test_SOCKS4(self) -> None:
        """
        SOCKS4 gets its own reply, once the target has accepted.
        """
        client = self.proxy.connect()
        client.peerSends(request4("web.test"))
        self.assertEqual(client.take(), b"")
        self.proxy.settle()
        self.assertEqual(client.take(), GRANTED4)

    def test_targetSpeaksFirst(self) -> None:
        """
        What the target says at once comes after the reply.
        """
        client = asking(self.proxy, TO_WEB)
        self.proxy.target().peerSends(b"SSH-2.0-x\r\n")
        self.assertEqual(client.take(), GRANTED + b"SSH-2.0-x\r\n")

    def test_nameIsResolvedOnce(self) -> None:
        """
        A name is looked up once, and its address is dialled.
        """
        asking(self.proxy, request("web.test"))
        self.assertEqual(self.proxy.attempt().host, "192.0.2.1")
        self.assertEqual(self.proxy.network.queries, ["web.test"])


class FailureTests(SynchronousTestCase):
    """
    The client learns why there is no connection.
    """

    def answers(self, proxy: MemoryProxy, host: str, wait: float = 0) -> tuple[bytes, bytes]:
        """
        Give the answers of SOCKS5 and of SOCKS4 to the same request.

        @param wait: Seconds that nothing happens for.
        """
        clients = [asking(proxy, request(host)), proxy.connect()]
        clients[1].peerSends(request4(host))
        if wait:
            proxy.network.advance(wait - 0.5)
            self.assertEqual([client.take() for client in clients], [b"", b""])
            proxy.network.advance(0.5)
        proxy.settle()
        self.assertTrue(all(client.ended for client in clients))
        return clients[0].take(), clients[1].take()

    def check(self, proxy: MemoryProxy, host: str, code: int, wait: float = 0) -> None:
        """
        Require a reply code, of which SOCKS4 has only one.
        """
        self.assertEqual(self.answers(proxy, host, wait), (refused(code), REFUSED4))

    def test_errno(self) -> None:
        """
        The errno of the dial decides on the code.
        """
        for name, code in CODES.items():
            self.check(MemoryProxy({"192.0.2.1:80": name}), "192.0.2.1", code)

    def test_noName(self) -> None:
        """
        A name without an address is an unreachable host, and so is one that
        must not be looked up, for which nobody is asked.
        """
        proxy = MemoryProxy()
        self.check(proxy, "nobody.test", 4)
        self.assertEqual(len(proxy.network.queries), 2)
        self.check(proxy, "hidden.onion", 4)
        self.assertEqual(len(proxy.network.queries), 2)

    def test_forbidden(self) -> None:
        """
        An address that is not allowed is never dialled, whether the client
        named it or its name server did.
        """
        proxy = MemoryProxy(policy=DenyNetworks(["192.0.2.0/24"]))
        self.check(proxy, "192.0.2.1", 2)
        self.check(proxy, "web.test", 2)
        self.assertEqual(proxy.network.attempts, [])

    def test_noAnswer(self) -> None:
        """
        A target that does not answer is given up after thirty seconds.
        """
        proxy = MemoryProxy()
        self.check(proxy, "192.0.2.9", 6, 30)
        self.assertEqual(proxy.network.cancelled, 2)

    def test_noAnswerFromNameServers(self) -> None:
        """
        Name servers that do not answer are given up after five seconds.
        """
        network = ScriptedNetwork(WORLD)
        network.nameResolver = SlowNames()  # type: ignore[assignment]
        self.check(MemoryProxy(network=network), "web.test", 4, 5)

    def test_tooManyNames(self) -> None:
        """
        When more names are waiting than the resolver bears, that is a general
        failure.
        """
        network = ScriptedNetwork(WORLD)
        network.nameResolver = SlowNames()  # type: ignore[assignment]
        proxy = MemoryProxy(network=network)
        proxy.inbound.local = True
        for _ in range(1024 + 8):
            proxy.connect().peerSends(request4("web.test"))
        self.assertEqual(asking(proxy, request("web.test")).take(), refused(1))

    def test_unforeseen(self) -> None:
        """
        What nobody has foreseen is a general failure, and the log says what
        it was.
        """

        def raising() -> Deferred[Leg]:
            raise LocalProtocolError("broken")

        def failing() -> Deferred[Leg]:
            return fail(LocalProtocolError("broken"))

        for connecting in (raising, failing):
            self.check(MemoryProxy(realm=SoleUser(connecting)), "192.0.2.1", 1)
            self.assertEqual(len(self.flushLoggedErrors(LocalProtocolError)), 2)
