"""
What every inbound protocol shares.
"""

from socksproxy.inbound.address import shownAddress, sourceOf
from socksproxy.inbound.handshake import Handshake
from socksproxy.inbound.protocol import InboundFactory, InboundProtocol
from socksproxy.inbound.shared import Inbound, InboundTimers

__all__ = [
    "Handshake",
    "Inbound",
    "InboundFactory",
    "InboundProtocol",
    "InboundTimers",
    "shownAddress",
    "sourceOf",
]
