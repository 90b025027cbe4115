"""
Tests for L{socksproxy.policy.services}.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.trial.unittest import SynchronousTestCase

from socksproxy.errors import CommandNotSupported, TooManyConnections
from socksproxy.policy.services import PENDING_BINDS, PendingBinds, Services, require


class ServicesTests(SynchronousTestCase):
    """
    What clients may ask for.
    """

    def test_defaults(self) -> None:
        """
        BIND and UDP ASSOCIATE are for trusted clients only, and look-ups for
        nobody.
        """
        self.assertEqual(Services().grantedTo(trusted=True), Services(True, True, False))
        self.assertEqual(Services().grantedTo(trusted=False), Services(False, False, False))

    def test_switched(self) -> None:
        """
        What has been switched on or off is so for everybody, each for itself.
        """
        for trusted in (True, False):
            self.assertEqual(Services(bind=True).grantedTo(trusted), Services(True, trusted, False))
            self.assertEqual(
                Services(bind=False).grantedTo(trusted), Services(False, trusted, False)
            )
            self.assertEqual(Services(udp=True).grantedTo(trusted), Services(trusted, True, False))
            self.assertEqual(
                Services(udp=False).grantedTo(trusted), Services(trusted, False, False)
            )
            self.assertTrue(Services(resolve=True).grantedTo(trusted).resolve)

    def test_nothingElse(self) -> None:
        """
        A switch is on, off or undecided. Anything else, such as a word, would
        count as on for everybody.
        """
        for switch in ("auto", "off", "", 2):
            for name in ("bind", "udp"):
                self.assertRaises(ValueError, Services, **{name: switch})

    def test_require(self) -> None:
        """
        What is on passes. What is off, or has not been decided, is a command
        that is not supported (REP 7, and 91 in SOCKS4), and the reason names
        it.
        """
        require(True, "BIND")
        for granted in (False, None):
            error = self.assertRaises(CommandNotSupported, require, granted, "UDP ASSOCIATE")
            self.assertEqual((error.replyCode, error.socks4Code), (7, 0x5B))
            self.assertIn("UDP ASSOCIATE", str(error))


class PendingBindsTests(SynchronousTestCase):
    """
    Ports that wait for a peer.
    """

    def setUp(self) -> None:
        self.pending = PendingBinds()

    def fill(self, client: str = "client") -> list[Callable[[], None]]:
        """
        Take all the places of a client.
        """
        return [self.pending.admit(client) for _ in range(4)]

    def test_four(self) -> None:
        """
        A client has four at a time (REP 1 for the next); one that is over
        makes room for one more.
        """
        self.assertEqual(PENDING_BINDS, 4)
        releases = self.fill()
        error = self.assertRaises(TooManyConnections, self.pending.admit, "client")
        self.assertEqual((error.replyCode, error.socks4Code), (1, 0x5B))
        releases[1]()
        self.pending.admit("client")
        self.assertRaises(TooManyConnections, self.pending.admit, "client")

    def test_eachClient(self) -> None:
        """
        Another client is not affected.
        """
        self.fill("one")
        self.fill("two")
        for client in ("one", "two"):
            self.assertRaises(TooManyConnections, self.pending.admit, client)

    def test_refusedDoNotCount(self) -> None:
        """
        Asking in vain takes no place.
        """
        releases = self.fill()
        for _ in range(10):
            self.assertRaises(TooManyConnections, self.pending.admit, "client")
        releases[0]()
        self.pending.admit("client")

    def test_other(self) -> None:
        """
        There may be another number.
        """
        pending = PendingBinds(1)
        pending.admit("client")
        self.assertRaises(TooManyConnections, pending.admit, "client")

    def test_clientsAreForgotten(self) -> None:
        """
        What is kept does not grow with the clients that have been, whether or
        not they got what they wanted.
        """
        for number in range(100):
            for release in self.fill(str(number)):
                release()
        nobody = PendingBinds(0)
        for number in range(100):
            self.assertRaises(TooManyConnections, nobody.admit, str(number))
        self.assertEqual((len(self.pending._clients), len(nobody._clients)), (0, 0))
