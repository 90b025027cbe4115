"""
What clients are told of the other proxies that their connections go through:
which of them has failed, and how, and nothing that is not theirs to know.
"""

from __future__ import annotations

import errno
import re

from twisted.internet import error as twistedError

from socksproxy import errors
from socksproxy.address import hostFromText
from socksproxy.client.errors import (
    ProxiedConnectError,
    ProxyAuthenticationFailed,
    ProxyFault,
    ProxyProtocolError,
    ProxyTimedOut,
    ProxyUnreachable,
)
from socksproxy.policy.rules import isInternal

Saying = tuple[str, str, str]
"""
A type of error for Proxy-Status, a sentence that says what has failed, and
sentences that say what can be done about it, if anything.
"""

Sayings = tuple[tuple[type[BaseException], Saying], ...]
"""
What is said of errors, the most special ones first.
"""

ADMINISTRATOR = "Whoever runs this proxy has to look into it; its log says more."

# What another proxy has told of a target. The blank is for which one it was.
_targetFaults: Sayings = (
    (
        errors.NotAllowed,
        (
            "http_request_denied",
            "{} does not allow this connection.",
            "Whoever runs that proxy can change its rules.",
        ),
    ),
    (
        errors.NetworkUnreachable,
        ("destination_ip_unroutable", "{} has no way to the network of the host.", ""),
    ),
    (
        errors.HostUnreachable,
        (
            "destination_unavailable",
            "{} cannot reach the host, or cannot resolve its name.",
            "Check how the name is spelled, and that the host is up.",
        ),
    ),
    (
        errors.ConnectionRefused,
        (
            "connection_refused",
            "The host refused the connection that was made for us: {} says so.",
            "Check the port, and that the server is running.",
        ),
    ),
    (
        errors.ConnectTimedOut,
        (
            "connection_timeout",
            "The host did not answer in time: {} says so.",
            "It may be down, or a firewall may drop what is sent to it.",
        ),
    ),
    (
        errors.AddressTypeNotSupported,
        (
            "destination_ip_unroutable",
            "{} does not take addresses of this kind.",
            "Use the name of the host, or an address of the other kind.",
        ),
    ),
    (
        errors.RequestFailed,
        ("destination_unavailable", "{} could not connect, and does not say why.", ""),
    ),
)

# How another proxy fails to be one.
_proxyFaults: Sayings = (
    (
        ProxyAuthenticationFailed,
        (
            "proxy_configuration_error",
            "{} does not accept this proxy's credentials.",
            "Whoever runs this proxy has to give it other ones. Yours are not at fault.",
        ),
    ),
    (ProxyTimedOut, ("connection_timeout", "{} was not done in time.", ADMINISTRATOR)),
    (
        ProxyProtocolError,
        (
            "destination_unavailable",
            "{} does not keep to its protocol, or has closed the connection.",
            ADMINISTRATOR,
        ),
    ),
    (ProxyFault, ("destination_unavailable", "{} does not work.", ADMINISTRATOR)),
)

# Why there is no connection to another proxy: in Twisted's words, or in those
# of the proxy before it.
_causes: tuple[tuple[tuple[type[BaseException], ...], tuple[str, str]], ...] = (
    (
        (errors.NameNotFound, twistedError.DNSLookupError),
        ("dns_error", ": its name cannot be resolved"),
    ),
    (
        (errors.ConnectionRefused, twistedError.ConnectionRefusedError),
        ("connection_refused", ": the connection was refused"),
    ),
    (
        (errors.ConnectTimedOut, twistedError.TimeoutError, twistedError.TCPTimedOutError),
        ("connection_timeout", ": it does not answer"),
    ),
    (
        (errors.NetworkUnreachable, errors.HostUnreachable, twistedError.NoRouteError),
        ("destination_ip_unroutable", ": there is no way to it"),
    ),
    ((errors.NotAllowed,), ("http_request_denied", ": that is not allowed")),
)

# Twisted has no class for these.
_NO_WAY = (errno.EHOSTUNREACH, errno.EHOSTDOWN, errno.ENETDOWN)


def saidOfProxy(error: ProxiedConnectError) -> Saying:
    """
    Say how a connection through another proxy has failed.
    """
    name = _nameOf(error)
    who = f"the proxy {name}" if name else "another proxy on the way"
    if isinstance(error, ProxyUnreachable):
        kind, text, advice = _unreachable(error, who)
    else:
        sayings = _proxyFaults if isinstance(error, ProxyFault) else _targetFaults
        kind, text, advice = sayingFor(sayings, error)
        text = text.format(who)
    return kind, text[0].upper() + text[1:], advice


def sayingFor(sayings: Sayings, error: BaseException) -> Saying:
    """
    Give the first saying that is about an error.
    """
    return next(said for cls, said in sayings if isinstance(error, cls))


_PROXY = re.compile(r"([a-z0-9+]+)://(?:[!-~]*@)?([!-?A-~]+)")


def proxyName(text: str, *, whole: bool = False) -> str:
    """
    Show a proxy to clients: without a user, and without an address that is
    internal.

    @param text: It, as a URL.
    @param whole: Show any address, and the paths of sockets.
    """
    parts = _PROXY.fullmatch(text)
    if parts is None:
        return ""
    kind, where = parts.groups()
    if not whole:
        host = hostFromText(where.rpartition(":")[0].strip("[]"))
        if where.startswith("unix:") or (host is not None and isInternal(host)):
            return f"({kind})"
    return f"{kind}://{where}"


def _unreachable(error: ProxyUnreachable, who: str) -> Saying:
    """
    Say why another proxy cannot be reached, and from where.
    """
    cause = error.__cause__
    kind, why = _whyUnreachable(cause)
    before = _nameOf(cause)
    whence = f" from the proxy {before}" if before else ""
    return kind, f"{who} cannot be reached{whence}{why}.", ADMINISTRATOR


def _whyUnreachable(cause: BaseException | None) -> tuple[str, str]:
    if getattr(cause, "osError", None) in _NO_WAY:
        cause = errors.HostUnreachable()
    for classes, said in _causes:
        if isinstance(cause, classes):
            return said
    if isinstance(cause, errors.SOCKSProxyError) and not isinstance(cause, errors.RequestFailed):
        # Of these, only TLS can keep us from a proxy.
        return "tls_protocol_error", ": there is no TLS with it that we can trust"
    return "destination_unavailable", ""


def _nameOf(error: BaseException | None) -> str:
    """
    Give the name of the proxy that an error is about, if it tells.
    """
    proxy = getattr(error, "proxy", None)
    return proxyName(proxy) if isinstance(proxy, str) else ""
