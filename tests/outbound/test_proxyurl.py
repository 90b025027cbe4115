"""
Tests for L{socksproxy.outbound.proxyurl}.
"""

from __future__ import annotations

from traceback import format_exception
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from socksproxy.address import Destination, hostFromName
from socksproxy.errors import ConfigurationError
from socksproxy.outbound.proxyurl import DEFAULT_PORTS, ProxyURL, chainFromURLs, proxyFromURL

SECRET = "Tr0ub4dor"


def where(text: str) -> str:
    """
    Give the host and port that a URL names.
    """
    return str(proxyFromURL(text).address)


def credentials(text: str) -> tuple[bytes | None, bytes | None]:
    """
    Give the user name and password that a URL holds.
    """
    proxy = proxyFromURL(text)
    return proxy.username, proxy.password


def refusal(text: str) -> str:
    """
    Give what is said of a URL that is none.
    """
    with pytest.raises(ConfigurationError) as caught:
        chainFromURLs(text)
    shown = str(caught.value)
    assert "\n" not in shown
    return shown


@pytest.mark.parametrize(
    ("scheme", "port", "tls", "resolvesHere"),
    [
        ("socks4", 1080, False, True),
        ("socks4a", 1080, False, False),
        ("socks5", 1080, False, True),
        ("socks5h", 1080, False, False),
        ("http", 1080, False, False),
        ("https", 443, True, False),
        ("socks4+tls", 1080, True, True),
        ("socks4a+tls", 1080, True, False),
        ("socks5+tls", 1080, True, True),
        ("socks5h+tls", 1080, True, False),
    ],
)
def test_kinds(scheme: str, port: int, tls: bool, resolvesHere: bool) -> None:
    """
    A scheme says what the proxy speaks, whether in TLS, on which port usually,
    and who looks names up.
    """
    for text in (scheme, scheme.upper()):
        proxy = proxyFromURL(f"{text}://proxy.test")
        assert proxy == ProxyURL(scheme.partition("+")[0], Destination("proxy.test", port), tls=tls)
        assert proxy.resolvesHere is resolvesHere
    assert where(f"{scheme}://proxy.test:8080") == "proxy.test:8080"
    assert where(f"{scheme}://proxy.test:8080/") == "proxy.test:8080"


def test_allKinds() -> None:
    """
    Those are all.
    """
    assert set(DEFAULT_PORTS) == {"socks4", "socks4a", "socks5", "socks5h", "http", "https"}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("proxy.test", "proxy.test:1080"),
        ("PROXY.Test.", "proxy.test:1080"),
        ("localhost", "localhost:1080"),
        ("b\u00fccher.example", "xn--bcher-kva.example:1080"),
        ("192.0.2.1", "192.0.2.1:1080"),
        ("192.0.2.1:1", "192.0.2.1:1"),
        ("192.0.2.1:65535", "192.0.2.1:65535"),
        ("[2001:db8::1]", "[2001:db8::1]:1080"),
        ("[2001:DB8:0::1]:3128", "[2001:db8::1]:3128"),
        ("user:pass@[::1]:3128", "[::1]:3128"),
        ("[::ffff:192.0.2.1]", "192.0.2.1:1080"),
        ("unix", "unix:1080"),
        ("unix:3128", "unix:3128"),
    ],
)
def test_hosts(text: str, shown: str) -> None:
    """
    Hosts are names and addresses of both families, with a port or without.
    """
    assert where(f"socks5h://{text}") == shown


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("proxy.test", (None, None)),
        ("alice@proxy.test", (b"alice", None)),
        ("alice:@proxy.test", (b"alice", b"")),
        ("alice:s3cret@proxy.test", (b"alice", b"s3cret")),
        (":s3cret@proxy.test", (b"", b"s3cret")),
        ("alice:a:b@proxy.test", (b"alice", b"a:b")),
        ("alice:a@b@proxy.test", (b"alice", b"a@b")),
        ("al%69ce:%40%3A%2F%3F%23%5B%5D%25%2C%7C@proxy.test", (b"alice", b"@:/?#[]%,|")),
        ("M%C3%BCller:%e2%82%ac@proxy.test", (b"M\xc3\xbcller", b"\xe2\x82\xac")),
        ("M\u00fcller:\u20ac@proxy.test", (b"M\xc3\xbcller", b"\xe2\x82\xac")),
        ("%FF%00:%ff%0A@proxy.test", (b"\xff\0", b"\xff\n")),
        ("alice+bob:a+b@proxy.test", (b"alice+bob", b"a+b")),
        ("a%2525b:%2525@proxy.test", (b"a%25b", b"%25")),
        ("a" * 255 + ":" + "b" * 255 + "@proxy.test", (b"a" * 255, b"b" * 255)),
        ("alice:s3cret@unix:/run/proxy", (b"alice", b"s3cret")),
    ],
)
def test_credentials(text: str, expected: tuple[bytes | None, bytes | None]) -> None:
    """
    User name and password are in the usual place, percent-encoded, and are
    octets.
    """
    assert credentials(f"socks5h://{text}") == expected


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("unix:/run/proxy", "/run/proxy"),
        ("unix/run/proxy", "/run/proxy"),
        ("unix:/run/Proxy.sock", "/run/Proxy.sock"),
        ("alice@unix:/run/proxy", "/run/proxy"),
        ("unix:/run/my%20proxy%2C%7C%3F%23", "/run/my proxy,|?#"),
    ],
)
def test_unix(text: str, path: str) -> None:
    """
    A proxy may be on a UNIX socket.
    """
    proxy = proxyFromURL(f"socks5h://{text}")
    assert (proxy.address, proxy.path) == (None, path)


def test_tlsOptions() -> None:
    """
    How a proxy's certificate is verified, and ours, is in the query.
    """
    text = (
        "socks5h+tls://proxy.test?ca=/etc/ca.pem&certificate=my%20cert.pem&privateKey=key&pin=ab:cd"
    )
    assert proxyFromURL(text).tlsOptions == (
        ("ca", "/etc/ca.pem"),
        ("certificate", "my cert.pem"),
        ("privateKey", "key"),
        ("pin", "ab:cd"),
    )
    assert proxyFromURL("https://proxy.test/?ca=ca.pem").tlsOptions == (("ca", "ca.pem"),)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "proxy.test",
        "proxy.test:1080",
        "127.0.0.1:1080",
        "://proxy.test",
        "socks5h:",
        "socks5h:proxy.test",
        "socks5h:/proxy.test",
        "socks5h://",
        "socks5h://:1080",
        "socks5h://@:1080",
        "socks5h://alice:s3cret@",
        "socks5h://proxy.test:0",
        "socks5h://proxy.test:65536",
        "socks5h://proxy.test:-1",
        "socks5h://proxy.test:x",
        "socks5h://proxy.test:1080x",
        "socks5h://proxy.test/path",
        "socks5h://proxy.test/?ca=ca.pem",
        "socks5h://proxy.test?x=y",
        "socks5h+tls://proxy.test?x=y",
        "socks5h+tls://proxy.test?ca",
        "socks5h+tls://proxy.test?ca=a&ca=b",
        "socks5h+tls://proxy.test#fragment",
        "socks5h://2001:db8::1",
        "socks5h://[2001:db8::1",
        "socks5h://[proxy.test]",
        "socks5h://[fe80::1%25eth0]",
        "socks5h://a b",
        "socks5h://127.1",
        "socks5h://0x7f.1",
        "socks5h://" + "a" * 64,
        "socks://proxy.test",
        "socks6://proxy.test",
        "ftp://proxy.test",
        "tls://proxy.test",
        "socks5h+ssl://proxy.test",
        "socks5h+tls+tls://proxy.test",
        "+tls://proxy.test",
        "unix:/run/proxy",
        "socks5h://unix:1080/run/proxy",
        "socks5h+tls://unix:/run/proxy#x",
        "socks5h://unix:/run/%00proxy",
    ],
)
def test_refused(text: str) -> None:
    """
    What is no URL of a proxy is refused in one line.
    """
    assert refusal(text)


@pytest.mark.parametrize(
    "text",
    [
        "socks5h://" + "a" * 256 + "@proxy.test",
        "socks5h://alice:" + "a" * 256 + "@proxy.test",
        "socks5://alice:" + "%C3%A4" * 128 + "@proxy.test",
        "socks4a://" + "a" * 256 + "@proxy.test",
        "socks4://al%00ice@proxy.test",
        "http://al%3Aice:s3cret@proxy.test",
    ],
)
def test_unsendable(text: str) -> None:
    """
    Credentials that the proxy's protocol cannot carry are refused when the
    URL is read, not at every connection.
    """
    assert "aaa" not in refusal(text)


def test_noPasswordInSOCKS4() -> None:
    """
    SOCKS4 has no passwords. Who gives one is told, and does not believe to be
    authenticated.
    """
    for kind in ("socks4", "socks4a", "socks4a+tls"):
        assert "password" in refusal(f"{kind}://alice:{SECRET}@proxy.test")


@pytest.mark.parametrize(
    "text",
    [
        "socks5h://alice:{}",
        "socks5h://alice:{}proxy.test:1080",
        "socks5h://alice:{}@",
        "socks5h://alice:{}@:1080",
        "socks5h://alice:{}@proxy.test:x",
        "socks5h://alice:{}@a b",
        "socks5h://alice:{}@proxy.test/path",
        "socks5h://alice:{}@proxy.test#x",
        "socks5h://alice:{}@proxy.test?x=y",
        "socks5h://alice:[{}]@proxy.test",
        "socks5h://alice:[{}@proxy.test",
        "socks5h://alice:{}]@proxy.test",
        "socks5h://alice:/{}@proxy.test",
        "socks5h://alice:?{}@proxy.test",
        "socks5h://alice:?{}=x@proxy.test",
        "socks5h://alice:?x={}@proxy.test",
        "socks5h://alice:#{}@proxy.test",
        "socks5h+tls://alice:?{}@proxy.test",
        "socks5h+tls://alice:?{}=x@proxy.test",
        "socks5h://alice:\u2100{}@proxy.test",
        "socks5h://alice:{},x@proxy.test",
        "socks5h://alice:x,{}@proxy.test",
        "socks5h://alice:x|{}@proxy.test",
        "socks5h://alice:x,{}://y@proxy.test",
        "socks6://alice:{}@proxy.test",
        "socks5h//alice:{}@proxy.test",
        "socks5h:/alice:{}@proxy.test",
        "alice:{}@proxy.test:1080",
        "socks5h://proxy.test,socks6://alice:{}@proxy.test",
    ],
)
def test_secretInWrongURL(text: str) -> None:
    """
    However wrong a URL is, and whatever of it has been taken for something
    else, what is said does not repeat the password, nor does a traceback.
    """
    for secret in (SECRET, SECRET.lower(), SECRET + "%41"):
        with pytest.raises(ConfigurationError) as caught:
            chainFromURLs(text.format(secret))
        shown = "".join(format_exception(caught.value)).partition("Error: ")[2]
        assert SECRET.lower() not in shown.lower()
        assert caught.value.__cause__ is None


@settings(deadline=None)
@given(
    st.sampled_from(["socks5", "socks5h", "http", "https", "socks5h+tls"]),
    st.binary(max_size=20).filter(lambda user: b":" not in user),
    st.binary(max_size=40),
)
def test_roundTrip(scheme: str, user: bytes, password: bytes) -> None:
    """
    Any octets can be a user name and a password if they are percent-encoded,
    also in a chain.
    """
    text = f"{scheme}://{quote(user, safe='')}:{quote(password, safe='')}@[2001:db8::1]:3128"
    assert credentials(text) == (user, password)
    ((first,), (second, third)) = chainFromURLs(f"{text},{text}|{text}")
    assert first == second == third == proxyFromURL(text)


@settings(deadline=None, max_examples=300)
@given(
    st.text("abz019:/?#[]@%|,&=+.\u2100\u00e4 \n\t\0", max_size=12),
    st.text("abz019:/?#[]@%|,&=+.\u2100\u00e4 \n\t\0", max_size=12),
    st.sampled_from(["socks5h://alice:{}@proxy.test", "https://alice:{}@[::1]:1", "a:{}"]),
)
def test_anyPassword(before: str, after: str, shape: str) -> None:
    """
    Whatever is put into a URL in place of a password, unencoded, either it is
    one, or the URL is refused with a text of one line that does not have it.
    """
    text = shape.format(f"{before}{SECRET}{after}")
    try:
        hops = chainFromURLs(text)
    except ConfigurationError as e:
        assert SECRET.lower() not in str(e).lower()
        assert "\n" not in str(e)
        return
    for proxy in (proxy for hop in hops for proxy in hop):
        if proxy.password is not None and SECRET.encode() in proxy.password:
            assert SECRET not in f"{proxy} {proxy!r}"


@settings(deadline=None, max_examples=300)
@given(st.text(max_size=60) | st.binary(max_size=60).map(lambda data: data.decode("latin-1")))
def test_anything(text: str) -> None:
    """
    Any text is a chain, or is refused in one line, and nothing else happens.
    """
    for prefix in ("", "socks5h://", "socks5h://unix:", "https://x?"):
        try:
            hops = chainFromURLs(prefix + text)
        except ConfigurationError as e:
            assert "\n" not in str(e)
            continue
        for proxy in (proxy for hop in hops for proxy in hop):
            assert proxy.kind in DEFAULT_PORTS
            if proxy.address is not None:
                host = proxy.address.host
                assert hostFromName(str(host).encode()) == host
                assert 0 < proxy.address.port < 65536
            else:
                assert proxy.path.startswith("/")


def test_chain() -> None:
    """
    Hops are joined by commas, and alternatives by bars; spaces around them do
    not matter.
    """
    hops = chainFromURLs(
        "socks5h://unix:/run/one|socks5h://one.test, http://two.test|https://u:p%2C%7C@three.test"
        " | socks4a://four.test ,socks5h://five.test"
    )
    assert [[str(proxy) for proxy in hop] for hop in hops] == [
        ["socks5h://unix:/run/one", "socks5h://one.test:1080"],
        ["http://two.test:1080", "https://***@three.test:443", "socks4a://four.test:1080"],
        ["socks5h://five.test:1080"],
    ]
    assert hops[1][1].password == b"p,|"


@pytest.mark.parametrize(
    "text",
    [
        "socks5h://one.test,socks5h://unix:/run/two",
        "socks5h://one.test,socks5h://two.test|socks5h://unix:/run/two",
    ],
)
def test_unixFurtherAway(text: str) -> None:
    """
    A UNIX socket is on this host, so that only the first hop can be there.
    """
    assert "UNIX" in refusal(text)


@pytest.mark.parametrize(
    "text", [",", "|", "socks5h://one.test,", ",socks5h://one.test", "socks5h://one.test||"]
)
def test_emptyHops(text: str) -> None:
    """
    A hop without a proxy is an error.
    """
    assert refusal(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("socks5h://proxy.test", "socks5h://proxy.test:1080"),
        ("socks5h://alice:Tr0ub4dor@proxy.test", "socks5h://***@proxy.test:1080"),
        ("https://alice:Tr0ub4dor@[::1]:3128", "https://***@[::1]:3128"),
        ("socks4a+tls://alice@proxy.test?pin=ab", "socks4a+tls://***@proxy.test:1080"),
        ("socks5h://:Tr0ub4dor@unix:/run/proxy", "socks5h://***@unix:/run/proxy"),
    ],
)
def test_shown(text: str, shown: str) -> None:
    """
    What is shown of a proxy in logs has no user and no password, and the
    representation has no password either.
    """
    proxy = proxyFromURL(text)
    assert str(proxy) == shown
    assert SECRET not in repr(proxy)
    assert SECRET not in f"{[proxy]} { ({'proxy': proxy}) }"
