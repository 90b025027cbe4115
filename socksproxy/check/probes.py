"""
What is asked of a proxy under examination, and what its answers mean.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as TookTooLong
from twisted.internet.error import CannotListenError, ConnectError
from twisted.internet.protocol import Factory

from socksproxy.address import Destination, Host, IPAddress
from socksproxy.check.targets import GOODBYE, Conversation, Correspondence, Targets
from socksproxy.client.errors import (
    TargetCommandNotSupported,
    TargetConnectionRefused,
    TargetFault,
)
from socksproxy.exposure import localAddressTowards
from socksproxy.outbound.hops import Chain, directEndpoint
from socksproxy.outbound.proxyurl import ProxyURL
from socksproxy.relay.leg import addressAndPort
from socksproxy.socks.client import SOCKS5Client

OK = "ok"
FAILED = "failed"
UNSUPPORTED = "not supported"
SKIPPED = "not tried"


@dataclass(frozen=True, slots=True)
class Finding:
    """
    What came of one probe.

    @ivar name: The probe.
    @ivar outcome: One of L{OK}, L{FAILED}, L{UNSUPPORTED} and L{SKIPPED}.
    @ivar detail: What was seen, for a person.
    @ivar seconds: How long it took.
    """

    name: str
    outcome: str
    detail: str
    seconds: float = 0.0


class Unsupported(Exception):
    """
    The proxy says itself that it does not do this.
    """


class Skipped(Exception):
    """
    It cannot be tried from here.
    """


class Failed(Exception):
    """
    The proxy does it, and does it wrong.
    """


class Examination:
    """
    One proxy, or chain of them, and all that is asked of it.
    """

    def __init__(
        self,
        reactor: Any,
        chain: Chain,
        target: Destination | None = None,
        datagramTarget: Destination | None = None,
        timeout: float = 10.0,
    ) -> None:
        """
        @param reactor: The reactor.
        @param chain: The proxies.
        @param target: Where to connect to instead of to this host.
        @param datagramTarget: Where datagrams are echoed, instead of here.
        @param timeout: Seconds for each probe.
        """
        self._reactor = reactor
        self._chain = chain
        self._target = target
        self._datagramTarget = datagramTarget
        self._timeout = timeout
        self._local: IPAddress | None = None
        self._remote: IPAddress | None = None
        self._targets: Targets | None = None

    async def run(self, found: Callable[[Finding], None] = lambda _: None) -> list[Finding]:
        """
        Try everything, in an order in which what fails explains what follows.

        @param found: Called with each finding as it comes.
        """
        findings: list[Finding] = []
        for name, probe in (
            ("reach", self._reach),
            ("connect", self._connect),
            ("refused port", self._refusedPort),
            ("names", self._names),
            ("half-close", self._halfClose),
            ("IPv6", self._ipv6),
            ("BIND", self._bind),
            ("UDP", self._udp),
        ):
            finding = await self._try(name, probe)
            findings.append(finding)
            found(finding)
            if finding.outcome == FAILED and name in ("reach", "connect"):
                break
        if self._targets is not None:
            self._targets.close()
        return findings

    async def _try(self, name: str, probe: Callable[[], Awaitable[str]]) -> Finding:
        started = self._reactor.seconds()
        trying = Deferred.fromCoroutine(_awaited(probe))
        trying.addTimeout(self._timeout, self._reactor)
        try:
            outcome, detail = OK, await trying
        except (Unsupported, TargetCommandNotSupported) as e:
            outcome, detail = UNSUPPORTED, str(e)
        except Skipped as e:
            outcome, detail = SKIPPED, str(e)
        except TookTooLong:
            outcome, detail = FAILED, f"nothing came of it within {self._timeout:g} s"
        except (Failed, ConnectError, CannotListenError) as e:
            outcome, detail = FAILED, str(e)
        return Finding(name, outcome, detail, self._reactor.seconds() - started)

    async def _reach(self) -> str:
        proxy = self._chain.hops[0].proxies[0]
        if proxy.address is None:
            self._local = self._remote = IPv4Address("127.0.0.1")
            return f"{proxy} is a UNIX socket"
        if proxy.carrier:
            return await self._reachByTunnel(proxy)
        connection = await self._conversation(directEndpoint(self._reactor, proxy.address))
        self._local, _ = addressAndPort(connection.transport.getHost())
        self._remote, _ = addressAndPort(connection.transport.getPeer())
        connection.transport.abortConnection()
        return f"{proxy} takes connections"

    async def _reachByTunnel(self, proxy: ProxyURL) -> str:
        """
        Begin a session, which tells where the other end is. Whether anybody is
        there shows only when something comes back.
        """
        stream = await self._conversation(self._chain.carrierTo(proxy))
        self._remote, _ = addressAndPort(stream.transport.getPeer())
        stream.transport.abortConnection()
        if self._remote is not None:
            self._local = localAddressTowards(self._remote)
        return f"{proxy} is where streams are sent to"

    async def _connect(self) -> str:
        if self._target is not None:
            connection = await self._through(self._target.host, self._target.port)
            connection.transport.abortConnection()
            return f"connected to {self._target}"
        try:
            targets = self._own()
            connection = await self._through(targets.host, targets.port)
        except TargetFault as e:
            raise Failed(f"{e}; if it cannot reach this host, give --target") from e
        await self._echo(connection)
        connection.transport.abortConnection()
        return f"connected back to {targets.host}, and what was sent came back"

    async def _refusedPort(self) -> str:
        targets = self._own()
        try:
            connection = await self._through(targets.host, targets.closedPort)
        except ConnectError as e:
            if isinstance(e, TargetConnectionRefused):
                return "a refused connection is told as one"
            if isinstance(e, TargetFault):
                return f"told only as: {e}"
            raise
        connection.transport.abortConnection()
        raise Failed("the proxy says that it has connected to a port where nobody listens")

    async def _names(self) -> str:
        if self._target is not None and isinstance(self._target.host, str):
            connection = await self._through(self._target.host, self._target.port)
            connection.transport.abortConnection()
            return f"{self._target.host} was resolved by the proxy"
        targets = self._own()
        if not targets.host.is_loopback:
            raise Skipped("needs a proxy on this host, or --target with a name")
        connection = await self._through("localhost", targets.port)
        await self._echo(connection)
        connection.transport.abortConnection()
        return "localhost was resolved by the proxy"

    async def _halfClose(self) -> str:
        targets = self._own()
        connection = await self._through(targets.host, targets.port)
        await self._echo(connection)
        connection.transport.loseWriteConnection()
        received = await connection.end()
        connection.transport.abortConnection()
        if not received.endswith(GOODBYE):
            raise Failed("what the target says after our end of stream does not arrive")
        return "the end of our stream arrives, and the answer to it"

    async def _ipv6(self) -> str:
        local = self._local
        if local is None or not (local.is_loopback or local.version == 6):
            raise Skipped("needs a proxy on this host, or one that is reached by IPv6")
        host = local if local.version == 6 else IPv6Address("::1")
        try:
            targets = Targets(self._reactor, host)
        except (CannotListenError, OSError) as e:
            raise Skipped("this host has no IPv6") from e
        try:
            connection = await self._through(host, targets.port)
            await self._echo(connection)
            connection.transport.abortConnection()
        except TargetFault as e:
            raise Unsupported(str(e)) from e
        finally:
            targets.close()
        return f"connected to {host}"

    async def _bind(self) -> str:
        client = self._client()
        targets = self._own()
        binding = await client.bind(targets.host)
        try:
            accepting = binding.accept(_factory(), self._timeout)
            host, port = addressAndPort(binding.address)
            if host is None:
                raise Failed("the proxy does not tell an address")
            peer = await self._conversation(directEndpoint(self._reactor, Destination(host, port)))
            connection: Any = await accepting
            connection.transport.write(GOODBYE)
            if await peer.octets(len(GOODBYE)) != GOODBYE:
                raise Failed("what we sent did not get to the peer")
        finally:
            binding.stop()
        peer.transport.abortConnection()
        return f"a port was opened at {Destination(host, port)}, and a peer got through it"

    async def _udp(self) -> str:
        if self._chain.last.order()[0].carrier:
            raise Skipped("datagrams go with the stream, and not to a port of the proxy's")
        client = self._client()
        correspondence = Correspondence()
        association = await client.associate(correspondence)
        association.ended.addErrback(lambda _: None)
        try:
            if self._datagramTarget is not None:
                destination = self._datagramTarget
            else:
                targets = self._own()
                destination = Destination(targets.host, targets.datagramPort)
            message = secrets.token_bytes(16)
            association.write(message, (str(destination.host), destination.port))
            if await correspondence.answer != message:
                raise Failed("another datagram came back than was sent")
        finally:
            association.stopListening()
        return f"a datagram went to {destination} and came back"

    def _own(self) -> Targets:
        """
        Give the targets on this host.
        """
        if self._targets is None:
            if self._local is None:
                raise Skipped("our own address is not known")
            self._targets = Targets(self._reactor, self._local)
        return self._targets

    def _client(self) -> SOCKS5Client:
        proxy = self._chain.last.order()[0]
        if not proxy.kind.startswith("socks5"):
            raise Unsupported(f"{proxy.kind} has no such command")
        return self._chain.client(proxy)

    async def _through(self, host: Host, port: int) -> Conversation:
        return await self._conversation(self._chain.endpointTo(Destination(host, port)))

    async def _conversation(self, endpoint: Any) -> Conversation:
        conversation: Conversation = await endpoint.connect(_factory())
        return conversation

    async def _echo(self, connection: Conversation) -> None:
        message = secrets.token_bytes(4096)
        connection.transport.write(message)
        if await connection.octets(len(message)) != message:
            raise Failed("what was sent did not come back as it was")


def _factory() -> Any:
    factory = Factory.forProtocol(Conversation)
    factory.noisy = False
    return factory


async def _awaited(probe: Callable[[], Awaitable[str]]) -> str:
    return await probe()


def works(findings: Sequence[Finding]) -> bool:
    """
    Tell whether the proxy does what every proxy has to do, and does nothing
    wrong.
    """
    connected = any(f.name == "connect" and f.outcome == OK for f in findings)
    return connected and all(finding.outcome != FAILED for finding in findings)
