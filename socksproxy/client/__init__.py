"""
Being a client of proxies, whatever protocol they speak.
"""

from socksproxy.client.errors import (
    ProxiedConnectError,
    ProxyAuthenticationFailed,
    ProxyFault,
    ProxyProtocolError,
    ProxyTimedOut,
    ProxyUnreachable,
    TargetFault,
)

__all__ = [
    "ProxiedConnectError",
    "ProxyAuthenticationFailed",
    "ProxyFault",
    "ProxyProtocolError",
    "ProxyTimedOut",
    "ProxyUnreachable",
    "TargetFault",
]
