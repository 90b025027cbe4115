"""
A listener of KCP that strangers send to as fast as they can, while a session
goes on.
"""

from __future__ import annotations

import json
import random
import re
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from threading import Event, Thread
from typing import Any

from socksproxy.kcp import Pipeline, cipherFor, deriveKey
from socksproxy.kcp.config import MODES
from socksproxy.kcp.crypt import PacketCipher
from socksproxy.kcp.diagnosis import MAX_LINES
from socksproxy.kcp.endpoints import DEFAULT_CIPHER
from tests.daemon import TIMEOUT, Daemon
from tests.interop.processes import residentKiB, until
from tests.targets import Target, echo

LOOPBACK = "127.0.0.1"

GARBAGE = 100_000
SOURCES = 500
SESSIONS = 10_000

AT_ONCE = 100
"""
Datagrams that are sent before the socket is looked at again: few enough for its
buffer, so that the daemon has to deal with each of them.
"""

MAX_SESSIONS = 4096

GARBAGE_KIB = 16 << 10
"""
What it may take for garbage: of each source something is remembered.
"""

GROWTH_KIB = 160 << 10
"""
What the daemon may take for all of it. 4096 sessions that nobody has proved to
be real cost some 12.5 KiB each with the protocols above them, which are 50 MiB.
As many again may have ended and wait for Python to collect them, and the buffers
of the live session take the rest.
"""

KEEPALIVE = b"\x01\x03\x00\x00\x00\x00\x00\x00"
"""
A frame of smux that opens no stream.
"""

NONSENSE = b"GET / HTTP/1.1"
NONSENSICAL = 5
"""
Of so many sessions one says something that ends it at once.
"""


class Live(Thread):
    """
    A connection by which data goes there and back until it is told to stop.

    @ivar octets: How many have come back.
    @ivar sent: The digest of what has gone.
    @ivar received: The digest of what has come back.
    """

    CHUNK = 100_000

    def __init__(self, port: int) -> None:
        """
        @param port: Where to connect.
        """
        super().__init__(daemon=True)
        self.octets = 0
        self.sent = sha256()
        self.received = sha256()
        self._enough = Event()
        self._connection = socket.create_connection((LOOPBACK, port), TIMEOUT)

    def run(self) -> None:
        """
        See C{Thread}.
        """
        random_ = random.Random(1)
        with self._connection as connection, suppress(OSError):
            while not self._enough.is_set():
                data = random_.randbytes(self.CHUNK)
                self.sent.update(data)
                connection.sendall(data)
                left = len(data)
                while left and (piece := connection.recv(left)):
                    self.received.update(piece)
                    self.octets += len(piece)
                    left -= len(piece)
                if left:
                    return

    def __enter__(self) -> Live:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.finish()

    def finish(self) -> None:
        """
        Send no more, and wait for what is under way.
        """
        self._enough.set()
        self.join(TIMEOUT)


def waiting(port: int) -> int:
    """
    Give the octets that wait in a UDP socket's buffer to be read.
    """
    wanted = f":{port:04X}"
    for line in Path("/proc/net/udp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[1].endswith(wanted):
            return int(fields[4].split(":")[1], 16)
    raise AssertionError(f"nobody listens on port {port}")


def sourceOf(number: int) -> socket.socket:
    """
    Make a socket that sends from a loopback address of its own.
    """
    source = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    source.bind((f"127.{1 + number // 62_500}.{number // 250 % 250}.{1 + number % 250}", 0))
    return source


def sendGarbage(port: int, cipher: PacketCipher) -> None:
    """
    Send what does not decrypt, and, for a tenth, what does and makes no sense.
    """
    random_ = random.Random(2)
    sources = [sourceOf(number) for number in range(SOURCES)]
    kinds = [random_.randbytes(random_.choice((1, 20, 100, 1400))) for _ in range(90)]
    kinds += cipher.seal([random_.randbytes(100) for _ in range(10)])
    for at in range(0, GARBAGE, AT_ONCE):
        for number in range(at, at + AT_ONCE):
            sources[number % SOURCES].sendto(kinds[number * 7 % 100], (LOOPBACK, port))
        until(lambda: waiting(port) == 0, "garbage that is read")
    for source in sources:
        source.close()


def openings(cipher: PacketCipher) -> Iterator[bytes]:
    """
    Make the first datagrams of as many sessions as are wanted.
    """
    for conversation in range(1, SESSIONS + 1):
        pipeline = Pipeline(conversation, MODES["fast"], cipher, trusting=True)
        pipeline.control.send(NONSENSE if conversation % NONSENSICAL == 0 else KEEPALIVE)
        yield from pipeline.flush(0)


def sendOpenings(port: int, cipher: PacketCipher) -> None:
    """
    Begin sessions, each from an address of its own.
    """
    for number, datagram in enumerate(openings(cipher)):
        with sourceOf(number) as source:
            source.sendto(datagram, (LOOPBACK, port))
        if number % AT_ONCE == 0:
            until(lambda: waiting(port) == 0, "openings that are read")
    until(lambda: waiting(port) == 0, "openings that are read")


def stateOf(daemon: Daemon) -> dict[str, Any]:
    """
    Ask a daemon for the state of its port.
    """
    daemon.process.send_signal(signal.SIGUSR2)
    line = daemon.waitFor('"kind": "kcp-port"').string
    daemon.waitFor("End of the state")
    state: dict[str, Any] = json.loads(line)
    return state


@contextmanager
def tunnel(key: Path) -> Iterator[tuple[Daemon, int, int]]:
    """
    Run the server of a tunnel to an echo, and a client of it.

    @return: The server's daemon, its port, and the one to connect to.
    """
    parameters = f"keyFile={key}:nocomp=yes"
    with Target(echo) as target:
        way = f"kcp:0:interface={LOOPBACK}:{parameters},tcp:{LOOPBACK}:{target.port}"
        with Daemon("--log-format", "json", "--forward", way) as server:
            port = int(server.waitFor(r"Forwarding kcp:.*?, at [\d.]+:(\d+),")[1])
            back = f"tcp:0:interface={LOOPBACK},kcp:{LOOPBACK}:{port}:{parameters}"
            with Daemon("--forward", back) as client:
                yield server, port, int(client.waitFor(r"Forwarding tcp:.*?, at [\d.]+:(\d+),")[1])


class TestFlood:
    """
    100,000 datagrams that are none, and 10,000 sessions that are none.
    """

    def test_survives(self, tmp_path: Path) -> None:
        """
        Memory and log stay within bounds, and of what a live session carries
        nothing is lost.
        """
        key = tmp_path / "key"
        key.write_text("a secret of both sides\n")
        cipher = cipherFor(DEFAULT_CIPHER, deriveKey(key.read_text().strip()))
        with tunnel(key) as (server, port, entry), Live(entry) as live:
            until(lambda: live.octets > 0, "a live session")
            before = residentKiB(server.process.pid)
            sendGarbage(port, cipher)
            afterGarbage, octets = residentKiB(server.process.pid), live.octets
            assert afterGarbage - before < GARBAGE_KIB
            sendOpenings(port, cipher)
            grown = residentKiB(server.process.pid) - before
            state = stateOf(server)
            until(lambda: live.octets > octets, "a session that is still alive")
        assert not live.is_alive()
        assert live.octets % live.CHUNK == 0
        assert live.sent.digest() == live.received.digest()
        assert grown < GROWTH_KIB
        # The rest of the garbage makes sense to nobody, either.
        assert state["InCsumErrors"] + state["InErrs"] == GARBAGE
        assert state["InErrs"] >= GARBAGE // 10
        assert state["PassiveOpens"] == SESSIONS + 1
        assert state["CurrEstab"] <= MAX_SESSIONS
        assert state["evicted"] >= SESSIONS - SESSIONS // NONSENSICAL - MAX_SESSIONS
        self.checkLog(server.lines)

    def checkLog(self, lines: list[str]) -> None:
        """
        What strangers have caused is not more than so many lines in a second,
        of each kind. Seconds of the clock may cut across two of those.
        """
        events = [json.loads(line) for line in lines if line.startswith("{")]
        for pattern in ("KCP: [0-9]+ datagrams from", "KCP session with", "An smux session"):
            times = [event["time"][:19] for event in events if re.match(pattern, event["message"])]
            assert times
            assert max(times.count(second) for second in set(times)) <= 2 * MAX_LINES
        assert not any("Traceback" in line for line in lines)
