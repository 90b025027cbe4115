"""
The part of the command line that is about names.
"""

from __future__ import annotations

import os
from ipaddress import IPv4Network, ip_network
from typing import Any

from twisted.python import usage

from socksproxy.address import IPAddress, hostFromText
from socksproxy.dns.hosts import Hosts
from socksproxy.dns.rules import Block, Decision, Direct, Fixed, Proxy, Rules
from socksproxy.dns.settings import DNSSettings, listenerFromText
from socksproxy.dns.strategy import IPStrategy
from socksproxy.dns.upstreamurl import SYSTEM, upstreamFromURL
from socksproxy.errors import ConfigurationError

FAKE_FILE = "fake-addresses"
"""
The name of the file, in the folder of C{--state}, with the addresses that stand
for names.
"""

MAX_HOSTS = 1 << 24
"""
Octets of the longest file of hosts.
"""

_WORDS: dict[str, Decision] = {"proxy": Proxy(), "direct": Direct(), "block": Block()}


def _strategy(text: str) -> IPStrategy:
    try:
        return IPStrategy(text)
    except ValueError:
        raise ValueError(f"--dns-strategy is one of {', '.join(IPStrategy)}") from None


def decisionFromText(text: str) -> tuple[str, Decision]:
    """
    Read what is to become of some names: C{PATTERN=WORD}, or C{PATTERN=ADDRESS},
    with commas between several addresses.

    @return: The pattern, as L{Rules.add} takes it, and the decision.
    @raise ConfigurationError: It is no such thing.
    """
    pattern, _, word = text.rpartition("=")
    decision = _WORDS.get(word)
    if decision is None:
        addresses = [hostFromText(each) for each in word.split(",")]
        known: list[IPAddress] = [address for address in addresses if address is not None]
        if len(known) < len(addresses):
            raise ConfigurationError(
                f"{text}: it is PATTERN=WORD with one of {', '.join(_WORDS)}, or PATTERN=ADDRESS"
            )
        decision = Fixed(tuple(known))
    Rules().add(pattern, decision)
    return pattern, decision


class DNSOptionMixin:
    """
    The options, for a C{usage.Options}.
    """

    optFlags: list[list[str | None]] = [
        ["dns-own", None, "Look names up for the proxy itself by the same name servers."],
    ]
    optParameters: list[list[Any]] = [
        [
            "dns-strategy",
            None,
            IPStrategy.AS_IS,
            f"Which addresses clients of --dns get to see: {', '.join(IPStrategy)}.",
            _strategy,
        ],
    ]

    def beginDNS(self: Any) -> None:
        """
        Make room for what the options say.
        """
        for name in ("dns", "dns-upstream", "dns-direct", "dns-rule", "dns-fake"):
            self[name] = []
        self["dns-hosts"] = None

    def opt_dns(self: Any, place: str) -> None:
        """
        Answer DNS on HOST:PORT, by UDP and TCP, such as 127.0.0.1:5353. May be
        given several times.
        """
        self["dns"].append(_read("dns", listenerFromText, place))

    def opt_dns_upstream(self: Any, url: str) -> None:
        """
        A name server to ask through --via: tcp://HOST, tls://HOST, https://HOST
        or udp://HOST. May be given several times, the favourite first.
        """
        _read("dns-upstream", upstreamFromURL, url)
        self["dns-upstream"].append(url)

    def opt_dns_direct(self: Any, url: str) -> None:
        """
        A name server to ask without --via, for names of which a rule says so;
        without it, the system. May be given several times.
        """
        _read("dns-direct", upstreamFromURL, url)
        self["dns-direct"].append(url)

    def opt_dns_rule(self: Any, text: str) -> None:
        """
        What becomes of a name and those below it: NAME=proxy, NAME=direct,
        NAME=block or NAME=ADDRESS; |NAME is that name alone. May be given several
        times.
        """
        self["dns-rule"].append(_read("dns-rule", decisionFromText, text))

    def opt_dns_hosts(self: Any, path: str) -> None:
        """
        A file of names with addresses, as /etc/hosts is one.
        """
        try:
            with open(path, "rb") as file:
                octets = file.read(MAX_HOSTS + 1)
            if len(octets) > MAX_HOSTS:
                raise usage.UsageError(f"--dns-hosts: {path}: it is too long")
            self["dns-hosts"] = Hosts.read(octets.decode())
        except OSError as e:
            raise usage.UsageError(f"--dns-hosts: {path}: {e.strerror}") from e
        except (ConfigurationError, UnicodeDecodeError) as e:
            reason = "it is not UTF-8" if isinstance(e, UnicodeDecodeError) else e
            raise usage.UsageError(f"--dns-hosts: {path}: {reason}") from None

    def opt_dns_fake(self: Any, network: str) -> None:
        """
        Answer with addresses of this network, such as 198.18.0.0/15, which stand
        for names: what goes to one goes to its name. May be given once for IPv4
        and once for IPv6.
        """
        try:
            pool = ip_network(network)
        except ValueError as e:
            raise usage.UsageError(f"--dns-fake: {network} is not a network") from e
        if any(pool.version == other.version for other in self["dns-fake"]):
            raise usage.UsageError(f"--dns-fake: there is one for IPv{pool.version} already")
        self["dns-fake"].append(pool)

    def dnsSettings(self: Any) -> DNSSettings | None:
        """
        Give what the options say, or L{None} if nothing is to be answered.

        @raise usage.UsageError: There is nothing that they could be for.
        """
        given = [name for name in ("dns-upstream", "dns-direct", "dns-rule") if self[name]]
        given += [name for name in ("dns-hosts", "dns-fake", "dns-own") if self[name]]
        if not self["dns"] and not self["dns-own"]:
            if given:
                raise usage.UsageError(f"--{given[0]} is for --dns")
            return None
        pools = {isinstance(pool, IPv4Network): pool for pool in self["dns-fake"]}
        if pools and True not in pools:
            raise usage.UsageError("--dns-fake: a network of IPv4 is needed as well")
        folder = self["state"]
        return DNSSettings(
            listen=tuple(self["dns"]),
            upstreams=tuple(self["dns-upstream"]),
            direct=tuple(self["dns-direct"]) or (SYSTEM,),
            strategy=self["dns-strategy"],
            hosts=self["dns-hosts"],
            rules=tuple(self["dns-rule"]),
            fakeIPv4=pools.get(True),
            fakeIPv6=pools.get(False),
            fakeFile=os.path.abspath(os.path.join(folder, FAKE_FILE)) if folder and pools else "",
        )


def _read(option: str, read: Any, text: str) -> Any:
    try:
        return read(text)
    except ConfigurationError as e:
        raise usage.UsageError(f"--{option}: {e}") from None
