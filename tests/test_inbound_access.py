"""
Tests for L{socksproxy.inbound}: what is logged of a connection.
"""

from typing import Any

from twisted.cred.checkers import AllowAnonymousAccess
from twisted.logger import formatEvent
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.policy.limits import ConnectionLimits
from tests.accesslines import accessLines
from tests.logs import captured
from tests.memoryproxy import DenyNetworks, MemoryProxy, passwords
from tests.socksclient import (
    ALICE,
    MALLORY,
    NO_AUTHENTICATION,
    TO_SILENCE,
    TO_WEB,
    USERS,
    WITH_PASSWORD,
    request,
    request4,
)


class AccessTests(SynchronousTestCase):
    """
    Every connection ends with one line that says what it was.
    """

    def setUp(self) -> None:
        self.proxy = MemoryProxy(
            checkers=[passwords(USERS), AllowAnonymousAccess()],
            policy=DenyNetworks(["198.51.100.0/24"]),
            listener="tcp:1080",
        )

    def logged(self, said: bytes, wait: float = 0, host: str = "192.0.2.77") -> dict[str, Any]:
        """
        Give the access line of a client that says something, waits, and
        resets its connection if there still is one.
        """
        with captured() as events:
            client = self.proxy.clientAt(host)
            if said:
                client.peerSends(said)
            self.proxy.settle()
            self.proxy.network.advance(wait)
            client.peerResets()
            self.proxy.settle()
        (line,) = accessLines(events)
        return line

    def check(self, line: dict[str, Any], **expected: object) -> None:
        """
        Require some fields of an access line.
        """
        self.assertEqual({name: line[name] for name in expected}, expected)

    def test_everyField(self) -> None:
        """
        The line has everything that is known of a connection.
        """
        with captured() as events:
            client = self.proxy.clientAt("192.0.2.77", 40077)
            client.peerSends(WITH_PASSWORD + ALICE + request("web.test") + b"question")
            self.proxy.network.advance(1.5)
            target = self.proxy.target()
            target.peerSends(b"a long answer")
            target.peerEnds()
            self.assertEqual(accessLines(events), [])
            client.peerEnds()
            self.proxy.settle()
        self.assertEqual(
            accessLines(events),
            [
                {
                    "protocol": "SOCKS5",
                    "listener": "tcp:1080",
                    "client": "192.0.2.77:40077",
                    "user": "alice",
                    "claimed": "-",
                    "command": "CONNECT",
                    "destination": "web.test:80",
                    "address": "192.0.2.1:80",
                    "result": "succeeded",
                    "sent": 8,
                    "received": 13,
                    "datagramsSent": 0,
                    "datagramsReceived": 0,
                    "datagramsDropped": 0,
                    "duration": 1.5,
                    "reason": "target closed",
                }
            ],
        )

    def test_text(self) -> None:
        """
        As text it is one line without anything secret.
        """
        with captured() as events:
            client = self.proxy.clientAt("2001:db8::7")
            client.peerSends(WITH_PASSWORD + ALICE + request("2001:db8::1"))
            self.proxy.network.advance(1.5)
            client.peerEnds()
            self.proxy.target().peerEnds()
            self.proxy.settle()
        (event,) = [event for event in events if event.get("log_event") == "access"]
        self.assertEqual(
            formatEvent(event),
            "SOCKS5 [2001:db8::7]:40000 alice CONNECT [2001:db8::1]:80 [[2001:db8::1]:80]:"
            " succeeded; 0 sent, 0 received, 1.500 s; client closed",
        )

    def test_SOCKS4(self) -> None:
        """
        What a SOCKS4 client says of itself is told as what it is: a claim,
        and perhaps an attempt to forge lines.
        """
        line = self.logged(request4("192.0.2.1", userID=b"al ice\n"))
        self.check(line, protocol="SOCKS4", user="-", claimed="al\\x20ice\\x0a")
        self.check(line, destination="192.0.2.1:80", result="succeeded", reason="client reset")
        self.check(self.logged(request4("web.test")), protocol="SOCKS4a", claimed="-")

    def test_refused(self) -> None:
        """
        A refusal is told by its summary, with the request.
        """
        for host, result in (
            ("192.0.2.2", "connection refused"),
            ("198.51.100.1", "not allowed"),
            ("nobody.test", "name not found"),
        ):
            for said, protocol in (
                (NO_AUTHENTICATION + request(host), "SOCKS5"),
                (request4(host), "SOCKS4a" if host == "nobody.test" else "SOCKS4"),
            ):
                line = self.logged(said)
                self.check(line, protocol=protocol, command="CONNECT", destination=f"{host}:80")
                self.check(line, result=result, reason=result, address="-")

    def test_timedOut(self) -> None:
        """
        A target that did not answer is told, and how long it took.
        """
        line = self.logged(NO_AUTHENTICATION + TO_SILENCE, 30)
        self.check(line, result="timed out", duration=30.0)

    def test_malformed(self) -> None:
        """
        What makes no sense is told as far as it was understood.
        """
        malformed = {"result": "malformed", "command": "-", "destination": "-"}
        badName = request("a b")
        self.check(self.logged(NO_AUTHENTICATION + badName), protocol="SOCKS5", **malformed)
        self.check(self.logged(b"\x16\3\1"), protocol="-", **malformed)
        self.check(self.logged(request4("a b")), protocol="SOCKS4", **malformed)

    def test_unsupported(self) -> None:
        """
        What we do not do is not malformed.
        """
        unsupported = {"result": "command not supported"}
        unknown = b"\5\x09" + TO_WEB[2:]
        self.check(self.logged(NO_AUTHENTICATION + unknown), protocol="SOCKS5", **unsupported)
        unknown4 = b"\4\x09" + request4("192.0.2.1")[2:]
        self.check(self.logged(unknown4), protocol="SOCKS4", **unsupported)
        self.check(
            self.logged(b"GET ftp://a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n"),
            protocol="HTTP",
            **unsupported,
        )

    def test_authenticationFailed(self) -> None:
        """
        A wrong password is told without the name that was tried, which has a
        line of its own.
        """
        line = self.logged(WITH_PASSWORD + MALLORY, 1)
        self.check(line, result="authentication failed", user="-", protocol="SOCKS5")

    def test_noRequest(self) -> None:
        """
        A connection that came to nothing says in what way.
        """
        self.check(
            self.logged(b""), protocol="-", result="-", reason="client gone before the answer"
        )
        self.check(
            self.logged(b"", 10), result="-", reason="handshake took too long", duration=10.0
        )
        with captured() as events:
            self.proxy.connect().peerEnds()
            self.proxy.settle()
        (line,) = accessLines(events)
        self.check(line, result="-", reason="client closed during handshake")

    def test_gone(self) -> None:
        """
        A client that did not wait for its answer is told with its request.
        """
        line = self.logged(NO_AUTHENTICATION + TO_SILENCE)
        self.check(line, destination="192.0.2.9:80", reason="client gone before the answer")

    def test_ended(self) -> None:
        """
        A connection that we end says why.
        """
        for end in ("shutDown", "abort"):
            with captured() as events:
                self.proxy.connect()
                protocol = self.proxy.protocol()
                protocol.shutDown() if end == "shutDown" else protocol.abort("shut down")
                self.proxy.settle()
            (line,) = accessLines(events)
            self.check(line, reason="shut down")

    def test_tooMany(self) -> None:
        """
        A connection too many is told as such.
        """
        self.proxy.inbound.limits = ConnectionLimits(total=0)
        self.check(self.logged(NO_AUTHENTICATION), result="too many connections")
