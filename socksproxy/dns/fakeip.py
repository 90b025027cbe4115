"""
Addresses that stand for names.

A program that resolves names itself is given an address out of a pool of our
own, at once and without asking anybody; when it connects to that address, the
connection goes to the name. So nothing of what it looks up leaves this host
but through the proxy.

Names and addresses belong together by number: the address of number I{n} is
the I{n}th of its pool, so that the pools of both families cannot disagree.
"""

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network

from socksproxy.address import IPAddress, hostFromName, hostFromText
from socksproxy.dns import answers
from socksproxy.dns._numbering import Numbering
from socksproxy.dns._wire import RecordType, ResponseCode
from socksproxy.dns.message import Query
from socksproxy.dns.names import NameSet, addressInName
from socksproxy.errors import BadName, ConfigurationError

FAKE_TTL = 60
"""
Seconds for which clients may use an address without asking again.
"""

FAKE_IPV4 = IPv4Network("198.18.0.0/15")
"""
The pool: a network that is for benchmarks, and that nobody routes (RFC 2544).
"""

MAX_NAMES = 65536
"""
Names that have addresses at a time.
"""

NEVER_FAKED = (
    "*.lan",
    "*.local",
    # Clocks: their protocol goes to an address for weeks.
    "pool.ntp.org",
    "ntp.*",
    "ntp1.*",
    "ntp2.*",
    "time.*",
    "time1.*",
    "time2.*",
    # Who asks for his own address.
    "stun.*",
    "stun1.*",
    "stun2.*",
    # How systems find out whether they are on the Internet.
    "captive.apple.com",
    "connectivity-check.ubuntu.com",
    "connectivitycheck.gstatic.com",
    "detectportal.firefox.com",
    "msftconnecttest.com",
    "msftncsi.com",
    "network-test.debian.org",
    "nmcheck.gnome.org",
)
"""
Names for which a made-up address does harm, as L{NameSet} takes them.
"""

_ADDRESSES = {RecordType.A, RecordType.AAAA}
_FAKED = _ADDRESSES | {RecordType.HTTPS, RecordType.SVCB}


@dataclass(frozen=True, slots=True)
class Mapping:
    """
    A name and its addresses.

    @ivar addresses: One of each pool.
    """

    name: str
    addresses: tuple[IPAddress, ...]


class FakeAddresses:
    """
    The pools and who has what of them.
    """

    def __init__(
        self,
        ipv4: IPv4Network = FAKE_IPV4,
        ipv6: IPv6Network | None = None,
        record: Callable[[bytes], object] | None = None,
        skipped: NameSet | None = None,
        size: int = MAX_NAMES,
    ) -> None:
        """
        @param ipv4: The pool of IPv4; its first and last address are not used.
        @param ipv6: That of IPv6, if there is one.
        @param record: Takes a line for each name that gets addresses; all of
            them, in order, are for L{restore}.
        @param skipped: Names that get none, instead of L{NEVER_FAKED}.
        @param size: Most names.
        @raise ConfigurationError: A pool has no addresses.
        """
        self._pools: list[IPv4Network | IPv6Network] = [ipv4] if ipv6 is None else [ipv4, ipv6]
        self._ipv6 = ipv6
        self._capacity = min(pool.num_addresses for pool in self._pools) - 2
        if self._capacity < 1:
            raise ConfigurationError("a pool of addresses for names is too small")
        self._numbering = Numbering(self._capacity, size)
        self._record = record
        self._skipped = NameSet(NEVER_FAKED) if skipped is None else skipped

    def __len__(self) -> int:
        return len(self._numbering)

    def __contains__(self, address: IPAddress) -> bool:
        """
        Tell whether an address is of a pool, whether or not it has a name:
        it must not be connected to.
        """
        return any(address in pool for pool in self._pools)

    def answerTo(self, query: Query) -> bytes | None:
        """
        Answer a query with what is made up here.

        @return: L{None} if that is to be asked of somebody else.
        """
        kind = query.type
        if kind == RecordType.PTR:
            return self._pointerAnswer(query)
        if kind not in _FAKED or not self._canFake(query.name):
            return None
        if kind not in _ADDRESSES or (kind == RecordType.AAAA and self._ipv6 is None):
            # HTTPS and SVCB records would hold addresses that are not ours.
            return answers.empty(query)
        mapping = self.mappingFor(query.name)
        if mapping is None:
            return answers.refusal(query, ResponseCode.SERVFAIL)
        return answers.addressAnswer(query, mapping.addresses, FAKE_TTL)

    def mappingFor(self, name: str) -> Mapping | None:
        """
        Give a name its addresses.

        @param name: The name of a host, in lower case.
        @return: L{None} if there are none left: all are connected to.
        """
        numbering = self._numbering
        number = numbering.numbers.get(name)
        if number is not None:
            numbering.use(number)
        else:
            number = numbering.add(name)
            if number is None:
                return None
            if self._record is not None:
                self._record(self._line(number))
        return Mapping(name, tuple(pool[number + 1] for pool in self._pools))

    def nameOf(self, address: IPAddress) -> str | None:
        """
        Give the name that an address stands for.
        """
        number = self._numberOf(address)
        return None if number is None else self._numbering.names.get(number)

    def opened(self, address: IPAddress) -> None:
        """
        Note that a connection to an address begins: it keeps its name.
        """
        number = self._numberOf(address)
        if number is not None:
            self._numbering.hold(number)

    def closed(self, address: IPAddress) -> None:
        """
        Note that a connection for which L{opened} was called has ended.
        """
        number = self._numberOf(address)
        if number is not None:
            self._numbering.release(number)

    def restore(self, octets: bytes) -> int:
        """
        Take the lines that were recorded earlier. What makes no sense is left
        out: a line that was being written when the host went down, or one
        from when the pools were others.

        @return: How many names have addresses now.
        """
        whole, _, _ = octets.rpartition(b"\n")
        for line in whole.split(b"\n"):
            self._restore(line)
        return len(self)

    def dump(self) -> bytes:
        """
        Give the lines that say all that is known now.
        """
        return b"".join(map(self._line, self._numbering))

    def _pointerAnswer(self, query: Query) -> bytes | None:
        address = addressInName(query.name)
        if address is None or address not in self:
            return None
        name = self.nameOf(address)
        if name is None:
            return answers.refusal(query, ResponseCode.NXDOMAIN)
        return answers.pointerAnswer(query, [name], FAKE_TTL)

    def _canFake(self, name: str) -> bool:
        """
        Tell whether a name can be connected to, and may be by an address that
        is made up.
        """
        return name in self._numbering.numbers or (_isHost(name) and name not in self._skipped)

    def _restore(self, line: bytes) -> None:
        written, _, name = line.decode("ascii", "replace").partition(" ")
        address = hostFromText(written)
        number = None if address is None else self._numberOf(address)
        if number is not None and _isHost(name):
            self._numbering.restore(name, number)

    def _line(self, number: int) -> bytes:
        return f"{self._pools[0][number + 1]} {self._numbering.names[number]}\n".encode("ascii")

    def _numberOf(self, address: IPAddress) -> int | None:
        """
        Tell the number of an address, L{None} if it has none.
        """
        for pool in self._pools:
            if address in pool:
                number = int(address) - int(pool.network_address) - 1
                return number if 0 <= number < self._capacity else None
        return None


def _isHost(name: str) -> bool:
    """
    Tell whether a name, which is in lower case, is one that can be connected
    to: DNS allows more.
    """
    try:
        return hostFromName(name.encode("utf-8")) == name
    except BadName:
        return False
