"""
Name servers, made of their URLs, and the ways to them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from twisted.internet.interfaces import IStreamClientEndpoint

from socksproxy.dns.asking import IUpstream
from socksproxy.dns.datagrams import DatagramUpstream
from socksproxy.dns.group import UpstreamGroup
from socksproxy.dns.https import httpsUpstream
from socksproxy.dns.ownsocket import ConduitFor, straight
from socksproxy.dns.streams import streamUpstream, tlsUpstream
from socksproxy.dns.system import systemUpstream
from socksproxy.dns.upstreamurl import DEFAULT_PORTS, SYSTEM, UpstreamURL, upstreamFromURL
from socksproxy.errors import ConfigurationError
from socksproxy.outbound.chain import ChainOutbound
from socksproxy.outbound.hops import Chain, directEndpoint
from socksproxy.policy.rules import AnyAddress
from socksproxy.tls import clientTLS


class Ways:
    """
    The ways to name servers: straight, or through a chain of proxies.
    """

    def __init__(self, reactor: Any, chain: Chain | None = None) -> None:
        """
        @param reactor: What dials, and time.
        @param chain: The proxies.
        """
        self._reactor = reactor
        self._chain = chain
        self._outbound = None if chain is None else ChainOutbound(chain, AnyAddress())

    def group(self, urls: Iterable[str]) -> UpstreamGroup:
        """
        Make name servers that are as good as one another.

        @param urls: As L{socksproxy.dns.upstreamurl} describes them, the
            favourite first.
        @raise ConfigurationError: There is none, or one cannot be asked.
        """
        upstreams = [self.upstream(upstreamFromURL(url)) for url in urls]
        if not upstreams:
            raise ConfigurationError("there is no name server to ask")
        return UpstreamGroup(self._reactor, upstreams)

    def upstream(self, url: UpstreamURL) -> IUpstream:
        """
        Make a name server.

        @raise ConfigurationError: It cannot be asked in this way.
        """
        if url.kind == SYSTEM:
            if self._chain is not None:
                raise ConfigurationError("this host's own way to look names up goes past the proxy")
            return systemUpstream(self._reactor)
        self._checkAddress(url)
        return _MAKERS[url.kind](self, url)

    def _checkAddress(self, url: UpstreamURL) -> None:
        """
        @raise ConfigurationError: There is a name where an address has to be.
        """
        if not isinstance(url.destination.host, str):
            return
        if url.kind == "udp":
            # Or else nobody could tell where answers have to come from.
            raise ConfigurationError(f"{url}: by UDP an address is asked")
        if self._chain is None or all(proxy.resolvesHere for proxy in self._chain.last.proxies):
            raise ConfigurationError(
                f"{url}: who is there to look this name up? Give ?address= as well"
            )

    def _endpoint(self, url: UpstreamURL) -> IStreamClientEndpoint:
        if self._chain is not None:
            return self._chain.endpointTo(url.destination)
        return directEndpoint(self._reactor, url.destination)

    def _stream(self, url: UpstreamURL) -> IUpstream:
        upstream: IUpstream = streamUpstream(self._reactor, str(url), self._endpoint(url))
        return upstream

    def _tls(self, url: UpstreamURL) -> IUpstream:
        creator = clientTLS(url.host, ca=url.ca, pins=url.pins)
        upstream: IUpstream = tlsUpstream(self._reactor, str(url), self._endpoint(url), creator)
        return upstream

    def _https(self, url: UpstreamURL) -> IUpstream:
        creator = clientTLS(url.host, ca=url.ca, pins=url.pins)
        host = url.bare if url.port == DEFAULT_PORTS["https"] else url.authority
        upstream: IUpstream = httpsUpstream(
            self._reactor, str(url), self._endpoint(url), creator, host, url.path
        )
        return upstream

    def _datagrams(self, url: UpstreamURL) -> IUpstream:
        outbound = self._outbound
        conduitFor: ConduitFor
        if outbound is None:
            conduitFor = straight(self._reactor, url.destination)
        elif outbound.way.udp:
            conduitFor = outbound.conduit
        else:
            raise ConfigurationError(
                f"{url}: datagrams go through a single proxy of SOCKS5 or Shadowsocks"
            )
        overTCP = streamUpstream(self._reactor, str(url), self._endpoint(url))
        upstream: IUpstream = DatagramUpstream(
            self._reactor, str(url), url.destination, conduitFor, overTCP, outbound is not None
        )
        return upstream


_MAKERS: dict[str, Callable[[Ways, UpstreamURL], IUpstream]] = {
    "tcp": Ways._stream,
    "udp": Ways._datagrams,
    "tls": Ways._tls,
    "https": Ways._https,
}
