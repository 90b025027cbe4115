"""
Tests for L{socksproxy.check.report}.
"""

import json
from ipaddress import IPv6Address

import pytest

from socksproxy.address import Destination
from socksproxy.check.probes import FAILED, OK, SKIPPED, UNSUPPORTED, Finding, works
from socksproxy.check.report import check, destinationFromText, document, line
from socksproxy.errors import ConfigurationError

CONNECTED = Finding("connect", OK, "connected", 0.0123)


def test_line() -> None:
    """
    A finding is one line, with a time where something was done.
    """
    assert line(CONNECTED).split() == ["connect", "ok", "12", "ms", "connected"]
    assert line(Finding("BIND", UNSUPPORTED, "no")).split() == ["BIND", "not", "supported", "no"]


def test_document() -> None:
    """
    For programs the findings are JSON, field by field.
    """
    read = json.loads(document("socks5h://192.0.2.1:1080", [CONNECTED]))
    assert read == {
        "proxy": "socks5h://192.0.2.1:1080",
        "works": True,
        "findings": [
            {"name": "connect", "outcome": "ok", "detail": "connected", "seconds": 0.0123}
        ],
    }


@pytest.mark.parametrize(
    ("findings", "expected"),
    [
        ([], False),
        ([CONNECTED], True),
        ([CONNECTED, Finding("UDP", UNSUPPORTED, "")], True),
        ([CONNECTED, Finding("names", SKIPPED, "")], True),
        ([CONNECTED, Finding("half-close", FAILED, "")], False),
        ([Finding("reach", OK, ""), Finding("connect", FAILED, "")], False),
    ],
)
def test_works(findings: list[Finding], expected: bool) -> None:
    """
    A proxy works that connects us and does nothing wrong; it need not do
    everything.
    """
    assert works(findings) is expected


def test_destination() -> None:
    """
    A target is a name or an address, and a port.
    """
    assert destinationFromText("web.test:80") == Destination("web.test", 80)
    assert destinationFromText("[::1]:80") == Destination(IPv6Address("::1"), 80)


@pytest.mark.parametrize("text", ["", "web.test", ":80", "web.test:0", "web.test:65536", "a b:80"])
def test_noDestination(text: str) -> None:
    """
    Anything else is refused in one line.
    """
    with pytest.raises(ConfigurationError, match="is not HOST:PORT"):
        destinationFromText(text)


def test_wrongURL() -> None:
    """
    What is no proxy's URL is told before anything is tried.
    """
    with pytest.raises(ConfigurationError, match="has to begin with"):
        check("gopher://192.0.2.1")
