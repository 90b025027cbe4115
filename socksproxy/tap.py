"""
C{twistd socksproxy}: the command line.
"""

from __future__ import annotations

import os
import pwd
import sys
from collections.abc import Callable, Sequence
from errno import EACCES, EISDIR
from ipaddress import ip_address, ip_network
from typing import Any

from twisted.application.service import IService, MultiService
from twisted.cred.checkers import InMemoryUsernamePasswordDatabaseDontUse
from twisted.cred.credentials import IAnonymous, IUsernamePassword
from twisted.cred.strcred import (
    AuthOptionMixin,
    InvalidAuthType,
    StrcredException,
    UnsupportedInterfaces,
    makeChecker,
)
from twisted.logger import ILogObserver
from twisted.python import usage

from socksproxy.auth.principals import IPrincipal
from socksproxy.config import DEFAULT_LISTENER, FORWARDED, Configuration, withoutSecrets
from socksproxy.dnsoptions import DNSOptionMixin
from socksproxy.errors import ConfigurationError
from socksproxy.exposure import LOWEST_PORT, PortRange
from socksproxy.forward import forwardFromText
from socksproxy.inbound.proxyheader import NEARBY
from socksproxy.log import DEFAULT_COUNT, DEFAULT_SIZE, observerFor, standardOutput
from socksproxy.outbound.direct import DirectSettings
from socksproxy.outbound.proxyurl import chainFromURLs, withPassword
from socksproxy.policy.limits import ConnectionLimits
from socksproxy.policy.rules import isHost
from socksproxy.policy.services import Services
from socksproxy.process import takeProcess
from socksproxy.service import ProxyService
from socksproxy.shadowsocks.url import shadowsocksFromURL
from socksproxy.signals import SignalService

PROGRAM = "twistd socksproxy"


def _amount(option: str, kind: Callable[[str], float]) -> Callable[[str], float]:
    """
    Make the reader of an option's number.
    """

    def read(text: str) -> float:
        try:
            number = kind(text)
        except ValueError:
            number = -1
        if not number >= 0:
            raise ValueError(f"--{option} is a number from 0 on, and not {text}")
        return number

    return read


_SWITCH_HELP = "{}: on, off, or auto, which is on for who has logged in or is on this host."


_SWITCH = {"on": True, "off": False, "auto": None}


def _switch(option: str) -> Callable[[str], str]:
    """
    Make the reader of an option that is on, off or neither.
    """

    def read(text: str) -> str:
        if text not in _SWITCH:
            raise ValueError(f"--{option} is on, off or auto, and not {text}")
        return text

    return read


def _forwarded(text: str) -> str:
    if text not in FORWARDED:
        raise ValueError(f"--forwarded is {', '.join(FORWARDED[:-1])} or {FORWARDED[-1]}")
    return text


def _portRange(text: str) -> PortRange:
    first, dash, last = text.partition("-")
    try:
        return PortRange(int(first), int(last if dash else first))
    except ValueError as e:
        raise ValueError(
            f"--port-range is FIRST-LAST between {LOWEST_PORT} and 65535, and not {text}"
        ) from e


class Options(DNSOptionMixin, usage.Options, AuthOptionMixin):
    """
    The options, checked.
    """

    synopsis = "[options]"
    longdesc = (
        "A SOCKS4, SOCKS4a, SOCKS5 and HTTP proxy. Without options it listens on"
        f" {DEFAULT_LISTENER} and lets everybody on this host use it."
    )
    supportedInterfaces = (IUsernamePassword, IAnonymous, IPrincipal)

    optFlags = [
        ["open-relay", None, "Listen on non-loopback addresses without authentication."],
        ["allow-private", None, "Let clients from elsewhere reach internal addresses."],
        ["bind-any-peer", None, "Serve BIND for clients that do not say whom they expect."],
        ["full-cone", None, "Let any host send datagrams to clients, and not only those asked."],
        ["udp-fragments", None, "Put fragments of clients' datagrams together."],
        ["resolve", None, "Serve RESOLVE and RESOLVE_PTR, the look-ups of Tor."],
    ]
    optParameters = [
        ["bind", None, "auto", _SWITCH_HELP.format("BIND"), _switch("bind")],
        ["udp", None, "auto", _SWITCH_HELP.format("UDP ASSOCIATE"), _switch("udp")],
        [
            "state",
            None,
            None,
            "A folder for what the next run has to know, as which recordings of Shadowsocks are"
            " replays.",
        ],
        [
            "forwarded",
            None,
            FORWARDED[0],
            "Tell sites the client's address, in plain requests of HTTP: off, forwarded, or"
            " x-forwarded-for.",
            _forwarded,
        ],
        [
            "via-password",
            None,
            None,
            "A file with the password of proxies in --via that have a user without one.",
        ],
        [
            "port-range",
            None,
            None,
            "Ports FIRST-LAST for BIND and UDP ASSOCIATE; by default the kernel chooses.",
            _portRange,
        ],
        [
            "drain",
            None,
            30,
            "Seconds for transfers under way after SIGTERM.",
            _amount("drain", float),
        ],
        ["log-format", None, "text", "Format of the log: text or json."],
        [
            "log-size",
            None,
            DEFAULT_SIZE,
            "Octets after which the log file is rotated.",
            _amount("log-size", int),
        ],
        [
            "log-count",
            None,
            DEFAULT_COUNT,
            "Rotated log files that are kept.",
            _amount("log-count", int),
        ],
    ]

    def __init__(self) -> None:
        super().__init__()
        self["listen"] = []
        self["via"] = []
        self["forward"] = []
        self["shadowsocks"] = []
        self.beginDNS()
        self["public-address"] = {}
        self["ident"] = []
        self["balancer"] = []
        self["socks4-user"] = []

    def opt_listen(self, description: str) -> None:
        """
        Listen on a Twisted server endpoint, such as tcp:1080:interface=127.0.0.1.
        May be given several times.
        """
        self["listen"].append(description)

    def opt_auth(self, description: str) -> None:
        """
        Ask clients for a user name and password: passwords:PATH for a file
        of hashed passwords. May be given several times; see --help-auth.
        """
        # Both would say it less clearly themselves, and one in a line more.
        kind, _, path = description.partition(":")
        if kind in ("file", "passwords"):
            try:
                with open(path, "rb"):
                    pass
            except OSError as e:
                raise usage.UsageError(f"--auth: password file {path}: {e.strerror}") from e
            # The process may change its directory later.
            description = f"{kind}:{os.path.abspath(path)}"
        try:
            checker = _withOctets(makeChecker(description))
            for interface in checker.credentialInterfaces:
                if interface in self.get("credInterfaces", {}):
                    # A Portal would know only the last.
                    raise usage.UsageError(f"--auth: {kind} checks what another --auth checks")
            self.addChecker(checker)
        except UnsupportedInterfaces as e:
            raise usage.UsageError(f"--auth: {kind} checks no passwords") from e
        except InvalidAuthType as e:
            raise usage.UsageError(f"--auth: {kind} is not known; see --help-auth") from e
        except (ConfigurationError, StrcredException, ValueError) as e:
            raise usage.UsageError(f"--auth: {e}") from e

    def opt_via(self, urls: str) -> None:
        """
        Leave through this proxy, such as socks5h://user:password@host:1080;
        several in a row are joined with commas, alternatives with |.
        """
        if self["via"]:
            raise usage.UsageError("--via is given once, with commas between proxies")
        try:
            self["via"] = chainFromURLs(urls)
        except ConfigurationError as e:
            raise usage.UsageError(f"--via: {e}") from None

    def opt_forward(self, text: str) -> None:
        """
        Join who connects to a server endpoint to a client endpoint, such as
        tcp:8080:interface=127.0.0.1,tcp:host:80, or datagrams with udp: on
        both sides. May be given several times.
        """
        try:
            self["forward"].append(forwardFromText(text))
        except ConfigurationError as e:
            raise usage.UsageError(f"--forward {withoutSecrets(text)}: {e}") from None

    def opt_shadowsocks(self, link: str) -> None:
        """
        Be a Shadowsocks server, such as ss://METHOD:PASSWORD@127.0.0.1:8388, or
        with passwordFile=PATH or users=PATH in the query. May be given several
        times.
        """
        try:
            self["shadowsocks"].append(shadowsocksFromURL(link))
        except ConfigurationError as e:
            raise usage.UsageError(f"--shadowsocks: {e}") from None

    def opt_public_address(self, text: str) -> None:
        """
        The address at which BIND and UDP ASSOCIATE are reached from outside:
        PUBLIC, or LOCAL=PUBLIC for one local address. May be given several
        times.
        """
        local, _, public = text.rpartition("=")
        try:
            address = ip_address(public)
            key = ip_address(local) if local else address.version
            fits = isinstance(key, int) or key.version == address.version
            if fits and isHost(address):
                self["public-address"][key] = address
                return
        except ValueError:
            pass
        raise usage.UsageError(f"--public-address is PUBLIC or LOCAL=PUBLIC, and not {text}")

    def opt_ident(self, network: str) -> None:
        """
        Ask hosts of this network who the users of SOCKS4 are, and let in whom
        they confirm. May be given several times.
        """
        self._addNetwork("ident", network)

    def opt_balancer(self, network: str) -> None:
        """
        A network of load balancers that may connect to haproxy: listeners;
        without it, those of this host and of private networks. May be given
        several times.
        """
        self._addNetwork("balancer", network)

    def _addNetwork(self, option: str, network: str) -> None:
        try:
            self[option].append(ip_network(network))
        except ValueError as e:
            raise usage.UsageError(f"--{option}: {network} is not a network") from e

    def opt_socks4_user(self, user: str) -> None:
        """
        Let in who gives this USERID by SOCKS4; a name is no secret. With
        --ident, let in nobody else. May be given several times.
        """
        self["socks4-user"].append(os.fsencode(user))

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """
        See C{usage.Options}. Under twistd, which would print all of its own
        help before the error, the error is one line.
        """
        try:
            super().parseOptions(options)
        except usage.error as e:
            if getattr(self, "parent", None) is None:
                raise
            sys.exit(f"{PROGRAM}: {e}")

    def parseArgs(self, *arguments: str) -> None:
        """
        See C{usage.Options}.
        """
        if arguments:
            raise usage.UsageError(f"unexpected argument {arguments[0]}")

    def postOptions(self) -> None:
        """
        Check what can be checked without doing anything yet.
        """
        self._completeChain()
        self.dnsSettings()
        state = self["state"]
        if state is not None and not (os.path.isdir(state) and os.access(state, os.W_OK)):
            raise usage.UsageError(f"--state: {state} is no folder that can be written to")
        if self["log-format"] not in ("text", "json"):
            raise usage.UsageError("--log-format is text or json")
        path = self._logPath()
        if path not in (None, "-"):
            _checkWritable(os.path.abspath(path), getattr(self, "parent", None) or {})

    def _completeChain(self) -> None:
        path = self["via-password"]
        if path is None:
            return
        if not self["via"]:
            raise usage.UsageError("--via-password is for proxies in --via")
        try:
            self["via"] = withPassword(self["via"], path)
        except ConfigurationError as e:
            raise usage.UsageError(f"--via-password: {e}") from None

    def configuration(self, limits: ConnectionLimits) -> Configuration:
        """
        Give what the options ask for.

        @param limits: How many connections there may be.
        """
        return Configuration(
            listen=tuple(self["listen"]) or (() if self._servesOtherwise else (DEFAULT_LISTENER,)),
            checkers=tuple(self.get("credCheckers", ())),
            openRelay=bool(self["open-relay"]),
            allowPrivate=bool(self["allow-private"]),
            services=Services(_SWITCH[self["bind"]], _SWITCH[self["udp"]], bool(self["resolve"])),
            direct=DirectSettings(
                anyPeer=bool(self["bind-any-peer"]), fullCone=bool(self["full-cone"])
            ),
            via=self["via"],
            forward=tuple(self["forward"]),
            shadowsocks=tuple(self["shadowsocks"]),
            stateFolder=self["state"] and os.path.abspath(self["state"]),
            dns=self.dnsSettings(),
            ownNames=bool(self["dns-own"]),
            ports=self["port-range"],
            public=self["public-address"],
            forwarded=self["forwarded"],
            reassembling=bool(self["udp-fragments"]),
            ident=tuple(self["ident"]),
            balancers=tuple(self["balancer"]) or NEARBY,
            socks4Users=frozenset(self["socks4-user"]),
            drain=self["drain"],
            limits=limits,
        )

    @property
    def _servesOtherwise(self) -> bool:
        """
        Tell whether there is something to do without a proxy's listener.
        """
        return bool(self["forward"] or self["shadowsocks"] or self["dns"])

    def _logPath(self) -> Any:
        """
        Give the path of the log under twistd, C{-} for standard output, and
        L{None} where the log is not ours.
        """
        parent: Any = getattr(self, "parent", None) or {}
        if "logfile" not in parent or parent.get("logger") or parent.get("syslog"):
            return None
        return parent["logfile"] or ("-" if parent.get("nodaemon") else "twistd.log")

    def logObserver(self) -> ILogObserver | None:
        """
        Give the observer for twistd's C{--logfile}, or L{None} where the log
        goes elsewhere.
        """
        path = self._logPath()
        if path is None:
            return None
        if path == "-":
            return standardOutput(self["log-format"])
        return observerFor(path, self["log-format"], self["log-size"], self["log-count"])


def makeService(options: Options) -> IService:
    """
    Make the service for C{twistd}. Its ports are opened right here, before
    twistd forks: so a port in use is told on the terminal, in one line.

    @param options: The parsed options.
    """
    from twisted.internet import reactor as installed

    reactor: Any = installed
    limits = ConnectionLimits(total=takeProcess(reactor))
    try:
        proxy = ProxyService(reactor, options.configuration(limits))
        proxy.openPorts()
    except ConfigurationError as e:
        sys.exit(f"{PROGRAM}: {e}")
    daemon = _Daemon(options.logObserver())
    SignalService(reactor, proxy).setServiceParent(daemon)
    proxy.setServiceParent(daemon)
    return daemon


class _Daemon(MultiService):
    """
    The proxy with what belongs to a process of its own.
    """

    def __init__(self, observer: ILogObserver | None) -> None:
        super().__init__()
        self._observer = observer

    def setServiceParent(self, parent: Any) -> None:
        """
        See C{IService}. The parent is the application, where twistd looks for
        a log observer.
        """
        if self._observer is not None:
            parent.setComponent(ILogObserver, self._observer)
        super().setServiceParent(parent)


def _withOctets(checker: Any) -> Any:
    """
    Mend Twisted's C{memory:}, which keeps text where credentials are octets.
    """
    if isinstance(checker, InMemoryUsernamePasswordDatabaseDontUse):
        checker.users = {
            os.fsencode(user): os.fsencode(password) for user, password in checker.users.items()
        }
    return checker


def _checkWritable(path: str, twistd: Any) -> None:
    """
    Refuse a log file that the process could not write, once it is whom
    twistd's options say. It opens its log only then, in the background.
    """
    folder = os.path.dirname(path)
    try:
        for place, access in ((folder, os.W_OK | os.X_OK), (path, os.W_OK)):
            if place == path and not os.path.exists(path):
                continue
            if not _may(place, access, twistd.get("uid"), twistd.get("gid")):
                raise PermissionError(EACCES, os.strerror(EACCES))
        if os.path.isdir(path):
            raise IsADirectoryError(EISDIR, os.strerror(EISDIR))
    except OSError as e:
        raise usage.UsageError(f"--logfile: {path}: {e.strerror}") from e


def _may(path: str, access: int, uid: int | None, gid: int | None) -> bool:
    """
    Tell whether a user may do something with a file.

    @raise OSError: It is not there.
    """
    status = os.stat(path)
    if not uid or os.geteuid() != 0:
        return os.access(path, access)
    user = pwd.getpwuid(uid)
    groups = os.getgrouplist(user.pw_name, user.pw_gid if gid is None else gid)
    if status.st_uid == uid:
        granted = status.st_mode >> 6
    elif status.st_gid in groups:
        granted = status.st_mode >> 3
    else:
        granted = status.st_mode
    return granted & access == access
