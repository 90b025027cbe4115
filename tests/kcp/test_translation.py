"""
Tests for L{socksproxy.kcp.translation}.
"""

from __future__ import annotations

import shlex
from typing import Any

import pytest

from socksproxy.errors import ConfigurationError
from socksproxy.forward.specification import argumentsOf, forwardFromText
from socksproxy.kcp.kcptun import PARAMETERS, tunnelFrom
from socksproxy.kcp.translation import (
    BOTH,
    CLIENTS,
    DEFAULT_KEY,
    IGNORED,
    KEY_FILE,
    KEYS,
    UNSUPPORTED,
    Import,
    importConfiguration,
)

SECRET = "hunter2"
CLIENT: dict[str, Any] = {
    "localaddr": "127.0.0.1:12948",
    "remoteaddr": "vps.example:29900",
    "key": SECRET,
    "smuxver": 2,
    "sndwnd": 128,
    "rcvwnd": 512,
    "nocomp": True,
}
SERVER: dict[str, Any] = {
    "listen": ":29900",
    "target": "127.0.0.1:80",
    "key": SECRET,
    "nocomp": True,
}


def client(**settings: Any) -> Import:
    """
    Import a client's configuration.
    """
    return importConfiguration({**CLIENT, **settings})


def server(**settings: Any) -> Import:
    """
    Import a server's configuration.
    """
    return importConfiguration({**SERVER, **settings})


def ends(imported: Import) -> list[tuple[list[str], dict[str, str]]]:
    """
    Read both endpoint strings, as C{--forward} does.
    """
    forward = forwardFromText(imported.forward)
    assert isinstance(forward.server, str)
    return [argumentsOf(forward.server), argumentsOf(forward.client)]


def given(imported: Import) -> dict[str, str]:
    """
    Give the parameters of C{kcp:}.
    """
    return next(named for (kind, *_), named in ends(imported) if kind == "kcp")


def about(imported: Import, name: str) -> str:
    """
    Give the one remark on a key.
    """
    found = [text for text in imported.remarks if text.startswith(f"{name}: ")]
    assert len(found) == 1, imported.remarks
    return found[0]


class TestCommand:
    """
    The command.
    """

    def test_client(self) -> None:
        """
        A client listens on TCP, and has nothing to say if all of it is as it
        was.
        """
        imported = client()
        assert imported.command == (
            "twistd -n socksproxy --forward tcp:12948:interface=127.0.0.1,kcp:vps.example:29900"
            ":keyFile=kcptun.key:sndwnd=128:rcvwnd=512:smuxver=2:nocomp=yes"
        )
        assert imported.remarks == ()

    def test_server(self) -> None:
        """
        A server listens on UDP.
        """
        imported = server()
        assert imported.forward == "kcp:29900:keyFile=kcptun.key:nocomp=yes,tcp:127.0.0.1:80"
        assert imported.remarks == ()

    def test_secret(self) -> None:
        """
        The key is in neither the command, nor the remarks, nor the C{repr}.
        """
        imported = client()
        assert imported.key == SECRET.encode()
        assert SECRET not in f"{imported.command}{imported.remarks}{imported!r}"

    @pytest.mark.parametrize(
        ("place", "end"),
        [
            ("[::1]:80", (["tcp", "80"], {"interface": "::1"})),
            ("localhost:80", (["tcp", "80"], {"interface": "127.0.0.1"})),
            (":80", (["tcp", "80"], {})),
            ("/run/a,b=c.sock", (["unix", "/run/a,b=c.sock"], {})),
        ],
    )
    def test_localaddr(self, place: str, end: tuple[list[str], dict[str, str]]) -> None:
        """
        A client listens on an address, on all, or on a UNIX socket.
        """
        assert ends(client(localaddr=place))[0] == end

    @pytest.mark.parametrize(
        ("place", "end"),
        [
            ("[2001:db8::1]:80", ["tcp", "2001:db8::1", "80"]),
            (":80", ["tcp", "127.0.0.1", "80"]),
            ("web.example:80", ["tcp", "web.example", "80"]),
            ("/run/it's.sock", ["unix", "/run/it's.sock"]),
        ],
    )
    def test_target(self, place: str, end: list[str]) -> None:
        """
        A server's target may be the same.
        """
        imported = server(target=place)
        assert ends(imported)[1] == (end, {})
        assert shlex.split(imported.command)[-1] == imported.forward

    def test_ports(self) -> None:
        """
        Several ports stay several, on both sides, as long as they are not too
        many for a client.
        """
        assert ends(client(remoteaddr="[2001:db8::1]:100-199"))[1][0] == [
            *("kcp", "2001:db8::1", "100-199")
        ]
        assert ends(server(listen="192.0.2.1:100-199"))[0][0] == ["kcp", "100-199"]
        assert given(server(listen="192.0.2.1:100-199"))["interface"] == "192.0.2.1"
        imported = client(remoteaddr="vps.example:20000-50000")
        assert ends(imported)[1][0] == ["kcp", "vps.example", "20000-21023"]
        assert "1024" in about(imported, "remoteaddr")
        with pytest.raises(ConfigurationError, match="20000-50000"):
            server(listen=":20000-50000")

    def test_parameters(self) -> None:
        """
        Every number that means the same is given as it is, and the whole is
        what C{kcp:} takes.
        """
        numbers = {
            **dict.fromkeys((*BOTH, *CLIENTS), 20),
            "mtu": 1200,
            "sockbuf": 65536,
            "smuxver": 1,
            "smuxbuf": 131072,
            "streambuf": 65536,
        }
        parameters = given(client(**numbers, acknodelay=True, crypt="sm4", mode="fast3"))
        assert {name: parameters[name] for name in numbers} == {
            name: str(number) for name, number in numbers.items()
        }
        assert parameters.keys() <= PARAMETERS
        assert parameters["acknodelay"] == parameters["nocomp"] == "yes"
        del parameters["keyFile"]
        tunnel = tunnelFrom({**parameters, "key": "-"})
        assert (tunnel.crypt, tunnel.config.interval, tunnel.mux.version) == ("sm4", 10, 1)

    def test_switchedOff(self) -> None:
        """
        What is false is not given.
        """
        assert given(server(nocomp=False, acknodelay=False)).keys() == {"keyFile"}

    def test_keyFile(self) -> None:
        """
        The key's path may be any.
        """
        imported = importConfiguration(SERVER, keyFile="/etc/a:b, c")
        assert given(imported)["keyFile"] == "/etc/a:b, c"

    def test_together(self) -> None:
        """
        Buffers that go with one another are taken, however large they are.
        """
        parameters = given(client(smuxbuf=16777216, streambuf=8388608))
        assert (parameters["smuxbuf"], parameters["streambuf"]) == ("16777216", "8388608")


class TestModes:
    """
    The mode and its numbers.
    """

    def test_manual(self) -> None:
        """
        In mode manual the numbers count, within kcp-go's own limits.
        """
        parameters = given(client(mode="manual", nodelay=2, interval=3, resend=-1, nc=7))
        assert {name: parameters[name] for name in ("nodelay", "interval", "resend", "nc")} == {
            "nodelay": "1",
            "interval": "10",
            "resend": "0",
            "nc": "1",
        }

    def test_other(self) -> None:
        """
        Any unknown word is that mode, and is named.
        """
        imported = client(mode="turbo", interval=20)
        assert (given(imported)["mode"], given(imported)["interval"]) == ("manual", "20")
        assert "turbo" in about(imported, "mode")

    def test_preset(self) -> None:
        """
        In other modes the numbers do not count.
        """
        imported = client(mode="fast2", interval=50)
        assert "interval" not in given(imported)
        assert "left out" in about(imported, "interval")


class TestRemarks:
    """
    What is said.
    """

    def test_defaults(self) -> None:
        """
        Where a client's file says nothing, kcptun's defaults count where they
        are others than ours, and what to know of them is said.
        """
        imported = importConfiguration({"localaddr": "127.0.0.1:1"})
        assert ends(imported)[1][0] == ["kcp", "vps", "29900"]
        parameters = given(imported)
        assert (parameters["sndwnd"], parameters["rcvwnd"]) == ("128", "512")
        assert "smuxver=1" in about(imported, "smuxver")
        assert "snappy" in about(imported, "nocomp")
        assert "public" in about(imported, "key")
        assert "default" in about(imported, "remoteaddr")
        assert "1024" in about(imported, "sndwnd")
        assert imported.key is None

    def test_serverDefaults(self) -> None:
        """
        A server's defaults are ours.
        """
        imported = importConfiguration({"target": "127.0.0.1:1"})
        assert imported.forward == f"kcp:29900:keyFile={KEY_FILE},tcp:127.0.0.1:1"

    def test_publicKey(self) -> None:
        """
        kcptun's default key has to be replaced, which does not show it.
        """
        assert "public" in about(client(key=DEFAULT_KEY), "key")
        assert DEFAULT_KEY not in "".join(client(key=DEFAULT_KEY).remarks)

    def test_everybody(self) -> None:
        """
        A client that others can connect to is named.
        """
        assert "interface=127.0.0.1" in about(client(localaddr=":1"), "localaddr")

    @pytest.mark.parametrize("name", ["AES", "", "aes-256"])
    def test_unknownCipher(self, name: str) -> None:
        """
        An unknown cipher is aes, as in kcptun.
        """
        imported = client(crypt=name)
        assert given(imported)["crypt"] == "aes"
        assert "silently" in about(imported, "crypt")

    @pytest.mark.parametrize("name", ["null", "aes-128-gcm"])
    def test_youngCipher(self, name: str) -> None:
        """
        A cipher that older releases have not is named.
        """
        imported = client(crypt=name)
        assert given(imported)["crypt"] == name
        assert "takes aes before" in about(imported, "crypt")

    @pytest.mark.parametrize("name", [*IGNORED, *CLIENTS, "localaddr", "unknown"])
    def test_leftOut(self, name: str) -> None:
        """
        What means nothing here is named.
        """
        settings = {**SERVER, name: 1}
        imported = importConfiguration(settings, "server")
        assert "left out" in about(imported, name)
        assert given(imported).keys() == {"keyFile", "nocomp"}

    @pytest.mark.parametrize("name", UNSUPPORTED)
    def test_unsupported(self, name: str) -> None:
        """
        What the other side must not do either is named.
        """
        assert "the other side" in about(client(**{name: True}), name)
        assert "left out" in about(client(**{name: False}), name)

    def test_outOfRange(self) -> None:
        """
        A number that cannot be is left out, with what could be.
        """
        imported = client(keepalive=60, mtu=9000, autoexpire=-1)
        assert given(imported).keys().isdisjoint({"keepalive", "mtu", "autoexpire"})
        assert about(imported, "mtu") == "mtu: left out: mtu is 9000 and has to be 50 to 1500"
        assert "1 to 30" in about(imported, "keepalive")

    def test_everyKey(self) -> None:
        """
        Every key that kcptun knows is in the command or in a remark.
        """
        settings = {**CLIENT, **SERVER, **dict.fromkeys(KEYS - CLIENT.keys() - SERVER.keys(), 1)}
        settings |= {"crypt": "aes", "mode": "fast", "tcp": True, "qpp": True, "acknodelay": True}
        imported = importConfiguration(settings, "client")
        named = {text.partition(":")[0] for text in imported.remarks} | given(imported).keys()
        assert KEYS - named == {"localaddr", "remoteaddr", "key"}


class TestFaults:
    """
    What cannot be.
    """

    @pytest.mark.parametrize(
        "settings",
        [
            {"key": ""},
            {"key": 5},
            {"sndwnd": "5"},
            {"sndwnd": 5.0},
            {"sndwnd": True},
            {"nocomp": 1},
            {"qpp": "yes"},
            {"crypt": 1},
            {"mode": []},
            {"remoteaddr": "vps"},
            {"remoteaddr": "vps:http"},
            {"remoteaddr": "vps:0"},
            {"remoteaddr": "vps:-5"},
            {"localaddr": ":5-6"},
            {"localaddr": "example.com:5"},
            {"smuxbuf": 65536},
            {"datashard": 200, "parityshard": 100},
        ],
        ids=str,
    )
    def test_impossible(self, settings: dict[str, Any]) -> None:
        """
        What neither side can do is refused by its name.
        """
        with pytest.raises(ConfigurationError, match=next(iter(settings))) as raised:
            client(**settings)
        assert SECRET not in str(raised.value)

    def test_role(self) -> None:
        """
        Whose it is has to be said where no address or both sides' tell.
        """
        for settings in ({"key": SECRET}, {**CLIENT, **SERVER}):
            with pytest.raises(ConfigurationError, match="--role"):
                importConfiguration(settings)
            assert ends(importConfiguration(settings, "server"))[0][0][0] == "kcp"
            assert ends(importConfiguration(settings, "client"))[1][0][0] == "kcp"
