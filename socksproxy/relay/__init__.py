"""
Relaying bytes between two connections.
"""

from socksproxy.relay.leg import Leg
from socksproxy.relay.pump import Relay, RelayResult, RelayTimers

__all__ = ["Leg", "Relay", "RelayResult", "RelayTimers"]
