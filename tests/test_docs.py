"""
The manual: what it states of limits, logs and floors is so.
"""

import inspect
import re
from dataclasses import fields
from ipaddress import ip_network

import pytest

from socksproxy import errors
from socksproxy.auth.checkers import MAX_WAITING as MAX_PASSWORDS
from socksproxy.config import Configuration
from socksproxy.dns.resolver import MAX_WAITING as MAX_LOOK_UPS
from socksproxy.dns.resolver import BoundedResolver
from socksproxy.events import AccessRecord
from socksproxy.inbound import InboundTimers
from socksproxy.outbound.direct import CONNECT_TIMEOUT
from socksproxy.outbound.eyeballs import MAX_ADDRESSES
from socksproxy.policy.limits import ConnectionLimits
from socksproxy.policy.rules import isInternal
from socksproxy.relay import RelayTimers
from tests.daemon import ROOT
from tests.test_floors import FLOORS


def page(name: str) -> str:
    """
    Read a page of the manual.
    """
    return (ROOT / "docs" / f"{name}.rst").read_text()


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


class TestLogs:
    """
    The page on logs.
    """

    def test_fields(self) -> None:
        """
        The table has the fields of an access event, in their order.
        """
        named = re.findall(r"^``(\w+)``  ", page("logs"), re.M)
        assert named == [field.name for field in fields(AccessRecord)]

    def test_line(self) -> None:
        """
        The sample line is what such a connection makes.
        """
        record = AccessRecord(
            protocol="SOCKS5",
            client="198.51.100.7:50312",
            user="alice",
            command="CONNECT",
            destination="example.com:443",
            address="192.0.2.80:443",
            result="succeeded",
            sent=1840,
            received=52311,
            duration=3.204,
            reason="target closed",
        )
        assert f"    {record}\n" in page("logs")

    def test_results(self) -> None:
        """
        Every result of a request has its place in the text.
        """
        text = " ".join(page("logs").split())
        summaries = {
            error.summary
            for error in vars(errors).values()
            if inspect.isclass(error) and issubclass(error, errors.RequestFailed)
        }
        assert len(summaries) > 8
        assert {summary for summary in summaries if f"``{summary}``" not in text} == set()


def test_floors() -> None:
    """
    The manual has the floors that are enforced.
    """
    _, _, text = page("architecture").partition("Floors\n------\n")
    assert re.findall(r"^(\w+)  +\S", text, re.M) == [name for name, _ in FLOORS]
