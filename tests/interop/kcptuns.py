"""
kcptun as Debian has it, our daemon opposite to it, and the datagrams between
the two.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import select
import socket
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any

from socksproxy.kcp._segment import HEAD, HEAD_SIZE, ShardType
from socksproxy.kcp.crypt import cipherFor, deriveKey
from tests.interop.associations import datagramSocket, endpointOf
from tests.interop.client import TIMEOUT, dial, receive
from tests.interop.peers import peerEnvironment, requireProgram
from tests.interop.processes import freePort, until

KEY = "it is no secret"
LOOPBACK = "tcp:0:interface=127.0.0.1"
SLOW_TRANSFER = 60

Settings = dict[str, Any]


def keyFile(folder: Path, key: str = KEY) -> Path:
    """
    Write a key.
    """
    path = folder / f"key{len(list(folder.iterdir()))}"
    path.write_text(key)
    return path


def parameters(settings: Settings) -> str:
    """
    Write settings of kcptun as parameters of C{kcp:}.
    """
    shown = {True: "yes", False: "no"}
    return ":".join(
        f"{name}={shown[value] if isinstance(value, bool) else value}"
        for name, value in settings.items()
    )


def freeDatagramPort() -> int:
    """
    Give a UDP port of 127.0.0.1 that was free a moment ago.
    """
    with datagramSocket() as probe:
        return endpointOf(probe)[1]


def takesDatagrams(port: int) -> bool:
    """
    Tell whether anybody has a UDP port.
    """
    tables = "".join(Path(f"/proc/net/{name}").read_text() for name in ("udp", "udp6"))
    # Of a socket that is connected nowhere the peer's port is 0.
    return re.search(rf":{port:04X} [0-9A-F]+:0000 ", tables) is not None


class Kcptun:
    """
    One of kcptun's two programs, as a context manager.

    @ivar port: Where it listens: a client on TCP, a server on UDP.
    @ivar configuration: The file that it has its settings from.
    @ivar process: The process.
    """

    def __init__(self, folder: Path, role: str, peer: int, settings: Settings) -> None:
        """
        @param folder: Where its files shall be.
        @param role: C{client} or C{server}.
        @param peer: The port where a client finds its server, or where a
            server finds its target.
        @param settings: Whatever else its configuration has.
        """
        self._program = requireProgram(f"kcptun-{role}")
        self._client = role == "client"
        self.port = freePort() if self._client else freeDatagramPort()
        here, there = ("localaddr", "remoteaddr") if self._client else ("listen", "target")
        self.configuration = folder / f"{role}-{self.port}.json"
        places = {here: f"127.0.0.1:{self.port}", there: f"127.0.0.1:{peer}"}
        self.configuration.write_text(json.dumps({**places, "key": KEY, **settings}))
        self._log = folder / f"{role}-{self.port}.log"

    def __enter__(self) -> Kcptun:
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                (self._program, "-c", str(self.configuration)),
                env=peerEnvironment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            until(self._isUp, "kcptun")
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.process.kill()
        self.process.wait(TIMEOUT)

    def _isUp(self) -> bool:
        if self.process.poll() is not None:
            raise AssertionError(f"kcptun has ended:\n{self.log()}")
        # A client takes connections before it has its key, and then waits.
        return "key derivation done" in self.log() and (self._client or takesDatagrams(self.port))

    def log(self) -> str:
        """
        Give what it has logged.
        """
        return self._log.read_text()


class Wire:
    """
    A relay of datagrams that keeps a record, and may lose some and hold others
    back, as a context manager.

    @ivar broken: Nothing gets through.
    @ivar port: Where it listens.
    @ivar sources: The ports from which it has sent to the server.
    @ivar there: What came from clients, also what was lost then.
    @ivar back: What came from the server.
    """

    HELD = 4
    """
    How many others overtake a datagram that is held back.
    """

    def __init__(self, server: int, loss: float = 0.0, reorder: float = 0.0) -> None:
        """
        @param server: The server's port; it may be set before the first
            datagram comes.
        @param loss: The share that is lost, each way.
        @param reorder: The share that is overtaken by others.
        """
        self.server = server
        self.broken = False
        self.sources: set[int] = set()
        self._forgetting = False
        self._loss = loss
        self._reorder = reorder
        self._random = random.Random(1)
        self._socket = datagramSocket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.port = endpointOf(self._socket)[1]
        self.there: list[bytes] = []
        self.back: list[bytes] = []
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Wire:
        self._end, self._wake = os.pipe()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        os.close(self._wake)
        self._thread.join(TIMEOUT)
        os.close(self._end)
        self._socket.close()

    def rebind(self) -> None:
        """
        Forget which port belongs to which client, as a router does. What a
        client sends from now on comes from another port, and what is sent to
        the old one gets nowhere.
        """
        self._forgetting = True

    def _run(self) -> None:
        clients: dict[Any, socket.socket] = {}
        addresses: dict[socket.socket, Any] = {}
        # They stay open, for a closed port would be reported to the server.
        forgotten: list[socket.socket] = []
        held: dict[bool, list[tuple[int, socket.socket, bytes, Any]]] = {True: [], False: []}
        while True:
            waiting: list[Any] = [self._socket, self._end, *addresses]
            readable, _, _ = select.select(waiting, [], [])
            if self._end in readable:
                break
            if self._forgetting:
                self._forgetting = False
                forgotten += addresses
                clients.clear()
                addresses.clear()
            for each in readable:
                there = each is self._socket
                if not there and each not in addresses:
                    continue
                datagram, sender = each.recvfrom(65535)
                (self.there if there else self.back).append(datagram)
                if there and sender not in clients:
                    clients[sender] = datagramSocket()
                    addresses[clients[sender]] = sender
                    self.sources.add(endpointOf(clients[sender])[1])
                if self.broken or self._random.random() < self._loss:
                    continue
                out = clients[sender] if there else self._socket
                to = ("127.0.0.1", self.server) if there else addresses[each]
                late = held[there]
                if self._random.random() < self._reorder:
                    late.append((self.HELD, out, datagram, to))
                    continue
                out.sendto(datagram, to)
                held[there] = []
                for left, by, other, to in late:
                    if left > 1:
                        held[there].append((left - 1, by, other, to))
                    else:
                        by.sendto(other, to)
        for each in (*addresses, *forgotten):
            each.close()


def segmentsIn(datagrams: list[bytes], crypt: str) -> list[tuple[tuple[int, ...], bytes]]:
    """
    Decrypt a record with our cipher, and take it apart.

    @return: The heads of all segments and their data; there is none of
        parity.
    """
    payloads = cipherFor(crypt, deriveKey(KEY)).open(datagrams)
    found: list[tuple[tuple[int, ...], bytes]] = []
    for payload in payloads:
        if payload is None:
            raise AssertionError("a datagram cannot be decrypted")
        kind = int.from_bytes(payload[4:6], "little")
        if kind == ShardType.PARITY:
            continue
        at = 8 if kind == ShardType.DATA else 0
        while at < len(payload):
            head = HEAD.unpack_from(payload, at)
            at += HEAD_SIZE + head[-1]
            found.append((head, payload[at - head[-1] : at]))
    return found


def exchange(port: int, size: int, timeout: float = TIMEOUT) -> None:
    """
    Send something to an echo server and have the same come back, both at a
    time.

    @param port: Where to connect.
    @param size: Octets; half of them can be compressed.
    @raise AssertionError: Something else came back.
    """
    # Nothing repeats, so that no piece can take another's place.
    lines = b"".join(b"%09d\n" % number for number in range(size // 20))
    data = lines + os.urandom(size - len(lines))
    with dial(port) as connection, ThreadPoolExecutor(1) as pool:
        connection.settimeout(timeout)
        sending = pool.submit(connection.sendall, data)
        back = receive(connection, size)
        sending.result(timeout)
    if hashlib.sha256(back).digest() != hashlib.sha256(data).digest():
        raise AssertionError(f"what came back of {size} octets is not what was sent")
