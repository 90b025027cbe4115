"""
TLS on both sides of any stream::

    from twisted.internet.endpoints import clientFromString
    from socksproxy.tls import clientTLS, wrapTLSClient

    proxy = clientFromString(reactor, "tcp:proxy.example.com:1443")
    endpoint = wrapTLSClient(reactor, proxy, clientTLS("proxy.example.com"))
    connecting = endpoint.connect(factory)

TLS 1.2 or newer, peers are verified, and a stream that ends without a
C{close_notify} has not ended but been cut off.
"""

from socksproxy.tls.creators import clientTLS, serverTLS
from socksproxy.tls.endpoints import wrapTLSClient, wrapTLSServer
from socksproxy.tls.errors import PeerRejected, TLSBroken, TLSFailed, TLSTimedOut

__all__ = [
    "PeerRejected",
    "TLSBroken",
    "TLSFailed",
    "TLSTimedOut",
    "clientTLS",
    "serverTLS",
    "wrapTLSClient",
    "wrapTLSServer",
]
