"""
Who a client says it is: Proxy-Authorization with the scheme Basic, read
strictly.

@see: U{https://www.rfc-editor.org/rfc/rfc7617#section-2}
"""

import re
from base64 import b64decode, b64encode
from collections.abc import Iterable

from socksproxy.errors import MalformedMessage
from socksproxy.http._connect import HeaderField

# The padding may be left out.
_BASIC = re.compile(rb"basic +([A-Za-z0-9+/]+)(={0,2})", re.IGNORECASE)

_CONTROLS = re.compile(rb"[\x00-\x1f\x7f]")


def basicCredentials(fields: Iterable[HeaderField]) -> tuple[bytes, bytes] | None:
    """
    Find user name and password.

    @return: Their octets, or L{None} if the client says nothing.
    @raise MalformedMessage: It says something else, or something twice. The
        text quotes nothing.
    """
    values = [value for name, value in fields if name.lower() == b"proxy-authorization"]
    if not values:
        return None
    match = _BASIC.fullmatch(values[0])
    if len(values) > 1 or match is None:
        raise MalformedMessage("not the credentials of one user by Basic")
    username, colon, password = _decoded(match.group(1), match.group(2)).partition(b":")
    if not colon or _CONTROLS.search(username) or _CONTROLS.search(password):
        raise MalformedMessage("not a user name and a password")
    return username, password


def _decoded(text: bytes, padding: bytes) -> bytes:
    """
    Decode Base64, of which there is one form only for any octets.
    """
    needed = b"=" * (-len(text) % 4)
    if len(needed) < 3 and padding in (b"", needed):
        decoded = b64decode(text + needed)
        if b64encode(decoded) == text + needed:
            return decoded
    raise MalformedMessage("not Base64")
