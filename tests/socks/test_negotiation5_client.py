"""
Tests for L{socksproxy.socks._negotiation5}: the client's half, and both
halves together.
"""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.address import Destination, Host, normalized
from socksproxy.errors import (
    AuthenticationFailed,
    BadAddressType,
    BadVersion,
    ConnectionRefused,
    LocalProtocolError,
    NotAllowed,
    ProxyReplied,
    RequestFailed,
    SOCKSProxyError,
    TruncatedStream,
    UnofferedMethod,
    requestFailedFor,
)
from socksproxy.socks._events import ReplyReceived, RequestReceived, Send
from socksproxy.socks._negotiation5 import ClientNegotiation, ServerNegotiation
from socksproxy.socks._wire5 import Command
from socksproxy.socks.methods import Anonymous, Method, NoAuthentication, Password, UsernamePassword
from tests.codec import splitsOf
from tests.socks.conversation import BOUND, Conversation, failureIn, sentBy
from tests.vectors import Vector, messages, nameOf

WEB = Destination("web.test", 80)
REQUEST = bytes.fromhex("05010003087765622e746573740050")


def client() -> ClientNegotiation:
    """
    Make a client that may say who it is.
    """
    return ClientNegotiation(WEB, [NoAuthentication(), UsernamePassword(b"alice", b"s3cret")])


def requesting() -> ClientNegotiation:
    """
    Make a client that has made its request.
    """
    machine = client()
    machine.receive(b"\5\0")
    return machine


class ClientTests(SynchronousTestCase):
    """
    The client says who it is and asks.
    """

    def test_greeting(self) -> None:
        """
        The client offers what it was given, in that order.
        """
        self.assertEqual(client().start().hex(), "05020002")

    def test_howManyMethods(self) -> None:
        """
        A greeting offers at least one method, and no more than fit.
        """
        self.assertRaises(LocalProtocolError, ClientNegotiation, WEB, [])
        self.assertRaises(LocalProtocolError, ClientNegotiation, WEB, [NoAuthentication()] * 256)

    def test_noAuthentication(self) -> None:
        """
        Where no authentication is wanted the request follows at once.
        """
        self.assertEqual(client().receive(b"\5\0"), [Send(REQUEST)])

    def test_password(self) -> None:
        """
        Where a password is wanted the request waits until it has been
        accepted.
        """
        machine = client()
        self.assertEqual(sentBy(machine.receive(b"\5\2")).hex(), "0105616c69636506733363726574")
        self.assertEqual(machine.receive(b"\1"), [])
        self.assertEqual(machine.receive(b"\0"), [Send(REQUEST)])

    def test_wrongPassword(self) -> None:
        """
        Any status but 0 means that the password was not accepted; the
        version octet beside it does not matter.
        """
        for answer in ("0101", "01ff", "0501"):
            machine = client()
            machine.receive(b"\5\2")
            events = machine.receive(bytes.fromhex(answer))
            self.assertIsInstance(failureIn(events), AuthenticationFailed)
            self.assertEqual(machine.receive(b"\1\0"), [])

    def test_nothingAccepted(self) -> None:
        """
        0xFF means that no offer was good enough.
        """
        self.assertIsInstance(failureIn(client().receive(b"\5\xff")), AuthenticationFailed)

    def test_unoffered(self) -> None:
        """
        A server must not choose what was not offered.
        """
        self.assertIsInstance(failureIn(client().receive(b"\5\1")), UnofferedMethod)

    def test_notSOCKS5(self) -> None:
        """
        Another version is an error with its first octet, at each stage.
        """
        self.assertIsInstance(failureIn(client().receive(b"\4")), BadVersion)
        self.assertIsInstance(failureIn(requesting().receive(b"\4")), BadVersion)

    def test_otherCommand(self) -> None:
        """
        The client asks for the command it was given.
        """
        machine = ClientNegotiation(WEB, [NoAuthentication()], Command.BIND)
        self.assertEqual(sentBy(machine.receive(b"\5\0"))[:4].hex(), "05020003")

    def test_serverSpeaksFirst(self) -> None:
        """
        What follows the reply is the target's.
        """
        machine = requesting()
        self.assertRaises(LocalProtocolError, machine.takeEarlyData)
        machine.receive(bytes.fromhex("05000001c00002c8c350") + b"SSH-2.0")
        machine.receive(b"-x")
        self.assertEqual(machine.takeEarlyData(), b"SSH-2.0-x")

    def test_uselessName(self) -> None:
        """
        A name as BND.ADDR that is no name is no reason to fail.
        """
        for name in (b"", b"a b", b"\xff"):
            reply = bytes.fromhex("05000003") + bytes([len(name)]) + name + b"\0\0"
            self.assertEqual(requesting().receive(reply), [ReplyReceived(Destination("", 0))])


class EndOfStreamTests(SynchronousTestCase):
    """
    The server hangs up.
    """

    def test_truncated(self) -> None:
        """
        Before the negotiation is over that is a failure, at every stage.
        """
        for received in ("", "05", "0502", "050201", "0500", "05000500", "0500050000"):
            machine = client()
            machine.receive(bytes.fromhex(received))
            self.assertIsInstance(failureIn(machine.endOfStream()), TruncatedStream, received)
            self.assertEqual(machine.endOfStream(), [])

    def test_knownCode(self) -> None:
        """
        A refusal is known before its end, and the end adds nothing.
        """
        machine = requesting()
        self.assertIsInstance(failureIn(machine.receive(b"\5\5")), ConnectionRefused)
        self.assertEqual(machine.endOfStream(), [])

    def test_over(self) -> None:
        """
        After the negotiation the end of the stream is the target's.
        """
        machine = requesting()
        machine.receive(bytes.fromhex("05000001c00002c8c350"))
        self.assertEqual(machine.endOfStream(), [])


@pytest.mark.parametrize("vector", messages("socks", "socks5-reply"), ids=nameOf)
def test_reply(vector: Vector) -> None:
    """
    Every reply means the same, however it is cut: success, with what follows
    it kept; a refusal, known with its second octet; or a server at fault.
    """
    data, expected = bytes.fromhex(vector["input"]), vector["expect"]
    code = expected.get("rep", expected.get("rep_known", 0))
    for pieces in splitsOf(data):
        machine = requesting()
        events = [event for piece in pieces for event in machine.receive(piece)]
        failure = failureIn(events)
        if code:
            assert type(failure) is type(requestFailedFor(code))
            assert not isinstance(failure, ProxyReplied) or failure.code == code
        elif expected["result"] == "error":
            assert isinstance(failure, BadAddressType)
        elif expected["result"] == "need-more":
            assert events == []
        else:
            (reply,) = events
            assert isinstance(reply, ReplyReceived)
            assert str(reply.bound.host) == expected["address"]
            assert reply.bound.port == expected["port"]
            assert machine.takeEarlyData() == data[expected["consumed"] :]


hosts: st.SearchStrategy[Host] = st.one_of(
    st.sampled_from(["a", "web.test", ".".join(["a" * 63] * 3 + ["b" * 61])]),
    st.ip_addresses(v=4),
    st.ip_addresses(v=6).map(normalized),
)
segments = st.sampled_from([1, 2, 3, 7, 65536])
field = st.binary(max_size=255)


class ConversationTests(SynchronousTestCase):
    """
    Both halves understand each other.
    """

    @given(
        host=hosts,
        port=st.integers(1, 65535),
        username=field,
        password=field,
        secret=st.booleans(),
        segment=segments,
    )
    @settings(deadline=None)
    def test_success(
        self, host: Host, port: int, username: bytes, password: bytes, secret: bool, segment: int
    ) -> None:
        """
        The server learns who the client is and where it wants to go, and the
        client learns the bound address, however the octets travel.
        """
        destination = Destination(host, port)
        offers = [UsernamePassword(username, password)] if secret else [NoAuthentication()]
        talk = Conversation(
            ServerNegotiation([UsernamePassword(), NoAuthentication()]),
            ClientNegotiation(destination, offers),
            segment,
        ).run()
        self.assertEqual(
            talk.credentials, [Password(username, password) if secret else Anonymous()]
        )
        self.assertEqual(talk.requests, [RequestReceived(Command.CONNECT, destination, "SOCKS5")])
        self.assertEqual(talk.replies, [ReplyReceived(Destination(*BOUND))])
        self.assertEqual((talk.serverFailure, talk.clientFailure), (None, None))

    def checkFailure(
        self,
        expected: type[SOCKSProxyError],
        methods: Sequence[Method],
        admitted: bool = True,
        refusal: RequestFailed | None = None,
    ) -> Conversation:
        """
        Require that the client gets to know a failure, and gets no reply.

        @param methods: The server's methods.
        """
        server = ServerNegotiation(methods)
        talk = Conversation(server, client(), 1, lambda _: admitted, refusal).run()
        self.assertIsInstance(talk.clientFailure, expected)
        self.assertEqual(talk.replies, [])
        return talk

    def test_rejected(self) -> None:
        """
        Both sides know when credentials are not accepted.
        """
        talk = self.checkFailure(AuthenticationFailed, [UsernamePassword()], False)
        self.assertIsInstance(talk.serverFailure, AuthenticationFailed)
        self.assertEqual(talk.requests, [])

    def test_nothingInCommon(self) -> None:
        """
        Both sides know when they have no method in common.
        """
        talk = self.checkFailure(AuthenticationFailed, [])
        self.assertIsInstance(talk.serverFailure, AuthenticationFailed)
        self.assertEqual(talk.credentials, [])

    def test_refused(self) -> None:
        """
        The client learns why its request failed.
        """
        self.checkFailure(NotAllowed, [NoAuthentication()], refusal=NotAllowed())

    def test_addresses(self) -> None:
        """
        Bound addresses of both families arrive.
        """
        for host in (IPv4Address("192.0.2.9"), IPv6Address("2001:db8::9")):
            server = ServerNegotiation([NoAuthentication()])
            self.assertEqual(
                requesting().receive(server.granted(host, 9)),
                [ReplyReceived(Destination(host, 9))],
            )
