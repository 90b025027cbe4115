"""
Who is asked for which name, and which names nobody is asked for.

@see: U{https://www.rfc-editor.org/rfc/rfc6761}
@see: U{https://www.rfc-editor.org/rfc/rfc6303}
"""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

from socksproxy.address import IPAddress
from socksproxy.dns import answers
from socksproxy.dns._wire import RecordType, ResponseCode
from socksproxy.dns.hosts import Hosts, linesOf
from socksproxy.dns.message import Query
from socksproxy.dns.names import NameMap, NameSet, addressInName
from socksproxy.errors import ConfigurationError

FIXED_TTL = 60
"""
Seconds for which clients may use what is answered here.
"""


@dataclass(frozen=True, slots=True)
class Proxy:
    """
    Ask name servers through the proxy.

    @ivar group: Which ones.
    """

    group: str = "proxy"


@dataclass(frozen=True, slots=True)
class Direct:
    """
    Ask name servers without the proxy.
    """


@dataclass(frozen=True, slots=True)
class Block:
    """
    Ask nobody.

    @ivar null: Answer with the addresses 0.0.0.0 and ::, instead of that
        there is no such name.
    """

    null: bool = False


@dataclass(frozen=True, slots=True)
class Fixed:
    """
    Answer with what is written here.

    @ivar addresses: For who asks for addresses, of either family.
    @ivar names: For who asks for the names of an address.
    """

    addresses: tuple[IPAddress, ...] = ()
    names: tuple[str, ...] = ()


Decision = Proxy | Direct | Block | Fixed
Network = IPv4Network | IPv6Network

_LOOPBACK = Fixed((IPv4Address("127.0.0.1"), IPv6Address("::1")), ("localhost",))
_NULL = (IPv4Address(0), IPv6Address(0))

_LOCALHOST = NameSet(["localhost"])

CANARY = "use-application-dns.net"
"""
The name by which browsers ask whether they may go to a name server of their
own.
"""

# resolver.arpa is where clients ask for a name server's other ways in
# (RFC 9462): its answer would lead them past us.
_NEVER_FORWARDED = NameSet(["local", "home.arpa", "resolver.arpa", "onion", "invalid", "alt"])

_PRIVATE_ZONES = NameSet(
    [
        *(f"{zone}.in-addr.arpa" for zone in ("0", "10", "127", "254.169", "168.192")),
        *(f"{number}.172.in-addr.arpa" for number in range(16, 32)),
        *(f"{number}.100.in-addr.arpa" for number in range(64, 128)),
        *(f"{zone}.in-addr.arpa" for zone in ("2.0.192", "100.51.198", "113.0.203")),
        "255.255.255.255.in-addr.arpa",
        IPv6Address("::").reverse_pointer,
        IPv6Address("::1").reverse_pointer,
        *(f"{zone}.ip6.arpa" for zone in ("c.f", "d.f", "8.b.d.0.1.0.0.2")),
        *(f"{digit}.e.f.ip6.arpa" for digit in "89ab"),
    ]
)

# What a top-level domain is asked for by who validates or resolves himself.
_OF_ZONES = {RecordType.NS, RecordType.SOA, RecordType.DS, RecordType.DNSKEY}


class Rules:
    """
    Decides by name. What is written for a name comes first, hosts before
    patterns; then the names that are never forwarded; then the default.
    """

    def __init__(
        self,
        default: Decision = Proxy(),
        hosts: Hosts | None = None,
        special: bool = True,
        canary: bool = True,
    ) -> None:
        """
        @param default: For all other names.
        @param hosts: Names with addresses.
        @param special: There are names that are never forwarded.
        @param canary: Tell browsers not to go past us.
        """
        self._default = default
        self._hosts = Hosts() if hosts is None else hosts
        self._special = special
        self._canary = canary
        self._names: NameMap[Decision] = NameMap()
        self._networks: list[tuple[Network, Decision]] = []

    def add(self, pattern: str, decision: Decision) -> None:
        """
        Add a rule. Of two for the same names, the first counts.

        @param pattern: As L{NameMap} takes them; or an address or a network,
            whose addresses' names are meant.
        @raise ConfigurationError: It is no pattern.
        """
        network = _networkFrom(pattern)
        if network is None:
            self._names.add(pattern, decision)
        else:
            self._networks.append((network, decision))

    def addList(self, text: str, decision: Decision) -> None:
        """
        Add a rule for each line of a list.

        @raise ConfigurationError: A line is no pattern; the text says which.
        """
        for number, words in linesOf(text):
            try:
                if len(words) > 1:
                    raise ConfigurationError("more than one pattern")
                self.add(words[0], decision)
            except ConfigurationError as e:
                raise ConfigurationError(f"line {number}: {e}") from None

    def decide(self, name: str, kind: int) -> Decision:
        """
        Decide about a query.

        @param name: As L{Query} has it.
        @param kind: The type of record that is asked for.
        """
        if kind == RecordType.PTR:
            address = addressInName(name)
            if address is not None:
                names = self._hosts.namesOf(address)
                if names:
                    return Fixed(names=names)
                for network, decision in self._networks:
                    if address in network:
                        return decision
        addresses = self._hosts.addressesOf(name)
        if addresses:
            return Fixed(addresses)
        found = self._names.find(name)
        if found is None and self._special:
            found = self._specially(name, kind)
        return self._default if found is None else found

    def _specially(self, name: str, kind: int) -> Decision | None:
        """
        Decide about a name that has a meaning of its own.
        """
        if name in _LOCALHOST:
            return _LOOPBACK
        if name.endswith(".arpa") and name in _PRIVATE_ZONES:
            isLoopback = kind == RecordType.PTR and addressInName(name) in _LOOPBACK.addresses
            return _LOOPBACK if isLoopback else Block()
        if name in _NEVER_FORWARDED or (self._canary and name == CANARY):
            return Block()
        if "." not in name and kind not in _OF_ZONES:
            return Block()
        return None


def _networkFrom(pattern: str) -> Network | None:
    try:
        return ip_network(pattern, strict=False)
    except ValueError:
        return None


def answerTo(query: Query, decision: Decision) -> bytes | None:
    """
    Answer a query that nobody else has to be asked for.

    @return: L{None} if somebody has to be.
    """
    if isinstance(decision, Fixed):
        if query.type == RecordType.PTR and decision.names:
            return answers.pointerAnswer(query, decision.names, FIXED_TTL)
        return answers.addressAnswer(query, decision.addresses, FIXED_TTL)
    if isinstance(decision, Block):
        if decision.null:
            return answers.addressAnswer(query, _NULL, FIXED_TTL)
        return answers.refusal(query, ResponseCode.NXDOMAIN)
    return None
