"""
Tests for L{socksproxy.errors}.
"""

from inspect import isclass

import pytest
from twisted.trial.unittest import SynchronousTestCase

from socksproxy import errors

CODES = [
    (errors.GeneralFailure, 0x01, 502),
    (errors.NotAllowed, 0x02, 403),
    (errors.AuthenticationFailed, 0x02, 407),
    (errors.IdentUnreachable, 0x02, 407),
    (errors.IdentMismatch, 0x02, 407),
    (errors.NetworkUnreachable, 0x03, 502),
    (errors.HostUnreachable, 0x04, 502),
    (errors.NameNotFound, 0x04, 502),
    (errors.ConnectionRefused, 0x05, 502),
    (errors.ConnectTimedOut, 0x06, 504),
    (errors.CommandNotSupported, 0x07, 501),
    (errors.AddressTypeNotSupported, 0x08, 502),
    (errors.TooManyConnections, 0x01, 503),
]

SOCKS4_CODES = {errors.IdentUnreachable: 92, errors.IdentMismatch: 93}
"""
The failures for which SOCKS4 has codes of their own.
"""

BY_REPLY_CODE = {
    0x01: errors.GeneralFailure,
    0x02: errors.NotAllowed,
    0x03: errors.NetworkUnreachable,
    0x04: errors.HostUnreachable,
    0x05: errors.ConnectionRefused,
    0x06: errors.ConnectTimedOut,
    0x07: errors.CommandNotSupported,
    0x08: errors.AddressTypeNotSupported,
}


@pytest.mark.parametrize(("cls", "replyCode", "httpStatus"), CODES)
def test_requestFailed(cls: type[errors.RequestFailed], replyCode: int, httpStatus: int) -> None:
    """
    A failure knows its code in each protocol; SOCKS4 has one for nearly all of
    them.
    """
    error = cls()
    socks4Code = SOCKS4_CODES.get(cls, 91)
    assert (error.replyCode, error.socks4Code, error.httpStatus) == (
        replyCode,
        socks4Code,
        httpStatus,
    )


@pytest.mark.parametrize(("cls", "replyCode", "httpStatus"), CODES)
def test_text(cls: type[errors.RequestFailed], replyCode: int, httpStatus: int) -> None:
    """
    A failure without a text of its own says its summary.
    """
    assert str(cls()) == cls.summary != ""
    assert str(cls("because")) == "because"


def test_summariesDiffer() -> None:
    """
    The summaries can be told apart in logs.
    """
    summaries = [cls.summary for cls, _, _ in CODES]
    assert len(set(summaries)) == len(summaries)


class HierarchyTests(SynchronousTestCase):
    """
    Who broke what.
    """

    def test_root(self) -> None:
        """
        Every exception here is a L{errors.SOCKSProxyError}.
        """
        found = [item for item in vars(errors).values() if isclass(item)]
        exceptions = [cls for cls in found if issubclass(cls, BaseException)]
        self.assertGreater(len(exceptions), 20)
        for cls in exceptions:
            self.assertTrue(issubclass(cls, errors.SOCKSProxyError), cls)

    def test_protocolErrorSaysByWhom(self) -> None:
        """
        A protocol error is raised as one of ours or one of the peer's, never
        as such.
        """
        self.assertRaises(TypeError, errors.ProtocolError, "broken")
        for cls in (errors.LocalProtocolError, errors.RemoteProtocolError, errors.BadVersion):
            self.assertEqual(str(cls("broken")), "broken")

    def test_remoteErrorsAnswer(self) -> None:
        """
        What the peer did wrong has a REP to answer it with.
        """
        codes = {
            errors.RemoteProtocolError: 0x01,
            errors.BadVersion: 0x01,
            errors.BadAddressType: 0x08,
            errors.BadCommand: 0x07,
            errors.MalformedMessage: 0x01,
            errors.MessageTooLong: 0x01,
            errors.BadName: 0x01,
        }
        for cls, code in codes.items():
            self.assertEqual(cls("broken").replyCode, code)

    def test_nameNotFoundIsHostUnreachable(self) -> None:
        """
        Whoever does not care why a host cannot be reached need not look.
        """
        self.assertIsInstance(errors.NameNotFound(), errors.HostUnreachable)


class RequestFailedForTests(SynchronousTestCase):
    """
    From the codes of a SOCKS5 reply to exceptions.
    """

    def test_assigned(self) -> None:
        """
        Every code of RFC 1928 gives the class that has it.
        """
        for code, cls in BY_REPLY_CODE.items():
            error = errors.requestFailedFor(code)
            self.assertIs(type(error), cls)
            self.assertEqual(error.replyCode, code)

    def test_unassigned(self) -> None:
        """
        Any other code is kept.
        """
        for code in set(range(1, 256)) - set(BY_REPLY_CODE):
            error = errors.requestFailedFor(code)
            self.assertIsInstance(error, errors.ProxyReplied)
            self.assertEqual(error.code, code)  # type: ignore[attr-defined]
            self.assertIn(str(code), str(error))
