"""
kcptun on one side of a tunnel and our daemon on the other one.
"""

from __future__ import annotations

import itertools
import socket
import tempfile
import unittest
from pathlib import Path

from socksproxy.kcp._segment import Command
from socksproxy.smux._frame import Command as Frame
from socksproxy.smux._frame import FrameDecoder
from tests.interop.client import dial, receiveAll
from tests.interop.kcptuns import (
    LOOPBACK,
    SLOW_TRANSFER,
    Kcptun,
    Settings,
    Wire,
    exchange,
    keyFile,
    parameters,
    segmentsIn,
)
from tests.interop.peers import requirePackage
from tests.interop.servers import countAtEnd
from tests.interop.test_forward import Forwarding
from tests.targets import Target, echo, sender

SHARED = {
    "aes": 1 << 20,
    "aes-128": 1 << 20,
    "aes-192": 1 << 20,
    "sm4": 1 << 20,
    "blowfish": 1 << 20,
    "cast5": 1 << 20,
    "xor": 1 << 20,
    "none": 1 << 20,
    "salsa20": 1 << 17,
    "twofish": 1 << 16,
    "3des": 1 << 17,
    "tea": 1 << 16,
    "xtea": 1 << 16,
}
"""
The ciphers of Debian's kcptun, and how much is carried under each.
"""

SHARDS = ((10, 3), (3, 2), (0, 0))
MODES = ("normal", "fast", "fast2", "fast3")

OPTIONS: list[Settings] = [
    {
        "datashard": shards[0],
        "parityshard": shards[1],
        "smuxver": version,
        "nocomp": nocomp,
        "mode": mode,
    }
    # Every value of one setting goes with every value of any other.
    for (shards, version, nocomp), mode in zip(
        itertools.product(SHARDS, (1, 2), (False, True)), itertools.cycle(MODES), strict=False
    )
] + [
    {"mode": mode, "smuxver": version, "nocomp": nocomp}
    for mode, version, nocomp in (
        ("normal", 2, True),
        ("fast", 1, False),
        ("fast2", 1, False),
        ("fast3", 1, False),
        ("fast2", 2, True),
    )
]

BULK: list[Settings] = [
    {"crypt": "aes-128", "mode": "fast3", "datashard": 0, "parityshard": 0, "nocomp": True}
    | {"smuxver": 2, "sndwnd": 1024, "rcvwnd": 1024},
    {"crypt": "aes", "mode": "fast", "smuxver": 1, "sndwnd": 512, "rcvwnd": 512},
]
BULK_OCTETS = 20 << 20


class KcptunTestCase(unittest.TestCase):
    """
    Tests with tunnels.
    """

    def setUp(self) -> None:
        """
        Start a server to get to.
        """
        requirePackage("cramjam")
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.key = keyFile(self.folder)
        self.target = self.enterContext(Target(echo))

    def ours(self, settings: Settings) -> str:
        """
        Write the settings of our side.
        """
        return parameters({"keyFile": self.key, **settings})

    def behindServer(self, *settings: Settings) -> list[int]:
        """
        Start our daemon as a server for each of some settings, and a client of
        kcptun for each.

        @return: Where the clients listen.
        """
        daemon = self.enterContext(
            Forwarding(
                *(
                    f"kcp:0:interface=127.0.0.1:{self.ours(each)},tcp:127.0.0.1:{self.target.port}"
                    for each in settings
                )
            )
        )
        return [
            self.enterContext(Kcptun(self.folder, "client", port, each)).port
            for port, each in zip(daemon.ports, settings, strict=True)
        ]

    def behindClient(self, *settings: Settings) -> list[int]:
        """
        Start a server of kcptun for each of some settings, and our daemon as
        the client of all of them.

        @return: Where our daemon listens.
        """
        servers = [
            self.enterContext(Kcptun(self.folder, "server", self.target.port, each))
            for each in settings
        ]
        return self.enterContext(
            Forwarding(
                *(
                    f"{LOOPBACK},kcp:127.0.0.1:{server.port}:{self.ours(each)}"
                    for server, each in zip(servers, settings, strict=True)
                )
            )
        ).ports


class SettingsTests(KcptunTestCase):
    """
    Every setting in either role.
    """

    def check(self, ports: list[int], sizes: list[int], settings: list[Settings]) -> None:
        """
        Carry something over each of several tunnels, both ways.
        """
        for port, size, each in zip(ports, sizes, settings, strict=True):
            with self.subTest(**each):
                exchange(port, size)

    def test_ciphers(self) -> None:
        """
        kcptun and we understand one another under every cipher that it has.
        """
        settings: list[Settings] = [{"crypt": name, "smuxver": 2} for name in SHARED]
        sizes = list(SHARED.values())
        with self.subTest("our server"):
            self.check(self.behindServer(*settings), sizes, settings)
        with self.subTest("our client"):
            self.check(self.behindClient(*settings), sizes, settings)

    def test_options(self) -> None:
        """
        Error correction, the version of smux, compression and the mode may be
        anything that the two sides have in common.
        """
        sizes = [1 << 18] * len(OPTIONS)
        with self.subTest("our server"):
            self.check(self.behindServer(*OPTIONS), sizes, OPTIONS)
        with self.subTest("our client"):
            self.check(self.behindClient(*OPTIONS), sizes, OPTIONS)

    def test_bulk(self) -> None:
        """
        Twenty megabytes go there and back again at a time.
        """
        for ports in (self.behindServer(*BULK), self.behindClient(*BULK)):
            for port in ports:
                exchange(port, BULK_OCTETS, SLOW_TRANSFER)

    def test_differing(self) -> None:
        """
        What need not match may differ: error correction, mode, windows, mtu.
        """
        theirs: Settings = {"datashard": 3, "parityshard": 2, "mode": "normal", "mtu": 900}
        with Kcptun(self.folder, "server", self.target.port, {**theirs, "smuxver": 2}) as server:
            ours = self.ours({"mode": "fast3", "mtu": 1400, "sndwnd": 256, "rcvwnd": 300})
            daemon = self.enterContext(Forwarding(f"{LOOPBACK},kcp:127.0.0.1:{server.port}:{ours}"))
            exchange(daemon.ports[0], 1 << 20)


class WireTests(KcptunTestCase):
    """
    What there is between the two.
    """

    SETTINGS: Settings = {"crypt": "aes-128", "smuxver": 2, "nocomp": True}

    def tunnels(self, loss: float = 0.0, reorder: float = 0.0) -> list[tuple[Wire, int]]:
        """
        Start a tunnel in each role.

        @return: The wire between its ends, and where to connect to.
        """
        daemon = self.enterContext(
            Forwarding(
                f"kcp:0:interface=127.0.0.1:{self.ours(self.SETTINGS)}"
                f",tcp:127.0.0.1:{self.target.port}"
            )
        )
        toOurs = self.enterContext(Wire(daemon.ports[0], loss, reorder))
        client = self.enterContext(Kcptun(self.folder, "client", toOurs.port, self.SETTINGS))
        server = self.enterContext(Kcptun(self.folder, "server", self.target.port, self.SETTINGS))
        toTheirs = self.enterContext(Wire(server.port, loss, reorder))
        ours = self.enterContext(
            Forwarding(f"{LOOPBACK},kcp:127.0.0.1:{toTheirs.port}:{self.ours(self.SETTINGS)}")
        )
        return [(toOurs, client.port), (toTheirs, ours.ports[0])]

    def test_loss(self) -> None:
        """
        Where each tenth datagram is lost and others come late, everything
        arrives.
        """
        for wire, port in self.tunnels(loss=0.1, reorder=0.05):
            exchange(port, 1 << 20, SLOW_TRANSFER)
            self.assertGreater(len(wire.there), 500)

    def test_recorded(self) -> None:
        """
        The first stream of a client has id 3 and the next one 5, a session has
        one conversation both ways, and each side tells its window.
        """
        for ours, (wire, port) in enumerate(self.tunnels()):
            with self.subTest(ours=bool(ours)):
                exchange(port, 5000)
                exchange(port, 5000)
                there = segmentsIn(list(wire.there), "aes-128")
                back = segmentsIn(list(wire.back), "aes-128")
                self.assertEqual(len({head[0] for head, _ in there + back}), 1)
                windows = [max(head[3] for head, _ in way) for way in (there, back)]
                self.assertEqual(windows, [1024 if ours else 512, 1024])
                data = {head[5]: data for head, data in there if head[1] == Command.PUSH}
                self.assertEqual(sorted(data), list(range(len(data))))
                frames = FrameDecoder(2).fragments(b"".join(data[n] for n in sorted(data)))
                opened = [stream for command, stream, _ in frames if command == Frame.SYN]
                self.assertEqual(opened, [3, 5])


class EndTests(KcptunTestCase):
    """
    Ends of streams.
    """

    def test_serverEnds(self) -> None:
        """
        A server that sends something and closes has all of it received, and
        the end.
        """
        data = bytes(range(256)) * 1000
        self.target = self.enterContext(Target(sender(data)))
        settings: Settings = {"smuxver": 2}
        for ports in (self.behindServer(settings), self.behindClient(settings)):
            with dial(ports[0]) as connection:
                self.assertTrue(receiveAll(connection) == data)

    def test_manyStreams(self) -> None:
        """
        Twenty connections share a session.
        """
        for ports in (self.behindServer({"smuxver": 2}), self.behindClient({"smuxver": 2})):
            connections = [self.enterContext(dial(ports[0])) for _ in range(20)]
            for number, connection in enumerate(connections):
                connection.sendall(b"%02d" % number * 1000)
            for number, connection in enumerate(connections):
                received = b""
                while len(received) < 2000:
                    received += connection.recv(65536)
                self.assertEqual(received, b"%02d" % number * 1000)

    def test_halfClose(self) -> None:
        """
        Between two ends of ours an answer arrives that is given after the end
        of the question.
        """
        target = self.enterContext(Target(countAtEnd))
        given = self.ours({})
        server = self.enterContext(
            Forwarding(f"kcp:0:interface=127.0.0.1:{given},tcp:127.0.0.1:{target.port}")
        )
        client = self.enterContext(
            Forwarding(f"{LOOPBACK},kcp:127.0.0.1:{server.ports[0]}:{given}")
        )
        with dial(client.ports[0]) as connection:
            connection.sendall(bytes(12345))
            connection.shutdown(socket.SHUT_WR)
            self.assertEqual(receiveAll(connection), b"12345 octets")
