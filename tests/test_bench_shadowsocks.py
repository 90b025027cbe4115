"""
What C{python -m bench shadowsocks} asks for and shows; that it measures is seen
when it is run.
"""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from bench import shadowsocksload
from bench.shadowsocks import main, parse, show
from bench.shadowsocksload import ProxiedEnd, connected, firstByte
from bench.shadowsocksprograms import CONTENDERS, MIXED, Scene
from bench.tunnel.figures import DOWN, UP, FirstBytes, Transfer, save
from socksproxy.shadowsocks.url import shadowsocksFromURL


def transfer(
    label: str, direction: str = UP, perStream: Sequence[int] = (100_000_000,), cpu: float = 1.0
) -> Transfer:
    """
    Make a transfer of two seconds.
    """
    return Transfer(
        contender=label,
        direction=direction,
        perStream=perStream,
        octets=sum(perStream),
        seconds=2.0,
        clientCPU=cpu,
        serverCPU=3.0,
    )


class TestPrograms:
    """
    Who is measured.
    """

    def test_methods(self) -> None:
        """
        Where an end is of shadowsocks-libev there are the classic methods.
        """
        classic = ["aes-128-gcm", "aes-256-gcm", "chacha20-ietf-poly1305"]
        assert len(CONTENDERS["socksproxy"].methods) == 6
        for contender in (CONTENDERS["libev"], *MIXED.values()):
            assert contender.methods == classic

    def test_scene(self, tmp_path: Path) -> None:
        """
        Both programs are told of the same server, whatever is in its password.
        """
        scene = Scene(tmp_path, "aes-256-gcm", "a/b+c=:@", 1080, 8388)
        ours = shadowsocksFromURL(scene.url)
        theirs = json.loads(Path(scene.settings()).read_text())
        assert (ours.method, ours.password) == ("aes-256-gcm", "a/b+c=:@")
        assert (theirs["method"], theirs["password"]) == (ours.method, ours.password)
        assert (theirs["local_port"], theirs["server_port"]) == (1080, ours.address.port)


class TestTables:
    """
    What is shown.
    """

    def test_bulk(self, capsys: pytest.CaptureFixture[str]) -> None:
        """
        Contenders stand together with whom they are compared with, method by
        method, few streams before many and up before down; medians count.
        """
        labels = [f"{method} {name}" for method in ("one", "two") for name in ("ours", "theirs")]
        show(
            [
                transfer(label, direction, streams, cpu)
                for cpu in (9.0, 1.0, 1.2)
                for label in labels
                for streams in ((100_000_000,), (50_000_000, 50_000_000))
                for direction in (DOWN, UP)
            ],
            [],
        )
        lines = [line.split() for line in capsys.readouterr().out.splitlines()[2:]]
        assert [line[:4] for line in lines] == [
            [method, name, streams, direction]
            for method in ("one", "two")
            for streams in ("1", "2")
            for direction in (UP, DOWN)
            for name in ("ours", "theirs")
        ]
        for line in lines:
            assert line[4:] == ["50.0", "12.00", "30.00", "42.0", "0"]

    def test_firstBytes(self, capsys: pytest.CaptureFixture[str]) -> None:
        """
        The first one is kept apart, and what did not come is counted.
        """
        show([], [FirstBytes("one ours", 0.0131, [0.001, 0.002, 0.00151], 4)])
        (line,) = capsys.readouterr().out.splitlines()[2:]
        assert line.split() == ["one", "ours", "13.10", "1.51", "1.00", "2.00", "3", "4"]

    def test_saved(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """
        Figures that were saved are shown again, and nothing is measured, even
        if they are of another table.
        """
        path = tmp_path / "figures.json"
        save(str(path), [transfer("one ours"), transfer("tunnel")], [], {})
        main(["--from", str(path)])
        shown = capsys.readouterr()
        assert re.search(r"^one +ours +1 +up +50\.0 ", shown.out, re.M)
        assert re.search(r"^tunnel +1 +up +50\.0 ", shown.out, re.M)
        assert shown.err == ""


class TestOptions:
    """
    Options.
    """

    def test_default(self) -> None:
        """
        Without names there are all methods, and no mixed pairs.
        """
        options = parse([])
        assert options.only == "socksproxy,libev"
        assert len(options.methods) == 6

    def test_quick(self) -> None:
        """
        A quick table asks for less, but for what was said all the same.
        """
        full, quick = parse([]), parse(["--quick", "--seconds", "9", "--methods", "aes-128-gcm"])
        assert quick.rounds < full.rounds
        assert quick.requests < full.requests
        assert (quick.seconds, quick.methods) == (9, ["aes-128-gcm"])

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["--only", "nobody"], "nobody is not one of socksproxy, libev, libev>socksproxy"),
            (["--methods", "rot13"], "rot13 is not one of 2022-blake3-aes-128-gcm"),
            (["--streams", "0"], "invalid counts value"),
            (["--requests", "0"], "--requests has to be more than 0"),
        ],
    )
    def test_wrong(
        self, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """
        Options that make no sense are said to.
        """
        with pytest.raises(SystemExit):
            parse(arguments)
        assert message in capsys.readouterr().err

    def test_nothing(self) -> None:
        """
        Where nobody has the method nothing is measured.
        """
        arguments = ["--only", "socksproxy>libev", "--methods", "2022-blake3-aes-128-gcm"]
        with pytest.raises(SystemExit, match="nothing to measure"):
            main(arguments)


GRANTED = b"\x05\x00\x00\x01" + bytes(6)


class Proxy:
    """
    A SOCKS5 server that is the target, too, and sends everything back.

    @ivar asked: What it has been asked.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, reply: bytes = GRANTED) -> None:
        """
        @param reply: To a request.
        """
        self.asked: list[bytes] = []
        self._reply = reply
        monkeypatch.setattr(shadowsocksload, "opened", self._open)

    def _open(self, port: int) -> socket.socket:
        here, there = socket.socketpair()
        here.settimeout(10)
        threading.Thread(target=self._serve, args=(there,), daemon=True).start()
        return here

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            self.asked.append(connection.recv(3))
            connection.sendall(b"\x05\x00")
            self.asked.append(connection.recv(10))
            connection.sendall(self._reply)
            while data := connection.recv(4096):
                connection.sendall(data)


class TestLoad:
    """
    The end that asks.
    """

    def test_firstByte(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        It is the target's and not the proxy's that counts.
        """
        proxy = Proxy(monkeypatch)
        took = firstByte(1080, 8080)
        assert took is not None
        assert 0 < took < 5
        assert proxy.asked == [b"\x05\x01\x00", b"\x05\x01\x00\x01\x7f\x00\x00\x01\x1f\x90"]

    def test_connected(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        Nothing of the proxy's words is left before the target's own.
        """
        Proxy(monkeypatch)
        with connected(1080, 8080) as connection:
            connection.sendall(b"hello")
            assert connection.recv(100) == b"hello"

    def test_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        A proxy that does not want to brings no octet.
        """
        Proxy(monkeypatch, b"\x05\x02\x00\x01" + bytes(6))
        assert firstByte(1080, 8080) is None
        with pytest.raises(RuntimeError, match="refuses"):
            connected(1080, 8080)

    def test_first(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        As many are measured as were asked for, each of them anew.
        """
        proxy = Proxy(monkeypatch)
        monkeypatch.setattr(shadowsocksload, "PAUSE", 0)
        times = ProxiedEnd(80).first(1080, 8080, 3)
        assert len(times) == 3
        assert None not in times
        assert len(proxy.asked) == 6
        assert proxy.asked[1].endswith(b"\x1f\x90")

    def test_bulk(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        Streams lead to the target and begin with their heads.
        """
        proxy = Proxy(monkeypatch)
        end = ProxiedEnd(8080)
        end.bulk(1080, 2, DOWN)
        deadline = time.monotonic() + 10
        # Heads are what this target sends back.
        while (octets := end.received()["octets"]) != {0: 3, 1: 3}:
            assert time.monotonic() < deadline, octets
        assert proxy.asked[1].endswith(b"\x1f\x90")
        end.stop()
