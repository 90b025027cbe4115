"""
Tests of guests.py, on a clock and a network in memory.
"""

from guests import Realm, users
from twisted.cred.portal import Portal
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.inbound import Inbound
from socksproxy.socks import SOCKS5Factory
from socksproxy.testing import MemoryTransport, ScriptedNetwork

LOGGED_IN = b"\x05\x02\x01\x00"


class GuestsTests(SynchronousTestCase):
    def setUp(self):
        self.network = ScriptedNetwork(
            {
                "shop.test": ["192.0.2.1"],
                "192.0.2.1:443": "accept",
                "192.0.2.1:25": "accept",
            }
        )
        portal = Portal(Realm(self.network), [users])
        self.factory = SOCKS5Factory(Inbound(portal, self.network, local=True))

    def reply(self, user, password, port):
        """
        Log in, and ask for a port of shop.test.
        """
        client = MemoryTransport.connect(self.network, self.factory)
        client.peerSends(b"\x05\x01\x02")
        client.peerSends(b"\x01%c%b%c%b" % (len(user), user, len(password), password))
        client.peerSends(b"\x05\x01\x00\x03\x09shop.test" + port.to_bytes(2, "big"))
        self.network.advance(1)
        return client.take().removeprefix(LOGGED_IN)

    def test_guestsReachWebServers(self):
        self.assertEqual(self.reply(b"guest", b"guest", 443)[:2], b"\x05\x00")
        self.assertEqual(len(self.network.attempts), 1)

    def test_guestsSendNoMail(self):
        self.assertEqual(self.reply(b"guest", b"guest", 25)[:2], b"\x05\x02")
        self.assertEqual(self.network.attempts, [])

    def test_staffSendsMail(self):
        self.assertEqual(self.reply(b"staff", b"open sesame", 25)[:2], b"\x05\x00")
