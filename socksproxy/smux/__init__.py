"""
smux: many streams over one, as kcptun has them over KCP.
"""

from socksproxy.smux.config import SmuxConfig
from socksproxy.smux.protocol import MuxProtocol, MuxServerFactory
from socksproxy.smux.session import Session
from socksproxy.smux.transport import MuxAddress, MuxStream

__all__ = [
    "MuxAddress",
    "MuxProtocol",
    "MuxServerFactory",
    "MuxStream",
    "Session",
    "SmuxConfig",
]
