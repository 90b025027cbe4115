"""
Why a connection through a proxy could not be made, for programs that know
Twisted's own errors.

Every error here is a C{ConnectError} of Twisted's, and where Twisted has a
name for what went wrong, it is that: C{except ConnectionRefusedError} works
as it would without a proxy. Who is at fault is told by the second family that
each belongs to::

    try:
        protocol = await endpoint.connect(factory)
    except TargetFault as error:
        print("the proxy works, but", error)
    except ProxyFault as error:
        print("the proxy does not work:", error)

@see: U{https://www.rfc-editor.org/rfc/rfc1928#section-6}
"""

from __future__ import annotations

from twisted.internet import error as twistedError

from socksproxy import errors
from socksproxy.errors import RequestFailed


class ProxiedConnectError(RequestFailed, twistedError.ConnectError):
    """
    A connection through a proxy could not be made.

    @ivar proxy: The proxy that has failed, or that says so of the target, as a
        URL without secrets; L{None} where that is not known.
    """

    proxy: str | None = None

    def __init__(self, message: str = "") -> None:
        twistedError.ConnectError.__init__(self, string=message or self.summary)

    def __str__(self) -> str:
        return str(self.args[0])


class ProxyFault(errors.GeneralFailure, ProxiedConnectError):
    """
    The proxy is not there, does not do what its protocol asks for, or does
    not let us in.
    """


class ProxyUnreachable(ProxyFault):
    """
    No connection to the proxy could be made. The error that says why is the
    C{__cause__}.
    """

    summary = "proxy unreachable"


class ProxyTimedOut(ProxyFault, twistedError.TimeoutError):
    """
    The proxy was not done in time.
    """

    summary = "proxy timed out"


class ProxyAuthenticationFailed(ProxyFault):
    """
    The proxy takes none of our methods, or not our credentials.
    """

    summary = "proxy authentication failed"


class ProxyProtocolError(ProxyFault):
    """
    The proxy broke its protocol, or closed the connection in the middle of it.
    """

    summary = "proxy broke its protocol"


class TargetFault(ProxiedConnectError):
    """
    The proxy has answered our request, and the answer is no.
    """


class TargetGeneralFailure(errors.GeneralFailure, TargetFault):
    """
    The proxy does not say why; REP 1, and all refusals of SOCKS4.
    """


class TargetNotAllowed(errors.NotAllowed, TargetFault):
    """
    The rules of the proxy forbid it; REP 2.
    """


class TargetNetworkUnreachable(errors.NetworkUnreachable, TargetFault, twistedError.NoRouteError):
    """
    The proxy has no route to the target's network; REP 3.
    """


class TargetHostUnreachable(errors.HostUnreachable, TargetFault, twistedError.NoRouteError):
    """
    The proxy cannot reach the target, or not resolve its name; REP 4.
    """


class TargetConnectionRefused(
    errors.ConnectionRefused, TargetFault, twistedError.ConnectionRefusedError
):
    """
    The target refused the proxy's connection; REP 5.
    """


class TargetTimedOut(errors.ConnectTimedOut, TargetFault, twistedError.TimeoutError):
    """
    The target did not answer the proxy in time; REP 6.
    """


class TargetCommandNotSupported(errors.CommandNotSupported, TargetFault):
    """
    The proxy does not do such a thing; REP 7.
    """


class TargetAddressTypeNotSupported(errors.AddressTypeNotSupported, TargetFault):
    """
    The proxy does not do such addresses; REP 8.
    """


class TargetReplyUnknown(TargetFault):
    """
    The proxy refused with a code that has no meaning here.

    @ivar code: The code.
    """

    def __init__(self, code: int) -> None:
        self.code = code
        super().__init__(f"the proxy answered with code {code}")


# The most special ones first.
_targetFaults: tuple[tuple[type[RequestFailed], type[TargetFault]], ...] = (
    (errors.NotAllowed, TargetNotAllowed),
    (errors.NetworkUnreachable, TargetNetworkUnreachable),
    (errors.HostUnreachable, TargetHostUnreachable),
    (errors.ConnectionRefused, TargetConnectionRefused),
    (errors.ConnectTimedOut, TargetTimedOut),
    (errors.CommandNotSupported, TargetCommandNotSupported),
    (errors.AddressTypeNotSupported, TargetAddressTypeNotSupported),
)


def connectErrorFrom(error: BaseException) -> ProxiedConnectError:
    """
    Say in these terms what a machine found out.

    @param error: What its C{Failed} holds.
    """
    if isinstance(error, ProxiedConnectError):
        return error
    if isinstance(error, errors.AuthenticationFailed):
        return ProxyAuthenticationFailed(str(error))
    if isinstance(error, errors.ProxyReplied):
        return TargetReplyUnknown(error.code)
    if isinstance(error, RequestFailed):
        for kind, fault in _targetFaults:
            if isinstance(error, kind):
                return fault(str(error))
        return TargetGeneralFailure(str(error))
    return ProxyProtocolError(str(error))
