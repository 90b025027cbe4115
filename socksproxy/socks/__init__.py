"""
SOCKS4, SOCKS4a and SOCKS5.
"""

from socksproxy.socks._events import CredentialsReceived, Failed, Send
from socksproxy.socks.methods import Method, NoAuthentication, UsernamePassword
from socksproxy.socks.protocol import SOCKS4Factory, SOCKS5Factory

__all__ = [
    "CredentialsReceived",
    "Failed",
    "Method",
    "NoAuthentication",
    "SOCKS4Factory",
    "SOCKS5Factory",
    "Send",
    "UsernamePassword",
]
