"""
What an administrator decides, checked and in one place.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network

from twisted.cred.checkers import ICredentialsChecker

from socksproxy.dns.settings import DNSSettings
from socksproxy.exposure import PortRange, PublicAddresses
from socksproxy.forward import Forward
from socksproxy.inbound import InboundTimers
from socksproxy.inbound.proxyheader import NEARBY
from socksproxy.outbound.direct import DirectSettings
from socksproxy.outbound.proxyurl import ProxyURL
from socksproxy.policy.limits import ConnectionLimits
from socksproxy.policy.services import Services
from socksproxy.shadowsocks.url import ShadowsocksURL

DEFAULT_LISTENER = "tcp:1080:interface=127.0.0.1"

FORWARDED = ("off", "forwarded", "x-forwarded-for")

_SECRET = re.compile(r"\b(key|password|passwd|secret)=(?:\\.|[^:\\])*", re.IGNORECASE)
_USER_INFO = re.compile(r"(?<=//)[^/]*@")


@dataclass(frozen=True)
class Configuration:
    """
    A proxy's settings.

    @ivar listen: Server endpoint strings.
    @ivar checkers: Who may log in; without any, everybody may.
    @ivar openRelay: Listen on other than loopback addresses even if everybody
        may log in.
    @ivar allowPrivate: Let clients from elsewhere reach internal addresses.
    @ivar balancers: Networks of the load balancers of C{haproxy:} listeners;
        nobody else can connect to those.
    @ivar services: What clients may ask for beside CONNECT.
    @ivar via: The alternatives of each proxy to go through, the nearest
        proxy first; none to go straight.
    @ivar forward: Ports that are joined to one place each.
    @ivar shadowsocks: Servers of Shadowsocks to be.
    @ivar stateFolder: The path of a folder for what the next run has to know.
    @ivar dns: The DNS server to be, if there is to be one.
    @ivar ownNames: Look names up for the proxy itself as for clients of C{dns}.
    @ivar direct: How connections and datagrams leave this host.
    @ivar ports: From which ports those are chosen that BIND and UDP ASSOCIATE
        open; by default the kernel chooses.
    @ivar public: What clients are told instead of local addresses.
    @ivar forwarded: Whether those to whom requests of HTTP are forwarded are
        told of the client's address: one of L{FORWARDED}.
    @ivar reassembling: Put fragments of clients' datagrams together.
    @ivar ident: Networks whose hosts are believed about the users of SOCKS4.
    @ivar socks4Users: Names of users of SOCKS4; with C{ident}, only these
        get in, and without it, whoever knows one.
    @ivar drain: Seconds that transfers under way get when the proxy stops.
    @ivar timers: How long clients are waited for.
    @ivar limits: How many clients there may be, over all listeners.
    """

    listen: Sequence[str] = (DEFAULT_LISTENER,)
    checkers: Sequence[ICredentialsChecker] = ()
    openRelay: bool = False
    allowPrivate: bool = False
    balancers: Collection[IPv4Network | IPv6Network] = NEARBY
    services: Services = field(default_factory=Services)
    via: Sequence[Sequence[ProxyURL]] = ()
    forward: Sequence[Forward] = ()
    shadowsocks: Sequence[ShadowsocksURL] = ()
    stateFolder: str | None = None
    dns: DNSSettings | None = None
    ownNames: bool = False
    direct: DirectSettings = field(default_factory=DirectSettings)
    ports: PortRange | None = None
    public: PublicAddresses = field(default_factory=dict)
    forwarded: str = FORWARDED[0]
    reassembling: bool = False
    ident: Sequence[IPv4Network | IPv6Network] = ()
    socks4Users: Collection[bytes] = ()
    drain: float = 30.0
    timers: InboundTimers = field(default_factory=InboundTimers)
    limits: ConnectionLimits = field(default_factory=ConnectionLimits)


def withoutSecrets(description: str) -> str:
    """
    Make an endpoint string fit for a log or an error.
    """
    return _USER_INFO.sub("***@", _SECRET.sub(r"\1=***", description))
