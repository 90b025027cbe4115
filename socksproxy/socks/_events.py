"""
What the SOCKS machines tell whoever drives them: what all machines do, and
what a server of SOCKS learns from its client.
"""

from dataclasses import dataclass, field

from socksproxy.address import Destination
from socksproxy.negotiation import (
    Blocking,
    Failed,
    Protection,
    ProtectionEstablished,
    ReplyReceived,
    Send,
)

__all__ = [
    "Blocking",
    "CredentialsReceived",
    "Event",
    "Failed",
    "Protection",
    "ProtectionEstablished",
    "ReplyReceived",
    "RequestReceived",
    "Send",
]


@dataclass(frozen=True, slots=True)
class CredentialsReceived:
    """
    A client has said who it is. The server side answers by calling
    C{authenticated} or C{authenticationFailed} on its machine, which reads
    nothing more until then.

    @ivar credentials: L{Anonymous}, L{Password}, L{Principal}, or whatever a
        method of one's own defines.
    @ivar protection: What everything goes through that follows the method's
        own messages, if the client gets in.
    """

    credentials: object
    protection: Protection | None = field(default=None, repr=False)


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


Event = (
    Send
    | CredentialsReceived
    | Blocking
    | ProtectionEstablished
    | RequestReceived
    | ReplyReceived
    | Failed
)
