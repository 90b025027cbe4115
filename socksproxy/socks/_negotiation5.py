"""
SOCKS5 from the greeting to the reply, both halves, without I/O.

Each half is fed bytes and gives L{events<socksproxy.socks._events>}. A
server::

    machine = ServerNegotiation([NoAuthentication()])
    events = machine.receive(data)      # Send, CredentialsReceived
    events = machine.authenticated()    # perhaps RequestReceived already
    data = machine.granted(host, port)  # the reply
    early = machine.takeEarlyData()     # what the client sent too soon

@see: U{https://www.rfc-editor.org/rfc/rfc1928}
"""

from collections.abc import Iterable, Sequence
from functools import partial
from ipaddress import IPv4Address

from socksproxy.address import Destination, Host, IPAddress, hostFromName, hostFromPacked
from socksproxy.errors import (
    AuthenticationFailed,
    BadCommand,
    BadName,
    LocalProtocolError,
    MalformedMessage,
    RemoteProtocolError,
    RequestFailed,
    TruncatedStream,
    UnofferedMethod,
    requestFailedFor,
)
from socksproxy.socks import _wire5 as wire
from socksproxy.socks._events import (
    Blocking,
    CredentialsReceived,
    Event,
    Failed,
    Protection,
    ProtectionEstablished,
    ReplyReceived,
    RequestReceived,
    Send,
)
from socksproxy.socks._machine import Machine, sending
from socksproxy.socks.methods import ClientSubNegotiation, Method, ServerSubNegotiation


class ServerNegotiation(Machine):
    """
    The server's half.
    """

    def __init__(
        self,
        methods: Sequence[Method],
        commands: Iterable[int] = (wire.Command.CONNECT,),
    ) -> None:
        """
        @param methods: What the server accepts, best first. The client's own
            order has no meaning.
        @param commands: The CMD octets that are not answered with REP 7.
        """
        super().__init__(wire.MAX_AUTH_REQUEST, self._greeting)
        self._methods = methods
        self._commands = frozenset(commands)
        self._authenticating: ServerSubNegotiation | None = None
        self._protection: Protection | None = None

    def authenticated(self) -> list[Event]:
        """
        Accept the credentials.

        @return: As L{receive}.
        @raise LocalProtocolError: None are waiting.
        """
        message = self._verdict().authenticated()
        if self._failed:
            # The client has sent far too much in the meantime.
            return []
        self._step = self._request
        events = sending(message)
        if self._protection is not None:
            events.append(ProtectionEstablished(self._protection))
            try:
                self._protect(self._protection)
            except RemoteProtocolError as e:
                return events + self._fail(e)
        return events + self._advance()

    def authenticationFailed(self, error: RequestFailed | None = None) -> list[Event]:
        """
        Reject the credentials.

        @param error: Why, for L{Failed}, if it is not that they are wrong.
        @return: As L{receive}; the last event is L{Failed}.
        @raise LocalProtocolError: None are waiting.
        """
        message = self._verdict().authenticationFailed()
        if self._failed:
            return []
        return self._fail(error or AuthenticationFailed(), message)

    def granted(self, host: IPAddress | None, port: int) -> bytes:
        """
        Give the reply of success.

        @param host: BND.ADDR, or L{None} where there is none to tell.
        @param port: BND.PORT.
        """
        return wire.replyTo(wire.ReplyCode.SUCCEEDED, host, port)

    def grantedName(self, name: str) -> bytes:
        """
        Give the reply that carries a name, which only RESOLVE_PTR has.
        """
        reply = wire.Reply(
            wire.ReplyCode.SUCCEEDED, wire.AddressType.DOMAINNAME, name.encode("ascii")
        )
        return wire.encodeReply(reply)

    def refused(self, error: RequestFailed) -> bytes:
        """
        Give the reply of failure.
        """
        return wire.replyTo(error.replyCode)

    def _greeting(self) -> list[Event] | None:
        greeting = self._buffer.decode(wire.decodeGreeting)
        if greeting is None:
            return None
        for method in self._methods:
            if method.code in greeting.methods:
                self._step = partial(self._subNegotiate, method.serverNegotiation())
                return [Send(wire.encodeMethod(method.code))]
        return self._fail(
            AuthenticationFailed("no method in common"),
            wire.encodeMethod(wire.Method.NONE_ACCEPTABLE),
        )

    def _subNegotiate(self, subNegotiation: ServerSubNegotiation) -> list[Event] | None:
        events = list(subNegotiation.receive(self._buffer))
        if not events:
            return None
        last = events[-1]
        if isinstance(last, CredentialsReceived):
            self._step = None
            self._authenticating = subNegotiation
            self._protection = last.protection
        elif isinstance(last, Blocking):
            self._block(partial(self._subNegotiate, subNegotiation))
        elif isinstance(last, Failed):
            self._end()
        return events

    def _verdict(self) -> ServerSubNegotiation:
        if self._authenticating is None:
            raise LocalProtocolError("no credentials are waiting")
        subNegotiation, self._authenticating = self._authenticating, None
        return subNegotiation

    def _request(self) -> list[Event] | None:
        try:
            command = self._buffer.decode(wire.decodeCommand)
            if command is None:
                return None
            if command not in self._commands:
                raise BadCommand(f"CMD {command} is not available")
            request = self._buffer.decode(wire.decodeRequest)
            if request is None:
                return None
            destination = _destinationOf(request)
        except RemoteProtocolError as e:
            return self._fail(e, wire.replyTo(e.replyCode))
        self._establish()
        return [RequestReceived(request.command, destination, "SOCKS5")]


class ClientNegotiation(Machine):
    """
    The client's half. A request to BIND is answered twice, any other once.
    """

    def __init__(
        self,
        destination: Destination,
        methods: Sequence[Method],
        command: int = wire.Command.CONNECT,
    ) -> None:
        """
        @param destination: Where to go; a name goes to the server unresolved.
        @param methods: What to offer.
        @param command: CMD.
        @raise LocalProtocolError: No method is given, or more than 255.
        """
        super().__init__(wire.MAX_REQUEST, self._method)
        if not 0 < len(methods) <= 255:
            raise LocalProtocolError("offer 1 to 255 methods")
        self._request = wire.requestFor(command, destination)
        self._methods = {method.code: method for method in methods}
        self._repliesToCome = 2 if command == wire.Command.BIND else 1

    def start(self) -> bytes:
        """
        Give the greeting, to be sent at once.
        """
        return wire.encodeGreeting(wire.Greeting(bytes(self._methods)))

    def endOfStream(self) -> list[Event]:
        """
        Learn that the server will send nothing more.

        @return: L{Failed}, unless the negotiation is over.
        """
        if self._established or self._failed:
            return []
        return self._fail(TruncatedStream("the proxy closed the connection during negotiation"))

    def _method(self) -> list[Event] | None:
        code = self._buffer.decode(wire.decodeMethod)
        if code is None:
            return None
        if code == wire.Method.NONE_ACCEPTABLE:
            return self._fail(AuthenticationFailed("the proxy accepts none of our methods"))
        method = self._methods.get(code)
        if method is None:
            raise UnofferedMethod(f"the proxy chose method {code}, which was not offered")
        subNegotiation = method.clientNegotiation()
        self._step = partial(self._subNegotiate, subNegotiation)
        return sending(subNegotiation.start())

    def _subNegotiate(self, subNegotiation: ClientSubNegotiation) -> list[Event] | None:
        events = subNegotiation.receive(self._buffer)
        if events is None:
            self._step = self._reply
            return [Send(wire.encodeRequest(self._request))]
        if not events:
            return None
        last = events[-1]
        if isinstance(last, ProtectionEstablished):
            self._protect(last.protection)
            # A step of its own, since this one may have taken nothing.
            self._step = partial(self._subNegotiate, subNegotiation)
        elif isinstance(last, Blocking):
            self._block(partial(self._subNegotiate, subNegotiation))
        elif isinstance(last, Failed):
            self._end()
        return list(events)

    def _reply(self) -> list[Event] | None:
        code = self._buffer.decode(wire.decodeReplyCode)
        if code is None:
            return None
        if code != wire.ReplyCode.SUCCEEDED:
            return self._fail(requestFailedFor(code))
        reply = self._buffer.decode(wire.decodeReply)
        if reply is None:
            return None
        self._repliesToCome -= 1
        if not self._repliesToCome:
            self._establish()
        return [ReplyReceived(Destination(_boundHost(reply), reply.port))]


def _destinationOf(request: wire.Request) -> Destination:
    """
    Check what a request asks for.

    @raise BadName: The name is not one.
    @raise MalformedMessage: CONNECT needs a port.
    """
    if request.command == wire.Command.CONNECT and request.port == 0:
        raise MalformedMessage("CONNECT to port 0")
    if request.addressType is wire.AddressType.DOMAINNAME:
        if request.command in (wire.Command.UDP_ASSOCIATE, wire.Command.UDP_STREAM):
            # Where the client will send from. A name says nothing of that;
            # some clients send an empty one, "0", or the target's.
            return Destination(IPv4Address(0), request.port)
        return Destination(hostFromName(request.address), request.port)
    return Destination(hostFromPacked(request.address), request.port)


def _boundHost(reply: wire.Reply) -> Host:
    """
    Read BND.ADDR. A name there is of no use, but it is no reason to fail
    either, whatever it holds.
    """
    if reply.addressType is not wire.AddressType.DOMAINNAME:
        return hostFromPacked(reply.address)
    try:
        return hostFromName(reply.address)
    except BadName:
        return ""
