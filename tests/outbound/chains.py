"""
Chains of proxies that the test plays itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from socksproxy.dns.resolver import BoundedResolver
from socksproxy.outbound.hops import Chain
from socksproxy.outbound.proxyurl import chainFromURLs
from socksproxy.testing import MemoryTransport, ScriptedNetwork
from tests.client.scripted import ClientTestCase, Connecting, Dialect, http, socks4, socks5

ONE, TWO, THREE = "198.51.100.1", "198.51.100.2", "198.51.100.3"

SPEAK: dict[str, Callable[[str, int], Dialect]] = {
    "socks5h": socks5,
    "socks4a": socks4,
    "http": http,
}
"""
What the proxies speak that get names as they are, by their schemes.
"""


class ChainTestCase(ClientTestCase):
    """
    Tests with proxies at L{ONE}, L{TWO} and L{THREE}, all on port 1080.

    @ivar chain: The chain.
    """

    chain: Chain

    def start(self) -> None:
        """
        Have another network.
        """
        proxies = {f"{host}:1080": "accept" for host in (ONE, TWO, THREE)}
        self.network = ScriptedNetwork(proxies)

    def chained(self, urls: str) -> Chain:
        """
        Have a chain.
        """
        resolver = BoundedResolver(self.network, self.network)
        self.chain = Chain(self.network, chainFromURLs(urls), resolver)
        return self.chain

    @property
    def dialled(self) -> list[str]:
        """
        Give the hosts that have been dialled, and forget them.
        """
        hosts = [attempt.host for attempt in self.network.attempts]
        for transport in self.transports:
            transport.peerResets()
        self.network.advance(0)
        self.network.attempts.clear()
        return hosts

    def converse(self, peer: MemoryTransport, *dialects: Dialect, early: bytes = b"") -> None:
        """
        Play proxies, one behind the other.

        @param early: What comes together with the last answer.
        """
        for dialect in dialects:
            self.answer(peer, dialect.messages, dialect.answers[:-1])
            peer.peerSends(dialect.answers[-1] + (early if dialect is dialects[-1] else b""))

    def answer(
        self, peer: MemoryTransport, messages: Sequence[bytes], answers: Sequence[bytes]
    ) -> None:
        """
        Have messages said, and answer all but the last.
        """
        for message, answer in zip(messages, [*answers, None], strict=True):
            self.assertEqual(peer.take(), message)
            if answer is not None:
                peer.peerSends(answer)

    def assertConnects(self, connecting: Connecting, *dialects: Dialect) -> str:
        """
        Fail unless an attempt is successful once proxies have played their
        parts.

        @return: Which host was dialled.
        """
        self.converse(self.peer(), *dialects)
        self.successResultOf(connecting.result)
        return self.network.attempts[-1].host
