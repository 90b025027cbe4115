"""
HTTP CONNECT from the request to the tunnel, the client's half, without I/O.

The machine is fed bytes and gives
L{events<socksproxy.negotiation>}::

    machine = ConnectNegotiation(destination)
    data = machine.start()              # the request
    events = machine.receive(data)      # ReplyReceived, or Failed
    early = machine.takeEarlyData()     # what followed the proxy's answer

Of an answer only the status line counts. Its header fields are read to their
end and ignored, Content-Length and Transfer-Encoding like all others: after a
2xx they mean nothing, and after anything else the connection is given up.

@see: U{https://www.rfc-editor.org/rfc/rfc9110#section-9.3.6}
"""

import re
from base64 import b64encode
from collections.abc import Sequence
from typing import cast

import h11

from socksproxy.address import Destination
from socksproxy.buffer import Buffer
from socksproxy.errors import (
    AuthenticationFailed,
    ConnectTimedOut,
    GeneralFailure,
    HostUnreachable,
    LocalProtocolError,
    MalformedMessage,
    MessageTooLong,
    NotAllowed,
    RemoteProtocolError,
    RequestFailed,
    SOCKSProxyError,
    TruncatedStream,
)
from socksproxy.negotiation import EARLY_DATA_LIMIT, Failed, ReplyReceived

HeaderField = tuple[bytes, bytes]
"""
The name and the value of a header field.
"""

HEAD_LIMIT = 65536
"""
Octets in the proxy's answer, the interim ones before it included.
"""

INTERIM_LIMIT = 16
"""
How many interim responses (1xx) are skipped.
"""

_BEGINNING = b"HTTP/1."

# Old proxies end their lines with LF alone.
_BLANK_LINE = re.compile(rb"\n\r?\n")
_BLANK_LINE_LENGTH = 3

_SHOWN_REASON = 100

# What there is no word for in SOCKS is a general failure. That holds for 503
# too: some proxies mean the target by it, others themselves. With 401 tinyproxy
# rejects credentials; of a target it cannot come.
_REFUSALS: dict[int, type[RequestFailed]] = {
    401: AuthenticationFailed,
    403: NotAllowed,
    407: AuthenticationFailed,
    502: HostUnreachable,
    504: ConnectTimedOut,
}


class ConnectNegotiation:
    """
    Asks a proxy for a tunnel.
    """

    def __init__(self, destination: Destination, headers: Sequence[HeaderField] = ()) -> None:
        """
        @param destination: Where to go; a name goes to the proxy unresolved.
        @param headers: What the request has beside Host.
        @raise LocalProtocolError: They cannot be sent in such a request.
        """
        self._connection = h11.Connection(h11.CLIENT)
        self._request = self._encoded(str(destination).encode("ascii"), headers)
        self._buffer = Buffer(HEAD_LIMIT + EARLY_DATA_LIMIT)
        self._headRoom = HEAD_LIMIT
        self._searched = 0
        self._interims = 0
        self._established = False
        self._failed = False

    def start(self) -> bytes:
        """
        Give the request, to be sent at once.
        """
        return self._request

    def receive(self, data: bytes) -> list[ReplyReceived | Failed]:
        """
        Take bytes from the proxy.

        @return: What there is to do. After L{Failed}, nothing ever again.
        """
        if self._failed:
            return []
        try:
            self._buffer.feed(data)
            return self._advance()
        except RemoteProtocolError as e:
            return self._fail(e)

    def resume(self) -> list[ReplyReceived | Failed]:
        """
        Nothing here takes long.

        @raise LocalProtocolError: Always.
        """
        raise LocalProtocolError("nothing is being waited for")

    def endOfStream(self) -> list[ReplyReceived | Failed]:
        """
        Learn that the proxy will send nothing more.

        @return: L{Failed}, unless the negotiation is over.
        """
        if self._established or self._failed:
            return []
        return self._fail(TruncatedStream("the proxy closed the connection during negotiation"))

    def takeEarlyData(self) -> bytes:
        """
        Give the bytes that followed the proxy's answer, and keep nothing.

        @raise LocalProtocolError: The negotiation is not over, or has failed.
        """
        if self._failed or not self._established:
            raise LocalProtocolError("the negotiation is not over")
        return self._buffer.takeAll()

    def _encoded(self, authority: bytes, headers: Sequence[HeaderField]) -> bytes:
        """
        Write the request.

        @param authority: Host and port.
        @raise LocalProtocolError: See L{__init__}.
        """
        try:
            request = h11.Request(
                method=b"CONNECT", target=authority, headers=[(b"Host", authority), *headers]
            )
            message = self._connection.send(request)
            body = self._connection.send(h11.EndOfMessage())
        except h11.LocalProtocolError:
            # The error quotes the field, which may be a secret.
            raise LocalProtocolError("the target or a header field cannot be sent") from None
        if body:
            raise LocalProtocolError("a CONNECT has no body")
        return message

    def _advance(self) -> list[ReplyReceived | Failed]:
        while not self._established:
            statusLine = self._buffer.decode(self._head)
            if statusLine is None:
                break
            response = self._read(statusLine)
            if isinstance(response, h11.InformationalResponse):
                self._interims += 1
                if self._interims > INTERIM_LIMIT:
                    raise MessageTooLong(f"more than {INTERIM_LIMIT} interim responses")
            elif response.status_code < 300:
                self._established = True
                return [ReplyReceived(Destination("", 0))]
            else:
                return self._fail(_refusal(response))
        return []

    def _head(self, data: bytes) -> tuple[bytes, int] | None:
        """
        Take a status line with the header fields after it.

        @return: The status line and how long all of it is, or L{None} while
            the blank line is missing.
        @raise RemoteProtocolError: It is no HTTP/1, or too long.
        """
        if not data.startswith(_BEGINNING[: len(data)]):
            raise MalformedMessage("the proxy does not speak HTTP")
        blankLine = _BLANK_LINE.search(data, self._searched)
        length = len(data) + 1 if blankLine is None else blankLine.end()
        if length > self._headRoom:
            raise MessageTooLong(f"an answer of more than {HEAD_LIMIT} octets")
        if blankLine is None:
            # A cut may go through a blank line.
            self._searched = max(0, len(data) - _BLANK_LINE_LENGTH + 1)
            return None
        self._searched = 0
        self._headRoom -= length
        return data[: data.index(b"\n")].removesuffix(b"\r"), length

    def _read(self, statusLine: bytes) -> h11.Response | h11.InformationalResponse:
        """
        Understand a status line.

        @raise MalformedMessage: It is none, or switches to another protocol.
        """
        self._connection.receive_data(statusLine + b"\r\n\r\n")
        try:
            event = self._connection.next_event()
        except h11.RemoteProtocolError:
            raise MalformedMessage("the proxy's answer makes no sense") from None
        response = cast(h11.Response | h11.InformationalResponse, event)
        if response.status_code == 101:
            raise MalformedMessage("the proxy switches to another protocol")
        return response

    def _fail(self, error: SOCKSProxyError) -> list[ReplyReceived | Failed]:
        self._failed = True
        self._buffer.takeAll()
        return [Failed(error)]


def basicAuthorization(username: bytes, password: bytes) -> HeaderField:
    """
    Make the header field that says who we are.

    @raise LocalProtocolError: The user name has a colon, which ends it.
    @see: U{https://www.rfc-editor.org/rfc/rfc7617#section-2}
    """
    if b":" in username:
        raise LocalProtocolError("a user name for HTTP has no colon")
    return b"Proxy-Authorization", b"Basic " + b64encode(username + b":" + password)


def _refusal(response: h11.Response) -> RequestFailed:
    """
    Give the error that an answer other than 2xx stands for.
    """
    reason = response.reason.decode("utf-8", "replace")[:_SHOWN_REASON]
    shown = "".join(letter if letter.isprintable() else "?" for letter in reason)
    text = f"the proxy answered {response.status_code} {shown}".rstrip()
    return _REFUSALS.get(response.status_code, GeneralFailure)(text)
