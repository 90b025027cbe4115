"""
Tests for L{socksproxy.shadowsocks.url}: the links that name servers.
"""

from __future__ import annotations

from base64 import b64encode, urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from socksproxy.address import Destination
from socksproxy.errors import ConfigurationError
from socksproxy.shadowsocks.url import (
    LONGEST,
    ShadowsocksURL,
    isShadowsocks,
    shadowsocksFromURL,
)
from tests.vectors import document

LINKS = document("shadowsocks_vectors")["sip002"]
SECRET = "a-secret-that-is-not-shown"


class TestReading:
    """
    Links as they are found.
    """

    @pytest.mark.parametrize("case", LINKS, ids=lambda case: case["id"])
    def test_standard(self, case: dict[str, object]) -> None:
        """
        The links of the standard say what the standard says of them.
        """
        url = shadowsocksFromURL(str(case["uri"]))
        assert {
            "method": url.method,
            "password": url.password,
            "host": str(url.address.host),
            "port": url.address.port,
            "plugin": url.plugin or None,
            "plugin_opts": url.pluginOptions or None,
            "tag": url.tag or None,
        } == case["parsed"]

    def test_oldForm(self) -> None:
        """
        The form that was all in base64 is read, whatever is in the password.
        """
        for password in ("secret", "p@ss:w/rd?#", "ends=with="):
            old = b64encode(f"aes-256-gcm:{password}@example.com:8388".encode()).decode()
            url = shadowsocksFromURL(f"ss://{old.rstrip('=')}#old%20one")
            assert (url.method, url.password) == ("aes-256-gcm", password)
            assert url.address == Destination("example.com", 8388)
            assert url.tag == "old one"

    def test_percentEncoded(self) -> None:
        """
        The classic methods may be percent-encoded, too, and base64 may be so
        on top, with padding and without.
        """
        user = urlsafe_b64encode(b"aes-128-gcm:ab").decode()
        for before in ("aes-128-gcm:ab", "AES-128-GCM:a%62", user, user.replace("=", "%3D")):
            url = shadowsocksFromURL(f"ss://{before}@example.com:1")
            assert (url.method, url.password) == ("aes-128-gcm", "ab")

    def test_keysOfSeveral(self) -> None:
        """
        Only the first colon ends the method.
        """
        assert shadowsocksFromURL("ss://2022-x:a:b%3D@example.com:1").password == "a:b="

    def test_plusIsPlus(self) -> None:
        """
        A plus stands for itself, in the password, the query and the tag.
        """
        url = shadowsocksFromURL("ss://aes-256-gcm:a+b@example.com:1?plugin=p%3Bo=1+2#a+b")
        assert (url.password, url.pluginOptions, url.tag) == ("a+b", "o=1+2", "a+b")

    def test_ownParameters(self) -> None:
        """
        What is ours in the query is read, and what is nobody's is not minded.
        """
        url = shadowsocksFromURL(
            "ss://aes-256-gcm:@example.com:1?passwordFile=/p&users=/u&weak=yes&other=1"
        )
        assert (url.passwordFile, url.users, url.weak) == ("/p", "/u", True)
        assert url.carrierOptions == ()

    def test_carried(self) -> None:
        """
        A link through a tunnel keeps the tunnel's parameters.
        """
        url = shadowsocksFromURL("ss+kcp://aes-256-gcm:x@example.com:1?keyFile=k&crypt=aes&weak=no")
        assert url.carrier == "kcp"
        assert url.carrierOptions == (("crypt", "aes"), ("keyFile", "k"))

    @pytest.mark.parametrize(
        "link",
        [
            "ss://",
            "ss://example.com:1",
            "http://aes-256-gcm:x@example.com:1",
            "ss://aes-256-gcm:x@example.com",
            "ss://aes-256-gcm:x@example.com:",
            "ss://aes-256-gcm:x@:1",
            "ss://aes-256-gcm:x@example.com:65536",
            "ss://aes-256-gcm:x@example.com:1/path",
            "ss://aes-256-gcm:x@0x7f.1:1",
            "ss://aes-256-gcm:x@[::1:1",
            "ss://aes-256-gcm:x@example.com:1?a=1&a=2",
            "ss://aes-256-gcm:x@example.com:1?a",
            "ss://aes-256-gcm:x@example.com:1?prefix=%16",
            "ss://aes-256-gcm:x@example.com:1?weak=maybe",
            "ss://aes-256-gcm:what?@example.com:1",
            "ss://:x@example.com:1",
            "ss://!!!@example.com:1",
            "ss://%ff:x@example.com:1",
            "ss://" + b64encode(b"no colon").decode() + "@example.com:1",
            "ss://" + b64encode(b"2022-blake3-aes-128-gcm:key").decode() + "@example.com:1",
            "ss+kcp://aes-256-gcm:x@example.com:1?plugin=p",
            "ss+kcp://aes-256-gcm:x@example.com:1?not-a-name=1",
            "ss://aes-256-gcm:x@example.com:1#" + "x" * LONGEST,
        ],
    )
    def test_refused(self, link: str) -> None:
        """
        What is no link is a configuration error of one line.
        """
        with pytest.raises(ConfigurationError) as caught:
            shadowsocksFromURL(link)
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize(
        "rest", ["@example.com", "@example.com:1/x", "@1.2:1", "@example.com:1?a=1&a=2", ""]
    )
    def test_nothingSecretShown(self, rest: str) -> None:
        """
        No error repeats the password.
        """
        for before in (f"x:{SECRET}", b64encode(f"x:{SECRET}".encode()).decode()):
            with pytest.raises(ConfigurationError) as caught:
                shadowsocksFromURL(f"ss://{before}{rest}")
            assert SECRET not in str(caught.value)
            assert before not in str(caught.value)
            assert caught.value.__cause__ is None

    @given(st.text(max_size=200))
    def test_anything(self, text: str) -> None:
        """
        Whatever it is, it is a link or a configuration error.
        """
        try:
            shadowsocksFromURL("ss://" + text)
        except ConfigurationError:
            pass


class TestShowing:
    """
    Links as they are shown and written.
    """

    def test_hidden(self) -> None:
        """
        Neither C{str} nor C{repr} shows a secret.
        """
        link = f"ss://aes-256-gcm:{SECRET}@example.com:1?plugin=p%3Bkey={SECRET}"
        carried = f"ss+kcp://aes-256-gcm:{SECRET}@example.com:1?key={SECRET}"
        for text in (link, carried):
            url = shadowsocksFromURL(text)
            assert SECRET not in f"{url} {url!r}"
        assert str(shadowsocksFromURL(link)) == "ss://***@example.com:1"
        assert str(shadowsocksFromURL(carried)) == "ss+kcp://***@example.com:1"

    @given(
        st.sampled_from(["aes-256-gcm", "2022-blake3-aes-128-gcm"]),
        st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40),
        st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
        st.sampled_from(["", "obfs-local"]),
    )
    def test_roundTrip(self, method: str, password: str, tag: str, plugin: str) -> None:
        """
        A link that was written is read as what it was written for.
        """
        options = "obfs=http;a=\\;b" if plugin else ""
        address = Destination("example.com", 8388)
        url = ShadowsocksURL(method, password, address, plugin, options, tag)
        assert shadowsocksFromURL(url.link) == url

    def test_recognised(self) -> None:
        """
        By its scheme a link is known.
        """
        assert all(isShadowsocks(f"{scheme}://x") for scheme in ("ss", "SS", "ss+kcp", "ss+tunnel"))
        assert not any(isShadowsocks(text) for text in ("ss:x", "socks5://x", "sss://x"))
