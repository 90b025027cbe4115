"""
Why a TLS connection could not be made, or broke.
"""

from __future__ import annotations

from OpenSSL import SSL
from twisted.internet import error as twistedError
from twisted.python.failure import Failure

from socksproxy.errors import SOCKSProxyError

CLOSED = "the peer closed the connection during the TLS handshake"


class TLSFailed(SOCKSProxyError, twistedError.ConnectError):
    """
    The handshake failed. What the application has written was not sent.
    """

    def __init__(self, message: str) -> None:
        twistedError.ConnectError.__init__(self, string=message)

    def __str__(self) -> str:
        return str(self.args[0])


class PeerRejected(TLSFailed):
    """
    The peer has not proved to be who it should be.
    """


class TLSTimedOut(TLSFailed, twistedError.TimeoutError):
    """
    The handshake was not over in time.
    """


class TLSBroken(SOCKSProxyError, twistedError.ConnectionLost):
    """
    An established connection ended by an error of TLS: an alert from the
    peer, or something that was not what the peer had sent.
    """

    def __init__(self, message: str) -> None:
        twistedError.ConnectionLost.__init__(self, message)

    def __str__(self) -> str:
        return str(self.args[0])


def handshakeFailure(reason: Failure) -> Failure:
    """
    Say in one line why a connection was lost before it was established.

    @param reason: As C{connectionLost} got it.
    """
    if reason.check(TLSFailed):
        return reason
    if reason.check(SSL.Error):
        return Failure(TLSFailed(f"the TLS handshake failed: {_words(reason.value)}"))
    return Failure(TLSFailed(CLOSED))


def lossOf(reason: Failure) -> Failure:
    """
    Say in one line why an established connection was lost, where TLS is the
    reason.

    @param reason: As C{connectionLost} got it.
    """
    if reason.check(SSL.Error):
        return Failure(TLSBroken(f"TLS failed: {_words(reason.value)}"))
    return reason


def _words(error: BaseException | None) -> str:
    """
    Read OpenSSL's queue of errors: triples, of which the last string says it.
    """
    queue = error.args[0] if error is not None and error.args else ()
    words = [entry[-1] for entry in queue if entry[-1]] if isinstance(queue, list | tuple) else []
    return ", ".join(words) or "no reason given"
