"""
Every exception that socksproxy raises, and the codes they become on the wire.

Two families hang below L{SOCKSProxyError}. A L{ProtocolError} says who broke
a protocol: we, by misusing an object (L{LocalProtocolError}), or the peer, by
what it sent (L{RemoteProtocolError}). A L{RequestFailed} says how a
well-formed request ended; each of its subclasses knows the codes that tell a
client so, and an inbound protocol only translates::

    except RequestFailed as error:
        reply = encodeReply(error.replyCode)

@see: U{https://www.rfc-editor.org/rfc/rfc1928#section-6}
"""


class SOCKSProxyError(Exception):
    """
    The root of all errors that socksproxy raises itself.
    """


class ConfigurationError(SOCKSProxyError):
    """
    What the administrator asked for cannot be done; the text is for a person
    and names the option, file or key at fault.
    """


class PasswordFileError(ConfigurationError):
    """
    A password file cannot be read or holds something that is not a record.
    """


class ProtocolError(SOCKSProxyError):
    """
    A protocol was broken. Raise one of the subclasses, which say by whom.
    """

    def __init__(self, message: str) -> None:
        if type(self) is ProtocolError:
            raise TypeError("raise a subclass that says who broke the protocol")
        super().__init__(message)


class LocalProtocolError(ProtocolError):
    """
    Our own side used a protocol object in a way that its state forbids.
    """


class RemoteProtocolError(ProtocolError):
    """
    The peer sent something that its protocol forbids.

    @cvar replyCode: The REP of RFC 1928 that answers it, where the protocol
        is far enough along to answer at all.
    """

    replyCode = 0x01


class BadVersion(RemoteProtocolError):
    """
    A version octet has a value that the message does not allow.
    """


class BadAddressType(RemoteProtocolError):
    """
    An ATYP octet names no address type of RFC 1928.
    """

    replyCode = 0x08


class BadCommand(RemoteProtocolError):
    """
    A CMD or CD octet names a command that is unknown or switched off.
    """

    replyCode = 0x07


class MalformedMessage(RemoteProtocolError):
    """
    A message is framed well but one of its fields makes no sense.
    """


class MessageTooLong(RemoteProtocolError):
    """
    A message or a field of one is longer than its protocol or we allow.
    """


class BadName(RemoteProtocolError):
    """
    A host name holds octets, or has a form, that no host name may have.
    """


class TruncatedStream(RemoteProtocolError):
    """
    The peer ended its stream in the middle of a message.
    """


class StreamReset(RemoteProtocolError):
    """
    The peer broke a stream off before its end.
    """


class TruncatedSegment(RemoteProtocolError):
    """
    A datagram of KCP ends inside a segment.
    """


class ForeignConversation(RemoteProtocolError):
    """
    A segment of KCP belongs to another conversation.
    """


class UnofferedMethod(RemoteProtocolError):
    """
    A SOCKS5 server chose an authentication method that was not offered.
    """


class RequestFailed(SOCKSProxyError):
    """
    A request was understood and did not succeed.

    @cvar replyCode: The REP octet of a SOCKS5 reply (RFC 1928 section 6).
    @cvar socks4Code: The CD octet of a SOCKS4 reply.
    @cvar httpStatus: The status code of an HTTP response.
    @cvar summary: A stable word for logs and metrics.
    """

    replyCode = 0x01
    socks4Code = 0x5B
    httpStatus = 502
    summary = "general failure"

    def __init__(self, message: str = "") -> None:
        super().__init__(message or self.summary)


class GeneralFailure(RequestFailed):
    """
    Something failed that has no code of its own.
    """


class InternalError(GeneralFailure):
    """
    Something went wrong in this proxy that nobody has foreseen.
    """

    httpStatus = 500
    summary = "internal error"


class NotAllowed(RequestFailed):
    """
    The rules of this proxy forbid the connection.
    """

    replyCode = 0x02
    httpStatus = 403
    summary = "not allowed"


class InternalAddress(NotAllowed):
    """
    The address is not for clients from elsewhere.
    """

    def __init__(self, message: str = "the address is internal") -> None:
        super().__init__(message)


class AuthenticationFailed(NotAllowed):
    """
    The credentials are wrong, or some are needed and none were given.
    """

    httpStatus = 407
    summary = "authentication failed"


class IdentUnreachable(AuthenticationFailed):
    """
    The client's own host does not say whose connection it is (RFC 1413).
    """

    socks4Code = 0x5C
    summary = "ident unreachable"


class IdentMismatch(AuthenticationFailed):
    """
    The client's own host says that the connection is somebody else's.
    """

    socks4Code = 0x5D
    summary = "ident mismatch"


class NetworkUnreachable(RequestFailed):
    """
    There is no route to the target's network.
    """

    replyCode = 0x03
    summary = "network unreachable"


class HostUnreachable(RequestFailed):
    """
    The target's host cannot be reached.
    """

    replyCode = 0x04
    summary = "host unreachable"


class NameNotFound(HostUnreachable):
    """
    The target's name could not be resolved; SOCKS has no code of its own for
    that.
    """

    summary = "name not found"


class ConnectionRefused(RequestFailed):
    """
    The target refused the connection.
    """

    replyCode = 0x05
    summary = "connection refused"


class ConnectTimedOut(RequestFailed):
    """
    The target did not answer in time. The code is I{TTL expired}, which is
    what clients expect for it.
    """

    replyCode = 0x06
    httpStatus = 504
    summary = "timed out"


class CommandNotSupported(RequestFailed):
    """
    The command is unknown, switched off, or impossible on this way out.
    """

    replyCode = 0x07
    httpStatus = 501
    summary = "command not supported"


class AddressTypeNotSupported(RequestFailed):
    """
    The address type is unknown or switched off.
    """

    replyCode = 0x08
    summary = "address type not supported"


class TooManyConnections(GeneralFailure):
    """
    A cap on connections or look-ups has been reached.
    """

    httpStatus = 503
    summary = "too many connections"


class ProxyReplied(RequestFailed):
    """
    A proxy that we are a client of refused our request with a code that has
    no class of its own.

    @ivar code: The code as received.
    """

    def __init__(self, code: int) -> None:
        self.code = code
        super().__init__(f"the proxy answered with code {code}")


_byReplyCode: dict[int, type[RequestFailed]] = {
    cls.replyCode: cls
    for cls in (
        GeneralFailure,
        NotAllowed,
        NetworkUnreachable,
        HostUnreachable,
        ConnectionRefused,
        ConnectTimedOut,
        CommandNotSupported,
        AddressTypeNotSupported,
    )
}


def requestFailedFor(replyCode: int) -> RequestFailed:
    """
    Give the exception that a SOCKS5 reply code stands for.

    @param replyCode: A REP octet other than 0.
    @return: An instance of the class for that code, or L{ProxyReplied} for a
        code that RFC 1928 does not assign.
    """
    cls = _byReplyCode.get(replyCode)
    return ProxyReplied(replyCode) if cls is None else cls()
