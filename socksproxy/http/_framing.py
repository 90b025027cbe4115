"""
Where a message ends, said in one way only; and what else a request's head must
not leave open.

@see: U{https://www.rfc-editor.org/rfc/rfc9112#section-6.3}
"""

from typing import NamedTuple

from socksproxy.http._body import BodyOfLength, BodyReader, BodyUntilClose, ChunkedBody
from socksproxy.http._events import Fields, Request
from socksproxy.http._grammar import DIGITS, TOKEN, members
from socksproxy.http._guard import Framing, Head, RequestLine, StatusLine
from socksproxy.http._parsed import parseRequest, parseResponse
from socksproxy.http._refusal import Refusal
from socksproxy.http._target import checkHostField, targetOf


def requestOf(
    head: Head[RequestLine], *, originatesTLS: bool = False, needsHost: bool = False
) -> Request:
    """
    Understand the head of a request.

    @param originatesTLS: Whether C{https} can be asked for.
    @param needsHost: Whether CONNECT has to have a Host as well.
    @raise Refusal: It can be understood in two ways, or not at all, or asks
        for what there is not.
    """
    method, later = head.line
    connects = method == b"CONNECT"
    _checkHosts(head.framing, later and (needsHost or not connects))
    length, chunked = _bodyOf(head.framing, later)
    if connects and (length or chunked):
        raise Refusal(400, "CONNECT has no body")
    _, text, fields = parseRequest(head)
    target = targetOf(method, text, originatesTLS=originatesTLS)
    connection: set[bytes] = set()
    upgrades: list[bytes] = []
    expectations: list[bytes] = []
    for name, value in fields:
        match name.lower():
            case b"connection" | b"proxy-connection":
                connection.update(members(value))
            case b"upgrade":
                upgrades.extend(members(value))
            case b"expect":
                expectations.extend(members(value))
    # Someone of HTTP/1.0 cannot mean it.
    if later and any(word != b"100-continue" for word in expectations):
        raise Refusal(417, "the expectation is unknown")
    bodiless = not length and not chunked and not connects
    asksOnce = later and bodiless and len(upgrades) == 1 and b"upgrade" in connection
    return Request(
        method,
        target,
        b"1.1" if later else b"1.0",
        fields,
        length,
        chunked,
        expectsContinue=later and bool(expectations) and not bodiless,
        upgrade=upgrades[0] if asksOnce else None,
        keepAlive=b"close" not in connection and (later or b"keep-alive" in connection),
    )


class Answer(NamedTuple):
    """
    The head of an answer, understood.

    @ivar fields: All of them.
    @ivar length: Content-Length, if it counts.
    @ivar body: What reads the body, if there is one.
    @ivar clear: Whether nothing leaves a doubt where the answer ends.
    """

    status: int
    reason: bytes
    version: bytes
    fields: Fields
    length: int | None
    body: BodyReader | None
    clear: bool


def answerOf(head: Head[StatusLine], method: bytes) -> Answer:
    """
    Understand the head of an answer.

    @param method: The request's.
    @raise Refusal: It says that it has two ends, is in a coding that nobody
        asked for, or cannot be understood.
    """
    status, later = head.line
    length, body, clear = _answerBody(head, method)
    _, reason, fields = parseResponse(head)
    return Answer(status, reason, b"1.1" if later else b"1.0", fields, length, body, clear)


def _answerBody(
    head: Head[StatusLine], method: bytes
) -> tuple[int | None, BodyReader | None, bool]:
    """
    Tell what body there is.

    @return: See L{Answer}.
    """
    status = head.line.status
    length = _agreedLength(head.framing.lengths)
    chunked = _isChunked(head.framing.codings)
    clear = length is None or not head.framing.codings
    if status < 200 or status == 204:
        return None, None, not length and not chunked
    if method == b"HEAD" or status == 304:
        return None if chunked else length, None, clear
    if chunked:
        return None, ChunkedBody(), clear
    if length is None or head.framing.codings:
        return None, BodyUntilClose(), False
    return length, BodyOfLength(length) if length else None, clear


def _checkHosts(framing: Framing, needed: bool) -> None:
    if len(framing.hosts) > 1:
        raise Refusal(400, "there are two Hosts")
    if needed and not framing.hosts:
        raise Refusal(400, "Host is missing")
    for host in framing.hosts:
        checkHostField(host)


def _bodyOf(framing: Framing, later: bool) -> tuple[int | None, bool]:
    """
    Tell the declared length of a request's body, and whether it is chunked.
    """
    lengths, codings = framing.lengths, framing.codings
    if not codings:
        if not lengths:
            return None, False
        if len(lengths) > 1 or not DIGITS.fullmatch(lengths[0]):
            raise Refusal(400, "Content-Length is not one number")
        return int(lengths[0]), False
    if lengths:
        raise Refusal(400, "there are Content-Length and Transfer-Encoding")
    if not later:
        raise Refusal(400, "HTTP/1.0 has no Transfer-Encoding")
    if len(codings) > 1:
        raise Refusal(400, "there are two Transfer-Encodings")
    if codings[0].lower() != b"chunked":
        known = TOKEN.fullmatch(codings[0])
        raise Refusal(501 if known else 400, "Transfer-Encoding is not chunked")
    return None, True


def _agreedLength(lengths: list[bytes]) -> int | None:
    """
    Give the one length that all say.
    """
    said = {word.strip(b" \t") for value in lengths for word in value.split(b",")}
    if not said:
        return None
    first = said.pop()
    if said or not DIGITS.fullmatch(first):
        raise Refusal(502, "Content-Length is not one number")
    return int(first)


def _isChunked(codings: list[bytes]) -> bool:
    """
    Tell whether a response is chunked.

    @raise Refusal: It is coded otherwise, which the client could not be told.
    """
    words = [coding.lower() for coding in codings]
    if words in ([], [b"identity"]):
        return False
    if words != [b"chunked"]:
        raise Refusal(502, "the response is in a coding that nobody asked for")
    return True
