"""
Tests for L{socksproxy.dns.upstreamurl}.
"""

from ipaddress import ip_address

import pytest

from socksproxy.address import Destination
from socksproxy.dns.upstreamurl import UpstreamURL, upstreamFromURL
from socksproxy.errors import ConfigurationError

ADDRESS = ip_address("192.0.2.53")
PIN = "ab" * 32


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("system", UpstreamURL("system")),
        ("tcp://192.0.2.53", UpstreamURL("tcp", ADDRESS, 53)),
        ("tcp://192.0.2.53/", UpstreamURL("tcp", ADDRESS, 53)),
        ("udp://192.0.2.53:5353", UpstreamURL("udp", ADDRESS, 5353)),
        ("udp://[2001:db8::1]", UpstreamURL("udp", ip_address("2001:db8::1"), 53)),
        ("tls://DNS.Example.com", UpstreamURL("tls", "dns.example.com", 853)),
        (
            f"tls://dns.test:8853?address=192.0.2.53&pin={PIN}&pin={PIN}",
            UpstreamURL("tls", "dns.test", 8853, address=ADDRESS, pins=(PIN, PIN)),
        ),
        ("https://dns.test", UpstreamURL("https", "dns.test", 443, "/dns-query")),
        (
            "https://dns.test/x/y?address=192.0.2.53&ca=/etc/ca.pem",
            UpstreamURL("https", "dns.test", 443, "/x/y", ADDRESS, "/etc/ca.pem"),
        ),
    ],
)
def test_read(text: str, url: UpstreamURL) -> None:
    """
    A URL says all there is to know of a name server.
    """
    assert upstreamFromURL(text) == url


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "does not begin"),
        ("192.0.2.53", "does not begin"),
        ("sdns://x", "does not begin"),
        ("System", "does not begin"),
        ("tcp://", "host or port"),
        ("tcp://:53", "host or port"),
        ("tcp://192.0.2.53:0", "host or port"),
        ("tcp://192.0.2.53:70000", "malformed"),
        ("tcp://[2001:db8::1", "malformed"),
        ("tcp://a b", "its host is"),
        ("tcp://user@192.0.2.53", "no user"),
        ("tcp://192.0.2.53#x", "follow a #"),
        ("tcp://192.0.2.53/dns", "path is for https"),
        ("https://dns.test/a b", "percent-encoded"),
        ("https://dns.test/d\xe9", "percent-encoded"),
        ("tls://dns.test?address=dns", "is no address"),
        ("tls://192.0.2.1?address=192.0.2.2", "an address already"),
        ("tls://dns.test?address=192.0.2.1&address=192.0.2.2", "once"),
        ("tls://dns.test?via=direct", "only"),
        ("tls://dns.test?address", "malformed"),
        ("tcp://dns.test?ca=/x", "for tls and https"),
        (f"udp://192.0.2.1?pin={PIN}", "for tls and https"),
    ],
)
def test_refused(text: str, why: str) -> None:
    """
    What is none is refused, in one line that says why.
    """
    with pytest.raises(ConfigurationError) as caught:
        upstreamFromURL(text)
    assert why in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "shown", "destination"),
    [
        ("system", "system", None),
        ("tcp://192.0.2.53:53", "tcp://192.0.2.53", Destination(ADDRESS, 53)),
        ("udp://[2001:db8::1]:54", "udp://[2001:db8::1]:54", None),
        ("udp://[2001:db8::1]", "udp://[2001:db8::1]", None),
        ("tls://dns.test?address=192.0.2.53", "tls://dns.test", Destination(ADDRESS, 853)),
        ("https://dns.test:8443/x", "https://dns.test:8443/x", Destination("dns.test", 8443)),
    ],
)
def test_shown(text: str, shown: str, destination: Destination | None) -> None:
    """
    As text it is short, and it says where to connect to.
    """
    url = upstreamFromURL(text)
    assert str(url) == shown
    assert destination is None or url.destination == destination
