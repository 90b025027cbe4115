"""
Hosts and ports as clients name them, made safe before anything uses them.

A name that came from the network goes through L{hostFromName} once. What comes
out is either an L{ipaddress} object or a plain ASCII host name that no
resolver reads as a number: forms such as C{127.1}, C{2130706433} or
C{0x7f.0.0.1}, which C{getaddrinfo} turns into an address behind the back of
every rule, are refused, and full-width digits are folded before the check.

@see: U{https://www.rfc-editor.org/rfc/rfc1123#section-2.1}
@see: U{https://www.unicode.org/reports/tr46/}
"""

import re
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from socket import AF_INET, AF_INET6, inet_pton

import idna

from socksproxy.errors import BadName

IPAddress = IPv4Address | IPv6Address
Host = str | IPv4Address | IPv6Address
"""
A host name in lower-case ASCII, or an address.
"""

MAX_NAME_LENGTH = 253

# A label as deployed: RFC 1123 letters, digits and hyphens, and the
# underscore that many real names hold in spite of it.
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")

# inet_aton, and so getaddrinfo, takes one to four decimal, octal or
# hexadecimal numbers. All of those forms end in a label that is a number.
_NUMBER = re.compile(r"0x[0-9a-f]*|[0-9]+")


@dataclass(frozen=True, slots=True)
class Destination:
    """
    Where a client wants to go.

    @ivar host: A checked host name, or an address (never an IPv4-mapped one).
    @ivar port: 0 to 65535; what 0 means is the command's business.
    """

    host: Host
    port: int

    def __hash__(self) -> int:
        # A datagram is looked up by where it goes, and the addresses' own hash
        # writes their digits out first. That of their octets has a secret in
        # it, so that nobody can choose addresses that collide.
        host = self.host
        return hash((host if isinstance(host, str) else host.packed, self.port))

    def __str__(self) -> str:
        if isinstance(self.host, IPv6Address):
            return f"[{self.host}]:{self.port}"
        return f"{self.host}:{self.port}"


def normalized(address: IPAddress) -> IPAddress:
    """
    Turn an IPv4-mapped IPv6 address (C{::ffff:a.b.c.d}) into the IPv4 address
    that it stands for, and leave every other address as it is.
    """
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def hostFromPacked(packed: bytes) -> IPAddress:
    """
    Read an address in network byte order.

    @param packed: 4 octets for IPv4, 16 for IPv6.
    """
    if len(packed) == 4:
        return IPv4Address(packed)
    return normalized(IPv6Address(packed))


def hostFromText(text: str) -> IPAddress | None:
    """
    Read an address literal as the transports write it.

    @param text: Dotted quad or IPv6 text; a zone (C{%eth0}) is dropped.
    @return: The address, or L{None} if the text is not one.
    """
    # inet_pton is several times faster than ipaddress's own parser, and just
    # as strict.
    try:
        if ":" in text:
            return hostFromPacked(inet_pton(AF_INET6, text.partition("%")[0]))
        return IPv4Address(inet_pton(AF_INET, text))
    except (OSError, ValueError):
        return None


def hostFromName(name: bytes) -> Host:
    """
    Check a host name from the network and give it its one canonical form.

    @param name: The octets as received: ASCII, or UTF-8 for an
        internationalised name.
    @return: An address where the name is a literal (a strict dotted quad, or
        IPv6 with or without brackets), else the name in lower-case ASCII
        without a trailing dot.
    @raise BadName: The name is empty or too long, holds octets that no name
        may hold, or is one of the numeric forms that resolvers take for an
        address.
    """
    try:
        text = name.decode("ascii")
    except UnicodeDecodeError:
        text = _fromInternational(name)
    return _canonical(text)


def _fromInternational(name: bytes) -> str:
    """
    Convert a UTF-8 name by IDNA 2008 with UTS 46 mapping (non-transitional).
    The result is ASCII and still has to be checked: the mapping may have
    produced digits and dots.
    """
    try:
        return idna.encode(name.decode("utf-8"), uts46=True, std3_rules=True).decode("ascii")
    except (UnicodeError, IndexError) as e:
        raise BadName("not a valid international name") from e


def _canonical(text: str) -> Host:
    if ":" in text:
        return _ipv6Literal(text)
    text = text.lower().removesuffix(".")
    labels = text.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        return _dottedQuad(text)
    if len(text) > MAX_NAME_LENGTH:
        raise BadName("longer than a name can be")
    if not all(_LABEL.fullmatch(label) for label in labels):
        raise BadName("not a host name")
    return text


def _ipv6Literal(text: str) -> Host:
    if text.startswith("[") and text.endswith("]"):
        text = text[1:-1]
    if "%" in text:
        raise BadName("a zone has no meaning here")
    try:
        return normalized(IPv6Address(text))
    except AddressValueError as e:
        raise BadName("not a host name") from e


def _dottedQuad(text: str) -> IPv4Address:
    try:
        return IPv4Address(text)
    except AddressValueError as e:
        raise BadName("a number is not a host name") from e
