"""
What the machine of any protocol tells its driver while it negotiates: with a
client, or as one with a proxy.

A machine turns bytes into a list of these events, in the order in which they
have to be acted on.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from socksproxy.address import Destination
from socksproxy.errors import SOCKSProxyError

EARLY_DATA_LIMIT = 2 * 65536
"""
Octets kept that came before their time. Reading is to be paused at half of
it; the other half is room for what had been read by then.
"""


class Protection(Protocol):
    """
    What an authentication method puts around everything that follows it.

    A stream that is at fault stays so: after an error every call raises again.

    @ivar carriesDatagrams: Whether it can protect datagrams, of which some
        may be lost, beside the stream.
    """

    @property
    def carriesDatagrams(self) -> bool:
        """
        See the class.
        """

    def wrap(self, data: bytes) -> bytes:
        """
        Make of our bytes what is to be written.

        @raise LocalProtocolError: Nothing can be protected any more.
        """

    def unwrap(self, data: bytes) -> bytes:
        """
        Take bytes of the connection, cut anywhere.

        @return: The peer's own bytes, as far as they are complete.
        @raise RemoteProtocolError: They are not what the peer has written.
        """

    def endOfStream(self) -> None:
        """
        Learn that the peer will send nothing more.

        @raise TruncatedStream: That is in the middle of something.
        """

    def wrapDatagram(self, data: bytes) -> bytes:
        """
        Make of one datagram what is to be sent in its place.

        @raise MessageTooLong: It does not fit once it is protected.
        @raise LocalProtocolError: Nothing can be protected any more.
        """

    def unwrapDatagram(self, data: bytes) -> bytes:
        """
        Take a datagram. That others are lost or come in another order is
        nobody's fault.

        @return: What the peer has sent.
        @raise RemoteProtocolError: It is not what the peer has sent, or has
            come before.
        """


@dataclass(frozen=True, slots=True)
class Send:
    """
    Write these bytes to the peer.
    """

    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Blocking:
    """
    Something has to be computed that may take long or wait for others. Call
    C{call} off the reactor's thread, and when it has returned, C{resume} on
    the machine, which understands nothing more until then.

    @ivar call: It raises nothing, and keeps its outcome itself.
    """

    call: Callable[[], None] = field(repr=False)


@dataclass(frozen=True, slots=True)
class ProtectionEstablished:
    """
    Everything on this connection from here on goes through a protection, in
    both directions: what is written for the events after this one, and what
    is given to the machine. What it had before is taken care of.
    """

    protection: Protection = field(repr=False)


@dataclass(frozen=True, slots=True)
class ReplyReceived:
    """
    The server has granted our request. Bytes from here on are the target's.

    A request to BIND is granted twice: first when the server listens, with the
    address to connect to, and then, before any of the target's bytes, when
    somebody has connected, with that peer's address.

    @ivar bound: BND.ADDR and BND.PORT; the host may be the empty name.
    """

    bound: Destination


@dataclass(frozen=True, slots=True)
class Failed:
    """
    The negotiation is over without success: nothing more is read, and the
    connection has to be closed once what was to be sent is sent.
    """

    error: SOCKSProxyError


class ClientMachine(Protocol):
    """
    The client's half of a negotiation with a proxy. Its events are those of
    this module.
    """

    def start(self) -> bytes:
        """
        Give the first message, to be sent at once.
        """

    def receive(self, data: bytes) -> Sequence[object]:
        """
        Take bytes from the proxy.

        @return: What there is to do. After L{Failed}, nothing ever again.
        """

    def resume(self) -> Sequence[object]:
        """
        Go on after L{Blocking}, once its call has returned.
        """

    def endOfStream(self) -> Sequence[object]:
        """
        Learn that the proxy will send nothing more.
        """

    def takeEarlyData(self) -> bytes:
        """
        Give the bytes that followed the negotiation, and keep nothing.
        """
