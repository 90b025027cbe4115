"""
Our client of Shadowsocks at ss-server, straight and by way of simple-obfs, and
at our own server.
"""

from __future__ import annotations

import hashlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import unittest
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

from tests.daemon import ROOT, TIMEOUT, Daemon, environment
from tests.interop.peers import closedPort, peerEnvironment, requireIPv6, requireProgram
from tests.interop.processes import freePort, isOpen, until
from tests.interop.responders import Responder, echoed
from tests.interop.socks5client import SOCKS5Client
from tests.interop.sslocals import METHODS, PASSWORD, Server, linkFor
from tests.targets import Target, echo, sender, web

BULK = 20 << 20
SIZES = (0, 1, 512, 1400)

NEW_METHODS = {
    "2022-blake3-aes-128-gcm": 16,
    "2022-blake3-aes-256-gcm": 32,
    "2022-blake3-chacha20-poly1305": 32,
}
"""
The methods of 2022, and the octets of their keys.
"""

PLUGINS = {
    "http": ("obfs=http", "obfs=http;obfs-host=www.example.com"),
    "tls": ("obfs=tls", "obfs=tls;obfs-host=www.example.com"),
}
"""
The ways of simple-obfs: options of its server and of its client.
"""

WITH_USERS = tuple(NEW_METHODS)[:2]
PROGRAM = ROOT / "docs" / "examples" / "through.py"


class SSServer:
    """
    The server of shadowsocks-libev, as a context manager.

    @ivar port: Its port, for streams and datagrams.
    """

    def __init__(self, method: str, plugin: tuple[str, str] | None = None) -> None:
        """
        @param plugin: The program of a plugin and its options.
        """
        self.port = freePort()
        command = [requireProgram("ss-server"), "-s", "127.0.0.1", "-p", str(self.port)]
        command += ["-k", PASSWORD, "-m", method, "-u"]
        if plugin is not None:
            program, options = plugin
            command += ["--plugin", requireProgram(program), "--plugin-opts", options]
        self._command = command

    def __enter__(self) -> SSServer:
        self._folder = tempfile.TemporaryDirectory()
        self._log = Path(self._folder.name) / "log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                self._command,
                env=peerEnvironment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            until(self._isUp, "ss-server listening")
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
        # It takes its plugin along.
        self._process.terminate()
        try:
            self._process.wait(TIMEOUT)
        finally:
            self._folder.cleanup()

    def _isUp(self) -> bool:
        if self._process.poll() is not None:
            raise AssertionError(f"ss-server has ended: {self._log.read_text()}")
        return isOpen(self.port)


class ClientTestCase(unittest.TestCase):
    """
    Tests with daemons that leave through Shadowsocks.
    """

    def through(self, *links: str) -> tuple[Daemon, SOCKS5Client]:
        """
        Start a daemon that leaves through a chain, and give a client of its.

        @param links: The chain, the nearest first.
        """
        daemon = self.enterContext(Daemon(f"--via={','.join(links)}"))
        return daemon, SOCKS5Client(daemon.port)

    def assertBulk(self, socks: SOCKS5Client, port: int, size: int = BULK) -> None:
        """
        Send something to an echo server and have the same come back, both at a
        time, up to the end of both streams.
        """
        data = os.urandom(size)
        back, digest = 0, hashlib.sha256()
        with socks.connect(port) as stream, ThreadPoolExecutor(1) as pool:
            stream.socket.settimeout(TIMEOUT)
            sending = pool.submit(stream.socket.sendall, data)
            while back < size and (more := stream.socket.recv(1 << 20)):
                digest.update(more)
                back += len(more)
            sending.result(TIMEOUT)
            # Not before: ss-server takes the end of one direction for that of both.
            stream.shutdown()
            self.assertEqual(stream.recv(1), b"")
        self.assertEqual((back, digest.digest()), (size, hashlib.sha256(data).digest()))

    def assertTargets(self, socks: SOCKS5Client) -> None:
        """
        Reach targets by addresses of either kind, and by a name.
        """
        four = self.enterContext(Target(echo))
        six = self.enterContext(Target(echo, "::1"))
        for host, port in (
            ("127.0.0.1", four.port),
            ("localhost", four.port),
            ("::1", six.port),
        ):
            with self.subTest(host=host), socks.connect(port, host) as stream:
                self.assertTrue(stream.echoes())

    def assertDatagrams(self, socks: SOCKS5Client) -> None:
        """
        Have datagrams go to addresses of either kind and to a name, and come
        back from where they were answered.
        """
        four = self.enterContext(Responder(echoed))
        six = self.enterContext(Responder(echoed, "::1"))
        with socks.associate() as association:
            for host, port, answering in (
                ("127.0.0.1", four.port, "127.0.0.1"),
                ("localhost", four.port, "127.0.0.1"),
                ("::1", six.port, "::1"),
            ):
                for size in SIZES:
                    payload = os.urandom(size)
                    association.send(payload, (host, port))
                    with self.subTest(host=host, size=size):
                        self.assertEqual(association.receive(), (payload, (answering, port)))


class LibevTests(ClientTestCase):
    """
    Our client and ss-server.
    """

    def at(self, method: str) -> SOCKS5Client:
        """
        Start a server and a daemon that leaves through it.
        """
        server = self.enterContext(SSServer(method))
        return self.through(linkFor(method, place=f"127.0.0.1:{server.port}"))[1]

    def test_bulk(self) -> None:
        """
        Twenty megabytes go there and back again at a time, unchanged, and after
        them the end of the stream.
        """
        target = self.enterContext(Target(echo))
        for method in METHODS:
            with self.subTest(method):
                self.assertBulk(self.at(method), target.port)

    def test_targets(self) -> None:
        """
        A target is named by an address of either kind, or by its name.
        """
        requireIPv6()
        for method in METHODS:
            with self.subTest(method):
                self.assertTargets(self.at(method))

    def test_targetSpeaksFirst(self) -> None:
        """
        A target is heard though the client has said nothing.
        """
        target = self.enterContext(Target(sender(b"220 ready")))
        for method in METHODS:
            with self.subTest(method), self.at(method).connect(target.port) as stream:
                self.assertEqual(stream.receive(9), b"220 ready")
                self.assertEqual(stream.recv(1), b"")

    def test_datagrams(self) -> None:
        """
        Datagrams go to addresses of either kind and to names, and answers come
        back from where they were given.
        """
        requireIPv6()
        for method in METHODS:
            with self.subTest(method):
                self.assertDatagrams(self.at(method))

    def test_manyAssociations(self) -> None:
        """
        Each of many associations gets its own answers.
        """
        responder = self.enterContext(Responder(echoed))
        socks = self.at(METHODS[1])
        associations = [self.enterContext(socks.associate()) for _ in range(20)]
        for number, association in enumerate(associations):
            association.send(b"%d" % number, ("127.0.0.1", responder.port))
        for number, association in enumerate(associations):
            self.assertEqual(association.receive()[0], b"%d" % number)

    def test_refused(self) -> None:
        """
        A target that cannot be reached is the end of the connection; when that
        happens time and again the log says what may be the reason.
        """
        server = self.enterContext(SSServer(METHODS[1]))
        link = linkFor(METHODS[1], place=f"127.0.0.1:{server.port}")
        daemon, socks = self.through(link)
        port = self.enterContext(closedPort())
        for _ in range(3):
            with socks.connect(port) as stream:
                stream.sendall(b"question")
                try:
                    self.assertEqual(stream.recv(1), b"")
                except ConnectionResetError:
                    pass
        daemon.waitFor(
            rf"warn\] ss://\*\*\*@127\.0\.0\.1:{server.port} closes connections without an answer:"
            r" look at the password, the method, and whether it can reach anything"
        )

    def test_otherPassword(self) -> None:
        """
        With another password nothing is reached, neither by streams nor by
        datagrams, and no password is logged.
        """
        target = self.enterContext(Target(echo))
        responder = self.enterContext(Responder(echoed))
        server = self.enterContext(SSServer(METHODS[1]))
        wrong = "another-" + PASSWORD
        link = linkFor(METHODS[1], wrong, place=f"127.0.0.1:{server.port}")
        with Daemon(f"--via={link}") as daemon:
            socks = SOCKS5Client(daemon.port)
            with socks.connect(target.port) as stream, socks.associate() as association:
                stream.sendall(b"question")
                association.send(b"question", ("127.0.0.1", responder.port))
                # ss-server goes on reading, so that nobody learns anything.
                stream.socket.settimeout(0.5)
                association.datagrams.settimeout(0.5)
                with self.assertRaises(TimeoutError):
                    association.receive()
                with self.assertRaises(TimeoutError):
                    stream.recv(1)
        self.assertEqual(target.accepted, [])
        self.assertTrue(responder.received.empty())
        self.assertNotIn(PASSWORD, "\n".join(daemon.lines))


class PluginTests(ClientTestCase):
    """
    Our client with obfs-local, and ss-server with obfs-server.
    """

    def children(self, daemon: Daemon) -> list[int]:
        """
        Give the process numbers of a daemon's plugins.
        """
        pid = daemon.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [
            int(child)
            for child in children
            if "obfs-local" in Path(f"/proc/{child}/comm").read_text()
        ]

    def start(self, way: str) -> tuple[Daemon, SOCKS5Client]:
        """
        Start both sides.
        """
        theirs, ours = PLUGINS[way]
        program = requireProgram("obfs-local")
        server = self.enterContext(SSServer(METHODS[1], ("obfs-server", theirs)))
        place = f"127.0.0.1:{server.port}"
        return self.through(linkFor(METHODS[1], place=place, plugin=f"{program};{ours}"))

    def test_streams(self) -> None:
        """
        Megabytes go through it both ways, over several connections and one
        plugin.
        """
        target = self.enterContext(Target(echo))
        for way in PLUGINS:
            with self.subTest(way):
                daemon, socks = self.start(way)
                for _ in range(3):
                    self.assertBulk(socks, target.port, 2 << 20)
                self.assertEqual(len(self.children(daemon)), 1)

    def test_datagrams(self) -> None:
        """
        Datagrams go beside it.
        """
        responder = self.enterContext(Responder(echoed))
        _, socks = self.start("http")
        with socks.associate() as association:
            association.send(b"question", ("127.0.0.1", responder.port))
            self.assertEqual(association.receive()[0], b"question")

    def test_startedAgain(self) -> None:
        """
        A plugin that has been killed is waited for, and works.
        """
        target = self.enterContext(Target(echo))
        daemon, socks = self.start("http")
        self.assertBulk(socks, target.port, 1 << 16)
        (plugin,) = self.children(daemon)
        os.kill(plugin, signal.SIGKILL)
        daemon.waitFor("The plugin obfs-local failed: .*; it is started again in 1.0 s")
        self.assertBulk(socks, target.port, 1 << 16)

    def test_ends(self) -> None:
        """
        It ends with the daemon, whether that is asked to or killed.
        """
        target = self.enterContext(Target(echo))
        for number in (signal.SIGINT, signal.SIGKILL):
            with self.subTest(number):
                daemon, socks = self.start("http")
                self.assertBulk(socks, target.port, 1 << 16)
                (plugin,) = self.children(daemon)
                daemon.process.send_signal(number)
                daemon.process.wait(10)
                until(lambda: not Path(f"/proc/{plugin}/exe").exists(), "the plugin's end")  # noqa: B023


class OwnServerTests(ClientTestCase):
    """
    Our client and our server, with the methods of 2022.
    """

    def key(self, method: str) -> str:
        """
        Make a key.
        """
        return b64encode(os.urandom(NEW_METHODS[method])).decode()

    def serve(self, method: str) -> tuple[Server, str]:
        """
        Start a server with one key.

        @return: The server, and its link.
        """
        key = self.key(method)
        server = self.enterContext(Server(linkFor(method, key)))
        return server, linkFor(method, key, f"127.0.0.1:{server.ports[0]}")

    def assertSeen(self, server: Server, destination: str, user: str = "-") -> None:
        """
        Check that a connection came by way of Shadowsocks.
        """
        server.waitFor(rf"\] Shadowsocks \S+ {user} CONNECT {destination} \[.*\]: succeeded;")

    def test_bulk(self) -> None:
        """
        Twenty megabytes go there and back again at a time, unchanged.
        """
        target = self.enterContext(Target(echo))
        for method in NEW_METHODS:
            with self.subTest(method):
                server, link = self.serve(method)
                self.assertBulk(self.through(link)[1], target.port)
                self.assertSeen(server, f"127.0.0.1:{target.port}")

    def test_halfClosed(self) -> None:
        """
        What the target says after our end of the stream arrives.
        """
        got = bytearray()

        def late(connection: socket.socket) -> None:
            while data := connection.recv(65536):
                got.extend(data)
            connection.sendall(b"all of it")

        target = self.enterContext(Target(late))
        for method in NEW_METHODS:
            with self.subTest(method):
                got.clear()
                _, socks = self.through(self.serve(method)[1])
                with socks.connect(target.port) as stream:
                    stream.sendall(bytes(1 << 20))
                    stream.shutdown()
                    self.assertEqual(stream.receive(9), b"all of it")
                self.assertEqual(len(got), 1 << 20)

    def test_targets(self) -> None:
        """
        Targets of all kinds are reached, and one that speaks first is heard.
        """
        requireIPv6()
        first = self.enterContext(Target(sender(b"220 ready")))
        for method in NEW_METHODS:
            with self.subTest(method):
                _, socks = self.through(self.serve(method)[1])
                self.assertTargets(socks)
                with socks.connect(first.port) as stream:
                    self.assertEqual(stream.receive(9), b"220 ready")

    def test_datagrams(self) -> None:
        """
        Datagrams go to addresses of either kind and to names.
        """
        requireIPv6()
        for method in NEW_METHODS:
            with self.subTest(method):
                self.assertDatagrams(self.through(self.serve(method)[1])[1])

    def test_users(self) -> None:
        """
        The server knows whose a stream is, and relays the datagrams of each.
        """
        folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        target = self.enterContext(Target(echo))
        responder = self.enterContext(Responder(echoed))
        for method in WITH_USERS:
            shared = self.key(method)
            users = {name: self.key(method) for name in ("alice", "bob")}
            path = folder / method
            path.write_text("".join(f"{name}:{key}\n" for name, key in users.items()))
            server = self.enterContext(Server(linkFor(method, shared, users=str(path))))
            place = f"127.0.0.1:{server.ports[0]}"
            for name, key in users.items():
                with self.subTest(method, user=name):
                    _, socks = self.through(linkFor(method, f"{shared}:{key}", place))
                    with socks.connect(target.port) as stream:
                        self.assertTrue(stream.echoes())
                    self.assertSeen(server, f"127.0.0.1:{target.port}", name)
                    with socks.associate() as association:
                        association.send(b"question", ("127.0.0.1", responder.port))
                        self.assertEqual(association.receive()[0], b"question")

    def test_chains(self) -> None:
        """
        It is one of a chain, before a proxy of SOCKS5 and behind one.
        """
        target = self.enterContext(Target(echo))
        server, link = self.serve("2022-blake3-aes-256-gcm")
        other = self.enterContext(Daemon())
        proxy = f"socks5h://127.0.0.1:{other.port}"
        _, behind = self.through(proxy, link)
        with behind.connect(target.port, "localhost") as stream:
            self.assertTrue(stream.echoes())
        other.waitFor(rf"SOCKS5 \S+ - CONNECT 127\.0\.0\.1:{server.ports[0]} .* succeeded")
        self.assertSeen(server, f"localhost:{target.port}")
        _, before = self.through(link, proxy)
        with before.connect(target.port, "localhost") as stream:
            self.assertTrue(stream.echoes())
        self.assertSeen(server, rf"127\.0\.0\.1:{other.port}")
        other.waitFor(rf"SOCKS5 \S+ - CONNECT localhost:{target.port} .* succeeded")

    def test_string(self) -> None:
        """
        An endpoint string leads through it.
        """
        target = self.enterContext(Target(web(b"")))
        server, link = self.serve("2022-blake3-aes-256-gcm")
        escaped = link.replace("\\", r"\\").replace(":", r"\:")
        ended = subprocess.run(
            (
                sys.executable,
                "-W",
                "error",
                str(PROGRAM),
                f"proxied:localhost:{target.port}:via={escaped}",
            ),
            env=environment(),
            capture_output=True,
            timeout=60,
        )
        self.assertEqual(ended.stdout, b"HTTP/1.0 200 OK\n", ended)
        self.assertSeen(server, f"localhost:{target.port}")
