"""
What the SOCKS machines tell whoever drives them.

A machine turns bytes into a list of these, in the order in which they have to
be acted on.
"""

from dataclasses import dataclass, field

from socksproxy.address import Destination
from socksproxy.errors import SOCKSProxyError


@dataclass(frozen=True, slots=True)
class Send:
    """
    Write these bytes to the peer.
    """

    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class CredentialsReceived:
    """
    A client has said who it is. The server side answers by calling
    C{authenticated} or C{authenticationFailed} on its machine, which reads
    nothing more until then.

    @ivar credentials: L{Anonymous}, L{Password}, or whatever a method of
        one's own defines.
    """

    credentials: object


@dataclass(frozen=True, slots=True)
class RequestReceived:
    """
    A client has made its request, and it is well formed. The server side
    answers with the C{granted} or C{refused} bytes of its machine. Bytes from
    here on are the client's data.

    @ivar command: A L{Command} of the protocol version in hand.
    @ivar destination: DST.ADDR and DST.PORT, checked.
    @ivar variant: The protocol as logs name it: SOCKS4, SOCKS4a or SOCKS5.
    @ivar userID: The USERID of SOCKS4, a claim without a proof.
    """

    command: int
    destination: Destination
    variant: str
    userID: bytes = b""


@dataclass(frozen=True, slots=True)
class ReplyReceived:
    """
    The server has granted our request. Bytes from here on are the target's.

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


Event = Send | CredentialsReceived | RequestReceived | ReplyReceived | Failed
