"""
Clients and origins of HTTP that are slow on purpose, or never come to an end.

The timers are shorter here than those of C{twistd socksproxy}, so that the
tests need not take minutes; nothing else is different.
"""

from __future__ import annotations

import select
import socket
import time
import unittest
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from itertools import repeat
from pathlib import Path
from threading import Event

from tests.daemon import TWISTD, Daemon
from tests.interop.client import dial, receive, receiveAll
from tests.interop.httporigins import Recorder
from tests.interop.processes import descriptors, residentKiB, restingDescriptors, statusOf, until
from tests.targets import Target

FOLDER = Path(__file__).parent

LIMIT = 2.0
"""
Seconds for a head, of a request and of an answer, as in C{impatient_http.tac}.
"""

DRAIN = 2.0
"""
Seconds for somebody to read anything.
"""

MORE = 8.0
"""
Seconds for more of a body.
"""

SLACK = 4.0
"""
Seconds by which things may be late on a busy machine.
"""

STALLED = 150
STALLED_KIB = 256
"""
What a connection whose end is not read may cost.
"""

ASKING = 50
"""
How many clients read no answers, but ask further.
"""

PACE = 0.25
"""
Seconds between what somebody slow sends.
"""

ENDLESS = 1 << 50
CHUNK = b"%x\r\n%b\r\n" % (1 << 16, bytes(1 << 16))

Serve = Callable[[socket.socket], None]


class ImpatientHTTPDaemon(Daemon):
    """
    The proxy of C{impatient_http.tac}.
    """

    def command(self, arguments: list[str]) -> list[str]:
        """
        See L{Daemon.command}.
        """
        return [*TWISTD, "-n", "--pidfile=", "-y", str(FOLDER / "impatient_http.tac")]


def saying(*pieces: bytes, again: bytes = b"", pace: float = 0) -> Serve:
    """
    Make an origin that reads a request, says something, and then something
    again and again, or nothing any more.

    @param pace: Seconds between one time and the next.
    """

    def serve(connection: socket.socket) -> None:
        connection.recv(65536)
        for piece in pieces:
            connection.sendall(piece)
        for octets in repeat(again):
            if not octets:
                # Until the proxy is tired of it.
                while connection.recv(65536):
                    pass
                return
            connection.sendall(octets)
            if pace:
                time.sleep(pace)

    return serve


def ask(port: int, method: bytes = b"GET", fields: bytes = b"") -> bytes:
    """
    Make a request.

    @param port: The origin's.
    """
    host = b"127.0.0.1:%d" % port
    return b"%b http://%b/a HTTP/1.1\r\nHost: %b\r\n%b\r\n" % (method, host, host, fields)


class StallTests(unittest.TestCase):
    """
    One proxy, a good origin, and bad peers.
    """

    def setUp(self) -> None:
        """
        Start the daemon and the good origin.
        """
        self.daemon = self.enterContext(ImpatientHTTPDaemon())
        self.pid = self.daemon.process.pid
        self.good = self.enterContext(Target(Recorder())).port

    def assertServes(self) -> None:
        """
        Check that others are served, and at once.
        """
        began = time.monotonic()
        with dial(self.daemon.port) as connection:
            connection.sendall(ask(self.good, fields=b"Connection: close\r\n"))
            self.assertTrue(receiveAll(connection).endswith(b"\r\n\r\n/a"))
        self.assertLess(time.monotonic() - began, 5.0)

    def mostKiB(self) -> int:
        """
        Give the most memory that the daemon has had.
        """
        return int(statusOf(self.pid, "VmHWM")[0])

    def assertBounded(self, before: int, allowed: int) -> None:
        """
        Check that the daemon has never had much more memory than before.

        @param before: KiB.
        @param allowed: KiB.
        """
        self.assertLess(self.mostKiB() - before, allowed)

    def statuses(self, serve: Serve) -> tuple[list[int], float]:
        """
        Ask a bad origin.

        @return: The statuses of the answers, and the seconds that it took until
            there was nothing more.
        """
        with Target(serve) as target, dial(self.daemon.port) as connection:
            began = time.monotonic()
            connection.sendall(ask(target.port))
            connection.shutdown(socket.SHUT_WR)
            with suppress(ConnectionResetError):
                said = receiveAll(connection)
            took = time.monotonic() - began
        lines = [line for line in said.split(b"\r\n") if line.startswith(b"HTTP/1.1 ")]
        return [int(line.split()[1]) for line in lines], took

    def test_originsWithoutAnAnswer(self) -> None:
        """
        An origin that says nothing, or no end of a head, however slowly or
        fast, gets its client an error in time, and costs nothing.
        """
        before = residentKiB(self.pid)
        continues = b"HTTP/1.1 100 Continue\r\n\r\n"
        begun = b"HTTP/1.1 200 OK\r\n"
        cases: dict[str, tuple[Serve, list[int], float, float]] = {
            "nothing": (saying(), [504], LIMIT, LIMIT),
            "a field now and then": (
                saying(begun, again=b"a: b\r\n", pace=PACE),
                *([504], LIMIT, LIMIT),
            ),
            "an octet now and then": (
                saying(begun + b"Name: ", again=b"a", pace=PACE),
                *([504], LIMIT, LIMIT),
            ),
            "fields without end": (saying(begun, again=b"a: b\r\n" * 999), [502], 0, 0),
            "a field without end": (saying(begun + b"a: ", again=bytes(b"a" * 999)), [502], 0, 0),
            "empty lines": (saying(again=b"\r\n" * 999), [502], 0, 0),
            "no HTTP": (saying(b"220 hello\r\n"), [502], 0, 0),
            "continue without end": (saying(again=continues * 99), [100] * 16 + [502], 0, 0),
            "continue now and then": (
                saying(again=continues, pace=PACE),
                *([100] * 16 + [502], 16 * PACE, 16 * PACE),
            ),
        }
        with ThreadPoolExecutor(len(cases)) as pool:
            running = {
                name: pool.submit(self.statuses, serve) for name, (serve, *_) in cases.items()
            }
            while not all(each.done() for each in running.values()):
                self.assertServes()
                select.select([], [], [], PACE)
        for name, (_, expected, least, most) in cases.items():
            with self.subTest(name):
                statuses, took = running[name].result()
                self.assertEqual(statuses, expected)
                self.assertGreaterEqual(took, least)
                self.assertLess(took, most + SLACK)
        self.assertBounded(before, 16 << 10)

    def test_bodiesThatBreakOff(self) -> None:
        """
        An answer whose body stops is cut off in time, and one in which the
        size of a chunk never ends at once; neither looks complete.
        """
        before = residentKiB(self.pid)
        chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
        for serve, least, most in (
            (saying(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello"), MORE, MORE + LIMIT),
            (saying(chunked), MORE, MORE + LIMIT),
            (saying(chunked, again=b"0" * 999), 0, 0),
            (saying(chunked + b"5;a=", again=b"b" * 999), 0, 0),
            (saying(chunked + b"0\r\n", again=b"a: b\r\n" * 999), 0, 0),
        ):
            with Target(serve) as target, dial(self.daemon.port) as connection:
                began = time.monotonic()
                connection.sendall(ask(target.port))
                self.assertIn(b"200 OK", self.untilReset(connection))
                took = time.monotonic() - began
                self.assertGreaterEqual(took, least)
                self.assertLess(took, most + SLACK)
        self.assertBounded(before, 16 << 10)
        self.assertServes()

    def untilReset(self, connection: socket.socket) -> bytes:
        """
        Receive until the proxy resets the connection, which it has to.
        """
        said = b""
        with self.assertRaises(ConnectionResetError):
            while data := connection.recv(65536):
                said += data
        return said

    def test_clientsThatDoNotRead(self) -> None:
        """
        Clients that read nothing of what comes without end cost little, keep
        nobody waiting, and are dropped with all they held.
        """
        answers = (
            saying(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % ENDLESS, again=CHUNK),
            saying(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", again=CHUNK),
            saying(b"HTTP/1.0 200 OK\r\n\r\n", again=CHUNK),
        )
        base, before = restingDescriptors(self.pid), residentKiB(self.pid)
        with ExitStack() as open_:
            ports = [open_.enter_context(Target(serve)).port for serve in answers]
            for number in range(STALLED):
                connection = open_.enter_context(dial(self.daemon.port, receiveBuffer=4096))
                connection.sendall(ask(ports[number % len(ports)]))
            until(lambda: descriptors(self.pid) >= base + STALLED, "many answers under way")
            self.assertServes()
            for _ in range(STALLED):
                self.daemon.waitFor("GET .*; client does not read")
            until(lambda: descriptors(self.pid) == base, "every descriptor closed")
        self.assertBounded(before, STALLED * STALLED_KIB)

    def test_clientsThatOnlyAsk(self) -> None:
        """
        Nor do those cost much that send one request after another, and never
        read an answer.
        """
        recorder = Recorder()
        # Whole in one piece, and so over before anybody finds that it is not read.
        recorder.files[b"/a"] = bytes(1 << 15)
        base, before = restingDescriptors(self.pid), residentKiB(self.pid)
        with Target(recorder) as target, ExitStack() as open_:
            requests = ask(target.port) * 99
            rest: dict[socket.socket, bytes] = {}
            for _ in range(ASKING):
                connection = open_.enter_context(dial(self.daemon.port, receiveBuffer=4096))
                connection.setblocking(False)
                rest[connection] = requests
            deadline = time.monotonic() + 30
            while rest and time.monotonic() < deadline:
                for connection in select.select([], rest, [], PACE)[1]:
                    try:
                        size = connection.send(rest[connection])
                        rest[connection] = rest[connection][size:] or requests
                    except ConnectionError:
                        del rest[connection]
                if len(rest) == ASKING:
                    self.assertServes()
            self.assertEqual(rest, {})
            until(lambda: descriptors(self.pid) == base, "every descriptor closed")
        self.assertBounded(before, ASKING * 2 * STALLED_KIB)

    def test_originsThatDoNotRead(self) -> None:
        """
        Origins that read nothing of a body without end cost little, and their
        clients are told.
        """
        over = Event()
        base, before = restingDescriptors(self.pid), residentKiB(self.pid)
        with Target(lambda _: over.wait() and None) as target, ExitStack() as open_:
            open_.callback(over.set)
            clients = []
            for number in range(STALLED):
                connection = open_.enter_context(dial(self.daemon.port))
                fields = b"Content-Length: %d\r\n" % ENDLESS
                if number % 2:
                    fields = b"Transfer-Encoding: chunked\r\n"
                connection.sendall(ask(target.port, b"PUT", fields))
                connection.setblocking(False)
                clients.append(connection)
            said = self.flood(clients)
            self.assertEqual({answer.partition(b"\r\n")[0].split()[1] for answer in said}, {b"504"})
            until(lambda: descriptors(self.pid) == base, "every descriptor closed")
        self.assertBounded(before, STALLED * STALLED_KIB)

    def flood(self, clients: Iterable[socket.socket]) -> list[bytes]:
        """
        Send chunks to the proxy as fast as it takes them, until each client
        has been told something.

        @return: What they have been told.
        """
        said = []
        left, rest = set(clients), dict.fromkeys(clients, CHUNK)
        served = deadline = time.monotonic()
        while left and time.monotonic() < deadline + 30:
            readable, writable, _ = select.select(left, left, [], PACE)
            for connection in writable:
                with suppress(OSError):
                    size = connection.send(rest[connection])
                    rest[connection] = rest[connection][size:] or CHUNK
            for connection in readable:
                said.append(connection.recv(65536))
                left.remove(connection)
                connection.close()
            if time.monotonic() - served > 1:
                self.assertServes()
                served = time.monotonic()
        self.assertEqual(left, set())
        return said

    def drip(self, connection: socket.socket, octets: bytes) -> tuple[bytes, float]:
        """
        Send an octet now and then until there is an answer.

        @return: It, and after how many seconds it came.
        """
        began = time.monotonic()
        for octet in octets:
            connection.sendall(bytes((octet,)))
            if select.select([connection], [], [], PACE)[0]:
                break
        answer = connection.recv(65536)
        return answer, time.monotonic() - began

    def test_headsThatComeSlowly(self) -> None:
        """
        A request whose head does not come in time is answered with 408, be it
        the first or another.
        """
        slow = ask(self.good, fields=b"Name: %b\r\n" % bytes(b"a" * 99))
        for before in (b"", ask(self.good)):
            with self.subTest(before), dial(self.daemon.port) as connection:
                connection.sendall(before)
                if before:
                    self.fetched(connection)
                said, took = self.drip(connection, slow)
                self.assertTrue(said.startswith(b"HTTP/1.1 408 "), said)
                self.assertInTime(took, LIMIT)
        self.assertServes()

    def fetched(self, connection: socket.socket) -> None:
        """
        Receive what the good origin gives.
        """
        said = b""
        while not said.endswith(b"/a"):
            said += receive(connection, 1)

    def assertInTime(self, took: float, limit: float) -> None:
        """
        Check that something has happened when a limit was reached.
        """
        self.assertGreaterEqual(took, limit - 0.1)
        self.assertLess(took, limit + SLACK)

    def test_bodiesThatComeSlowly(self) -> None:
        """
        A body may come as slowly as it likes as long as it comes; when it
        stops, the request is answered with 408.
        """
        body = b"a" * int((MORE + SLACK) / PACE)
        with ThreadPoolExecutor(2) as pool, ExitStack() as open_:
            answers = []
            for missing in (0, 1):
                connection = open_.enter_context(dial(self.daemon.port))
                length = len(body) if not missing else 2
                fields = b"Content-Length: %d\r\n" % length
                connection.sendall(ask(self.good, b"PUT", fields))
                answers.append(pool.submit(self.drip, connection, body[missing * -1 :]))
            (whole, _), (late, took) = (answer.result() for answer in answers)
        self.assertTrue(whole.startswith(b"HTTP/1.1 200 "), whole)
        self.assertTrue(late.startswith(b"HTTP/1.1 408 "), late)
        self.assertInTime(took, MORE)
        self.assertServes()

    def test_readersThatAreSlow(self) -> None:
        """
        Whoever reads slowly is waited for, much longer than for somebody who
        does not read at all, and gets everything.
        """
        size = 2 << 20
        body = bytes(range(256)) * (size // 256)
        answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size
        with (
            Target(saying(answer + body)) as target,
            dial(self.daemon.port, receiveBuffer=4096) as connection,
        ):
            connection.sendall(ask(target.port))
            said = bytearray()
            began = time.monotonic()
            while time.monotonic() - began < 3 * DRAIN:
                said += receive(connection, 8192)
                select.select([], [], [], PACE)
            while not said.endswith(body):
                said += receive(connection, 1)
                said += connection.recv(1 << 20)

    def test_nothingMoreComes(self) -> None:
        """
        A connection without a further request is closed in time, without a
        word.
        """
        with dial(self.daemon.port) as connection:
            connection.sendall(ask(self.good))
            self.fetched(connection)
            began = time.monotonic()
            self.assertEqual(receiveAll(connection), b"")
            self.assertInTime(time.monotonic() - began, LIMIT)
