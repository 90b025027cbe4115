"""
Where a request goes: the four forms of a request target.

@see: U{https://www.rfc-editor.org/rfc/rfc9112#section-3.2}
"""

import re
from dataclasses import dataclass, field
from enum import Enum

from socksproxy.address import Destination, hostFromName
from socksproxy.errors import BadName
from socksproxy.http._refusal import Refusal


class Form(Enum):
    """
    The forms, named as in RFC 9112.
    """

    AUTHORITY = "authority-form"
    ABSOLUTE = "absolute-form"
    ORIGIN = "origin-form"
    ASTERISK = "asterisk-form"


@dataclass(frozen=True, slots=True)
class Target:
    """
    A request target, taken apart.

    @ivar scheme: C{http}, or C{https} where that is allowed; empty for all
        forms but absolute-form.
    @ivar destination: Where it is, for authority-form and absolute-form.
    @ivar path: What an origin is asked for, path and query as the client wrote
        them; empty for authority-form.
    @ivar hostField: What the field Host has to say; empty where there is no
        destination.
    """

    form: Form
    scheme: bytes = b""
    destination: Destination | None = None
    path: bytes = field(default=b"", repr=False)
    hostField: bytes = b""

    @property
    def absolute(self) -> bytes:
        """
        The target in absolute-form, as another proxy has to be asked.
        """
        return b"%b://%b%b" % (self.scheme, self.hostField, b"" if self.path == b"*" else self.path)


# What may be before, and in, an authority is for hostFromName to say.
_ABSOLUTE = re.compile(rb"([A-Za-z][A-Za-z0-9+.\-]*)://([^/?#]*)([^#]*)(?:#.*)?")

# An IPv6 address is in brackets, or its colons would be the port's.
_AUTHORITY = re.compile(rb"(\[[0-9A-Fa-f:.]+\]|[^\[\]:@]+)(?::([0-9]*))?")

_HOST = re.compile(rb"(?:\[[0-9A-Za-z:.]*\]|[0-9A-Za-z._~!$&'()*+,;=%\-]*)(?::[0-9]*)?")

_MAX_PORT_LENGTH = 5

_DEFAULT_PORTS = {b"http": 80, b"https": 443}


def targetOf(method: bytes, text: bytes, *, originatesTLS: bool = False) -> Target:
    """
    Take a request target apart.

    @param method: It decides which forms there can be.
    @param text: Visible ASCII.
    @param originatesTLS: Whether C{https} can be asked for.
    @raise Refusal: It has none of the forms (400), or a scheme that is not
        supported (501).
    """
    if method == b"CONNECT":
        return _authorityForm(text)
    if text.startswith(b"/"):
        return Target(Form.ORIGIN, path=text.partition(b"#")[0])
    if text == b"*":
        if method != b"OPTIONS":
            raise Refusal(400, "only OPTIONS has the target *")
        return Target(Form.ASTERISK, path=text)
    return _absoluteForm(method, text, originatesTLS)


def checkHostField(value: bytes) -> None:
    """
    Require of the value of Host that it can be one. Who it names is not
    looked at, since the target says that.

    @raise Refusal: It is none.
    """
    if not _HOST.fullmatch(value):
        raise Refusal(400, "Host names no host")


def _authorityForm(text: bytes) -> Target:
    destination = _destinationOf(text, None)
    return Target(
        Form.AUTHORITY, destination=destination, hostField=str(destination).encode("ascii")
    )


def _absoluteForm(method: bytes, text: bytes, originatesTLS: bool) -> Target:
    parts = _ABSOLUTE.fullmatch(text)
    if parts is None:
        raise Refusal(400, "not a request target")
    scheme, authority, path = parts.group(1).lower(), parts.group(2), parts.group(3)
    if scheme == b"ws":
        scheme = b"http"
    if scheme != b"http" and not (scheme == b"https" and originatesTLS):
        raise Refusal(501, "the scheme is not supported")
    default = _DEFAULT_PORTS[scheme]
    destination = _destinationOf(authority, default)
    if not path:
        path = b"*" if method == b"OPTIONS" else b"/"
    elif path.startswith(b"?"):
        path = b"/" + path
    hostField = str(destination).encode("ascii")
    if destination.port == default:
        hostField = hostField.rpartition(b":")[0]
    return Target(Form.ABSOLUTE, scheme, destination, path, hostField)


def _destinationOf(authority: bytes, default: int | None) -> Destination:
    """
    Read host and port.

    @param default: The port where none is named; L{None} if one has to be.
    @raise Refusal: They make no sense, or there is more, such as a user.
    """
    parts = _AUTHORITY.fullmatch(authority)
    if parts is None:
        raise Refusal(400, "not a host and a port")
    digits = parts.group(2)
    if digits:
        if len(digits) > _MAX_PORT_LENGTH:
            raise Refusal(400, "no port has that number")
        port = int(digits)
    elif default is None:
        raise Refusal(400, "the port is missing")
    else:
        port = default
    if not 0 < port < 65536:
        raise Refusal(400, "no port has that number")
    try:
        return Destination(hostFromName(parts.group(1)), port)
    except BadName:
        raise Refusal(400, "the target names no host") from None
