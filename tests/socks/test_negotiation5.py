"""
Tests for L{socksproxy.socks._negotiation5}: the server's half.
"""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address

import pytest
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.address import Destination
from socksproxy.errors import (
    AuthenticationFailed,
    BadAddressType,
    BadCommand,
    BadName,
    BadVersion,
    HostUnreachable,
    LocalProtocolError,
    MalformedMessage,
    SOCKSProxyError,
)
from socksproxy.socks._events import CredentialsReceived, Event, RequestReceived, Send
from socksproxy.socks._negotiation5 import ServerNegotiation
from socksproxy.socks._wire5 import Command
from socksproxy.socks.methods import Anonymous, Method, NoAuthentication, Password, UsernamePassword
from tests.codec import splitsOf
from tests.socks.conversation import failureIn, sentBy

REQUEST = bytes.fromhex("05010001c00002010050")
TO_192_0_2_1 = Destination(IPv4Address("192.0.2.1"), 80)
ALICE = bytes.fromhex("0105616c69636506733363726574")


def greeted() -> ServerNegotiation:
    """
    Make a server that has let its client in and waits for the request.
    """
    machine = ServerNegotiation([NoAuthentication()])
    machine.receive(bytes.fromhex("050100"))
    machine.authenticated()
    return machine


def asked(request: bytes) -> Sequence[Event]:
    """
    Give what a server does about a request.
    """
    return greeted().receive(request)


class GreetingTests(SynchronousTestCase):
    """
    The server chooses a method.
    """

    def chosen(self, offered: str, *codes: int) -> str:
        """
        Give the answer to a greeting.

        @param offered: The client's methods.
        @param codes: The server's, best first.
        """
        methods: dict[int, Method] = {0: NoAuthentication(), 2: UsernamePassword()}
        machine = ServerNegotiation([methods[code] for code in codes])
        octets = bytes.fromhex(offered)
        return sentBy(machine.receive(bytes([5, len(octets)]) + octets)).hex()

    def test_ownPreference(self) -> None:
        """
        The server's order counts, and the client's does not.
        """
        self.assertEqual(self.chosen("0002", 2, 0), "0502")
        self.assertEqual(self.chosen("0200", 2, 0), "0502")
        self.assertEqual(self.chosen("0200", 0, 2), "0500")
        self.assertEqual(self.chosen("00", 2, 0), "0500")

    def test_notOffered(self) -> None:
        """
        A method that the client does not offer is not chosen, whatever else
        it offers; 0xFF is not a method.
        """
        self.assertEqual(self.chosen("0103", 2, 0), "05ff")
        self.assertEqual(self.chosen("ff", 2, 0), "05ff")
        self.assertEqual(self.chosen("ff00", 2, 0), "0500")

    def test_nothingInCommon(self) -> None:
        """
        Without a common method the client is told so, and it is over.
        """
        machine = ServerNegotiation([UsernamePassword()])
        events = machine.receive(bytes.fromhex("050100"))
        self.assertEqual(sentBy(events).hex(), "05ff")
        self.assertIsInstance(failureIn(events), AuthenticationFailed)
        self.assertEqual(machine.receive(REQUEST), [])

    def test_noMethods(self) -> None:
        """
        A greeting may offer nothing, and gets nothing.
        """
        events = ServerNegotiation([NoAuthentication()]).receive(bytes.fromhex("0500"))
        self.assertEqual(sentBy(events).hex(), "05ff")
        self.assertIsInstance(failureIn(events), AuthenticationFailed)

    def test_version(self) -> None:
        """
        What is not SOCKS5 gets no answer.
        """
        events = ServerNegotiation([NoAuthentication()]).receive(b"\x06")
        self.assertEqual(sentBy(events), b"")
        self.assertIsInstance(failureIn(events), BadVersion)

    def test_anonymous(self) -> None:
        """
        Without authentication the client is somebody all the same, and the
        server's driver decides on it.
        """
        machine = ServerNegotiation([NoAuthentication()])
        events = machine.receive(bytes.fromhex("050100"))
        self.assertEqual(events, [Send(b"\5\0"), CredentialsReceived(Anonymous())])
        self.assertEqual(machine.authenticated(), [])


class VerdictTests(SynchronousTestCase):
    """
    The driver decides on credentials.
    """

    def setUp(self) -> None:
        self.machine = ServerNegotiation([UsernamePassword()])
        self.events = self.machine.receive(bytes.fromhex("050102") + ALICE + REQUEST + b"early")

    def test_credentials(self) -> None:
        """
        The credentials are given as the octets that were sent, and nothing
        after them is looked at until there is a verdict.
        """
        self.assertEqual(
            self.events, [Send(b"\5\2"), CredentialsReceived(Password(b"alice", b"s3cret"))]
        )
        self.assertEqual(self.machine.receive(b" and more"), [])
        self.assertEqual(self.machine.pending, len(REQUEST + b"early and more"))

    def test_accepted(self) -> None:
        """
        On success the client is told, and what it sent without waiting is
        read.
        """
        self.assertEqual(
            self.machine.authenticated(),
            [Send(b"\1\0"), RequestReceived(Command.CONNECT, TO_192_0_2_1, "SOCKS5")],
        )
        self.assertEqual(self.machine.takeEarlyData(), b"early")

    def test_rejected(self) -> None:
        """
        On failure the client is told, and what it sent without waiting is
        forgotten.
        """
        events = self.machine.authenticationFailed()
        self.assertEqual(sentBy(events), b"\1\1")
        self.assertIsInstance(failureIn(events), AuthenticationFailed)
        self.assertEqual(self.machine.pending, 0)
        self.assertEqual(self.machine.receive(REQUEST), [])

    def test_oneVerdict(self) -> None:
        """
        There is one verdict, and only where there are credentials.
        """
        self.machine.authenticated()
        self.assertRaises(LocalProtocolError, self.machine.authenticated)
        self.assertRaises(LocalProtocolError, self.machine.authenticationFailed)
        fresh = ServerNegotiation([UsernamePassword()])
        self.assertRaises(LocalProtocolError, fresh.authenticated)
        fresh.receive(bytes.fromhex("0501020105"))
        self.assertRaises(LocalProtocolError, fresh.authenticationFailed)

    def test_otherSubNegotiation(self) -> None:
        """
        A message that is not of RFC 1929 is refused with its first octet.
        """
        machine = ServerNegotiation([UsernamePassword()])
        machine.receive(bytes.fromhex("050102"))
        events = machine.receive(b"\5")
        self.assertEqual(sentBy(events), b"\1\1")
        self.assertIsInstance(failureIn(events), BadVersion)
        self.assertEqual(machine.receive(ALICE), [])


REFUSED: list[tuple[str, str, int, type[SOCKSProxyError]]] = [
    ("version", "04", 0x01, BadVersion),
    ("unknown command", "05090001", 0x07, BadCommand),
    ("command 0", "05000001", 0x07, BadCommand),
    ("BIND", "05020001", 0x07, BadCommand),
    ("UDP ASSOCIATE", "05030001", 0x07, BadCommand),
    ("RESOLVE", "05f00003", 0x07, BadCommand),
    ("unknown command and address type", "05090007", 0x07, BadCommand),
    ("unknown address type", "05010007", 0x08, BadAddressType),
    ("address type 2", "05010002", 0x08, BadAddressType),
    ("port 0", "05010001c00002010000", 0x01, MalformedMessage),
    ("port 0 of a name", "0501000301610000", 0x01, MalformedMessage),
    ("empty name", "05010003000050", 0x01, BadName),
    ("NUL in a name", "0501000304610062630050", 0x01, BadName),
    ("CR LF in a name", "0501000306610d0a622e630050", 0x01, BadName),
    ("numeric name", "050100030a323133303730363433330050", 0x01, BadName),
    ("name that is too long", "05010003ff" + "61" * 255 + "0050", 0x01, BadName),
]


@pytest.mark.parametrize(
    ("request_", "code", "error"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED]
)
def test_refused(request_: str, code: int, error: type[SOCKSProxyError]) -> None:
    """
    A request that makes no sense is answered with its code in ten octets, as
    soon as the octet at fault is in, however it is cut.
    """
    data = bytes.fromhex(request_)
    before = greeted()
    assert before.receive(data[:-1]) == []
    for pieces in splitsOf(data):
        machine = greeted()
        events = [event for piece in pieces for event in machine.receive(piece)]
        assert sentBy(events).hex() == f"05{code:02x}0001000000000000"
        assert isinstance(failureIn(events), error)


class RequestTests(SynchronousTestCase):
    """
    The server reads requests.
    """

    def destinationOf(self, request: str) -> Destination:
        """
        Give what a well-formed request asks for.
        """
        (event,) = asked(bytes.fromhex(request))
        assert isinstance(event, RequestReceived)
        return event.destination

    def test_addresses(self) -> None:
        """
        Addresses of both families, and names, are read.
        """
        self.assertEqual(self.destinationOf("05010001c00002010050"), TO_192_0_2_1)
        self.assertEqual(
            self.destinationOf("0501000420010db8" + "00" * 11 + "0501bb"),
            Destination(IPv6Address("2001:db8::5"), 443),
        )
        self.assertEqual(
            self.destinationOf("05010003" + b"\6a.TEST".hex() + "0050"), Destination("a.test", 80)
        )

    def test_addressesInDisguise(self) -> None:
        """
        A name that is an address, and an IPv6 address that stands for an IPv4
        one, are that address.
        """
        dottedQuad = "05010003" + b"\x09192.0.2.1".hex() + "0050"
        mapped = "0501000400000000000000000000ffffc00002010050"
        self.assertEqual(self.destinationOf(dottedQuad), TO_192_0_2_1)
        self.assertEqual(self.destinationOf(mapped), TO_192_0_2_1)
        literal = "05010003" + b"\x0d[2001:db8::5]".hex() + "0050"
        self.assertEqual(self.destinationOf(literal), Destination(IPv6Address("2001:db8::5"), 80))

    def test_reserved(self) -> None:
        """
        RSV is not looked at.
        """
        self.assertEqual(self.destinationOf("0501ff01c00002010050"), TO_192_0_2_1)

    def test_otherCommands(self) -> None:
        """
        Further commands can be switched on; for them port 0 has a meaning.
        """
        machine = ServerNegotiation([NoAuthentication()], [Command.CONNECT, Command.BIND])
        machine.receive(bytes.fromhex("050100"))
        machine.authenticated()
        self.assertEqual(
            machine.receive(bytes.fromhex("05020001000000000000")),
            [RequestReceived(Command.BIND, Destination(IPv4Address(0), 0), "SOCKS5")],
        )

    def test_earlyData(self) -> None:
        """
        What follows a request is kept for the target.
        """
        machine = greeted()
        self.assertRaises(LocalProtocolError, machine.takeEarlyData)
        machine.receive(REQUEST + b"GET / ")
        machine.receive(b"HTTP/1.0")
        self.assertEqual(machine.takeEarlyData(), b"GET / HTTP/1.0")
        self.assertEqual(machine.takeEarlyData(), b"")

    def test_granted(self) -> None:
        """
        The reply of success tells an address, or zeros if there is none.
        """
        machine = greeted()
        self.assertEqual(
            machine.granted(IPv4Address("192.0.2.200"), 50000).hex(), "05000001c00002c8c350"
        )
        self.assertEqual(
            machine.granted(IPv6Address("2001:db8::2"), 50000).hex(),
            "0500000420010db8" + "00" * 11 + "02c350",
        )
        self.assertEqual(machine.granted(None, 0).hex(), "05000001000000000000")

    def test_refused(self) -> None:
        """
        The reply of failure has the error's code and no address.
        """
        self.assertEqual(greeted().refused(HostUnreachable()).hex(), "05040001000000000000")
