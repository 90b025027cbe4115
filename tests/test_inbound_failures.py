"""
Tests for L{socksproxy.inbound}: what is logged of logins that fail, and how
clients are named.
"""

from typing import Any

from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.credentials import IAnonymous
from twisted.cred.error import LoginFailed, UnauthorizedLogin
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IAddress
from twisted.logger import LogEvent, LogLevel, formatEvent
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from socksproxy.auth.checkers import AvatarId
from socksproxy.errors import LocalProtocolError
from socksproxy.inbound import shownAddress, sourceOf
from socksproxy.testing import tcpAddress
from tests.accesslines import accessLines
from tests.logs import captured
from tests.memoryproxy import MemoryProxy, SlowChecker, passwords
from tests.socksclient import (
    ALICE,
    MALLORY,
    NO_AUTHENTICATION,
    REFUSED4,
    USERS,
    WITH_PASSWORD,
    password,
    request4,
)


@implementer(ICredentialsChecker)
class NobodyChecker:
    """
    Takes anonymous clients, and turns them all away.
    """

    credentialInterfaces = (IAnonymous,)

    def requestAvatarId(self, credentials: IAnonymous) -> Deferred[AvatarId]:
        """
        See C{ICredentialsChecker}.
        """
        return fail(UnauthorizedLogin())


@implementer(IAddress)
class ElsewhereAddress:
    """
    An address of a kind that nobody knows.
    """


class FailedLoginTests(SynchronousTestCase):
    """
    A login that failed is told for what it was.
    """

    def lineOf(self, verdict: Failure) -> dict[str, Any]:
        """
        Give the access line of a client whose password cannot be checked.

        @param verdict: What the checker says in place of a verdict.
        """
        checker = SlowChecker()
        client = MemoryProxy(checkers=[checker]).connect()
        client.peerSends(WITH_PASSWORD + ALICE)
        with captured() as events:
            checker.verdicts.pop().errback(verdict)
            client.peerResets()
        (line,) = accessLines(events)
        return line

    def test_unforeseen(self) -> None:
        """
        A checker's own failure is not the client's.
        """
        line = self.lineOf(Failure(LocalProtocolError("broken")))
        self.flushLoggedErrors(LocalProtocolError)
        self.assertEqual(line["result"], "internal error")

    def test_overload(self) -> None:
        """
        A checker that is too busy leaves a line of a failed login.
        """
        line = self.lineOf(Failure(LoginFailed("too busy")))
        self.assertEqual(line["result"], "authentication failed")


class AuthenticationFailureTests(SynchronousTestCase):
    """
    Every wrong password makes a line that programs can rely on.
    """

    def failures(self, *credentials: bytes) -> list[LogEvent]:
        """
        Give the authentication failures that some attempts make.
        """
        proxy = MemoryProxy(checkers=[passwords(USERS)], listener="tcp:1080")
        with captured() as events:
            for each in credentials:
                client = proxy.clientAt("192.0.2.77", 40077)
                client.peerSends(WITH_PASSWORD + each)
                proxy.network.advance(8)
        return [event for event in events if event.get("log_event") == "auth-failure"]

    def test_line(self) -> None:
        """
        The line says who tried, where, and as whom, at once and once.
        """
        (event,) = self.failures(MALLORY)
        self.assertEqual(
            formatEvent(event),
            "Authentication failure from 192.0.2.77 port 40077: SOCKS5 on tcp:1080, user alice",
        )
        self.assertIs(event["log_level"], LogLevel.warn)
        self.assertNotIn("guess", repr(event))

    def test_userName(self) -> None:
        """
        Nobody forges a line by the name of a user.
        """
        (event,) = self.failures(password(b"a\r\nb \xff" + b"x" * 200, b"y"))
        text = formatEvent(event)
        self.assertTrue(text.endswith("user a\\x0d\\x0ab\\x20\\xff" + "x" * 58 + "..."), text)

    def test_success(self) -> None:
        """
        A right password makes none, and neither does a method that nobody
        offers.
        """
        self.assertEqual(self.failures(ALICE), [])
        proxy = MemoryProxy(checkers=[passwords(USERS)])
        with captured() as events:
            proxy.connect().peerSends(NO_AUTHENTICATION)
            proxy.connect().peerSends(request4("192.0.2.1"))
        self.assertEqual(
            [event for event in events if event.get("log_event") == "auth-failure"], []
        )


class AnonymousTests(SynchronousTestCase):
    """
    Who says nothing guesses nothing.
    """

    def test_turnedAway(self) -> None:
        """
        Where a checker turns anonymous clients away they are told at once, and
        nobody is accused of a wrong password.
        """
        proxy = MemoryProxy(checkers=[NobodyChecker()])
        with captured() as events:
            clients = [proxy.connect(), proxy.connect()]
            clients[0].peerSends(NO_AUTHENTICATION)
            clients[1].peerSends(request4("192.0.2.1"))
        self.assertEqual([client.take() for client in clients], [b"\5\0", REFUSED4])
        self.assertTrue(all(client.ended for client in clients))
        self.assertEqual([event for event in events if "log_event" in event], [])


class AddressTests(SynchronousTestCase):
    """
    Clients are counted by source and shown by address.
    """

    def test_source(self) -> None:
        """
        A source is an IPv4 address, an IPv6 network of the size that a single
        host has to choose from, or all that come over UNIX sockets.
        """
        sources: dict[str, IAddress] = {
            "192.0.2.1": IPv4Address("TCP", "192.0.2.1", 4),
            "2001:db8:0:1::/64": IPv6Address("TCP", "2001:db8:0:1:2::3", 4),
            "fe80::/64": IPv6Address("TCP", "fe80::1%eth0", 4),
            "192.0.2.2": IPv6Address("TCP", "::ffff:192.0.2.2", 4),
            "unix": UNIXAddress("/run/client"),
            "-": ElsewhereAddress(),
        }
        self.assertEqual([sourceOf(address) for address in sources.values()], list(sources))

    def test_shown(self) -> None:
        """
        An address is shown with its port, and IPv6 in brackets.
        """
        self.assertEqual(shownAddress(tcpAddress("192.0.2.1", 4)), "192.0.2.1:4")
        self.assertEqual(shownAddress(tcpAddress("2001:db8::1", 4)), "[2001:db8::1]:4")
        self.assertTrue(shownAddress(UNIXAddress("/run/client")).startswith("unix"))
