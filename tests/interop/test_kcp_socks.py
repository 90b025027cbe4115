"""
SOCKS through tunnels, between two daemons: C{socks5h+kcp:} and
C{socks5h+tunnel:} on one side, C{--listen} on the other.
"""

from __future__ import annotations

import asyncio
import os
import socket
import tempfile
import unittest
from contextlib import suppress
from pathlib import Path
from queue import Queue
from typing import Any, ClassVar

from tests.daemon import Daemon
from tests.interop.client import CHOICE, SUCCEEDED, receiveAll, reset, through
from tests.interop.peers import requireProgram, runPeer
from tests.interop.records import records
from tests.interop.responders import Responder, echoed
from tests.interop.socks5client import SOCKS5Client
from tests.interop.tunnels import LOOPBACK, kinds
from tests.socksclient import GRANTED, NO_AUTHENTICATION, request
from tests.targets import Target, web, witness

STREAMS = 500
RECORDS = 2048
"""
Records on each of the streams: 32 KiB.
"""

TOGETHER = 40.0

QUESTION = 1 << 20
ANSWER = 1 << 20

SIZES = (1, 100, 1400, 9000)
"""
Octets of datagrams.
"""


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """
    Serve one of many connections, and send back what comes.
    """
    with suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.write_eof()
    await close(writer)


async def close(writer: asyncio.StreamWriter) -> None:
    """
    Close a connection, and wait until it is gone.
    """
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()


async def exchange(proxy: int, target: int, stream: int, everybody: asyncio.Barrier) -> bytes:
    """
    Connect through a proxy, and when everybody else has, send records.

    @param stream: The number of the stream.
    @return: What comes back, after what the proxy answers.
    """
    reader, writer = await asyncio.open_connection(LOOPBACK, proxy)
    writer.write(NO_AUTHENTICATION)
    assert await reader.readexactly(len(CHOICE)) == CHOICE
    writer.write(request(LOOPBACK, target))
    reply = await reader.readexactly(len(GRANTED))
    assert reply[1] == SUCCEEDED
    await everybody.wait()

    async def send() -> None:
        for first in range(0, RECORDS, 256):
            writer.write(records(stream, first, 256))
            await writer.drain()
        writer.write_eof()

    _, back = await asyncio.gather(send(), reader.read(-1))
    await close(writer)
    return back


async def exchangeAll(proxy: int) -> list[bytes]:
    """
    Connect as often as is wanted, to one server, and send on all streams.

    @return: What has come back, in the order of the streams.
    """
    server = await asyncio.start_server(echo, LOOPBACK, 0, backlog=STREAMS)
    async with server:
        target = server.sockets[0].getsockname()[1]
        everybody = asyncio.Barrier(STREAMS)
        each = (exchange(proxy, target, stream, everybody) for stream in range(STREAMS))
        return await asyncio.wait_for(asyncio.gather(*each), TOGETHER)


def answerAtEnd(connection: socket.socket) -> None:
    """
    Answer at length, but not before the end of the question.
    """
    count = len(receiveAll(connection))
    connection.sendall((b"%d octets" % count).ljust(ANSWER, b"."))
    connection.shutdown(socket.SHUT_WR)


def breakOff(connection: socket.socket) -> None:
    """
    Begin to answer, and reset the connection.
    """
    connection.recv(1)
    connection.sendall(QUESTION * b".")
    reset(connection)


class TunnelledTests(unittest.TestCase):
    """
    A proxy that its users reach by a daemon on their own side of a tunnel.

    @cvar proxies: The ports of those, by the kinds of their tunnels.
    """

    proxies: ClassVar[dict[str, int]]

    @classmethod
    def setUpClass(cls) -> None:
        """
        Start a daemon for the far ends, and one for each of the near ends.
        """
        both = kinds(Path(cls.enterClassContext(tempfile.TemporaryDirectory())))
        far = cls.enterClassContext(Daemon(*(f"--listen={kind.listener()}" for kind in both)))
        cls.proxies = {}
        for kind in both:
            port = int(far.waitFor(rf"{kind.name}:.* is open .*, at [\d.]+:(\d+)")[1])
            near = cls.enterClassContext(Daemon(f"--via={kind.proxy(port)}"))
            cls.proxies[kind.name] = near.port

    def test_many(self) -> None:
        """
        Five hundred connections at a time carry what they should, each its
        own.
        """
        sent = [records(stream, 0, RECORDS) for stream in range(STREAMS)]
        for name, proxy in self.proxies.items():
            with self.subTest(name):
                back = asyncio.run(exchangeAll(proxy))
                wrong = [
                    n for n, (was, came) in enumerate(zip(sent, back, strict=True)) if was != came
                ]
                self.assertEqual(wrong, [])

    def test_halfClosed(self) -> None:
        """
        A server that answers only after the end of the question is heard, to
        the end of its answer.
        """
        question = os.urandom(QUESTION)
        for name, proxy in self.proxies.items():
            with self.subTest(name), Target(answerAtEnd) as target:
                with through(proxy, target.port) as connection:
                    connection.sendall(question)
                    connection.shutdown(socket.SHUT_WR)
                    answer = receiveAll(connection)
                self.assertEqual(answer.rstrip(b"."), b"%d octets" % QUESTION)
                self.assertEqual(len(answer), ANSWER)

    def test_targetResets(self) -> None:
        """
        A target that breaks off in the middle is not taken for one that has
        said everything.
        """
        for name, proxy in self.proxies.items():
            with (
                self.subTest(name),
                Target(breakOff) as target,
                through(proxy, target.port) as connection,
            ):
                connection.sendall(b"?")
                self.assertRaises(ConnectionResetError, receiveAll, connection)

    def test_clientResets(self) -> None:
        """
        A client that breaks off is not taken for one that has sent everything.
        """
        for name, proxy in self.proxies.items():
            ends: Queue[type[OSError] | None] = Queue()

            def greet(connection: socket.socket, ends: Queue[Any] = ends) -> None:
                connection.sendall(b"!")
                witness(ends)(connection)

            with self.subTest(name), Target(greet) as target:
                with through(proxy, target.port) as connection:
                    # It may be dialled yet, which is then given up.
                    connection.recv(1)
                    connection.sendall(QUESTION * b".")
                    reset(connection)
                self.assertIs(ends.get(timeout=TOGETHER), ConnectionResetError)

    def test_curl(self) -> None:
        """
        curl fetches a page by a name that the far end looks up.
        """
        curl = requireProgram("curl")
        page = os.urandom(ANSWER)
        for name, proxy in self.proxies.items():
            with self.subTest(name), Target(web(page)) as target:
                ended = runPeer(
                    *(curl, "-qgsS", "--max-time", "15"),
                    *("--socks5-hostname", f"{LOOPBACK}:{proxy}"),
                    f"http://localhost:{target.port}/",
                )
                self.assertEqual((ended.returncode, ended.stderr), (0, b""))
                self.assertTrue(ended.stdout == page)

    def test_datagrams(self) -> None:
        """
        Datagrams go through both kinds of tunnels and come back.
        """
        for name, proxy in self.proxies.items():
            with (
                self.subTest(name),
                Responder(echoed) as responder,
                SOCKS5Client(proxy).associate() as association,
            ):
                to = (responder.host, responder.port)
                for size in SIZES:
                    payload = os.urandom(size)
                    association.send(payload, to)
                    self.assertEqual(association.receive(), (payload, to))
