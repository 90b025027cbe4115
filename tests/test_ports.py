"""
Tests for L{socksproxy.ports}.
"""

from __future__ import annotations

from typing import Any

from twisted.cred.portal import Portal
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.inbound import Inbound
from socksproxy.ports import ProxyPort
from socksproxy.testing import ScriptedNetwork, tcpAddress


class _Port:
    """
    Something that listens, and tells whether that needs a key.
    """

    def __init__(self, **attributes: Any) -> None:
        self.__dict__.update(attributes)

    def getHost(self) -> object:
        """
        See C{IListeningPort}.
        """
        return tcpAddress("192.0.2.1", 1080)


class KeyedTests(SynchronousTestCase):
    """
    Ports that need a key.
    """

    def test_keyed(self) -> None:
        """
        The listener's side of its connections knows whether its port lets only
        those in who have a key, as soon as there is a port.
        """
        for attributes, keyed in (({}, False), ({"keyed": False}, False), ({"keyed": True}, True)):
            realm: Any = None
            inbound = Inbound(Portal(realm), ScriptedNetwork())
            listener = ProxyPort("kcp:1080", inbound)
            listening: Deferred[Any] = Deferred()
            listener.start(listening)
            self.assertEqual((listener.keyed, inbound.keyed), (False, False))
            listening.callback(_Port(**attributes))
            self.assertEqual((listener.keyed, inbound.keyed), (keyed, keyed))
