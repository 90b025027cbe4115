"""
From why a request failed to what an HTTP client is told: a status, a word for
programs, and sentences for people.

What an error says of itself goes to the log. It may name addresses of networks
that are nobody's business, so none of it is shown; what is shown stands here.
Only what the parser objects to, in words of ours, is passed on.

@see: U{https://www.rfc-editor.org/rfc/rfc9110#section-15}
@see: U{https://www.rfc-editor.org/rfc/rfc9209#section-2.3}
"""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus

from socksproxy import errors
from socksproxy.client.errors import ProxiedConnectError, ProxyTimedOut, TargetFault
from socksproxy.http._refusal import Refusal
from socksproxy.http.otherproxies import ADMINISTRATOR, Sayings, saidOfProxy, sayingFor

RETRY_AFTER = 10
"""
Seconds after which it is worth to try again what there was no room for.
"""


@dataclass(frozen=True, slots=True)
class Answer:
    """
    What is answered instead of what was asked for. It quotes nothing of the
    request, and is plain ASCII.

    @ivar status: The status code.
    @ivar reason: The phrase that goes with it.
    @ivar error: The type of error for Proxy-Status.
    @ivar text: What has failed, in a sentence.
    @ivar advice: What can be done about it, in sentences, or nothing.
    @ivar retryAfter: After how many seconds it may go better.
    """

    status: int
    reason: bytes
    error: str
    text: str
    advice: str = ""
    retryAfter: int | None = None


class BadResponse(errors.GeneralFailure):
    """
    A server's answer makes no sense, or is not complete.
    """

    summary = "bad response"


class ResponseTimedOut(errors.ConnectTimedOut):
    """
    A server has been reached, and does not read or answer.
    """

    summary = "response timed out"


_SERVER = "Whoever runs the server has to look into it."

# The most special ones first.
_failures: Sayings = (
    (
        errors.AuthenticationFailed,
        (
            "http_request_denied",
            "The user name and the password for the proxy are missing or wrong.",
            "Give those for the proxy, not for the site; for curl that is --proxy-user.",
        ),
    ),
    (
        errors.InternalAddress,
        (
            "destination_ip_prohibited",
            "Private addresses are closed to clients from elsewhere, and the host has no other.",
            "Whoever runs the proxy can open them with --allow-private.",
        ),
    ),
    (
        errors.NotAllowed,
        (
            "http_request_denied",
            "The rules of the proxy forbid this connection.",
            "Whoever runs the proxy can change its rules.",
        ),
    ),
    (
        errors.NameNotFound,
        (
            "dns_error",
            "The host name could not be resolved.",
            "Check how it is spelled, and that it is known where the proxy is.",
        ),
    ),
    (
        errors.HostUnreachable,
        (
            "destination_ip_unroutable",
            "The host cannot be reached from the proxy.",
            "Check that it is up, and that it can be reached from where the proxy is.",
        ),
    ),
    (
        errors.NetworkUnreachable,
        (
            "destination_ip_unroutable",
            "There is no way from the proxy to the network of the host.",
            "If the host has IPv6 only, the proxy needs IPv6, too.",
        ),
    ),
    (
        errors.ConnectionRefused,
        (
            "connection_refused",
            "The host refused the connection: nothing serves that port.",
            "Check the port, and that the server is running.",
        ),
    ),
    (
        ResponseTimedOut,
        ("http_response_timeout", "The server was reached, and did not answer in time.", _SERVER),
    ),
    (
        errors.ConnectTimedOut,
        (
            "connection_timeout",
            "The host did not answer in time.",
            "It may be down, or a firewall may drop what is sent to it.",
        ),
    ),
    (
        errors.CommandNotSupported,
        ("proxy_internal_response", "The proxy does not do that.", ""),
    ),
    (
        errors.AddressTypeNotSupported,
        (
            "destination_ip_unroutable",
            "The way out of the proxy does not take addresses of this kind.",
            "Use the name of the host, or an address of the other kind.",
        ),
    ),
    (
        errors.TooManyConnections,
        (
            "connection_limit_reached",
            "The proxy has as much to do as it may.",
            "Try again in a moment.",
        ),
    ),
    (
        BadResponse,
        (
            "http_protocol_error",
            "What the server sent is no complete and unambiguous answer in HTTP/1.",
            _SERVER,
        ),
    ),
    (
        errors.RequestFailed,
        (
            "destination_unavailable",
            "The connection failed, for a reason that there is no name for.",
            "The log of the proxy may say more.",
        ),
    ),
)

# Type and advice.
_STATUSES: dict[int, tuple[str, str]] = {
    400: ("http_request_error", "The client has sent what no proxy can pass on safely."),
    403: ("http_request_denied", ""),
    407: ("http_request_denied", ""),
    408: ("http_request_error", "The client has to send faster."),
    413: ("http_request_error", "The client has to send less."),
    414: ("http_request_error", "The client has to ask for something shorter."),
    417: ("http_request_error", "The client has to ask without Expect."),
    431: ("http_request_error", "The client has to send less; too many cookies can be the reason."),
    500: ("proxy_internal_error", ADMINISTRATOR),
    501: (
        "proxy_internal_response",
        "Plain http is passed on, and everything else goes through a tunnel, which the"
        " method CONNECT opens.",
    ),
    502: ("http_protocol_error", _SERVER),
    503: ("proxy_internal_response", "Try again in a moment."),
    504: ("http_response_timeout", _SERVER),
    505: ("proxy_internal_response", "The client has to speak HTTP/1.1."),
    508: (
        "proxy_loop_detected",
        "Check the settings of the proxies on the way: one of them leads back here.",
    ),
}

_OTHER_REQUEST_ERROR = ("http_request_error", "")
_OTHER_ERROR = ("proxy_internal_response", "")


def answerFor(error: BaseException) -> Answer:
    """
    Say what is to be answered where a request has failed.

    @param error: Why. One that is not ours is an accident of this proxy.
    """
    if isinstance(error, Refusal):
        return answerWith(error.status, str(error))
    if not isinstance(error, errors.RequestFailed) or isinstance(error, errors.InternalError):
        return answerWith(500)
    status = error.httpStatus
    if isinstance(error, ProxiedConnectError):
        kind, text, advice = saidOfProxy(error)
    else:
        kind, text, advice = sayingFor(_failures, error)
    if isinstance(error, ProxyTimedOut):
        status = 504
    elif isinstance(error, TargetFault) and status == 501:
        # It would say that we do not know the method.
        status = 502
    return Answer(
        status,
        reasonFor(status),
        kind,
        text,
        advice,
        RETRY_AFTER if status == 503 else None,
    )


def answerWith(status: int, text: str = "") -> Answer:
    """
    Say what is to be answered where the status is known.

    @param status: 400 or more.
    @param text: What is wrong, in words of ours and not as a sentence.
    """
    other = _OTHER_REQUEST_ERROR if status < 500 else _OTHER_ERROR
    kind, advice = _STATUSES.get(status, other)
    if status == 500:
        text = "The proxy has failed in an unforeseen way."
    elif text:
        text = f"The request cannot be served: {text}."
    else:
        text = "The request cannot be served."
    return Answer(
        status, reasonFor(status), kind, text, advice, RETRY_AFTER if status == 503 else None
    )


def reasonFor(status: int) -> bytes:
    """
    Give the usual phrase for a status.
    """
    try:
        return HTTPStatus(status).phrase.encode("ascii")
    except ValueError:
        return b"Error"
