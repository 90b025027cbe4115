"""
Tests for L{socksproxy.kcp.kcptun}: what tunnels on several ports tell.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from socksproxy.kcp.kcptun import clientEndpoint, portsFrom, serverEndpoint, tunnelFrom
from socksproxy.state import IReportsState, reportOf
from socksproxy.testing import DatagramNetwork
from tests.smux.muxes import Application, Applications

SETTINGS = {"key": "a secret", "nocomp": "yes", "crypt": "null", "interface": "10.0.0.1"}


class ReportTests(SynchronousTestCase):
    """
    A tunnel, and what its ends tell.
    """

    def kinds(self, thing: object) -> list[str]:
        """
        Give the kinds of states that an end tells of.
        """
        return sorted(state.kind for state in reportOf(thing))

    def joined(self, ports: str, sessions: int) -> tuple[list[str], list[str]]:
        """
        Open streams, each in a session of its own.

        @return: What the server tells of, and what the client does.
        """
        network = DatagramNetwork()
        tunnel = tunnelFrom(SETTINGS)
        server = serverEndpoint(network, portsFrom(ports, 0), tunnel)
        applications = Applications(Application)
        listening = self.successResultOf(server.listen(applications))
        verifyObject(IReportsState, listening)
        client = clientEndpoint(network, "10.0.0.1", portsFrom(ports, 1), tunnel)
        for _ in range(sessions):
            self.successResultOf(client.connect(Applications(Application)))
        network.advance(1)
        return self.kinds(listening), self.kinds(client)

    def test_one(self) -> None:
        """
        Of one port, and the session on it.
        """
        server, client = self.joined("29900", 1)
        self.assertEqual(server, ["kcp-port", "kcp-session"])
        self.assertEqual(client, ["kcp-client", "kcp-session", "mux-session"])

    def test_several(self) -> None:
        """
        Of each of several.
        """
        server, client = self.joined("29900-29902", 1)
        self.assertEqual(server, 3 * ["kcp-port"] + ["kcp-session"])
        self.assertEqual(client, 3 * ["kcp-client"] + ["kcp-session", "mux-session"])
