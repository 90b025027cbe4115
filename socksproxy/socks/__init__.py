"""
SOCKS4, SOCKS4a and SOCKS5.
"""

from socksproxy.socks.methods import Method, NoAuthentication, UsernamePassword
from socksproxy.socks.protocol import SOCKS4Factory, SOCKS5Factory

__all__ = [
    "Method",
    "NoAuthentication",
    "SOCKS4Factory",
    "SOCKS5Factory",
    "UsernamePassword",
]
