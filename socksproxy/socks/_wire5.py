"""
The messages of SOCKS5 and of its user/password sub-negotiation, as bytes and
as values.

Decoders take the octets so far and give C{(message, consumed)}, or L{None}
while the message is incomplete; they raise L{RemoteProtocolError} subclasses
and nothing else, and they raise as soon as an octet is wrong, without waiting
for the rest.

@see: U{https://www.rfc-editor.org/rfc/rfc1928}
@see: U{https://www.rfc-editor.org/rfc/rfc1929}
"""

import struct
from dataclasses import dataclass, field
from enum import IntEnum

from socksproxy.address import Destination, IPAddress
from socksproxy.errors import BadAddressType, BadVersion

VERSION = 5
AUTH_VERSION = 1

MAX_GREETING = 2 + 255
MAX_AUTH_REQUEST = 3 + 255 + 255
MAX_REQUEST = 4 + 1 + 255 + 2

_HEAD = struct.Struct("!BBBB")
_PORT = struct.Struct("!H")


class Method(IntEnum):
    """
    The METHOD octets that RFC 1928 itself assigns.
    """

    NO_AUTHENTICATION = 0x00
    GSSAPI = 0x01
    USERNAME_PASSWORD = 0x02
    NONE_ACCEPTABLE = 0xFF


class Command(IntEnum):
    """
    The CMD octet. RESOLVE and RESOLVE_PTR are Tor's extension, and UDP STREAM
    is ours: see L{socksproxy.socks._wirestream}.
    """

    CONNECT = 0x01
    BIND = 0x02
    UDP_ASSOCIATE = 0x03
    RESOLVE = 0xF0
    RESOLVE_PTR = 0xF1
    UDP_STREAM = 0xF5


class AddressType(IntEnum):
    """
    The ATYP octet.
    """

    IPV4 = 0x01
    DOMAINNAME = 0x03
    IPV6 = 0x04


class ReplyCode(IntEnum):
    """
    The REP octet.
    """

    SUCCEEDED = 0x00
    GENERAL_FAILURE = 0x01
    NOT_ALLOWED = 0x02
    NETWORK_UNREACHABLE = 0x03
    HOST_UNREACHABLE = 0x04
    CONNECTION_REFUSED = 0x05
    TTL_EXPIRED = 0x06
    COMMAND_NOT_SUPPORTED = 0x07
    ADDRESS_TYPE_NOT_SUPPORTED = 0x08


_addressLength = {AddressType.IPV4: 4, AddressType.IPV6: 16}


@dataclass(frozen=True, slots=True)
class Greeting:
    """
    What a client opens with.

    @ivar methods: The METHODS octets in the client's order, duplicates kept.
    """

    methods: bytes


@dataclass(frozen=True, slots=True)
class Request:
    """
    A SOCKS5 request as framed; whether its fields make sense is for the
    machine to say.

    @ivar command: CMD, known or not.
    @ivar addressType: ATYP.
    @ivar address: DST.ADDR: 4 or 16 octets, or the name without its length.
    @ivar port: DST.PORT.
    @ivar reserved: RSV.
    """

    command: int
    addressType: AddressType
    address: bytes
    port: int
    reserved: int = 0


@dataclass(frozen=True, slots=True)
class Reply:
    """
    A SOCKS5 reply.

    @ivar code: REP, known or not.
    @ivar addressType: ATYP.
    @ivar address: BND.ADDR: 4 or 16 octets, or the name without its length.
    @ivar port: BND.PORT.
    """

    code: int
    addressType: AddressType = AddressType.IPV4
    address: bytes = bytes(4)
    port: int = 0


@dataclass(frozen=True, slots=True)
class AuthRequest:
    """
    The client's message of RFC 1929.

    @ivar username: UNAME, 0 to 255 octets, of any value.
    @ivar password: PASSWD, likewise; never shown by C{repr}.
    """

    username: bytes
    password: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class AuthReply:
    """
    The server's message of RFC 1929.

    @ivar status: 0 for success, anything else for failure.
    """

    status: int


def decodeGreeting(data: bytes) -> tuple[Greeting, int] | None:
    """
    Read a client's greeting: VER, NMETHODS, METHODS (RFC 1928 section 3).

    @raise BadVersion: VER is not 5.
    """
    if data and data[0] != VERSION:
        raise BadVersion("not a SOCKS5 greeting")
    if len(data) < 2 or len(data) < 2 + data[1]:
        return None
    end = 2 + data[1]
    return Greeting(data[2:end]), end


def encodeGreeting(greeting: Greeting) -> bytes:
    """
    Write a client's greeting.
    """
    return bytes((VERSION, len(greeting.methods))) + greeting.methods


def decodeMethod(data: bytes) -> tuple[int, int] | None:
    """
    Read the server's choice: VER, METHOD (RFC 1928 section 3).

    @return: The METHOD octet and the 2 octets consumed.
    @raise BadVersion: VER is not 5.
    """
    if data and data[0] != VERSION:
        raise BadVersion("not a SOCKS5 method selection")
    return (data[1], 2) if len(data) >= 2 else None


def encodeMethod(method: int) -> bytes:
    """
    Write the server's choice of a method.
    """
    return bytes((VERSION, method))


def decodeAuthRequest(data: bytes) -> tuple[AuthRequest, int] | None:
    """
    Read a user name and password (RFC 1929 section 2)::

        +-----+------+----------+------+----------+
        | VER | ULEN |  UNAME   | PLEN |  PASSWD  |
        |  1  |  1   | 0 to 255 |  1   | 0 to 255 |
        +-----+------+----------+------+----------+

    The RFC asks for at least one octet in each; curl and Java send none.

    @raise BadVersion: VER is not 1.
    """
    if data and data[0] != AUTH_VERSION:
        raise BadVersion("not a user/password request")
    if len(data) < 2:
        return None
    userEnd = 2 + data[1]
    if len(data) < userEnd + 1:
        return None
    end = userEnd + 1 + data[userEnd]
    if len(data) < end:
        return None
    return AuthRequest(data[2:userEnd], data[userEnd + 1 : end]), end


def encodeAuthRequest(request: AuthRequest) -> bytes:
    """
    Write a user name and password of at most 255 octets each.
    """
    return b"".join(
        (
            bytes((AUTH_VERSION, len(request.username))),
            request.username,
            bytes((len(request.password),)),
            request.password,
        )
    )


def decodeAuthReply(data: bytes) -> tuple[AuthReply, int] | None:
    """
    Read the answer to a user name and password: VER, STATUS. VER is not
    looked at, since some servers send 5 there.
    """
    return (AuthReply(data[1]), 2) if len(data) >= 2 else None


def encodeAuthReply(reply: AuthReply) -> bytes:
    """
    Write the answer to a user name and password.
    """
    return bytes((AUTH_VERSION, reply.status))


def decodeRequest(data: bytes) -> tuple[Request, int] | None:
    """
    Read a request (RFC 1928 section 4)::

        +-----+-----+-------+------+----------+----------+
        | VER | CMD |  RSV  | ATYP | DST.ADDR | DST.PORT |
        |  1  |  1  | X'00' |  1   | variable |    2     |
        +-----+-----+-------+------+----------+----------+

    @raise BadVersion: VER is not 5.
    @raise BadAddressType: ATYP is not 1, 3 or 4.
    """
    decoded = _decodeAddressed(data)
    if decoded is None:
        return None
    command, reserved, addressType, address, port, end = decoded
    return Request(command, addressType, address, port, reserved), end


def encodeRequest(request: Request) -> bytes:
    """
    Write a request.
    """
    return _encodeAddressed(
        request.command, request.reserved, request.addressType, request.address, request.port
    )


def decodeCommand(data: bytes) -> tuple[int, int] | None:
    """
    Look at the CMD of a request whose first four octets are in, so that an
    unknown one can be refused without waiting for an address.

    @return: CMD, and 0: nothing is consumed.
    @raise BadVersion: VER is not 5.
    """
    head = _decodeHead(data)
    return None if head is None else (head[0], 0)


def decodeReply(data: bytes) -> tuple[Reply, int] | None:
    """
    Read a reply (RFC 1928 section 6), which has the shape of a request with
    REP in the place of CMD. The address may be a name, and an empty one.

    @raise BadVersion: VER is not 5.
    @raise BadAddressType: ATYP is not 1, 3 or 4.
    """
    decoded = _decodeAddressed(data)
    if decoded is None:
        return None
    code, _, addressType, address, port, end = decoded
    return Reply(code, addressType, address, port), end


def decodeReplyCode(data: bytes) -> tuple[int, int] | None:
    """
    Look at the REP of a reply as soon as its first two octets are in: a
    refusal has nothing more to say, and some servers send no more.

    @return: REP, and 0: nothing is consumed.
    @raise BadVersion: VER is not 5.
    """
    if data and data[0] != VERSION:
        raise BadVersion("not a SOCKS5 reply")
    return (data[1], 0) if len(data) >= 2 else None


def encodeReply(reply: Reply) -> bytes:
    """
    Write a reply.
    """
    return _encodeAddressed(reply.code, 0, reply.addressType, reply.address, reply.port)


def replyTo(code: int, host: IPAddress | None = None, port: int = 0) -> bytes:
    """
    Write a reply that carries an address, or zeros in IPv4 form, the ten
    octets that many clients read without looking.

    @param host: BND.ADDR, or L{None} where there is none to tell.
    """
    if host is None:
        return encodeReply(Reply(code))
    addressType = AddressType.IPV4 if host.version == 4 else AddressType.IPV6
    return encodeReply(Reply(code, addressType, host.packed, port))


def requestFor(command: int, destination: Destination) -> Request:
    """
    Make the request that asks for a destination; a name is sent as a name.
    """
    host = destination.host
    if isinstance(host, str):
        return Request(command, AddressType.DOMAINNAME, host.encode("ascii"), destination.port)
    addressType = AddressType.IPV4 if host.version == 4 else AddressType.IPV6
    return Request(command, addressType, host.packed, destination.port)


def _decodeHead(data: bytes) -> tuple[int, int, int] | None:
    """
    Read the four octets that requests and replies begin with.

    @return: CMD or REP, RSV and ATYP.
    """
    if data and data[0] != VERSION:
        raise BadVersion("not SOCKS5")
    if len(data) < _HEAD.size:
        return None
    _, code, reserved, addressType = _HEAD.unpack_from(data)
    return code, reserved, addressType


def _decodeAddressed(data: bytes) -> tuple[int, int, AddressType, bytes, int, int] | None:
    """
    Read the shape that requests and replies share.

    @return: CMD or REP, RSV, ATYP, address, port, and the octets consumed.
    """
    head = _decodeHead(data)
    if head is None:
        return None
    code, reserved, rawType = head
    try:
        addressType = AddressType(rawType)
    except ValueError as e:
        raise BadAddressType(f"ATYP {rawType} is not known") from e
    start = _HEAD.size
    if addressType is AddressType.DOMAINNAME:
        if len(data) == start:
            return None
        length = data[start]
        start += 1
    else:
        length = _addressLength[addressType]
    end = start + length
    if len(data) < end + _PORT.size:
        return None
    (port,) = _PORT.unpack_from(data, end)
    return code, reserved, addressType, data[start:end], port, end + _PORT.size


def _encodeAddressed(
    code: int, reserved: int, addressType: AddressType, address: bytes, port: int
) -> bytes:
    length = bytes((len(address),)) if addressType is AddressType.DOMAINNAME else b""
    return b"".join(
        (
            _HEAD.pack(VERSION, code, reserved, addressType),
            length,
            address,
            _PORT.pack(port),
        )
    )
