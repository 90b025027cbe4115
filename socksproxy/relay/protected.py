"""
A transport of which every byte goes through a protection, as GSSAPI puts one
around SOCKS5.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from typing import Protocol as Interface

from twisted.internet.interfaces import IAddress, IPushProducer
from zope.interface import directlyProvides, providedBy

from socksproxy.errors import SOCKSProxyError

if TYPE_CHECKING:
    from socksproxy.relay.leg import StreamTransport


class StreamProtection(Interface):
    """
    What is put around the bytes of a connection, in both directions.
    """

    def wrap(self, data: bytes) -> bytes:
        """
        Make of our bytes what is to be written.

        @raise SOCKSProxyError: That is not possible any more.
        """

    def unwrap(self, data: bytes) -> bytes:
        """
        Take what came, cut anywhere.

        @return: The peer's own bytes, as far as they are complete.
        @raise SOCKSProxyError: They are not what the peer has written. No call
            succeeds after that.
        """

    def endOfStream(self) -> None:
        """
        Learn that nothing more comes.

        @raise SOCKSProxyError: Something is incomplete.
        """


class ProtectedTransport:
    """
    Writes through a protection. Everything else is left to the transport
    below: its queue is the one that counts, and whatever it can do this one
    can.

    @ivar transport: The transport below.
    """

    def __init__(self, transport: StreamTransport, protection: StreamProtection) -> None:
        self.transport = transport
        self._protection = protection
        directlyProvides(self, providedBy(transport))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.transport, name)

    def protected(self, data: bytes) -> bytes:
        """
        Give what is to be written below. Where nothing can be protected any
        more the connection is dropped: a gap would be no better.

        @return: Nothing, after that.
        """
        try:
            return self._protection.wrap(data)
        except SOCKSProxyError:
            getattr(self.transport, "abortConnection", self.transport.loseConnection)()
            return b""

    def write(self, data: bytes) -> None:
        """
        See C{ITransport}.
        """
        self.transport.write(self.protected(data))

    def writeSequence(self, data: Iterable[bytes]) -> None:
        """
        See C{ITransport}.
        """
        self.write(b"".join(data))

    def loseConnection(self) -> None:
        """
        See C{ITransport}.
        """
        self.transport.loseConnection()

    def getHost(self) -> IAddress:
        """
        See C{ITransport}.
        """
        return self.transport.getHost()

    def getPeer(self) -> IAddress:
        """
        See C{ITransport}.
        """
        return self.transport.getPeer()

    def pauseProducing(self) -> None:
        """
        See C{IPushProducer}.
        """
        self.transport.pauseProducing()

    def resumeProducing(self) -> None:
        """
        See C{IPushProducer}.
        """
        self.transport.resumeProducing()

    def registerProducer(self, producer: IPushProducer, streaming: bool) -> None:
        """
        See C{IConsumer}.
        """
        self.transport.registerProducer(producer, streaming)

    def unregisterProducer(self) -> None:
        """
        See C{IConsumer}.
        """
        self.transport.unregisterProducer()
