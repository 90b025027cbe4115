"""
Port forwarding: whoever connects here is joined to one place elsewhere.
"""

from socksproxy.forward.specification import (
    DatagramForward,
    Forward,
    StreamForward,
    forwardFromText,
)

__all__ = ["DatagramForward", "Forward", "StreamForward", "forwardFromText"]
