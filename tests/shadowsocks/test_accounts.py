"""
Tests for L{socksproxy.shadowsocks.accounts}: links with files beside them.
"""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path
from urllib.parse import quote

import pytest

from socksproxy.errors import ConfigurationError
from socksproxy.shadowsocks._keys import masterKey
from socksproxy.shadowsocks._methods import METHODS
from socksproxy.shadowsocks.accounts import MAX_TRIED, accountFrom, accountsFrom, weakIn
from socksproxy.shadowsocks.url import ShadowsocksURL, shadowsocksFromURL

CLASSIC = "aes-256-gcm"
MODERN = "2022-blake3-aes-128-gcm"
SECRET = "3fW5sJHkWpRrSoDF0iE2b0m5LxzDQvKn"


def keyOf(octet: int) -> str:
    """
    Make a key that can be told from others.
    """
    return b64encode(bytes([octet]) * 16).decode()


def link(method: str, password: str = "", **query: object) -> ShadowsocksURL:
    """
    Make a link.
    """
    parameters = "&".join(f"{name}={quote(str(value))}" for name, value in query.items())
    text = f"ss://{method}:{quote(password, safe='')}@127.0.0.1:8388?{parameters}"
    return shadowsocksFromURL(text.rstrip("?"))


class TestPasswords:
    """
    Where the password is.
    """

    def test_inLink(self) -> None:
        """
        The password of a link makes its key.
        """
        account = accountFrom(link(CLASSIC, SECRET))
        assert account.userKey == masterKey(METHODS[CLASSIC], SECRET.encode())

    @pytest.mark.parametrize("end", ["", "\n", "\r\n"])
    def test_inFile(self, tmp_path: Path, end: str) -> None:
        """
        That of a file is the same, whatever the line's end is.
        """
        path = tmp_path / "password"
        path.write_bytes(f"{SECRET}{end}".encode())
        account = accountFrom(link(CLASSIC, passwordFile=path))
        assert account.userKey == accountFrom(link(CLASSIC, SECRET)).userKey

    @pytest.mark.parametrize("content", [b"", b"\n", b"a\nb\n", b"\xff", b"x" * (1 << 23)])
    def test_badFile(self, tmp_path: Path, content: bytes) -> None:
        """
        A file that holds no password is named.
        """
        path = tmp_path / "password"
        path.write_bytes(content)
        with pytest.raises(ConfigurationError, match=str(path)):
            accountFrom(link(CLASSIC, passwordFile=path))

    def test_noneOrBoth(self, tmp_path: Path) -> None:
        """
        There is one password, and not none or two, and the file is there.
        """
        for url in (
            link(CLASSIC),
            link(CLASSIC, SECRET, passwordFile="x"),
            link(CLASSIC, passwordFile=tmp_path / "absent"),
            link(CLASSIC, passwordFile=tmp_path),
        ):
            with pytest.raises(ConfigurationError) as caught:
                accountFrom(url)
            assert SECRET not in str(caught.value)


class TestUsers:
    """
    Servers with users.
    """

    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        """
        Give a file of two users of a method of 2022.
        """
        path = tmp_path / "users"
        path.write_text(f"# ours\n\nalice:{keyOf(1)}\nbob:{keyOf(2)}\n")
        return path

    def test_alone(self) -> None:
        """
        Without a file there is one account, without a name.
        """
        (account,) = accountsFrom(link(MODERN, keyOf(7)))
        assert (account.name, account.keys) == ("", (bytes([7]) * 16,))

    def test_identities(self, path: Path) -> None:
        """
        In 2022 each user has the server's key and an own one.
        """
        accounts = accountsFrom(link(MODERN, keyOf(7), users=path))
        assert [(account.name, [key[0] for key in account.keys]) for account in accounts] == [
            ("alice", [7, 1]),
            ("bob", [7, 2]),
        ]

    def test_tried(self, tmp_path: Path) -> None:
        """
        With a classic method each user has a password, in which there may be
        colons.
        """
        path = tmp_path / "users"
        path.write_text("alice:a:b\nbob:c\n")
        accounts = accountsFrom(link(CLASSIC, users=path))
        method = METHODS[CLASSIC]
        assert [account.userKey for account in accounts] == [
            masterKey(method, b"a:b"),
            masterKey(method, b"c"),
        ]

    def test_tooManyToTry(self, tmp_path: Path) -> None:
        """
        More than can be tried are refused.
        """
        path = tmp_path / "users"
        path.write_text("".join(f"u{number}:p{number}\n" for number in range(MAX_TRIED)))
        assert len(accountsFrom(link(CLASSIC, users=path))) == MAX_TRIED
        with path.open("a") as file:
            file.write("one:more\n")
        with pytest.raises(ConfigurationError, match="2022"):
            accountsFrom(link(CLASSIC, users=path))

    @pytest.mark.parametrize(
        "content",
        ["", "alice\n", ":x\n", "alice:\n", "alice:a\nalice:b\n", "alice:a\nbob:a\n", "#:\n"],
    )
    def test_badFile(self, tmp_path: Path, content: str) -> None:
        """
        A file that makes no sense is named.
        """
        path = tmp_path / "users"
        path.write_text(content)
        with pytest.raises(ConfigurationError, match=str(path)):
            accountsFrom(link(CLASSIC, users=path))

    def test_badKey(self, path: Path) -> None:
        """
        A key that is none names its user and the file, and not itself.
        """
        path.write_text("alice:dG9vIHNob3J0\n")
        with pytest.raises(ConfigurationError, match=f"{path}: alice: ") as caught:
            accountsFrom(link(MODERN, keyOf(7), users=path))
        assert "dG9v" not in str(caught.value)

    def test_methodsWithout(self, path: Path) -> None:
        """
        A method that cannot name users has none; a classic one with users has
        no password of its own, and a server one key.
        """
        chacha = b64encode(bytes(32)).decode()
        for url in (
            link("2022-blake3-chacha20-poly1305", chacha, users=path),
            link(CLASSIC, SECRET, users=path),
            link(MODERN, f"{keyOf(7)}:{keyOf(8)}", users=path),
        ):
            with pytest.raises(ConfigurationError):
                accountsFrom(url)


class TestWeak:
    """
    Passwords that could be found.
    """

    def test_named(self, tmp_path: Path) -> None:
        """
        Whose it is, is said, and not what it is.
        """
        path = tmp_path / "users"
        path.write_text(f"alice:{SECRET}\nbob:short\n")
        assert weakIn(link(CLASSIC, "short")) == "the password"
        assert weakIn(link(CLASSIC, users=path)) == "the password of bob"

    def test_strong(self) -> None:
        """
        Keys and good passwords are not weak.
        """
        assert weakIn(link(CLASSIC, SECRET)) == ""
        assert weakIn(link(MODERN, keyOf(1))) == ""
