"""
Tests for L{socksproxy.socks.methods}.
"""

from twisted.trial.unittest import SynchronousTestCase

from socksproxy.address import Destination
from socksproxy.buffer import Buffer
from socksproxy.errors import AuthenticationFailed, LocalProtocolError
from socksproxy.socks._events import CredentialsReceived, RequestReceived, Send
from socksproxy.socks._negotiation5 import ClientNegotiation, ServerNegotiation
from socksproxy.socks._wire5 import AuthRequest
from socksproxy.socks.methods import (
    Anonymous,
    Method,
    NoAuthentication,
    Password,
    UsernamePassword,
)
from tests.socks.conversation import Conversation
from tests.socks.ticket import GOOD_TICKET, Ticket, TicketMethod

WEB = Destination("web.test", 80)


class NoAuthenticationTests(SynchronousTestCase):
    """
    Method 0x00 has no messages.
    """

    def test_server(self) -> None:
        """
        The client is nobody at once, reads nothing of it, and has nothing to
        be told.
        """
        server = NoAuthentication().serverNegotiation()
        buffer = Buffer(10)
        buffer.feed(b"abc")
        self.assertEqual(list(server.receive(buffer)), [CredentialsReceived(Anonymous())])
        self.assertEqual(len(buffer), 3)
        self.assertEqual((server.authenticated(), server.authenticationFailed()), (b"", b""))

    def test_client(self) -> None:
        """
        There is nothing to say and nothing to wait for.
        """
        client = NoAuthentication().clientNegotiation()
        self.assertEqual(client.start(), b"")
        self.assertIsNone(client.receive(Buffer(10)))


class UsernamePasswordTests(SynchronousTestCase):
    """
    Method 0x02 is RFC 1929.
    """

    def test_lengths(self) -> None:
        """
        What the protocol cannot carry is refused before anything is sent.
        """
        UsernamePassword(b"u" * 255, b"p" * 255)
        self.assertRaises(LocalProtocolError, UsernamePassword, b"u" * 256, b"p")
        self.assertRaises(LocalProtocolError, UsernamePassword, b"u", b"p" * 256)

    def test_octets(self) -> None:
        """
        The octets arrive as they are: empty, with NUL, in no encoding.
        """
        for username, password in ((b"", b""), (b"alice\0", b"s3cret\0"), (b"\xff:", b"\xe9")):
            client = ClientNegotiation(WEB, [UsernamePassword(username, password)])
            talk = Conversation(ServerNegotiation([UsernamePassword()]), client, 1).run()
            self.assertEqual(talk.credentials, [Password(username, password)])

    def test_messages(self) -> None:
        """
        Success and failure are told with status 0 and 1.
        """
        server = UsernamePassword().serverNegotiation()
        self.assertEqual(server.authenticated(), b"\1\0")
        self.assertEqual(server.authenticationFailed(), b"\1\1")

    def test_eachConnectionAnew(self) -> None:
        """
        One method object serves any number of connections.
        """
        method = UsernamePassword(b"alice", b"s3cret")
        for _ in range(2):
            talk = Conversation(ServerNegotiation([method]), ClientNegotiation(WEB, [method]))
            self.assertEqual(len(talk.run().replies), 1)


class SecretTests(SynchronousTestCase):
    """
    Secrets stay out of logs.
    """

    def test_repr(self) -> None:
        """
        No object on a password's way shows it, nor the message that holds it.
        """
        password = Password(b"alice", b"s3cret")
        method = UsernamePassword(b"alice", b"s3cret")
        client = ClientNegotiation(WEB, [method])
        sent = client.receive(b"\5\2")
        server = ServerNegotiation([method])
        received = server.receive(
            b"\5\1\2" + UsernamePassword(b"alice", b"s3cret").clientNegotiation().start()
        )
        for item in (
            password,
            method,
            method.clientNegotiation(),
            client,
            sent,
            server,
            received,
            Send(b"s3cret"),
            AuthRequest(b"alice", b"s3cret"),
        ):
            self.assertNotIn("s3cret", repr(item))
        self.assertIn("alice", repr(received))


class OwnMethodTests(SynchronousTestCase):
    """
    A method of one's own works like the others.
    """

    def talk(self, server: Method, client: Method, segment: int) -> Conversation:
        """
        Let a server and a client negotiate.
        """
        return Conversation(
            ServerNegotiation([server, UsernamePassword()]),
            ClientNegotiation(WEB, [NoAuthentication(), client]),
            segment,
            lambda credentials: (
                isinstance(credentials, Ticket) and credentials.ticket == GOOD_TICKET
            ),
        ).run()

    def test_admitted(self) -> None:
        """
        Its credentials are what it makes of its messages, and the request
        follows them; the server may speak first.
        """
        for challenge in (b"", b"your ticket, please"):
            for segment in (1, 5, 65536):
                method = TicketMethod(GOOD_TICKET, challenge)
                talk = self.talk(method, method, segment)
                (credentials,) = talk.credentials
                assert isinstance(credentials, Ticket)
                self.assertEqual(credentials.ticket, GOOD_TICKET)
                self.assertEqual(talk.requests, [RequestReceived(1, WEB, "SOCKS5")])
                self.assertEqual(len(talk.replies), 1)

    def test_rejectedByServer(self) -> None:
        """
        A rejection reaches the client in the method's own words.
        """
        talk = self.talk(TicketMethod(), TicketMethod(b"forged"), 1)
        self.assertIsInstance(talk.serverFailure, AuthenticationFailed)
        self.assertIsInstance(talk.clientFailure, AuthenticationFailed)
        self.assertEqual(talk.requests, [])

    def test_rejectedByClient(self) -> None:
        """
        A client may find fault with the server, and then says nothing more.
        """
        talk = self.talk(
            TicketMethod(challenge=b"right"), TicketMethod(GOOD_TICKET, b"left"), 65536
        )
        self.assertEqual(talk.credentials, [])
        self.assertIsInstance(talk.clientFailure, AuthenticationFailed)

    def test_notOffered(self) -> None:
        """
        A client that does not know it gets another method, or none.
        """
        server = ServerNegotiation([TicketMethod()])
        talk = Conversation(server, ClientNegotiation(WEB, [UsernamePassword()])).run()
        self.assertIsInstance(talk.clientFailure, AuthenticationFailed)

    def test_pipelined(self) -> None:
        """
        A client that knows the method need not wait for anything.
        """
        machine = ServerNegotiation([TicketMethod()])
        ticket = TicketMethod(GOOD_TICKET).clientNegotiation().start()
        request = bytes.fromhex("05010001c00002010050")
        events = machine.receive(b"\5\1\x81" + ticket + request + b"early")
        self.assertEqual(events[0], Send(b"\5\x81"))
        self.assertIsInstance(events[1], CredentialsReceived)
        self.assertIsInstance(machine.authenticated()[-1], RequestReceived)
        self.assertEqual(machine.takeEarlyData(), b"early")
