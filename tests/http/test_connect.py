"""
Tests for L{socksproxy.http._connect}.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from traceback import format_exception

import h11
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.address import Destination, Host, normalized
from socksproxy.errors import (
    GeneralFailure,
    LocalProtocolError,
    MalformedMessage,
    RequestFailed,
    TruncatedStream,
)
from socksproxy.http._connect import ConnectNegotiation, basicAuthorization
from socksproxy.negotiation import Failed
from tests.codec import piecesOf, splitsOf
from tests.http.answers import (
    GRANTED,
    INTERIM,
    NONSENSE,
    REFUSALS,
    REPLY,
    TUNNELS,
    WEB,
    after,
    failureAfter,
)
from tests.socks.conversation import failureIn

EARLY = b"220 mail.test\r\n\r\nHTTP/1.1 407 No\r\n\r\n"
"""
What a target says first, with everything in it that must not be understood.
"""


class RequestTests(SynchronousTestCase):
    """
    The client asks.
    """

    def test_name(self) -> None:
        """
        The target is in the request line and in Host, with its port.
        """
        self.assertEqual(
            ConnectNegotiation(WEB).start(),
            b"CONNECT web.test:443 HTTP/1.1\r\nHost: web.test:443\r\n\r\n",
        )

    def test_addresses(self) -> None:
        """
        An IPv6 address is in brackets, an IPv4 address is not.
        """
        for host, shown in (
            (IPv4Address("192.0.2.1"), b"192.0.2.1:80"),
            (IPv6Address("2001:db8::1"), b"[2001:db8::1]:80"),
        ):
            self.assertEqual(
                ConnectNegotiation(Destination(host, 80)).start(),
                b"CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n" % (shown, shown),
            )

    def test_headers(self) -> None:
        """
        Further header fields follow in their order, as they were given.
        """
        headers = [(b"X-b", b"1 2"), (b"x-A", b""), (b"X-b", b"\xfc")]
        self.assertEqual(
            ConnectNegotiation(WEB, headers).start(),
            b"CONNECT web.test:443 HTTP/1.1\r\nHost: web.test:443\r\n"
            b"X-b: 1 2\r\nx-A: \r\nX-b: \xfc\r\n\r\n",
        )

    def test_startsAgain(self) -> None:
        """
        Asking what to send changes nothing.
        """
        machine = ConnectNegotiation(WEB)
        self.assertEqual(machine.start(), machine.start())

    def test_noInjection(self) -> None:
        """
        What would end a line or a field, or would be no field, is not sent.
        """
        for name, value in (
            (b"X", b"a\r\nEvil: b"),
            (b"X", b"a\nEvil: b"),
            (b"X", b"a\rb"),
            (b"X", b"a\0b"),
            (b"X\r\nEvil", b"a"),
            (b"X: a\nEvil", b"a"),
            (b"X Y", b"a"),
            (b"X:", b"a"),
            (b"", b"a"),
        ):
            self.assertRaises(LocalProtocolError, ConnectNegotiation, WEB, [(name, value)])

    def test_noInjectionByTheTarget(self) -> None:
        """
        A host that nobody has checked does not get into the request.
        """
        for host in ("a b", "a\r\nEvil: b", "a\nb", "a\0"):
            target = Destination(host, 80)
            self.assertRaises(LocalProtocolError, ConnectNegotiation, target)

    def test_noBody(self) -> None:
        """
        The request has one Host, and nothing after its head.
        """
        for name, value in (
            (b"Host", b"other.test"),
            (b"Content-Length", b"5"),
            (b"content-length", b"x"),
            (b"Transfer-Encoding", b"chunked"),
        ):
            self.assertRaises(LocalProtocolError, ConnectNegotiation, WEB, [(name, value)])

    def test_authorization(self) -> None:
        """
        A name and a password are what RFC 7617 has as its example, whatever
        octets they are.
        """
        self.assertEqual(
            basicAuthorization(b"Aladdin", b"open sesame"),
            (b"Proxy-Authorization", b"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
        )
        self.assertEqual(
            basicAuthorization(b"test", "123\u00a3".encode())[1], b"Basic dGVzdDoxMjPCow=="
        )
        self.assertEqual(basicAuthorization(b"", b":")[1], b"Basic Ojo=")

    def test_longAuthorization(self) -> None:
        """
        However long they are, they stay on one line.
        """
        headers = [basicAuthorization(b"u" * 255, b"\xff" * 4000)]
        self.assertEqual(ConnectNegotiation(WEB, headers).start().count(b"\n"), 4)

    def test_colonInTheName(self) -> None:
        """
        A colon would end the user name.
        """
        self.assertRaises(LocalProtocolError, basicAuthorization, b"a:b", b"c")

    def test_secrets(self) -> None:
        """
        A password is not seen when the machine is shown, nor in the error when
        a field cannot be sent.
        """
        field = basicAuthorization(b"alice", b"s3cret")
        self.assertNotIn(field[1].decode(), repr(ConnectNegotiation(WEB, [field])))
        bad = [(b"Proxy-Authorization", b"Bearer s3cret\n")]
        error = self.assertRaises(LocalProtocolError, ConnectNegotiation, WEB, bad)
        self.assertNotIn("s3cret", "".join(format_exception(error)))


@pytest.mark.parametrize("head", TUNNELS)
def test_tunnel(head: bytes) -> None:
    """
    Any 2xx opens the tunnel, whatever its header fields are, after interim
    responses or without, however it is cut; what follows the blank line is the
    target's, in order, and nothing of it is understood.
    """
    for pieces in splitsOf(head + EARLY):
        machine, events = after(pieces)
        assert events == [REPLY]
        assert machine.takeEarlyData() == EARLY


@pytest.mark.parametrize("head", TUNNELS)
def test_tunnelAtOnce(head: bytes) -> None:
    """
    The tunnel is open with the last octet of the blank line, and not before.
    """
    machine, events = after(piecesOf(head[:-1], 1))
    assert events == []
    with pytest.raises(LocalProtocolError):
        machine.takeEarlyData()
    assert machine.receive(head[-1:]) == [REPLY]
    assert machine.takeEarlyData() == b""


@pytest.mark.parametrize(("status", "error"), REFUSALS)
def test_refusal(status: bytes, error: type[RequestFailed]) -> None:
    """
    Any other answer is an error of its own class with the status in its text,
    however it is cut, and the body does not matter.
    """
    head = b"HTTP/1.1 " + status + b"\r\nContent-Length: 4\r\n\r\n"
    for pieces in splitsOf(INTERIM + head + b"sad\n"):
        machine, events = after(pieces)
        (event,) = events
        assert isinstance(event, Failed)
        assert type(event.error) is error
        assert str(event.error) == "the proxy answered " + status.decode()
        with pytest.raises(LocalProtocolError):
            machine.takeEarlyData()


@pytest.mark.parametrize("data", NONSENSE)
def test_nonsense(data: bytes) -> None:
    """
    What is no answer to a CONNECT is an error of the proxy's, however it is
    cut.
    """
    for pieces in splitsOf(data):
        _, events = after(pieces)
        assert len(events) == 1
        assert isinstance(failureIn(events), MalformedMessage)


class AnswerTests(SynchronousTestCase):
    """
    What the client makes of an answer.
    """

    def test_otherProtocol(self) -> None:
        """
        That it is not HTTP is known with the first octet that is wrong: there
        may never be a blank line.
        """
        for data in (b"2", b"HTTPS", b"HTTP/2", b"HTTP/1,"):
            self.assertIsNone(failureAfter(data[:-1]))
            self.assertIsInstance(failureAfter(data), MalformedMessage)
            self.assertIsInstance(failureAfter(INTERIM, data), MalformedMessage)

    def test_moreEarlyData(self) -> None:
        """
        What comes after the answer is kept behind what came with it.
        """
        machine, _ = after([GRANTED + b"one "])
        self.assertEqual(machine.receive(b"two "), [])
        self.assertEqual(machine.takeEarlyData(), b"one two ")
        self.assertEqual(machine.receive(GRANTED), [])
        self.assertEqual(machine.takeEarlyData(), GRANTED)
        self.assertEqual(machine.takeEarlyData(), b"")

    def test_controlCharacters(self) -> None:
        """
        A reason phrase cannot do anything to who looks at it.
        """
        reason = b"\x1b[2J\x07 \xe2\x80\xae\xff\t\x85 " + "\u00fc".encode()
        error = failureAfter(b"HTTP/1.1 418 " + reason + b"\r\n\r\n")
        self.assertIsInstance(error, GeneralFailure)
        self.assertTrue(str(error).startswith("the proxy answered 418 ?[2J? ?"), error)
        self.assertTrue(str(error).endswith(" \u00fc"), error)
        self.assertTrue(str(error).isprintable())

    def test_longReason(self) -> None:
        """
        A reason phrase is not shown at any length.
        """
        error = failureAfter(b"HTTP/1.1 418 " + b"x" * 30000 + b"\r\n\r\n")
        self.assertIsInstance(error, GeneralFailure)
        self.assertLess(len(str(error)), 150)

    def test_silentAfterFailure(self) -> None:
        """
        After a failure nothing counts any more.
        """
        machine, _ = after([b"HTTP/1.1 407 No\r\n\r\n"])
        self.assertEqual(machine.receive(GRANTED), [])
        self.assertEqual(machine.endOfStream(), [])
        self.assertRaises(LocalProtocolError, machine.takeEarlyData)

    def test_askedForUpgrade(self) -> None:
        """
        Switching protocols is no tunnel either where a header field has asked
        for it.
        """
        machine = ConnectNegotiation(WEB, [(b"Upgrade", b"x"), (b"Connection", b"upgrade")])
        events = machine.receive(b"HTTP/1.1 101 Yes\r\nUpgrade: x\r\n\r\n" + GRANTED)
        self.assertIsInstance(failureIn(events), MalformedMessage)

    def test_nothingToResume(self) -> None:
        """
        The machine never waits for a computation.
        """
        self.assertRaises(LocalProtocolError, ConnectNegotiation(WEB).resume)


class EndOfStreamTests(SynchronousTestCase):
    """
    The proxy hangs up.
    """

    def test_truncated(self) -> None:
        """
        Before the blank line that is a failure, wherever it happens.
        """
        answer = INTERIM + GRANTED
        for length in range(len(answer)):
            machine, events = after([answer[:length]])
            self.assertEqual(events, [])
            self.assertIsInstance(failureIn(machine.endOfStream()), TruncatedStream)
            self.assertEqual(machine.endOfStream(), [])
            self.assertEqual(machine.receive(answer[length:]), [])

    def test_over(self) -> None:
        """
        After the answer the end of the stream is the target's.
        """
        machine, _ = after([GRANTED + b"bye"])
        self.assertEqual(machine.endOfStream(), [])
        self.assertEqual(machine.takeEarlyData(), b"bye")


hosts: st.SearchStrategy[Host] = st.one_of(
    st.sampled_from(["a", "web.test", ".".join(["a" * 63] * 3 + ["b" * 61])]),
    st.ip_addresses(v=4),
    st.ip_addresses(v=6).map(normalized),
)
printable = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=20)


class ConversationTests(SynchronousTestCase):
    """
    A server that somebody else has written understands us, and we it.
    """

    @given(
        host=hosts,
        port=st.integers(1, 65535),
        user=st.binary(max_size=255).filter(lambda user: b":" not in user),
        password=st.binary(max_size=255),
        status=st.integers(200, 599),
        reason=printable,
        interims=st.integers(0, 3),
        early=st.binary(max_size=50),
        segment=st.sampled_from([1, 2, 3, 7, 65536]),
    )
    @settings(deadline=None)
    def test_conversation(
        self,
        host: Host,
        port: int,
        user: bytes,
        password: bytes,
        status: int,
        reason: str,
        interims: int,
        early: bytes,
        segment: int,
    ) -> None:
        """
        The server learns the target and the credentials, and the client the
        outcome, however the octets travel.
        """
        destination = Destination(host, port)
        field = basicAuthorization(user, password)
        machine = ConnectNegotiation(destination, [field])
        server = h11.Connection(h11.SERVER)
        server.receive_data(machine.start())
        request = server.next_event()
        assert isinstance(request, h11.Request)
        self.assertEqual(request.method, b"CONNECT")
        self.assertEqual(request.target.decode(), str(destination))
        self.assertEqual(dict(request.headers)[b"host"], request.target)
        self.assertEqual(dict(request.headers)[b"proxy-authorization"], field[1])
        self.assertIsInstance(server.next_event(), h11.EndOfMessage)
        answer = b"".join(
            server.send(h11.InformationalResponse(status_code=103, headers=[]))
            for _ in range(interims)
        )
        answer += server.send(h11.Response(status_code=status, headers=[], reason=reason.encode()))
        events = [
            event for piece in piecesOf(answer + early, segment) for event in machine.receive(piece)
        ]
        if status < 300:
            self.assertEqual(events, [REPLY])
            self.assertEqual(machine.takeEarlyData(), early)
        else:
            self.assertEqual(
                str(failureIn(events)), f"the proxy answered {status} {reason}".rstrip()
            )
