"""
What HTTP proxies say to a CONNECT, and what the client's machine makes of it.
"""

from __future__ import annotations

from collections.abc import Sequence

from socksproxy.address import Destination
from socksproxy.errors import (
    AuthenticationFailed,
    ConnectTimedOut,
    GeneralFailure,
    HostUnreachable,
    NotAllowed,
    RequestFailed,
    SOCKSProxyError,
)
from socksproxy.http._connect import ConnectNegotiation
from socksproxy.negotiation import Failed, ReplyReceived
from tests.socks.conversation import failureIn

WEB = Destination("web.test", 443)
REPLY = ReplyReceived(Destination("", 0))
GRANTED = b"HTTP/1.1 200 Connection established\r\n\r\n"
INTERIM = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"

TUNNELS = [
    GRANTED,
    b"HTTP/1.0 200 OK\r\n\r\n",
    b"HTTP/1.1 200\r\n\r\n",
    b"HTTP/1.1 200 \r\n\r\n",
    b"HTTP/1.1 200 Verbunden \xfc\r\n\r\n",
    b"HTTP/1.1 200 OK\n\n",
    b"HTTP/1.0 200\n\r\n",
    b"HTTP/1.0 200 OK\r\n\n",
    b"HTTP/1.1 200 OK\nVia: 1.0 old\r\nDate: now\n\n",
    b"HTTP/1.1 201 Created\r\n\r\n",
    b"HTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.1 299 Why not\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\nContent-Length: 5\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nConnection: close\r\nUpgrade: h2c\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nVia: 1.1 a,\r\n\t1.1 b\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n" + GRANTED,
    b"HTTP/1.0 102\n\n" + INTERIM + GRANTED,
]
"""
Answers that open the tunnel.
"""

REFUSALS: list[tuple[bytes, type[RequestFailed]]] = [
    (b"300 Multiple Choices", GeneralFailure),
    (b"400 Bad Request", GeneralFailure),
    (b"401 Unauthorized", AuthenticationFailed),
    (b"403 Forbidden", NotAllowed),
    (b"404 Not Found", GeneralFailure),
    (b"407 Proxy Authentication Required", AuthenticationFailed),
    (b"418", GeneralFailure),
    (b"500 Unable to connect", GeneralFailure),
    (b"502 Bad Gateway", HostUnreachable),
    (b"503 Service Unavailable", GeneralFailure),
    (b"504 Gateway Timeout", ConnectTimedOut),
    (b"999 Enough", GeneralFailure),
]
"""
Status codes with their reason phrases, and what they mean.
"""

NONSENSE = [
    b"\5\0",
    b"\x16\3\1\2",
    b"SSH-2.0-OpenSSH_9.2\r\n",
    b"220 mail.test ESMTP\r\n",
    b"<html>",
    b"\r\n" + GRANTED,
    b" " + GRANTED,
    b"http/1.1 200 OK\r\n\r\n",
    b"HTTP/2.0 200 OK\r\n\r\n",
    b"HTTP 200 OK\r\n\r\n",
    b"HTTP/1.1\r\n\r\n",
    b"HTTP/1.1 \r\n\r\n",
    b"HTTP/1.11 200 OK\r\n\r\n",
    b"HTTP/1.x 200 OK\r\n\r\n",
    b"HTTP/1.1  200 OK\r\n\r\n",
    b"HTTP/1.1\t200 OK\r\n\r\n",
    b"HTTP/1.1 20 OK\r\n\r\n",
    b"HTTP/1.1 2000 OK\r\n\r\n",
    b"HTTP/1.1 +20 OK\r\n\r\n",
    b"HTTP/1.1 000 OK\r\n\r\n",
    b"HTTP/1.1 099 OK\r\n\r\n",
    b"HTTP/1.1 200OK\r\n\r\n",
    b"HTTP/1.1 200 O\0K\r\n\r\n",
    b"HTTP/1.1 200 OK\rVia: 1.1 a\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: tunnel\r\n\r\n",
    INTERIM + b"\r\n" + GRANTED,
    INTERIM + b"SSH-2.0-OpenSSH_9.2\r\n",
]
"""
What is no answer to a CONNECT.
"""


def after(pieces: Sequence[bytes]) -> tuple[ConnectNegotiation, list[ReplyReceived | Failed]]:
    """
    Give a machine that has received something, and all it told.
    """
    machine = ConnectNegotiation(WEB)
    machine.start()
    return machine, [event for piece in pieces for event in machine.receive(piece)]


def failureAfter(*pieces: bytes) -> SOCKSProxyError | None:
    """
    Give the failure that a machine ended with, if it did.
    """
    return failureIn(after(pieces)[1])
