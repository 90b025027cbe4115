"""
Twisted's HTTP client, and with it treq, through any proxy::

    from treq.client import HTTPClient
    from twisted.web.client import Agent

    endpoints = ProxyAgentEndpoints(reactor, "socks5h://127.0.0.1:1080")
    client = HTTPClient(Agent.usingEndpointFactory(reactor, endpoints))
    response = await client.get("https://example.com/")

The certificate is that of the target, and it is checked here: the proxies on
the way see nothing but ciphertext.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.endpoints import wrapClientTLS
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.web.client import URI
from twisted.web.error import SchemeNotSupported
from twisted.web.iweb import IAgentEndpointFactory, IPolicyForHTTPS
from zope.interface import implementer

from socksproxy.client.endpoint import destinationFor
from socksproxy.dns.resolver import BoundedResolver
from socksproxy.outbound.hops import Chain
from socksproxy.outbound.proxyurl import chainFromURLs
from socksproxy.tls import clientTLS, wrapTLSClient


@implementer(IAgentEndpointFactory)
class ProxyAgentEndpoints:
    """
    Gives the endpoints of one or more proxies to an C{Agent}.
    """

    def __init__(
        self, reactor: Any, via: str, contextFactory: IPolicyForHTTPS | None = None
    ) -> None:
        """
        @param reactor: The reactor.
        @param via: URLs of proxies, as for C{--via}.
        @param contextFactory: How targets are verified, if it is not to be
            against the authorities that the system trusts. Twisted's own
            policies take certificates that are for no name at all.
        @raise ConfigurationError: One of the URLs is none.
        """
        resolver = BoundedResolver(reactor, reactor.nameResolver)
        self._reactor = reactor
        self._chain = Chain(reactor, chainFromURLs(via), resolver)
        self._policy = contextFactory

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        """
        See C{IAgentEndpointFactory}.

        @raise SchemeNotSupported: It is neither C{http} nor C{https}.
        @raise LocalProtocolError: The URI's host is none.
        """
        if uri.scheme not in (b"http", b"https"):
            raise SchemeNotSupported(f"{uri.scheme!r} is not spoken through proxies")
        destination = destinationFor(uri.host, uri.port)
        endpoint = self._chain.endpointTo(destination)
        if uri.scheme == b"http":
            return endpoint
        if self._policy is None:
            return wrapTLSClient(self._reactor, endpoint, clientTLS(destination.host))
        return wrapClientTLS(self._policy.creatorForNetloc(uri.host, uri.port), endpoint)
