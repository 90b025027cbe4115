"""
For tests of programs that use socksproxy, and for its own: connections and a
network in memory, on a clock that the test moves.

::

    network = ScriptedNetwork({"192.0.2.1:80": "accept", "web.test": ["192.0.2.1"]})
    client = MemoryTransport.connect(network, ProxyFactory(Inbound(portal, network)))
    client.peerSends(b"\\x05\\x01\\x00")
    assert client.take() == b"\\x05\\x00"

L{Link} and L{DatagramNetwork} lose, delay and reorder datagrams, by a seed.
"""

from socksproxy.testing.datagramnet import DatagramNetwork, NetworkDatagrams
from socksproxy.testing.link import Conditions, Direction, End, Link, NoProgress, Side, drive
from socksproxy.testing.listeners import MemoryDatagrams, MemoryListener
from socksproxy.testing.network import Attempt, ScriptedNetwork
from socksproxy.testing.streams import CAPACITY, MemoryTransport, tcpAddress

__all__ = [
    "CAPACITY",
    "Attempt",
    "Conditions",
    "DatagramNetwork",
    "Direction",
    "End",
    "Link",
    "MemoryDatagrams",
    "MemoryListener",
    "MemoryTransport",
    "NetworkDatagrams",
    "NoProgress",
    "ScriptedNetwork",
    "Side",
    "drive",
    "tcpAddress",
]
