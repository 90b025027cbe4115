"""
Tests for L{socksproxy.shadowsocks.translation}, and for C{python -m socksproxy
import} and C{genkey}.
"""

from __future__ import annotations

import json
import shlex
import stat
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest

from socksproxy.__main__ import main
from socksproxy.errors import ConfigurationError
from socksproxy.outbound.proxyurl import chainFromURLs
from socksproxy.shadowsocks._methods import METHODS
from socksproxy.shadowsocks.passwords import SHORTEST, generateKey, isWeak
from socksproxy.shadowsocks.translation import importConfiguration, isConfiguration
from socksproxy.shadowsocks.url import shadowsocksFromURL

SECRET = "not to be shown"
SERVER: dict[str, Any] = {
    "server": "192.0.2.1",
    "server_port": 8388,
    "password": SECRET,
    "method": "aes-256-gcm",
    "mode": "tcp_and_udp",
}
CLIENT: dict[str, Any] = {**SERVER, "local_address": "127.0.0.1", "local_port": 1080}


class TestOneServer:
    """
    The configuration of one server, or of a client of one.
    """

    def test_server(self) -> None:
        """
        Without a local port it is a server.
        """
        imported = importConfiguration(SERVER)
        option, link = imported.options
        assert option == "--shadowsocks"
        url = shadowsocksFromURL(link)
        assert (url.method, url.password) == ("aes-256-gcm", "")
        assert str(url.address) == "192.0.2.1:8388"
        assert imported.secrets == {url.passwordFile: SECRET}
        assert imported.remarks == ()

    def test_client(self) -> None:
        """
        With a local port it is a client, which listens there and leaves
        through the server.
        """
        imported = importConfiguration(CLIENT)
        listen, listener, via, link = imported.options
        assert (listen, listener, via) == ("--listen", "tcp:1080:interface=127.0.0.1", "--via")
        assert str(shadowsocksFromURL(link).address) == "192.0.2.1:8388"

    def test_role(self) -> None:
        """
        Programs for servers take the files of clients, too.
        """
        imported = importConfiguration(CLIENT, "server")
        assert imported.options[0] == "--shadowsocks"
        assert {remark.partition(":")[0] for remark in imported.remarks} == {
            "local_address",
            "local_port",
        }

    def test_addresses(self) -> None:
        """
        Each of several addresses is served, of whatever family.
        """
        imported = importConfiguration({**SERVER, "server": ["::", "0.0.0.0"]})
        links = imported.options[1::2]
        assert [str(shadowsocksFromURL(link).address) for link in links] == [
            "[::]:8388",
            "0.0.0.0:8388",
        ]

    def test_plugin(self) -> None:
        """
        A plugin and its options get into the link.
        """
        options = {"plugin": "obfs-local", "plugin_opts": "obfs=http;a=b\\;c&d"}
        link = importConfiguration({**CLIENT, **options}).options[3]
        url = shadowsocksFromURL(link)
        assert (url.plugin, url.pluginOptions) == ("obfs-local", "obfs=http;a=b\\;c&d")

    def test_differences(self) -> None:
        """
        What there is no counterpart to is named, once.
        """
        odd = {"timeout": 60, "acl": "x", "mode": "tcp_only", "typo": 1}
        remarks = importConfiguration({**SERVER, **odd}).remarks
        assert {remark.partition(":")[0] for remark in remarks} == set(odd)

    @pytest.mark.parametrize(
        "change",
        [
            {"server": None},
            {"server": "1.2"},
            {"server": 1},
            {"server_port": 0},
            {"server_port": "x"},
            {"password": ""},
            {"password": 1},
            {"method": "rc4-md5"},
            {"method": "none"},
            {"method": 7},
            {"key": "AAAA"},
            {"local_port": 65536},
            {"plugin": ["a"]},
        ],
    )
    def test_refused(self, change: dict[str, Any]) -> None:
        """
        What cannot be is a configuration error without the password.
        """
        with pytest.raises(ConfigurationError) as caught:
            importConfiguration({**CLIENT, **change})
        assert SECRET not in str(caught.value)


class TestLists:
    """
    Lists of servers (SIP008).
    """

    def test_alternatives(self) -> None:
        """
        Servers of a list are alternatives, and one that cannot be used is left
        out and named.
        """
        document = {
            "version": 1,
            "servers": [
                {**SERVER, "id": "a", "remarks": "b"},
                {**SERVER, "method": "rc4-md5"},
                {**SERVER, "server": "192.0.2.2", "password": "other"},
            ],
            "bytes_used": 5,
        }
        imported = importConfiguration(document)
        links = imported.options[3].split("|")
        assert [str(shadowsocksFromURL(link).address.host) for link in links] == [
            "192.0.2.1",
            "192.0.2.2",
        ]
        paths = [shadowsocksFromURL(link).passwordFile for link in links]
        assert [imported.secrets[path] for path in paths] == [SECRET, "other"]
        assert any(remark.startswith("server 2: left out") for remark in imported.remarks)

    @pytest.mark.parametrize("servers", [[], {}, "x", [1], [{"method": "rc4-md5"}] * 2])
    def test_refused(self, servers: object) -> None:
        """
        A list of nothing that could be used is a configuration error.
        """
        with pytest.raises(ConfigurationError):
            importConfiguration({"servers": servers})

    def test_recognised(self) -> None:
        """
        kcptun's configuration is not taken for one of Shadowsocks.
        """
        assert isConfiguration(SERVER)
        assert isConfiguration({"servers": []})
        assert not isConfiguration({"listen": ":29900", "key": "x", "crypt": "aes"})


class TestCommand:
    """
    C{python -m socksproxy import} and C{genkey}.
    """

    def test_import(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """
        The command is printed and can be used, the password is written for its
        owner alone, and nothing shows it. Comments in the file do not matter.
        """
        path, key = tmp_path / "config.json", tmp_path / "key"
        text = json.dumps(CLIENT, indent=1).replace("{", '{ // "a comment"\n /* and\n one */', 1)
        path.write_text(text.replace("\n}", ",\n}"))
        assert main(["import", "--key-file", str(key), str(path)]) == 0
        out, error = capsys.readouterr()
        assert SECRET not in out + error
        assert key.read_text() == SECRET
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
        via = shlex.split(out)[-1]
        (((proxy,)),) = chainFromURLs(via)
        assert str(proxy) == "ss://***@192.0.2.1:8388"

    def test_importSaysWhere(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """
        Without C{--key-file} nothing is written, and where the password has to
        go is said.
        """
        path = tmp_path / "config.json"
        path.write_text(json.dumps(SERVER))
        assert main(["import", str(path)]) == 0
        out, error = capsys.readouterr()
        assert "passwordFile=shadowsocks.key" in out
        assert "write it to shadowsocks.key" in error
        assert SECRET not in out + error
        assert list(tmp_path.iterdir()) == [path]

    def test_genkey(self, capsys: pytest.CaptureFixture[str]) -> None:
        """
        A new key is printed each time, as long as the method wants it.
        """
        keys = set()
        for _ in range(2):
            assert main(["genkey", "2022-blake3-aes-128-gcm"]) == 0
            keys.add(capsys.readouterr().out)
        assert len(keys) == 2
        assert all(len(b64decode(key, validate=False)) == 16 for key in keys)

    def test_genkeyUnknown(self, capsys: pytest.CaptureFixture[str]) -> None:
        """
        A method that is none is named in one line.
        """
        assert main(["genkey", "rc4-md5"]) == 2
        out, error = capsys.readouterr()
        assert (out, error.count("\n")) == ("", 1)
        assert "rc4-md5" in error


class TestPasswords:
    """
    Weak and strong ones.
    """

    @pytest.mark.parametrize("method", METHODS.values(), ids=lambda method: method.name)
    def test_generated(self, method: Any) -> None:
        """
        What is generated is not weak.
        """
        assert not isWeak(method, generateKey(method))

    def test_weak(self) -> None:
        """
        Short passwords and those of few characters are weak, for the classic
        methods.
        """
        method = METHODS["aes-256-gcm"]
        for password in ("", "a" * 100, "x7Gh!kw2Qz90pL1"):
            assert isWeak(method, password)
        assert not isWeak(method, "x7Gh!kw2Qz90pL1b")
        assert len("x7Gh!kw2Qz90pL1b") == SHORTEST
