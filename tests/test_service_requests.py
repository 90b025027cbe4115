"""
Tests for L{socksproxy.service}: who may make requests other than to connect.
"""

from __future__ import annotations

from twisted.cred.checkers import InMemoryUsernamePasswordDatabaseDontUse
from twisted.internet.interfaces import IAddress

from socksproxy.config import Configuration
from socksproxy.policy.services import Services
from socksproxy.testing import MemoryTransport, tcpAddress
from tests.proxyrequests import (
    ELSEWHERE,
    EVERYWHERE,
    HERE,
    LOOPBACK,
    PEER,
    RequestTestCase,
)
from tests.socksclient import (
    ACCEPTED,
    ALICE,
    REFUSED4,
    USERS,
    WITH_PASSWORD,
    refused,
    request4,
)
from tests.socksrequests import (
    BIND,
    RESOLVE,
    RESOLVE_PTR,
    UDP_ASSOCIATE,
    command,
    command4,
    granted,
    granted4,
)


class SwitchTests(RequestTestCase):
    """
    What is on for whom.
    """

    def test_thisHost(self) -> None:
        """
        By default BIND and UDP ASSOCIATE are on where only this host can
        connect, and look-ups are not.
        """
        self.start("--listen", LOOPBACK)
        self.assertAll(HERE, bind=True, udp=True, resolve=False)
        self.start("--listen", "unix:/run/proxy")
        self.assertAll(HERE, bind=True, udp=True, resolve=False)

    def test_anybody(self) -> None:
        """
        They are off for anybody where others can connect, too, even over
        loopback.
        """
        self.start("--listen", EVERYWHERE, "--open-relay")
        for peer in (ELSEWHERE, HERE):
            self.assertAll(peer, bind=False, udp=False, resolve=False)
        self.assertEqual((len(self.reactor.ports), self.reactor.datagrams), (1, []))

    def test_loggedIn(self) -> None:
        """
        They are on for who has logged in there.
        """
        self.startWith(
            Configuration(
                listen=[EVERYWHERE],
                checkers=[InMemoryUsernamePasswordDatabaseDontUse(alice=USERS["alice"].encode())],
            )
        )
        for said, code in ((command(BIND, PEER), 0), (command(UDP_ASSOCIATE), 0)):
            client = self.reactor.ports[0].connect(ELSEWHERE)
            client.peerSends(WITH_PASSWORD + ALICE + said)
            self.reactor.advance(0)
            self.assertEqual(client.take()[:6], b"\5\2" + ACCEPTED + bytes((5, code)))

    def test_options(self) -> None:
        """
        Each option switches one of them, for everybody.
        """
        everywhere = ("--listen", EVERYWHERE, "--open-relay")
        for arguments, granted_ in (
            (("--bind=on",), {"bind": True}),
            (("--udp=on",), {"udp": True}),
            (("--resolve",), {"resolve": True}),
            (
                ("--bind=on", "--udp=on", "--resolve"),
                dict.fromkeys(("bind", "udp", "resolve"), True),
            ),
            (("--bind=auto", "--udp=auto"), {}),
        ):
            self.start(*everywhere, *arguments)
            expected = {"bind": False, "udp": False, "resolve": False, **granted_}
            self.assertAll(ELSEWHERE, **expected)
        for arguments, granted_ in (
            (("--bind=off",), {"udp": True}),
            (("--udp=off",), {"bind": True}),
            (("--bind=off", "--udp=off"), {}),
        ):
            self.start(*arguments)
            self.assertAll(HERE, **{"bind": False, "udp": False, "resolve": False, **granted_})

    def test_socks4(self) -> None:
        """
        The same is true of SOCKS4.
        """
        for arguments, code in (((), 0x5A), (("--bind=off",), 0x5B)):
            self.start(*arguments)
            client = self.reactor.ports[0].connect(HERE)
            client.peerSends(command4(BIND, PEER))
            self.reactor.advance(0)
            self.assertEqual(client.take()[:2], bytes((0, code)))

    def test_resolve(self) -> None:
        """
        Look-ups give what the proxy itself finds.
        """
        self.start("--resolve")
        self.assertEqual(self.ask(command(RESOLVE, "web.test")).take(), granted("192.0.2.1"))
        self.assertEqual(self.ask(command(RESOLVE_PTR, "web.test")).take(), refused(8))


class UserTests(RequestTestCase):
    """
    Users of SOCKS4.
    """

    def request(self, userID: bytes, peer: IAddress = ELSEWHERE) -> MemoryTransport:
        """
        Have a client of SOCKS4 ask for a connection.
        """
        client = self.reactor.ports[0].connect(peer)
        client.peerSends(request4("192.0.2.1", userID=userID))
        self.reactor.advance(0)
        return client

    def test_socks4User(self) -> None:
        """
        C{--socks4-user} lets in who gives that name, where passwords are
        asked for, and trusts them.
        """
        self.start(
            "--listen",
            EVERYWHERE,
            "--auth",
            "memory:alice:secret",
            "--socks4-user",
            "bob",
            "--socks4-user",
            "carol",
        )
        for user in (b"bob", b"carol"):
            self.assertEqual(self.request(user).take()[:2], b"\0\x5a")
        for user in (b"", b"mallory", b"bo", b"bobb"):
            client = self.request(user)
            self.reactor.pump([1] * 10)
            self.assertEqual(client.take(), REFUSED4, user)
        client = self.reactor.ports[0].connect(ELSEWHERE)
        client.peerSends(command4(BIND, PEER, userID=b"bob"))
        self.reactor.advance(0)
        self.assertEqual(client.take()[:2], b"\0\x5a")

    def test_noUser(self) -> None:
        """
        Without it nobody is let in by SOCKS4 there.
        """
        self.start("--listen", EVERYWHERE, "--auth", "memory:alice:secret")
        self.assertEqual(self.request(b"bob").take(), REFUSED4)

    def test_ident(self) -> None:
        """
        C{--ident} asks the client's host, in those networks only, and lets in
        whom that confirms: 92 where it does not answer, and 93 where it says
        something else.
        """
        for answer, code in (
            ("USERID : UNIX : bob", 0x5A),
            ("USERID : UNIX : mallory", 0x5D),
            ("ERROR : NO-USER", 0x5C),
            (None, 0x5C),
        ):
            self.start(
                "--listen", EVERYWHERE, "--auth", "memory:alice:secret", "--ident=198.51.100.0/24"
            )
            if answer is not None:
                self.reactor.world["198.51.100.1:113"] = "accept"
            client = self.request(b"bob")
            attempt = self.reactor.attempts[0]
            self.assertEqual((attempt.host, attempt.port), ("198.51.100.1", 113))
            if answer is not None:
                assert attempt.transport is not None
                ports = attempt.transport.take().decode().strip()
                attempt.transport.peerSends(f"{ports} : {answer}\r\n".encode())
            self.reactor.pump([1] * 15)
            self.assertEqual(client.take()[:2], bytes((0, code)), answer)
        self.start(
            "--listen", EVERYWHERE, "--auth", "memory:alice:secret", "--ident=198.51.100.0/24"
        )
        client = self.request(b"bob", tcpAddress("192.0.2.99", 4000))
        self.reactor.pump([1] * 15)
        self.assertIn(client.take()[:2], (b"\0\x5b", b"\0\x5c"))
        self.assertEqual(self.reactor.attempts, [])


class StopTests(RequestTestCase):
    """
    The proxy stops.
    """

    def test_stop(self) -> None:
        """
        Ports that wait and associations end at once, and nothing of them is
        left; a relay after BIND is a transfer that gets its time.
        """
        proxy = self.start()
        waiting, association = self.bind(), self.associate()
        self.send()
        relaying = self.bind()
        peer = self.bound.connect(tcpAddress(PEER, 20))
        stopped = proxy.stopService()
        self.reactor.advance(0)
        self.assertTrue(waiting.lost and association.lost)
        self.assertEqual([each for each in self.reactor.datagrams if each.open], [])
        self.assertEqual(self.reactor.listening, [])
        self.assertFalse(relaying.lost)
        self.assertNoResult(stopped)
        peer.peerEnds()
        relaying.peerEnds()
        self.reactor.advance(0)
        self.successResultOf(stopped)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_ownServices(self) -> None:
        """
        A program may say in its own configuration what is on.
        """
        self.startWith(Configuration(services=Services(bind=False, udp=False, resolve=True)))
        self.assertAll(HERE, bind=False, udp=False, resolve=True)
        client = self.reactor.ports[0].connect(HERE)
        client.peerSends(command4(RESOLVE, "web.test"))
        self.reactor.advance(0)
        self.assertEqual(client.take(), granted4("192.0.2.1"))
