"""
An authoritative name server with a small zone, made of twisted.names, on
loopback.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from twisted.internet.defer import maybeDeferred
from twisted.internet.interfaces import IProtocolNegotiationFactory
from twisted.names import dns, server
from zope.interface import implementer

ADDRESS = "192.0.2.1"
IPV6_ADDRESS = "2001:db8::1"

TXT_COUNT = 18
"""
Records of C{big.zone.test}, which come to 4000 octets together.
"""

UDP_SIZE = 1232
"""
Octets of a datagram that is sent.
"""

HTTPS = 65
CAA = 257
HTTPS_DATA = b"\0\1\0\0\1\0\3\2h2\0\4\0\4\xc0\0\2\1"
CAA_DATA = b"\0\5issueca.test"

_SOA = dns.Record_SOA(b"ns.zone.test", b"admin.zone.test", 1, 3600, 600, 86400, 120, ttl=120)


@implementer(IProtocolNegotiationFactory)
class Zone(server.DNSServerFactory):
    """
    The name server.

    @ivar asked: How often each name has been asked for.
    @ivar made: The connections that there have been.
    @ivar cuts: How often a reply to C{cut.zone.test} is still to be cut off.
    """

    noisy = False

    def __init__(self) -> None:
        super().__init__()
        self.asked: Counter[str] = Counter()
        self.made: list[Any] = []
        self.protocolsOffered: list[bytes] = [b"dot"]
        self.cuts = 1

    def acceptableProtocols(self) -> list[bytes]:
        """
        See C{IProtocolNegotiationFactory}.
        """
        return self.protocolsOffered

    def buildProtocol(self, addr: Any) -> Any:
        """
        See C{IProtocolFactory}.
        """
        protocol = super().buildProtocol(addr)
        self.made.append(protocol)
        return protocol

    def handleQuery(self, message: Any, protocol: Any, address: Any) -> None:
        """
        Answer a query.
        """
        name = message.queries[0].name.name.decode().lower()
        self.asked[name] += 1
        reply = self.replyTo(message, name)
        if reply is None:
            return
        octets = reply.toStr()
        if address is not None:
            if len(octets) > UDP_SIZE:
                reply.trunc, reply.answers = 1, []
            protocol.writeMessage(reply, address)
        elif name == "cut.zone.test" and self.cuts:
            self.cuts -= 1
            protocol.transport.write((len(octets).to_bytes(2) + octets)[:-3])
            protocol.transport.loseConnection()
        else:
            protocol.writeMessage(reply)

    def replyTo(self, message: Any, name: str) -> Any:
        """
        Make a reply; to some names there is none.
        """
        query = message.queries[0]
        label = name.removesuffix(".zone.test")
        reply = dns.Message(message.id, answer=1, auth=1, recDes=message.recDes, maxSize=0)
        reply.queries = message.queries
        records = self._records(label, query.type)
        reply.answers = [
            dns.RRHeader(query.name.name, kind, ttl=300, payload=payload)
            for kind, payload in records
        ]
        if label == "silent":
            return None
        if label == "servfail":
            reply.rCode = 2
        elif not records:
            reply.rCode = 3 if label == "missing" else 0
            reply.authority = [dns.RRHeader(b"zone.test", dns.SOA, ttl=120, payload=_SOA)]
        return reply

    def _records(self, label: str, kind: int) -> list[tuple[int, Any]]:
        if label in ("missing", "servfail"):
            return []
        if label == "big" and kind == dns.TXT:
            return [
                (kind, dns.Record_TXT(b"%03d" % number + b"x" * 206)) for number in range(TXT_COUNT)
            ]
        if kind == dns.A:
            return [(kind, dns.Record_A(ADDRESS))]
        if kind == dns.AAAA:
            return [(kind, dns.Record_AAAA(IPV6_ADDRESS))]
        if kind == dns.MX:
            return [(kind, dns.Record_MX(10, b"mail.zone.test"))]
        if kind == HTTPS:
            return [(kind, dns.UnknownRecord(HTTPS_DATA))]
        if kind == CAA:
            return [(kind, dns.UnknownRecord(CAA_DATA))]
        return []


class Zones:
    """
    A zone on a port of both protocols.

    @ivar zone: The name server.
    @ivar port: Its port.
    """

    def __init__(self, reactor: Any) -> None:
        self.zone = Zone()
        self._streams = reactor.listenTCP(0, self.zone, interface="127.0.0.1")
        self.port: int = self._streams.getHost().port
        protocol = dns.DNSDatagramProtocol(self.zone)
        protocol.noisy = False
        self._datagrams = reactor.listenUDP(self.port, protocol, "127.0.0.1", 65535)

    async def close(self) -> None:
        """
        Close the ports and all connections.
        """
        await maybeDeferred(self._streams.stopListening)
        await maybeDeferred(self._datagrams.stopListening)
        for connection in self.zone.made:
            if connection.transport is not None:
                connection.transport.abortConnection()
