"""
Tests for L{socksproxy.socks._negotiation4}.
"""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.address import Destination, Host
from socksproxy.errors import (
    AddressTypeNotSupported,
    AuthenticationFailed,
    BadCommand,
    BadName,
    BadVersion,
    ConnectionRefused,
    GeneralFailure,
    LocalProtocolError,
    MalformedMessage,
    MessageTooLong,
    RequestFailed,
    SOCKSProxyError,
    TruncatedStream,
)
from socksproxy.socks._events import Event, ReplyReceived, RequestReceived
from socksproxy.socks._negotiation4 import ClientNegotiation, ServerNegotiation
from socksproxy.socks._wire4 import MAX_HOST, MAX_USERID, Command
from tests.codec import splitsOf
from tests.socks.conversation import BOUND, Conversation, failureIn, sentBy
from tests.vectors import Vector, messages, nameOf

WEB = Destination("web.test", 80)
REQUEST = bytes.fromhex("04010050c0000201")
NAMED_REQUEST = bytes.fromhex("0401005000000001")


def asked(request: bytes) -> Sequence[Event]:
    """
    Give what a server does about a request.
    """
    return ServerNegotiation().receive(request)


class ServerTests(SynchronousTestCase):
    """
    The server reads requests.
    """

    def test_address(self) -> None:
        """
        An address is SOCKS4.
        """
        destination = Destination(IPv4Address("192.0.2.1"), 80)
        self.assertEqual(
            asked(REQUEST + b"\0"), [RequestReceived(Command.CONNECT, destination, "SOCKS4")]
        )

    def test_name(self) -> None:
        """
        A name is SOCKS4a.
        """
        self.assertEqual(
            asked(NAMED_REQUEST + b"\0WEB.test\0"),
            [RequestReceived(Command.CONNECT, WEB, "SOCKS4a")],
        )

    def test_nameThatIsAnAddress(self) -> None:
        """
        A name that is an address is that address.
        """
        (event,) = asked(NAMED_REQUEST + b"\x00192.0.2.1\0")
        assert isinstance(event, RequestReceived)
        self.assertEqual(event.destination.host, IPv4Address("192.0.2.1"))

    def test_userID(self) -> None:
        """
        USERID is told as it came.
        """
        (event,) = asked(REQUEST + b"al\xffce\0")
        assert isinstance(event, RequestReceived)
        self.assertEqual(event.userID, b"al\xffce")

    def test_otherCommands(self) -> None:
        """
        Further commands can be switched on; for them port 0 has a meaning.
        """
        machine = ServerNegotiation([Command.BIND])
        self.assertEqual(
            machine.receive(bytes.fromhex("040200000000000000")),
            [RequestReceived(Command.BIND, Destination(IPv4Address(0), 0), "SOCKS4")],
        )

    def test_version(self) -> None:
        """
        What is not SOCKS4 gets no answer.
        """
        events = asked(b"\5")
        self.assertEqual(sentBy(events), b"")
        self.assertIsInstance(failureIn(events), BadVersion)

    def test_earlyData(self) -> None:
        """
        What follows a request is kept for the target.
        """
        machine = ServerNegotiation()
        self.assertRaises(LocalProtocolError, machine.takeEarlyData)
        machine.receive(REQUEST + b"\0GET / ")
        machine.receive(b"HTTP/1.0")
        self.assertEqual(machine.takeEarlyData(), b"GET / HTTP/1.0")

    def test_granted(self) -> None:
        """
        The reply of success tells an IPv4 address, or zeros where there is
        none or where it does not fit.
        """
        machine = ServerNegotiation()
        self.assertEqual(
            machine.granted(IPv4Address("192.0.2.200"), 50000).hex(), "005ac350c00002c8"
        )
        self.assertEqual(machine.granted(IPv6Address("2001:db8::2"), 5).hex(), "005a000000000000")
        self.assertEqual(machine.granted(None, 0).hex(), "005a000000000000")

    def test_refused(self) -> None:
        """
        The reply of failure is the same for every reason.
        """
        for error in (ConnectionRefused(), AuthenticationFailed(), GeneralFailure()):
            self.assertEqual(ServerNegotiation().refused(error).hex(), "005b000000000000")


REFUSED: list[tuple[str, bytes, type[SOCKSProxyError]]] = [
    ("unknown command", bytes.fromhex("04030050c000020100"), BadCommand),
    ("BIND", bytes.fromhex("04020050c000020100"), BadCommand),
    ("RESOLVE", bytes.fromhex("04f000500000000100") + b"a\0", BadCommand),
    ("port 0", bytes.fromhex("04010000c000020100"), MalformedMessage),
    ("port 0 of a name", bytes.fromhex("040100000000000100") + b"a\0", MalformedMessage),
    ("0.0.0.0", bytes.fromhex("040100500000000000"), MalformedMessage),
    ("0.0.1.0", bytes.fromhex("040100500000010000"), MalformedMessage),
    ("empty name", NAMED_REQUEST + b"\0\0", BadName),
    ("space in a name", NAMED_REQUEST + b"\0a b\0", BadName),
    ("numeric name", NAMED_REQUEST + b"\x002130706433\0", BadName),
    ("long USERID", REQUEST + b"u" * (MAX_USERID + 1), MessageTooLong),
    ("long name", NAMED_REQUEST + b"\0" + b"h" * (MAX_HOST + 1), MessageTooLong),
]


@pytest.mark.parametrize(
    ("data", "error"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED]
)
def test_refused(data: bytes, error: type[SOCKSProxyError]) -> None:
    """
    A request that makes no sense is answered with 91, however it is cut.
    """
    for pieces in splitsOf(data):
        machine = ServerNegotiation()
        events = [event for piece in pieces for event in machine.receive(piece)]
        assert sentBy(events).hex() == "005b000000000000"
        assert isinstance(failureIn(events), error)
        assert machine.receive(REQUEST + b"\0") == []


class ClientTests(SynchronousTestCase):
    """
    The client makes requests.
    """

    def test_address(self) -> None:
        """
        An address is sent as SOCKS4.
        """
        machine = ClientNegotiation(Destination(IPv4Address("192.0.2.1"), 80), b"alice")
        self.assertEqual(machine.start(), REQUEST + b"alice\0")

    def test_name(self) -> None:
        """
        A name is sent as SOCKS4a, unresolved.
        """
        self.assertEqual(
            ClientNegotiation(WEB, b"alice").start(), NAMED_REQUEST + b"alice\0web.test\0"
        )

    def test_otherCommand(self) -> None:
        """
        The client asks for the command it was given.
        """
        machine = ClientNegotiation(WEB, command=Command.BIND)
        self.assertEqual(machine.start()[:2], b"\4\2")

    def test_IPv6(self) -> None:
        """
        An IPv6 address does not fit, which is said before anything is sent.
        """
        destination = Destination(IPv6Address("2001:db8::1"), 80)
        self.assertRaises(AddressTypeNotSupported, ClientNegotiation, destination)

    def test_userID(self) -> None:
        """
        A USERID that would break the request is refused.
        """
        for userID in (b"a\0b", b"u" * 256):
            self.assertRaises(LocalProtocolError, ClientNegotiation, WEB, userID)
        self.assertIn(b"u" * 255, ClientNegotiation(WEB, b"u" * 255).start())

    def test_codes(self) -> None:
        """
        Any code but 90 is a failure; those about identd are about who we are.
        """
        kinds: dict[int, type[RequestFailed]] = {92: AuthenticationFailed, 93: AuthenticationFailed}
        for code in set(range(256)) - {90}:
            failure = failureIn(ClientNegotiation(WEB).receive(bytes([0, code]) + bytes(6)))
            self.assertIs(type(failure), kinds.get(code, GeneralFailure))
        self.assertIn("99", str(failureIn(ClientNegotiation(WEB).receive(b"\0\x63" + bytes(6)))))

    def test_notSOCKS4(self) -> None:
        """
        Another version is an error with its first octet.
        """
        self.assertIsInstance(failureIn(ClientNegotiation(WEB).receive(b"\5")), BadVersion)

    def test_endOfStream(self) -> None:
        """
        The end of the stream is a failure before the reply is complete, and
        the target's business afterwards.
        """
        for received in (b"", b"\0\x5a"):
            machine = ClientNegotiation(WEB)
            machine.receive(received)
            self.assertIsInstance(failureIn(machine.endOfStream()), TruncatedStream)
            self.assertEqual(machine.endOfStream(), [])
        machine = ClientNegotiation(WEB)
        machine.receive(b"\0\x5a" + bytes(6))
        self.assertEqual(machine.endOfStream(), [])


@pytest.mark.parametrize("vector", messages("socks", "socks4-reply"), ids=nameOf)
def test_reply(vector: Vector) -> None:
    """
    Every reply means the same, however it is cut, and what follows it is kept.
    """
    data, expected = bytes.fromhex(vector["input"]), vector["expect"]
    for pieces in splitsOf(data + b"SSH"):
        machine = ClientNegotiation(WEB)
        events = [event for piece in pieces for event in machine.receive(piece)]
        if expected.get("code") == 90:
            bound = Destination(IPv4Address(expected["ip"]), expected["port"])
            assert events == [ReplyReceived(bound)]
            assert machine.takeEarlyData() == b"SSH"
        elif expected["result"] == "ok":
            assert isinstance(failureIn(events), RequestFailed)


hosts: st.SearchStrategy[Host] = st.one_of(
    st.sampled_from(["a", "web.test", ".".join(["a" * 63] * 3 + ["b" * 61])]),
    st.ip_addresses(v=4).filter(lambda address: int(address) >> 24 != 0),
)
userIDs = st.binary(max_size=255).filter(lambda octets: b"\0" not in octets)


class ConversationTests(SynchronousTestCase):
    """
    Both halves understand each other.
    """

    @given(
        host=hosts,
        port=st.integers(1, 65535),
        userID=userIDs,
        segment=st.sampled_from([1, 2, 3, 7, 65536]),
    )
    @settings(deadline=None)
    def test_success(self, host: Host, port: int, userID: bytes, segment: int) -> None:
        """
        The server learns where the client wants to go, and the client learns
        the bound address, however the octets travel.
        """
        destination = Destination(host, port)
        client = ClientNegotiation(destination, userID)
        talk = Conversation(ServerNegotiation(), client, segment).run()
        variant = "SOCKS4a" if isinstance(host, str) else "SOCKS4"
        self.assertEqual(
            talk.requests, [RequestReceived(Command.CONNECT, destination, variant, userID)]
        )
        self.assertEqual(talk.replies, [ReplyReceived(Destination(*BOUND))])
        self.assertEqual((talk.serverFailure, talk.clientFailure), (None, None))

    def test_refused(self) -> None:
        """
        The client learns that its request failed.
        """
        server, client = ServerNegotiation(), ClientNegotiation(WEB)
        talk = Conversation(server, client, refusal=ConnectionRefused()).run()
        self.assertIsInstance(talk.clientFailure, GeneralFailure)
        self.assertEqual(talk.replies, [])
