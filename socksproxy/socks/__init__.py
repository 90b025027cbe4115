"""
SOCKS4, SOCKS4a and SOCKS5.
"""

from socksproxy.socks._events import (
    Blocking,
    CredentialsReceived,
    Failed,
    ProtectionEstablished,
    Send,
)
from socksproxy.socks.client import SOCKS5Client
from socksproxy.socks.endpoints import SOCKS4ClientEndpoint, SOCKS5ClientEndpoint
from socksproxy.socks.gssapi import GSSAPI, ProtectionLevel
from socksproxy.socks.methods import Method, NoAuthentication, Principal, UsernamePassword
from socksproxy.socks.protocol import SOCKS4Factory, SOCKS5Factory

__all__ = [
    "Blocking",
    "CredentialsReceived",
    "Failed",
    "GSSAPI",
    "Method",
    "NoAuthentication",
    "Principal",
    "ProtectionEstablished",
    "ProtectionLevel",
    "SOCKS4ClientEndpoint",
    "SOCKS4Factory",
    "SOCKS5Client",
    "SOCKS5ClientEndpoint",
    "SOCKS5Factory",
    "Send",
    "UsernamePassword",
]
