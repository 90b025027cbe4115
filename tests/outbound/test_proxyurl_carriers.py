"""
Tests for L{socksproxy.outbound.proxyurl}: proxies that are reached by a tunnel.
"""

from __future__ import annotations

from traceback import format_exception
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from socksproxy.errors import ConfigurationError
from socksproxy.outbound.proxyurl import (
    CARRIERS,
    ProxyURL,
    chainFromURLs,
    proxyFromURL,
    withPassword,
)
from tests.outbound.test_proxyurl import SECRET, refusal


def optionsOf(query: str, carrier: str = "kcp") -> dict[str, str]:
    """
    Give the parameters that a query has for a tunnel.
    """
    return dict(proxyFromURL(f"socks5h+{carrier}://proxy.test?{query}").carrierOptions)


@pytest.mark.parametrize(("kind", "resolvesHere"), [("socks5h", False), ("socks5", True)])
@pytest.mark.parametrize(("carrier", "port"), [("kcp", 29900), ("tunnel", 443)])
def test_kinds(kind: str, resolvesHere: bool, carrier: str, port: int) -> None:
    """
    Both kinds of SOCKS5 are reached by both kinds of tunnels, at their usual
    ports, and not waited for.
    """
    proxy = proxyFromURL(f"{kind}+{carrier}://proxy.test")
    assert (proxy.kind, proxy.carrier, str(proxy.address)) == (kind, carrier, f"proxy.test:{port}")
    assert (proxy.eager, proxy.tls, proxy.resolvesHere) == (True, False, resolvesHere)
    assert (proxy.username, proxy.password, proxy.carrierOptions) == (None, None, ())
    assert str(proxy) == f"{kind}+{carrier}://proxy.test:{port}"


def test_usualKinds() -> None:
    """
    Proxies without a tunnel are waited for.
    """
    for kind in ("socks4", "socks4a", "socks5", "socks5h", "http", "https", "socks5h+tls"):
        proxy = proxyFromURL(f"{kind}://proxy.test")
        assert (proxy.carrier, proxy.eager) == ("", False)


@pytest.mark.parametrize("carrier", CARRIERS)
def test_address(carrier: str) -> None:
    """
    Host and port are read as ever.
    """
    for text, shown in (
        ("192.0.2.1:4000", "192.0.2.1:4000"),
        ("[2001:db8::1]:4000", "[2001:db8::1]:4000"),
        ("PROXY.test:4000", "proxy.test:4000"),
        ("proxy.test:4000/", "proxy.test:4000"),
    ):
        assert str(proxyFromURL(f"socks5h+{carrier}://{text}").address) == shown


def test_credentials() -> None:
    """
    User and password are those of SOCKS5, and may have 255 octets.
    """
    proxy = proxyFromURL(f"socks5h+kcp://{'u' * 255}:{'%C3%BC' * 127}p@proxy.test?key=k")
    assert (proxy.username, proxy.password) == (b"u" * 255, "\u00fc".encode() * 127 + b"p")
    for long in (f"{'u' * 256}:p", f"u:{'p' * 256}"):
        assert "longer than 255" in refusal(f"socks5h+kcp://{long}@proxy.test")


def test_passwordFile(tmp_path: object) -> None:
    """
    A password can come from a file.
    """
    path = f"{tmp_path}/password"
    with open(path, "w") as file:
        file.write(f"{SECRET}\n")
    ((proxy,),) = withPassword(chainFromURLs("socks5h+kcp://u@proxy.test?key=k"), path)
    assert (proxy.password, proxy.carrier, proxy.eager) == (SECRET.encode(), "kcp", True)


def test_eager() -> None:
    """
    C{eager} is ours and not the tunnel's.
    """
    for word, eager in (("yes", True), ("no", False)):
        proxy = proxyFromURL(f"socks5h+kcp://proxy.test?key=k&eager={word}&mtu=1200")
        assert proxy.eager is eager
        assert dict(proxy.carrierOptions) == {"key": "k", "mtu": "1200"}
    for word in ("", "maybe", "1", "YES"):
        assert "eager is yes or no" in refusal(f"socks5h+kcp://proxy.test?eager={word}")
    assert "once" in refusal("socks5h+kcp://proxy.test?eager=no&eager=yes")


@given(
    key=st.text(st.characters(exclude_categories=("Cs",))),
    path=st.text(st.characters(codec="ascii"), min_size=1),
)
@settings(deadline=None)
def test_options(key: str, path: str) -> None:
    """
    Parameters reach the tunnel as they are, whatever characters they have and
    in whatever order they stand.
    """
    for query in (
        f"key={quote(key, safe='')}&ca={quote(path, safe='')}",
        f"ca={quote(path, safe='')}&key={quote(key, safe='')}",
    ):
        assert optionsOf(query) == {"key": key, "ca": path}
    one, other = (
        proxyFromURL(f"socks5h+kcp://proxy.test?{query}") for query in ("a=1&b=2", "b=2&a=1")
    )
    assert (one, hash(one)) == (other, hash(other))


def test_plus() -> None:
    """
    A plus in a key is one, as those of base64 are, and an empty value is one,
    so that it can be refused.
    """
    assert optionsOf("key=a+b%2B%20c%3D%3d&salt=") == {"key": "a+b+ c==", "salt": ""}


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("socks4+kcp://proxy.test", "is SOCKS5"),
        ("socks4a+tunnel://proxy.test", "is SOCKS5"),
        ("http+kcp://proxy.test", "HTTP"),
        ("https+tunnel://proxy.test", "HTTP"),
        ("socks5h+tls+kcp://proxy.test", "begin with"),
        ("socks5h+kcp+tls://proxy.test", "begin with"),
        ("socks5h+quic://proxy.test", "begin with"),
        ("kcp://proxy.test", "begin with"),
        ("socks5h+kcp://unix:/run/proxy", "nothing may follow"),
        ("socks5h+kcp://proxy.test/path", "nothing may follow"),
        ("socks5h+kcp://proxy.test?key=k#here", "nothing may follow"),
        ("socks5h+kcp://proxy.test:0", "host or port is missing"),
        ("socks5h+kcp://:29900", "host or port is missing"),
        ("socks5h+kcp://127.1", "no host name"),
        ("socks5h+kcp://proxy.test?key=a&key=b", "once"),
        ("socks5h+kcp://proxy.test?key=a&=b", "names"),
        ("socks5h+kcp://proxy.test?key=a&b:c=d", "names"),
        ("socks5h+kcp://proxy.test?key=a&b%0Ac=d", "names"),
        ("socks5h+kcp://proxy.test?key=a&%C3%A9=d", "names"),
        ("socks5h+kcp://proxy.test?key", "malformed"),
        ("socks5h+kcp://proxy.test?key=%FF", "malformed"),
        ("socks5h+kcp://proxy.test:port", "malformed"),
    ],
)
def test_refused(url: str, reason: str) -> None:
    """
    Everything else is refused, and it is said what is wrong.
    """
    assert reason in refusal(url)


@pytest.mark.parametrize("carrier", CARRIERS)
def test_secretsAreNotShown(carrier: str) -> None:
    """
    Neither password nor key is shown by whatever shows the proxy.
    """
    proxy = proxyFromURL(f"socks5h+{carrier}://alice:{SECRET}@proxy.test?key={SECRET}&eager=no")
    assert isinstance(proxy, ProxyURL)
    for shown in (str(proxy), repr(proxy), f"{proxy}", f"{[proxy]}"):
        assert SECRET not in shown
        assert carrier in shown


@pytest.mark.parametrize(
    "url",
    [
        "alice:?{}@proxy.test",
        "alice:?{}=x@proxy.test",
        "alice:?x={}@proxy.test",
        "alice:#{}@proxy.test",
        "alice:/{}@proxy.test",
        "alice:{},x@proxy.test",
        "alice:{}",
        "alice:{}@",
        "alice:[{}]@proxy.test",
    ],
)
def test_secretInWrongURL(url: str) -> None:
    """
    However wrong a URL is, and whatever of it has been taken for something
    else, what is said does not repeat the password.
    """
    for carrier in CARRIERS:
        assert SECRET not in refusal(f"socks5h+{carrier}://{url.format(SECRET)}")


@pytest.mark.parametrize(
    "query",
    [
        f"{SECRET}",
        f"key={SECRET}&bad",
        f"key={SECRET}&key={SECRET}",
        f"key={SECRET}&eager=perhaps",
        f"key={SECRET}&eager={SECRET}",
        f"key={SECRET}%FF",
        f"key={SECRET}#x",
    ],
)
def test_secretsAreNotToldByErrors(query: str) -> None:
    """
    Nor by what is said of one that cannot be read.
    """
    with pytest.raises(ConfigurationError) as caught:
        proxyFromURL(f"socks5h+kcp://proxy.test?{query}")
    assert SECRET not in "".join(format_exception(caught.value, chain=False))
    assert SECRET not in str(caught.value)
    assert caught.value.__suppress_context__
