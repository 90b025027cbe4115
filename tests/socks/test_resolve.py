"""
Tests for L{socksproxy.socks.resolve}.
"""

from __future__ import annotations

from typing import Any

from socksproxy.policy.services import Services
from socksproxy.testing import MemoryTransport, ScriptedNetwork
from tests.dns.names import SlowNames
from tests.memoryproxy import LINGER, DenyNetworks
from tests.socks.proxied import ProxiedTestCase
from tests.socksclient import REFUSED4, refused
from tests.socksrequests import RESOLVE, RESOLVE_PTR, command, command4, granted, granted4

WORLD = {
    "web.test": ["192.0.2.1", "192.0.2.2", "2001:db8::1"],
    "both.test": ["2001:db8::1", "192.0.2.1"],
    "six.test": ["2001:db8::1"],
    "mixed.test": ["10.0.0.1", "192.0.2.1"],
    "inside.test": ["10.0.0.1"],
}
NAMES = {"192.0.2.1": "web.test", "2001:db8::1": "six.test", "10.0.0.1": "inside.test"}


class ResolveTestCase(ProxiedTestCase):
    """
    Tests with a proxy that looks names up for clients.
    """

    version = 5

    def start(self, **settings: Any) -> Any:
        """
        Have a proxy, which denies 10.0.0.0/8.
        """
        settings.setdefault("policy", DenyNetworks(["10.0.0.0/8"]))
        return super().start(**{"world": WORLD, "names": NAMES, **settings})

    def look(self, code: int, host: str, port: int = 0) -> MemoryTransport:
        """
        Have a client ask for a name or an address.

        @param code: CMD, or CD.
        """
        if self.version == 5:
            return self.ask(command(code, host, port))
        client = self.proxy.connect()
        client.peerSends(command4(code, host, port))
        return self.has(client)

    def assertAnswer(self, client: MemoryTransport, answer: bytes) -> None:
        """
        Fail unless a client has got an answer, and its connection ends.
        """
        self.assertEqual(client.take(), answer)
        self.assertTrue(client.ended)
        client.peerEnds()
        self.proxy.settle()
        self.assertTrue(client.lost)
        self.assertNothingLeft()
        self.assertEqual(self.proxy.network.attempts, [])

    def assertRefused(self, code: int, host: str, rep: int) -> None:
        """
        Fail unless a request is refused.
        """
        client = self.look(code, host)
        self.assertAnswer(client, refused(rep) if self.version == 5 else REFUSED4)


class ResolveTests(ResolveTestCase):
    """
    The addresses of names.
    """

    def test_first(self) -> None:
        """
        A client gets the first address of a name, with port 0, and its
        connection ends.
        """
        for name, address in (
            ("web.test", "192.0.2.1"),
            ("WEB.test", "192.0.2.1"),
            ("both.test", "2001:db8::1"),
            ("six.test", "2001:db8::1"),
        ):
            self.assertAnswer(self.look(RESOLVE, name), granted(address))

    def test_firstOfSocks4(self) -> None:
        """
        By SOCKS4, which has no room for others, it gets the first IPv4
        address, or none (91).
        """
        self.version = 4
        for name in ("web.test", "both.test", "mixed.test"):
            self.assertAnswer(self.look(RESOLVE, name), granted4("192.0.2.1"))
        self.assertRefused(RESOLVE, "six.test", 4)

    def test_literal(self) -> None:
        """
        An address is its own, and nothing is asked for.
        """
        for address in ("192.0.2.77", "2001:db8::77"):
            self.assertAnswer(self.look(RESOLVE, address), granted(address))
        self.version = 4
        self.assertAnswer(self.look(RESOLVE, "192.0.2.77"), granted4("192.0.2.77"))
        self.assertEqual(self.proxy.network.queries, [])

    def test_literalAsName(self) -> None:
        """
        So is one that is written as a name.
        """
        said = b"\5\xf0\0\3\x0a192.0.2.77\0\0"
        self.assertAnswer(self.ask(said), granted("192.0.2.77"))
        said = b"\5\xf0\0\3\x0c2001:db8::77\0\0"
        self.assertAnswer(self.ask(said), granted("2001:db8::77"))

    def test_port(self) -> None:
        """
        The port that a client sends has no meaning.
        """
        for self.version, answer in ((5, granted("192.0.2.1")), (4, granted4("192.0.2.1"))):
            for port in (0, 42, 65535):
                self.assertAnswer(self.look(RESOLVE, "web.test", port), answer)

    def test_policy(self) -> None:
        """
        An address that the policy denies is not told: another one of the name
        is, or it is not allowed (REP 2).
        """
        self.assertAnswer(self.look(RESOLVE, "mixed.test"), granted("192.0.2.1"))
        for self.version in (5, 4):
            for host in ("inside.test", "10.0.0.1"):
                self.assertRefused(RESOLVE, host, 2)

    def test_notFound(self) -> None:
        """
        A name that has no address is not found (REP 4); that of a hidden
        service is not even asked for.
        """
        for self.version in (5, 4):
            self.assertRefused(RESOLVE, "nowhere.test", 4)
            self.assertRefused(RESOLVE, "abc.onion", 4)
        self.assertEqual(self.proxy.network.queries, ["nowhere.test"] * 2)

    def test_noName(self) -> None:
        """
        What is no name is refused (REP 1).
        """
        for said in (b"\0", b"\x03a b", b"\x05127.1"):
            self.assertAnswer(self.ask(b"\5\xf0\0\3" + said + b"\0\0"), refused(1))

    def test_log(self) -> None:
        """
        The log says what was asked for, and whether there was an answer.
        """
        for name, result in (("web.test", "succeeded"), ("nowhere.test", "name not found")):
            self.look(RESOLVE, name)
            line = self.line()
            self.assertEqual(
                (line["command"], line["destination"], line["result"]),
                ("RESOLVE", f"{name}:0", result),
            )


class ReverseTests(ResolveTestCase):
    """
    The names of addresses.
    """

    def test_name(self) -> None:
        """
        A client gets the name of an address, with port 0, and its connection
        ends.
        """
        for address, name in (("192.0.2.1", "web.test"), ("2001:db8::1", "six.test")):
            for port in (0, 42):
                self.assertAnswer(self.look(RESOLVE_PTR, address, port), granted(name))

    def test_literalAsName(self) -> None:
        """
        So does one that writes the address as a name.
        """
        self.assertAnswer(self.ask(b"\5\xf1\0\3\x09192.0.2.1\0\0"), granted("web.test"))

    def test_notAnAddress(self) -> None:
        """
        A name is no address (REP 8).
        """
        self.assertRefused(RESOLVE_PTR, "web.test", 8)
        (line,) = self.lines()
        self.assertEqual(
            (line["command"], line["destination"], line["result"]),
            ("RESOLVE_PTR", "web.test:0", "address type not supported"),
        )

    def test_notFound(self) -> None:
        """
        An address without a name is not found (REP 4).
        """
        self.assertRefused(RESOLVE_PTR, "192.0.2.99", 4)

    def test_policy(self) -> None:
        """
        The name of an address that the policy denies is not told (REP 2).
        """
        self.assertRefused(RESOLVE_PTR, "10.0.0.1", 2)

    def test_socks4(self) -> None:
        """
        SOCKS4 has no such request.
        """
        self.version = 4
        self.assertRefused(RESOLVE_PTR, "192.0.2.1", 7)


class SwitchTests(ResolveTestCase):
    """
    Whether it is on.
    """

    def test_off(self) -> None:
        """
        Where it is off neither is supported (REP 7), whatever is asked for,
        and nothing is looked up.
        """
        for services in (Services(), Services(bind=True, udp=True)):
            self.start(services=services, local=True)
            for host in ("web.test", "192.0.2.1"):
                for code in (RESOLVE, RESOLVE_PTR):
                    self.assertRefused(code, host, 7)
            self.version = 4
            self.assertRefused(RESOLVE, "web.test", 7)
            self.version = 5
            self.assertEqual(self.proxy.network.queries, [])

    def test_on(self) -> None:
        """
        It is on for everybody, once it is.
        """
        self.start(services=Services(resolve=True))
        self.assertAnswer(self.look(RESOLVE, "web.test"), granted("192.0.2.1"))
        self.assertAnswer(self.look(RESOLVE_PTR, "192.0.2.1"), granted("web.test"))


class WaitTests(ResolveTestCase):
    """
    Names that take their time.
    """

    def setUp(self) -> None:
        super().setUp()
        self.names = SlowNames()
        network = ScriptedNetwork()
        network.nameResolver = self.names  # type: ignore[assignment]
        self.start(network=network)

    def test_ends(self) -> None:
        """
        A client that has said everything may close its half, and gets its
        answer.
        """
        for self.version, answer in ((5, granted("192.0.2.1")), (4, granted4("192.0.2.1"))):
            client = self.look(RESOLVE, "web.test")
            client.peerEnds()
            self.proxy.settle()
            self.assertFalse(client.ended)
            self.names.answer("web.test", "192.0.2.1")
            self.proxy.settle()
            self.assertEqual((client.take(), client.lost), (answer, True))
            self.assertNothingLeft()

    def test_gone(self) -> None:
        """
        One that is gone is not answered, and nothing is left of it.
        """
        for self.version in (5, 4):
            client = self.look(RESOLVE, "web.test")
            client.peerResets()
            self.assertNothingLeft()
            self.names.answer("web.test", "192.0.2.1")
            self.assertEqual(client.take(), b"")
            self.assertNothingLeft()

    def test_timeout(self) -> None:
        """
        After five seconds the name is not found.
        """
        client = self.look(RESOLVE, "web.test")
        self.proxy.network.advance(5)
        self.assertAnswer(client, refused(4))

    def test_lingers(self) -> None:
        """
        A client that goes on sending gets its answer all the same, and is
        closed after a while.
        """
        client = self.look(RESOLVE, "web.test")
        client.peerSends(b"more")
        self.names.answer("web.test", "192.0.2.1")
        client.peerSends(b"and more")
        self.assertEqual(client.take(), granted("192.0.2.1"))
        self.proxy.network.advance(LINGER)
        self.proxy.settle()
        self.assertTrue(client.lost)
        self.assertNothingLeft()
