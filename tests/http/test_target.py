"""
Tests for L{socksproxy.http._target}.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from socksproxy.address import Destination
from socksproxy.http._refusal import Refusal
from socksproxy.http._target import Form, Target, checkHostField, targetOf

WEB = Destination("web.test", 80)
V6 = IPv6Address("2001:db8::5")


def refusal(method: bytes, text: bytes) -> int | None:
    """
    Give the status with which a target is refused, if it is.
    """
    try:
        targetOf(method, text)
    except Refusal as e:
        return e.status
    return None


class TestAuthorityForm:
    """
    Where CONNECT goes.
    """

    @pytest.mark.parametrize(
        ("text", "destination", "hostField"),
        [
            (b"web.test:443", Destination("web.test", 443), b"web.test:443"),
            (b"Web.Test.:80", WEB, b"web.test:80"),
            (b"web.test:00080", WEB, b"web.test:80"),
            (b"192.0.2.1:1", Destination(IPv4Address("192.0.2.1"), 1), b"192.0.2.1:1"),
            (b"[2001:DB8::5]:65535", Destination(V6, 65535), b"[2001:db8::5]:65535"),
            (
                b"[::ffff:192.0.2.1]:443",
                Destination(IPv4Address("192.0.2.1"), 443),
                b"192.0.2.1:443",
            ),
            (b"a_b:22", Destination("a_b", 22), b"a_b:22"),
        ],
    )
    def test_understood(self, text: bytes, destination: Destination, hostField: bytes) -> None:
        """
        Host and port are found, each in its one form.
        """
        assert targetOf(b"CONNECT", text) == Target(
            Form.AUTHORITY, destination=destination, hostField=hostField
        )

    @pytest.mark.parametrize(
        "text",
        [
            b"web.test",
            b"web.test:",
            b"web.test:0",
            b"web.test:000",
            b"web.test:65536",
            b"web.test:000080",
            b"web.test:99999999999999999999",
            b"web.test:+80",
            b"web.test:-1",
            b"web.test:0x50",
            b"web.test:8_0",
            b"web.test:http",
            b"web.test:80:80",
            b"web.test:80/",
            b"web.test:80?a",
            b"web.test:80#a",
            b":443",
            b"",
            b"*",
            b"/",
            b"@web.test:443",
            b"a@web.test:443",
            b"a:b@web.test:443",
            b"http://web.test/",
            b"http://web.test:443",
            b"2001:db8::5:443",
            b"[2001:db8::5]",
            b"[2001:db8::5]443",
            b"[2001:db8::5",
            b"2001:db8::5]:443",
            b"[web.test]:443",
            b"[192.0.2.1]:443",
            b"[::1%25eth0]:443",
            b"[fe80::1%eth0]:443",
            b"[v1.a]:443",
            b"[]:443",
            b"127.1:443",
            b"2130706433:443",
            b"0x7f.0.0.1:443",
            b"0177.0.0.1:443",
            b"256.0.0.1:443",
            b"web..test:443",
            b".web.test:443",
            b"-web.test:443",
            b"web%2etest:443",
            b"web,test:443",
            b"web\\test:443",
            b"a" * 64 + b".test:443",
            b"a." * 127 + b"test:443",
        ],
    )
    def test_refused(self, text: bytes) -> None:
        """
        Everything else is no place to connect to.
        """
        assert refusal(b"CONNECT", text) == 400


class TestAbsoluteForm:
    """
    Where everything else goes.
    """

    @pytest.mark.parametrize(
        ("text", "destination", "path", "hostField"),
        [
            (b"http://web.test/", WEB, b"/", b"web.test"),
            (b"http://web.test", WEB, b"/", b"web.test"),
            (b"HTTP://WEB.test:80", WEB, b"/", b"web.test"),
            (b"http://web.test:/a", WEB, b"/a", b"web.test"),
            (b"http://web.test:8080/a", Destination("web.test", 8080), b"/a", b"web.test:8080"),
            (b"http://web.test?a=b", WEB, b"/?a=b", b"web.test"),
            (b"http://web.test/a/../%2e%2E//b?c#d?e", WEB, b"/a/../%2e%2E//b?c", b"web.test"),
            (b"http://web.test#a@b", WEB, b"/", b"web.test"),
            (b"http://web.test/a@b:c", WEB, b"/a@b:c", b"web.test"),
            (b"http://web.test/<\"'{|}\\^`>", WEB, b"/<\"'{|}\\^`>", b"web.test"),
            (b"http://[2001:db8::5]/", Destination(V6, 80), b"/", b"[2001:db8::5]"),
            (b"http://[2001:db8::5]:81/", Destination(V6, 81), b"/", b"[2001:db8::5]:81"),
            (b"http://192.0.2.1/", Destination(IPv4Address("192.0.2.1"), 80), b"/", b"192.0.2.1"),
            (b"ws://web.test/chat", WEB, b"/chat", b"web.test"),
        ],
    )
    def test_understood(
        self, text: bytes, destination: Destination, path: bytes, hostField: bytes
    ) -> None:
        """
        Destination and path are found; the path goes on as it was written.
        """
        assert targetOf(b"GET", text) == Target(
            Form.ABSOLUTE, b"http", destination, path, hostField
        )

    def test_options(self) -> None:
        """
        OPTIONS without a path is about the server as a whole.
        """
        assert targetOf(b"OPTIONS", b"http://web.test").path == b"*"
        assert targetOf(b"OPTIONS", b"http://web.test:80#a").path == b"*"
        assert targetOf(b"OPTIONS", b"http://web.test/").path == b"/"
        assert targetOf(b"OPTIONS", b"http://web.test?a").path == b"/?a"

    def test_absolute(self) -> None:
        """
        For another proxy the target is put together again.
        """
        for text in (b"http://web.test/a?b", b"http://[2001:db8::5]:81/"):
            assert targetOf(b"GET", text).absolute == text
        assert targetOf(b"GET", b"ws://WEB.test?a#b").absolute == b"http://web.test/?a"
        assert targetOf(b"OPTIONS", b"http://web.test").absolute == b"http://web.test"

    def test_TLS(self) -> None:
        """
        C{https} is supported where that is asked for, and has a port of its
        own.
        """
        target = targetOf(b"GET", b"https://web.test/a", originatesTLS=True)
        assert target == Target(
            Form.ABSOLUTE, b"https", Destination("web.test", 443), b"/a", b"web.test"
        )
        assert targetOf(b"GET", b"https://web.test:80/", originatesTLS=True).hostField == (
            b"web.test:80"
        )
        assert targetOf(b"GET", b"http://web.test:443/", originatesTLS=True).hostField == (
            b"web.test:443"
        )
        with pytest.raises(Refusal) as raised:
            targetOf(b"GET", b"wss://web.test/a", originatesTLS=True)
        assert raised.value.status == 501

    @pytest.mark.parametrize(
        "text", [b"ftp://web.test/", b"https://web.test/", b"wss://a/", b"a+b-c.1://", b"file:///a"]
    )
    def test_schemes(self, text: bytes) -> None:
        """
        Other schemes are not supported.
        """
        assert refusal(b"GET", text) == 501

    @pytest.mark.parametrize(
        "text",
        [
            b"web.test",
            b"web.test:80",
            b"web.test/a",
            b"http:/web.test/",
            b"http:web.test/",
            b"http:///a",
            b"http://",
            b"http://?a",
            b"http://:80/",
            b"://web.test/",
            b"1http://web.test/",
            b"a_b://web.test/",
            b"*",
            b"http://@web.test/",
            b"http://a@web.test/",
            b"http://web.test@/",
            b"http://web.test:80@other.test/",
            b"http://web.test\\@other.test/",
            b"http://web.test\\/",
            b"http://web.test:8080x/",
            b"http://web.test:65536/",
            b"http://web.test:0/",
            b"http://2001:db8::5/",
            b"http://[2001:db8::5/",
            b"http://[::1%25lo]/",
            b"http://127.1/",
            b"http://web%2etest/",
            b"http://web.test%00/",
            b"http://web;test/",
        ],
    )
    def test_refused(self, text: bytes) -> None:
        """
        What names no host is refused.
        """
        assert refusal(b"GET", text) == 400


class TestOtherForms:
    """
    What the proxy itself is asked.
    """

    def test_origin(self) -> None:
        """
        A path alone is for the proxy, without its fragment.
        """
        assert targetOf(b"GET", b"/proxy.pac?a#b") == Target(Form.ORIGIN, path=b"/proxy.pac?a")
        assert targetOf(b"GET", b"//web.test/") == Target(Form.ORIGIN, path=b"//web.test/")

    def test_asterisk(self) -> None:
        """
        Only OPTIONS asks about the proxy as a whole.
        """
        assert targetOf(b"OPTIONS", b"*") == Target(Form.ASTERISK, path=b"*")
        assert refusal(b"GET", b"*") == 400
        assert refusal(b"options", b"*") == 400

    def test_secret(self) -> None:
        """
        A path, which may hold secrets, is not shown.
        """
        assert "token" not in repr(targetOf(b"GET", b"http://web.test/?token=1"))

    @given(st.from_regex(rb"(http://)?[!-~]{0,30}", fullmatch=True), st.booleans())
    def test_anything(self, text: bytes, connects: bool) -> None:
        """
        Nothing but a refusal comes of any octets, and what is understood is
        understood so again.
        """
        try:
            target = targetOf(b"CONNECT" if connects else b"GET", text)
        except Refusal as e:
            assert e.status in (400, 501)
            return
        if target.form is Form.ABSOLUTE:
            assert targetOf(b"GET", target.absolute) == target
        if target.form is Form.AUTHORITY:
            assert targetOf(b"CONNECT", target.hostField) == target


class TestHostField:
    """
    The field Host.
    """

    @pytest.mark.parametrize(
        "value", [b"", b"web.test", b"Web.Test:80", b"web.test:", b"[::1]:80", b"a_b", b"10.0.0.1"]
    )
    def test_good(self, value: bytes) -> None:
        """
        It names a host, or none.
        """
        checkHostField(value)

    @pytest.mark.parametrize(
        "value",
        [
            b"a b",
            b"a/b",
            b"a?b",
            b"a#b",
            b"a@b",
            b"a:b",
            b"a:1:2",
            b"[::1",
            b"a\\b",
            b"\xff",
            b"a<b",
        ],
    )
    def test_bad(self, value: bytes) -> None:
        """
        It is nothing else.
        """
        with pytest.raises(Refusal) as raised:
            checkHostField(value)
        assert raised.value.status == 400
