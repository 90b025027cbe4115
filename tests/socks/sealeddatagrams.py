"""
A protection for datagrams that anybody could break, and a method of
authentication that puts it around everything.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

from socksproxy.buffer import Buffer
from socksproxy.errors import LocalProtocolError, MalformedMessage, MessageTooLong
from socksproxy.negotiation import Protection
from socksproxy.socks._events import CredentialsReceived, Event
from socksproxy.socks.methods import Anonymous, ServerSubNegotiation
from tests.relay.sealing import Sealing
from tests.socksrequests import MAX_DATAGRAM

SEAL = b"SEAL"


class SealedDatagrams(Sealing):
    """
    Puts a seal before every datagram, and braces around what is on the
    connection.

    @ivar carriesDatagrams: Whether it does.
    @ivar broken: It can protect no datagram any more.
    @ivar limit: The longest datagram that it takes.
    """

    def __init__(self, carriesDatagrams: bool = True) -> None:
        super().__init__()
        self.carriesDatagrams = carriesDatagrams
        self.broken = False
        self.limit = MAX_DATAGRAM

    def wrapDatagram(self, data: bytes) -> bytes:
        """
        Put the seal on.
        """
        if self.broken:
            raise LocalProtocolError("broken")
        if len(data) > self.limit:
            raise MessageTooLong("too long")
        return SEAL + data

    def unwrapDatagram(self, data: bytes) -> bytes:
        """
        Take the seal off.
        """
        if not data.startswith(SEAL):
            raise MalformedMessage("no seal")
        return data[len(SEAL) :]


class SealedMethod:
    """
    Method 0x82, which lets everybody in and puts a protection around what
    follows.
    """

    code = 0x82

    def __init__(self, protection: Protection) -> None:
        self._protection = protection

    def serverNegotiation(self) -> ServerSubNegotiation:
        """
        See L{Method<socksproxy.socks.methods.Method>}.
        """
        return self

    def clientNegotiation(self) -> NoReturn:
        """
        See L{Method<socksproxy.socks.methods.Method>}.
        """
        raise NotImplementedError("the test is the client")

    def receive(self, buffer: Buffer) -> Sequence[Event]:
        """
        See L{ServerSubNegotiation}.
        """
        return [CredentialsReceived(Anonymous(), self._protection)]

    def authenticated(self) -> bytes:
        """
        See L{ServerSubNegotiation}.
        """
        return b""

    def authenticationFailed(self) -> bytes:
        """
        See L{ServerSubNegotiation}.
        """
        return b""
