"""
The manual: what it states of limits, logs and floors is so.
"""

import inspect
import re
import shlex
from dataclasses import fields
from functools import partial
from ipaddress import ip_network
from pathlib import Path

import pytest
from twisted.cred.strcred import ICheckerFactory, findCheckerFactories
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IStreamServerEndpoint

from socksproxy import errors
from socksproxy.auth.checkers import MAX_WAITING as MAX_PASSWORDS
from socksproxy.auth.ident import TIMEOUT as IDENT_TIMEOUT
from socksproxy.auth.principals import LEVELS
from socksproxy.config import Configuration
from socksproxy.dns.resolver import MAX_WAITING as MAX_LOOK_UPS
from socksproxy.dns.resolver import BoundedResolver
from socksproxy.events import AccessRecord
from socksproxy.exposure import MAX_TRIES
from socksproxy.inbound import InboundTimers
from socksproxy.inbound.proxyheader import NEARBY
from socksproxy.interfaces import IProxyAvatar
from socksproxy.outbound.bound import BIND_TIMEOUT
from socksproxy.outbound.conduit import MAPPING_IDLE, MAX_MAPPINGS
from socksproxy.outbound.direct import CONNECT_TIMEOUT
from socksproxy.outbound.eyeballs import MAX_ADDRESSES
from socksproxy.outbound.names import MAX_NAMES, NAME_LIFETIME
from socksproxy.outbound.names import MAX_WAITING as MAX_DATAGRAMS
from socksproxy.policy.limits import ConnectionLimits
from socksproxy.policy.rules import isInternal
from socksproxy.policy.services import PENDING_BINDS
from socksproxy.relay import RelayTimers
from socksproxy.service import BALANCED
from socksproxy.socks._fragments import MAX_PIECES
from socksproxy.socks._fragments import TIMEOUT as FRAGMENTS_TIMEOUT
from socksproxy.socks._wireudp import MAX_DATAGRAM
from socksproxy.socks.associate import CONTROL_OCTETS
from tests.daemon import ROOT
from tests.interop.peers import requireProgram, runPeer
from tests.manual import commandsIn, page
from tests.memoryreactor import MemoryReactor
from tests.test_floors import FLOORS
from twisted.plugins import socksproxy_plugins


class TestPolicy:
    """
    The page on policy and limits.
    """

    def test_networksAreInternal(self) -> None:
        """
        Each network that the manual lists as out of reach is, to its ends.
        """
        networks = re.findall(r"^``([0-9a-f.:]+/\d+)``  ", page("policy"), re.M)
        assert len(networks) == 17
        for network in map(ip_network, networks):
            assert isInternal(network[0])
            assert isInternal(network[-1])

    @pytest.mark.parametrize(
        ("name", "seconds"),
        [
            ("handshake", InboundTimers().handshake),
            ("look-up", inspect.signature(BoundedResolver).parameters["timeout"].default),
            ("connect", CONNECT_TIMEOUT),
            ("bind", BIND_TIMEOUT),
            ("ident", IDENT_TIMEOUT),
            ("mapping", MAPPING_IDLE),
            ("name", NAME_LIFETIME),
            ("fragments", FRAGMENTS_TIMEOUT),
            ("linger", InboundTimers().linger),
            ("reader", RelayTimers().drain),
            ("half-closed", RelayTimers().halfClosed),
            ("idle", RelayTimers().idle),
            ("drain", Configuration().drain),
        ],
    )
    def test_timers(self, name: str, seconds: float) -> None:
        """
        The table of timers has the defaults.
        """
        assert re.findall(rf"^{name} +(\d+)  ", page("policy"), re.M) == [f"{seconds:g}"]

    @pytest.mark.parametrize(
        ("name", "number"),
        [
            ("Connections from one source", ConnectionLimits().perSource),
            ("Connections that have made no request yet", ConnectionLimits().handshakes),
            (
                "Name look-ups under way",
                inspect.signature(BoundedResolver).parameters["inFlight"].default,
            ),
            (
                "Name look-ups under way for one source",
                inspect.signature(BoundedResolver).parameters["perClient"].default,
            ),
            ("Name look-ups that wait", MAX_LOOK_UPS),
            ("Addresses tried for a name", MAX_ADDRESSES),
            ("Passwords that wait to be checked", MAX_PASSWORDS),
            ("Ports that wait for a peer, for one source", PENDING_BINDS),
            ("Ports of a range that are tried", MAX_TRIES),
            ("Destinations that an association remembers", MAX_MAPPINGS),
            ("Names that an association remembers", MAX_NAMES),
            ("Datagrams that wait for one name", MAX_DATAGRAMS),
            ("Fragments of one datagram", MAX_PIECES),
        ],
    )
    def test_limits(self, name: str, number: int) -> None:
        """
        The table of limits has the defaults.
        """
        assert re.findall(rf"^{name}  +(\d+)$", page("policy"), re.M) == [str(number)]

    def test_connectionsInAll(self) -> None:
        """
        The table names the limit that programs get.
        """
        assert f"; {ConnectionLimits().total}\n" in page("policy")

    def test_numbersInTheText(self) -> None:
        """
        What the text says of times and sizes is so.
        """
        text = " ".join(page("policy").split())
        assert f"after {BIND_TIMEOUT:g} seconds with REP 6" in text
        assert f"within the last {MAPPING_IDLE:g} seconds" in text
        assert f"ends it after {CONTROL_OCTETS // 1024} KiB" in text
        assert f"{MAX_DATAGRAM:,} octets together with the head" in text
        assert f"beyond {MAX_DATAGRAMS} that wait for one name" in text
        assert f"if {MAX_TRIES} of them or all are taken" in text


class TestLogs:
    """
    The page on logs.
    """

    def test_fields(self) -> None:
        """
        The table has the fields of an access event, in their order.
        """
        named = re.findall(r"^``(\w+)``  ", _access(), re.M)
        assert named == [field.name for field in fields(AccessRecord)]

    def test_lines(self) -> None:
        """
        The sample lines are what such connections make.
        """
        alice = partial(AccessRecord, protocol="SOCKS5", user="alice", result="succeeded")
        records = [
            alice(
                client="198.51.100.7:50312",
                command="CONNECT",
                destination="example.com:443",
                address="192.0.2.80:443",
                sent=1840,
                received=52311,
                duration=3.204,
                reason="target closed",
            ),
            alice(
                client="198.51.100.7:50313",
                command="BIND",
                destination="192.0.2.21:0",
                address="192.0.2.21:20",
                received=4096,
                duration=1.25,
                reason="target closed",
            ),
            alice(
                client="198.51.100.7:50314",
                command="UDP",
                destination="0.0.0.0:0",
                sent=290,
                received=450,
                datagramsSent=10,
                datagramsReceived=9,
                datagramsDropped=2,
                duration=61.008,
                reason="client closed",
            ),
            alice(
                client="198.51.100.7:50315",
                command="RESOLVE",
                destination="example.com:0",
                duration=0.012,
                reason="answered",
            ),
            alice(
                protocol="HTTP",
                client="198.51.100.7:50316",
                command="GET",
                destination="example.com:80",
                address="192.0.2.80:80",
                sent=310,
                received=5120,
                duration=0.051,
                reason="answered 200",
            ),
        ]
        assert commandsIn(_access()) == [str(record) for record in records]

    def test_results(self) -> None:
        """
        Every result of a request has its place in the text.
        """
        text = " ".join(_access().split())
        summaries = {
            error.summary
            for error in vars(errors).values()
            if inspect.isclass(error) and issubclass(error, errors.RequestFailed)
        }
        assert len(summaries) > 8
        assert {summary for summary in summaries if f"``{summary}``" not in text} == set()


class TestOptions:
    """
    The page on options.
    """

    def test_balancers(self) -> None:
        """
        The networks of load balancers are those that are believed by default.
        """
        _, _, text = page("options").partition("Without this\n   option it is ")
        text, _, _ = text.partition(". The header")
        assert [ip_network(name) for name in re.findall(r"``(.*?)``", text)] == list(NEARBY)

    def test_endpoints(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        Every endpoint string that is shown is one.
        """
        monkeypatch.chdir(tmp_path)
        key = requireProgram("openssl"), "genpkey", "-algorithm", "ED25519", "-out", "key.pem"
        assert runPeer(*key).returncode == 0
        options = "req -x509 -key key.pem -subj /CN=proxy -out cert.pem"
        made = runPeer(key[0], *shlex.split(options))
        assert made.returncode == 0
        _, _, text = page("options").partition(".. option:: --listen")
        shown = re.findall(r"^   ``(\S+)``  ", text.partition(".. option::")[0], re.M)
        assert len(shown) == 8
        # What systemd passes is only seen when the process starts.
        *others, systemd = shown
        assert f" {systemd} " in (ROOT / "tap" / "socket.conf").read_text()
        for description in others:
            endpoint = serverFromString(MemoryReactor(), description.removeprefix(BALANCED))
            assert IStreamServerEndpoint.providedBy(endpoint)

    def test_kinds(self) -> None:
        """
        Every kind of login that is shown is known, and ours are all shown.
        """
        _, _, text = page("options").partition(".. option:: --auth ")
        shown = re.findall(r"^   ``(\w+)", text.partition(".. option::")[0], re.M)
        assert set(shown) <= {factory.authType for factory in findCheckerFactories()}
        ours = {
            factory.authType
            for factory in vars(socksproxy_plugins).values()
            if ICheckerFactory.providedBy(factory)
        }
        assert ours < set(shown)


class TestAuthentication:
    """
    The page on authentication.
    """

    def test_settings(self) -> None:
        """
        What is said of C{gssapi:} are its settings, and its levels.
        """
        _, _, text = page("authentication").partition("Kerberos\n--------\n")
        text, _, _ = text.partition("Users of SOCKS4\n")
        shown = re.findall(r"^``(\w+)``  ", text, re.M)
        settings, levels = shown[:5], shown[5:]
        # Those that there are each stand before an equals sign in its help.
        help_ = socksproxy_plugins.gssapiCheckerFactory.authHelp
        assert settings == re.findall(r"^    (\w+)=", help_, re.M)
        assert set(levels) == set(LEVELS)


class TestEmbedding:
    """
    The page on programs.
    """

    def test_configuration(self) -> None:
        """
        The table has the attributes of a configuration.
        """
        _, _, text = page("embedding").partition("``Configuration`` has these attributes:")
        text, _, _ = text.partition("A look-up")
        shown = re.findall(r"^``(\w+)``  ", text, re.M)
        assert set(shown) == {field.name for field in fields(Configuration)}

    def test_avatar(self) -> None:
        """
        The table has the methods of an avatar.
        """
        _, _, text = page("embedding").partition("An avatar has a method for each request.")
        shown = re.findall(r"^``(\w+)``  ", text.partition("Names are")[0], re.M)
        assert shown == [name for name in IProxyAvatar.names() if name not in ("user", "way")]


def test_rooms() -> None:
    """
    The manual has the packages that there are.
    """
    _, _, text = page("architecture").partition("Rooms\n-----\n")
    packages = [path.parent.name for path in (ROOT / "socksproxy").glob("*/__init__.py")]
    assert re.findall(r"^(\w+)  +\S", text, re.M) == sorted(packages)


def test_floors() -> None:
    """
    The manual has the floors that are enforced.
    """
    _, _, text = page("architecture").partition("Floors\n------\n")
    text, _, _ = text.partition("Rooms\n-----\n")
    assert re.findall(r"^(\w+)  +\S", text, re.M) == [name for name, _ in FLOORS]


def _access() -> str:
    """
    Give the page on logs as far as it is about connections that have ended.
    """
    return page("logs").partition("What goes on\n---")[0]
