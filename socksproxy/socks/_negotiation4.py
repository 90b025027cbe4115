"""
SOCKS4 and SOCKS4a from the request to the reply, both halves, without I/O.

@see: U{https://www.openssh.com/txt/socks4.protocol}
@see: U{https://www.openssh.com/txt/socks4a.protocol}
"""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address

from socksproxy.address import Destination, IPAddress, hostFromName
from socksproxy.errors import (
    AddressTypeNotSupported,
    AuthenticationFailed,
    BadCommand,
    BadVersion,
    GeneralFailure,
    LocalProtocolError,
    MalformedMessage,
    RemoteProtocolError,
    RequestFailed,
    TruncatedStream,
)
from socksproxy.socks import _wire4 as wire
from socksproxy.socks._events import Event, ReplyReceived, RequestReceived
from socksproxy.socks._machine import Machine


class ServerNegotiation(Machine):
    """
    The server's half.
    """

    def __init__(self, commands: Iterable[int] = (wire.Command.CONNECT,)) -> None:
        """
        @param commands: The CD octets that are not answered with 91.
        """
        super().__init__(wire.MAX_REQUEST, self._request)
        self._commands = frozenset(commands)

    def _request(self) -> list[Event] | None:
        try:
            request = self._buffer.decode(wire.decodeRequest)
            if request is None:
                return None
            if request.command not in self._commands:
                raise BadCommand(f"CD {request.command} is not available")
            destination = _destinationOf(request)
        except BadVersion:
            raise
        except RemoteProtocolError as e:
            return self._fail(e, wire.encodeReply(wire.Reply(wire.ReplyCode.REJECTED)))
        self._establish()
        variant = "SOCKS4" if request.host is None else "SOCKS4a"
        return [RequestReceived(request.command, destination, variant, request.userID)]

    def granted(self, host: IPAddress | None, port: int) -> bytes:
        """
        Give the reply of success.

        @param host: The address to tell, or L{None} where there is none. An
            IPv6 address does not fit and is told as zeros.
        """
        if not isinstance(host, IPv4Address):
            return wire.encodeReply(wire.Reply(wire.ReplyCode.GRANTED))
        return wire.encodeReply(wire.Reply(wire.ReplyCode.GRANTED, port, host))

    def refused(self, error: RequestFailed) -> bytes:
        """
        Give the reply of failure.
        """
        return wire.encodeReply(wire.Reply(error.socks4Code))


class ClientNegotiation(Machine):
    """
    The client's half. A request to BIND is answered twice, any other once.
    """

    def __init__(
        self,
        destination: Destination,
        userID: bytes = b"",
        command: int = wire.Command.CONNECT,
    ) -> None:
        """
        @param destination: Where to go. A name goes to the server unresolved,
            which makes it a SOCKS4a request.
        @param userID: USERID.
        @raise AddressTypeNotSupported: The destination is an IPv6 address.
        @raise LocalProtocolError: USERID holds a NUL or is too long.
        """
        super().__init__(wire.REPLY_LENGTH, self._reply)
        if b"\0" in userID or len(userID) > 255:
            raise LocalProtocolError("a USERID has at most 255 octets and no NUL")
        self._repliesToCome = 2 if command == wire.Command.BIND else 1
        host = destination.host
        if isinstance(host, IPv6Address):
            raise AddressTypeNotSupported("SOCKS4 carries no IPv6 address")
        if isinstance(host, str):
            marker = IPv4Address(1)
            self._message = wire.Request(
                command, destination.port, marker, userID, host.encode("ascii")
            )
        else:
            self._message = wire.Request(command, destination.port, host, userID)

    def start(self) -> bytes:
        """
        Give the request, to be sent at once.
        """
        return wire.encodeRequest(self._message)

    def endOfStream(self) -> list[Event]:
        """
        Learn that the server will send nothing more.

        @return: L{Failed}, unless the negotiation is over.
        """
        if self._established or self._failed:
            return []
        return self._fail(TruncatedStream("the proxy closed the connection without a reply"))

    def _reply(self) -> list[Event] | None:
        reply = self._buffer.decode(wire.decodeReply)
        if reply is None:
            return None
        if reply.code != wire.ReplyCode.GRANTED:
            return self._fail(_failureFor(reply.code))
        self._repliesToCome -= 1
        if not self._repliesToCome:
            self._establish()
        return [ReplyReceived(Destination(reply.address, reply.port))]


def _failureFor(code: int) -> RequestFailed:
    if code == wire.ReplyCode.REJECTED:
        return GeneralFailure("the proxy rejected the request")
    if code in (wire.ReplyCode.IDENTD_UNREACHABLE, wire.ReplyCode.IDENTD_MISMATCH):
        return AuthenticationFailed("the proxy could not confirm our USERID")
    return GeneralFailure(f"the proxy answered with code {code}")


def _destinationOf(request: wire.Request) -> Destination:
    """
    Check what a request asks for.

    @raise BadName: The SOCKS4a name is not one.
    @raise MalformedMessage: CONNECT needs a port, and an address.
    """
    if request.command == wire.Command.CONNECT and request.port == 0:
        raise MalformedMessage("CONNECT to port 0")
    if request.host is not None:
        return Destination(hostFromName(request.host), request.port)
    if request.command == wire.Command.CONNECT and int(request.address) >> 24 == 0:
        raise MalformedMessage("CONNECT to 0.0.0.0/8")
    return Destination(request.address, request.port)
