"""
The other side of TLS, made of Python's own C{ssl}, which is none of Twisted's
and none of ours.
"""

from __future__ import annotations

import ssl

from twisted.internet.task import Clock

from socksproxy.testing import MemoryTransport
from tests.certificates import Issued


def serverContext(issued: Issued, clientCA: str | None = None) -> ssl.SSLContext:
    """
    Give the side of a server.

    @param clientCA: The path of the authority of the clients it lets in.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(issued.certificate, issued.key)
    if clientCA is not None:
        context.load_verify_locations(clientCA)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def clientContext(ca: str, issued: Issued | None = None) -> ssl.SSLContext:
    """
    Give the side of a client.

    @param ca: The path of the authority that it trusts.
    @param issued: What it shows of itself.
    """
    context = ssl.create_default_context(cafile=ca)
    if issued is not None:
        context.load_cert_chain(issued.certificate, issued.key)
    return context


class TLSPeer:
    """
    What octets go in and out of one side of TLS.

    @ivar received: What the other side has written.
    @ivar ended: The other side has sent its C{close_notify}.
    @ivar error: What went wrong.
    @ivar raw: The octets of TLS that have come.
    """

    def __init__(self, context: ssl.SSLContext, host: str | None = None) -> None:
        """
        @param context: As from L{serverContext} or L{clientContext}.
        @param host: Whom a client wants to talk to; a server gives none.
        """
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(
            self._incoming, self._outgoing, server_side=host is None, server_hostname=host
        )
        self.received = bytearray()
        self.ended = False
        self.error: ssl.SSLError | None = None
        self.raw = bytearray()
        self.ready = False
        self._unsent = bytearray()
        self._closing = False

    def write(self, data: bytes) -> None:
        """
        Write as soon as the handshake is over.
        """
        self._unsent += data

    def close(self) -> None:
        """
        Send a C{close_notify} after everything else.
        """
        self._closing = True

    def take(self, data: bytes = b"") -> bytes:
        """
        Take octets, and give the answer to them.
        """
        self.raw += data
        self._incoming.write(data)
        try:
            self._proceed()
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self.ended = True
        except ssl.SSLError as e:
            self.error = e
        return self._outgoing.read()

    def _proceed(self) -> None:
        if not self.ready:
            self.tls.do_handshake()
            self.ready = True
        if self._unsent:
            self.tls.write(self._unsent)
            self._unsent.clear()
        while not self.ended:
            try:
                data = self.tls.read(65536)
            except ssl.SSLWantReadError:
                break
            self.received += data
            self.ended = not data
        if self._closing:
            self.tls.unwrap()


class Line:
    """
    A transport in memory, with a peer that speaks TLS at its end.

    @ivar transport: The transport.
    @ivar peer: The peer.
    """

    def __init__(self, clock: Clock, transport: MemoryTransport, peer: TLSPeer) -> None:
        self._clock = clock
        self.transport = transport
        self.peer = peer
        self.settle()

    def settle(self) -> None:
        """
        Let everything come through that is under way.
        """
        moved = True
        while moved:
            self._clock.advance(0)
            data = self.transport.take()
            answer = self.peer.take(data)
            if answer:
                self.transport.peerSends(answer)
            moved = bool(data or answer)
        self._clock.advance(0)

    def peerWrites(self, data: bytes) -> None:
        """
        Have the peer write something.
        """
        self.peer.write(data)
        self.settle()

    def peerCloses(self) -> None:
        """
        Have the peer end its stream as it should.
        """
        self.peer.close()
        self.settle()

    def peerVanishes(self) -> None:
        """
        End the transport below without a C{close_notify}.
        """
        self.transport.peerEnds()
        self.settle()
