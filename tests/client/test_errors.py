"""
Tests for L{socksproxy.client.errors}.
"""

from __future__ import annotations

import pytest
from twisted.internet import error as twistedError

from socksproxy import errors
from socksproxy.client.errors import (
    ProxiedConnectError,
    ProxyAuthenticationFailed,
    ProxyFault,
    ProxyProtocolError,
    ProxyTimedOut,
    ProxyUnreachable,
    TargetAddressTypeNotSupported,
    TargetCommandNotSupported,
    TargetConnectionRefused,
    TargetFault,
    TargetGeneralFailure,
    TargetHostUnreachable,
    TargetNetworkUnreachable,
    TargetNotAllowed,
    TargetReplyUnknown,
    TargetTimedOut,
    connectErrorFrom,
)

FAMILIES: list[tuple[int, type[TargetFault], type[Exception]]] = [
    (1, TargetGeneralFailure, twistedError.ConnectError),
    (2, TargetNotAllowed, twistedError.ConnectError),
    (3, TargetNetworkUnreachable, twistedError.NoRouteError),
    (4, TargetHostUnreachable, twistedError.NoRouteError),
    (5, TargetConnectionRefused, twistedError.ConnectionRefusedError),
    (6, TargetTimedOut, twistedError.TimeoutError),
    (7, TargetCommandNotSupported, twistedError.ConnectError),
    (8, TargetAddressTypeNotSupported, twistedError.ConnectError),
]
"""
REP, its class here, and its class in Twisted.
"""

TWISTEDS = (
    twistedError.NoRouteError,
    twistedError.ConnectionRefusedError,
    twistedError.TimeoutError,
)

FAULTS = (ProxyUnreachable, ProxyTimedOut, ProxyAuthenticationFailed, ProxyProtocolError)


@pytest.mark.parametrize(("code", "cls", "twisteds"), FAMILIES)
def test_replyCodes(code: int, cls: type[TargetFault], twisteds: type[Exception]) -> None:
    """
    Each REP of RFC 1928 has a class, which is the target's fault, the error
    that Twisted has for it and no other, and knows the code.
    """
    error = connectErrorFrom(errors.requestFailedFor(code))
    assert type(error) is cls
    assert isinstance(error, (TargetFault, twisteds))
    assert isinstance(error, twistedError.ConnectError)
    assert not isinstance(error, ProxyFault)
    assert [other for other in TWISTEDS if isinstance(error, other)] == [
        other for other in TWISTEDS if other is twisteds
    ]
    assert error.replyCode == code


@pytest.mark.parametrize("code", [9, 0x5B, 0xF0, 0xF7, 0xFF])
def test_otherCodes(code: int) -> None:
    """
    A code that RFC 1928 does not assign is kept, and shown.
    """
    error = connectErrorFrom(errors.requestFailedFor(code))
    assert isinstance(error, TargetReplyUnknown)
    assert isinstance(error, TargetFault)
    assert error.code == code
    assert str(code) in str(error)


@pytest.mark.parametrize(
    ("found", "cls"),
    [
        (errors.AuthenticationFailed("no"), ProxyAuthenticationFailed),
        (errors.UnofferedMethod("no"), ProxyProtocolError),
        (errors.BadVersion("no"), ProxyProtocolError),
        (errors.BadAddressType("no"), ProxyProtocolError),
        (errors.MessageTooLong("no"), ProxyProtocolError),
        (errors.TruncatedStream("no"), ProxyProtocolError),
    ],
)
def test_proxyFaults(found: errors.SOCKSProxyError, cls: type[ProxyFault]) -> None:
    """
    What the proxy does wrong is its own fault, and the text survives.
    """
    error = connectErrorFrom(found)
    assert type(error) is cls
    assert isinstance(error, twistedError.ConnectError)
    assert not isinstance(error, (TargetFault, *TWISTEDS))
    assert str(error) == "no"


@pytest.mark.parametrize("cls", FAULTS)
def test_texts(cls: type[ProxyFault]) -> None:
    """
    An error says what it is, even without a text of its own.
    """
    assert str(cls()) == cls.summary != errors.GeneralFailure.summary
    assert str(cls("why")) == "why"


def test_timeOut() -> None:
    """
    A proxy that is too slow is Twisted's time-out too, and so is a target.
    """
    for error in (ProxyTimedOut(), connectErrorFrom(errors.ConnectTimedOut())):
        assert isinstance(error, twistedError.TimeoutError)


def test_known() -> None:
    """
    What is said in these terms already stays as it is.
    """
    error = ProxyUnreachable("gone")
    assert connectErrorFrom(error) is error


def test_subclasses() -> None:
    """
    A cause that is more special than any code is told by the code it has.
    """
    error = connectErrorFrom(errors.NameNotFound("no such name"))
    assert type(error) is TargetHostUnreachable
    assert str(error) == "no such name"


def test_forInbound() -> None:
    """
    Every error can be passed on to a client of our own: it has the codes of
    all protocols, and those of a proxy fault say nothing of the target.
    """
    for fault in FAULTS:
        error: ProxiedConnectError = fault()
        assert (error.replyCode, error.socks4Code, error.httpStatus) == (1, 0x5B, 502)
    assert connectErrorFrom(errors.ConnectTimedOut()).httpStatus == 504
