"""
Clients of shadowsocks-libev at our server, straight and by way of simple-obfs.
"""

from __future__ import annotations

import os
import signal
import unittest
from pathlib import Path

from tests.interop.client import dial
from tests.interop.peers import closedPort, requireIPv6, requireProgram
from tests.interop.processes import until
from tests.interop.responders import Responder, echoed
from tests.interop.sslocals import METHODS, PASSWORD, Server, SSLocal, exchange, linkFor
from tests.targets import Target, echo, sender

BULK = 20 << 20

PLUGINS = {
    "http": ("obfs=http", "obfs=http;obfs-host=www.example.com"),
    "tls": ("obfs=tls", "obfs=tls;obfs-host=www.example.com"),
}
"""
The ways of simple-obfs: options of its server and of its client.
"""


class LibevTests(unittest.TestCase):
    """
    ss-local and our server.
    """

    def setUp(self) -> None:
        """
        Start a server for each method, and a client for each.
        """
        requireProgram("ss-local")
        self.server = self.enterContext(Server(*map(linkFor, METHODS)))
        self.clients = {
            method: self.enterContext(SSLocal(port, method))
            for method, port in zip(METHODS, self.server.ports, strict=True)
        }

    def test_bulk(self) -> None:
        """
        Twenty megabytes go there and back again at a time, unchanged.
        """
        target = self.enterContext(Target(echo))
        for method, client in self.clients.items():
            with self.subTest(method):
                exchange(client, BULK, target.port)
                self.server.waitFor(
                    rf"\] Shadowsocks 127\.0\.0\.1:\d+ - CONNECT 127\.0\.0\.1:{target.port} "
                    rf"\[127\.0\.0\.1:{target.port}\]: succeeded; {BULK} sent, {BULK} received, "
                )

    def test_targets(self) -> None:
        """
        A target is named by an address of either kind, or by its name.
        """
        requireIPv6()
        four = self.enterContext(Target(echo))
        six = self.enterContext(Target(echo, "::1"))
        for method, client in self.clients.items():
            for host, port in (
                ("127.0.0.1", four.port),
                ("localhost", four.port),
                ("::1", six.port),
            ):
                with self.subTest(method, host=host), client.socks.connect(port, host) as stream:
                    self.assertTrue(stream.echoes())

    def test_targetSpeaksFirst(self) -> None:
        """
        A target is heard that does not wait for the client.
        """
        target = self.enterContext(Target(sender(b"220 ready")))
        for method, client in self.clients.items():
            with self.subTest(method), client.socks.connect(target.port) as stream:
                # ss-local makes no request before there is something to send.
                stream.sendall(b"\n")
                self.assertEqual(stream.receive(9), b"220 ready")
                self.assertEqual(stream.recv(1), b"")

    def test_refused(self) -> None:
        """
        A target that cannot be reached is the end of the connection.
        """
        port = self.enterContext(closedPort())
        for method, client in self.clients.items():
            with self.subTest(method), client.socks.connect(port) as stream:
                stream.sendall(b"question")
                self.assertEqual(stream.recv(1), b"")

    def test_datagrams(self) -> None:
        """
        Datagrams go to addresses of either kind and to names, and answers come
        back from where they were given.
        """
        requireIPv6()
        four = self.enterContext(Responder(echoed))
        six = self.enterContext(Responder(echoed, "::1"))
        for method, client in self.clients.items():
            with self.subTest(method), client.socks.associate() as association:
                for host, port, answering in (
                    ("127.0.0.1", four.port, "127.0.0.1"),
                    ("localhost", four.port, "127.0.0.1"),
                    ("::1", six.port, "::1"),
                ):
                    for size in (0, 1, 512, 1400):
                        payload = os.urandom(size)
                        association.send(payload, (host, port))
                        self.assertEqual(association.receive(), (payload, (answering, port)))

    def test_manyClients(self) -> None:
        """
        Each of many sockets gets its own answers.
        """
        responder = self.enterContext(Responder(echoed))
        for method, client in self.clients.items():
            with self.subTest(method):
                associations = [self.enterContext(client.socks.associate()) for _ in range(20)]
                for number, association in enumerate(associations):
                    association.send(b"%d" % number, ("127.0.0.1", responder.port))
                for number, association in enumerate(associations):
                    self.assertEqual(association.receive()[0], b"%d" % number)

    def test_otherPassword(self) -> None:
        """
        A client with another password, or method, gets nothing; the log says
        why, and has neither.
        """
        target = self.enterContext(Target(echo))
        wrong = "another-" + PASSWORD
        client = self.enterContext(SSLocal(self.server.ports[1], METHODS[1], wrong))
        with client.socks.connect(target.port) as stream:
            stream.sendall(b"question")
            self.server.waitFor(
                r"warn\] Shadowsocks: a stream from 127\.0\.0\.1:\d+ to ss://\S+ is not"
                r" answered: it is noise, or made with another method or password"
            )
            stream.socket.settimeout(0.2)
            with self.assertRaises(TimeoutError):
                stream.recv(1)
        self.assertEqual(target.accepted, [])
        self.assertNotIn(PASSWORD, "\n".join(self.server.lines))


class PluginTests(unittest.TestCase):
    """
    ss-local with obfs-local, and our server with obfs-server.
    """

    def start(self, way: str, method: str = METHODS[1]) -> tuple[Server, SSLocal]:
        """
        Start both sides.
        """
        ours, theirs = PLUGINS[way]
        program = requireProgram("obfs-server")
        link = linkFor(method, plugin=f"{program};{ours}")
        server = self.enterContext(Server(link))
        client = self.enterContext(SSLocal(server.ports[0], method, plugin=("obfs-local", theirs)))
        until(lambda: self.plugins(server), "the plugin")
        until(lambda: _answers(server.ports[0]), "the plugin listening")
        return server, client

    def plugins(self, server: Server) -> list[int]:
        """
        Give the process numbers of a daemon's plugins.
        """
        pid = server.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [
            int(child)
            for child in children
            if "obfs-server" in Path(f"/proc/{child}/comm").read_text()
        ]

    def test_streams(self) -> None:
        """
        Megabytes go through it both ways.
        """
        target = self.enterContext(Target(echo))
        for way in PLUGINS:
            with self.subTest(way):
                _, client = self.start(way)
                exchange(client, 4 << 20, target.port)

    def test_datagrams(self) -> None:
        """
        Datagrams go beside it.
        """
        responder = self.enterContext(Responder(echoed))
        _, client = self.start("http")
        with client.socks.associate() as association:
            association.send(b"question", ("127.0.0.1", responder.port))
            self.assertEqual(association.receive()[0], b"question")

    def test_startedAgain(self) -> None:
        """
        A plugin that has been killed is there again soon.
        """
        target = self.enterContext(Target(echo))
        server, client = self.start("http")
        (plugin,) = self.plugins(server)
        os.kill(plugin, signal.SIGKILL)
        server.waitFor("The plugin obfs-server failed: .*; it is started again in 1.0 s")
        until(lambda: self.plugins(server), "another plugin")
        until(lambda: _answers(server.ports[0]), "the plugin listening")
        exchange(client, 1 << 16, target.port)

    def test_ends(self) -> None:
        """
        It ends with the daemon, whether that is asked to or killed.
        """
        for number in (signal.SIGINT, signal.SIGKILL):
            with self.subTest(number):
                server, _ = self.start("http")
                (plugin,) = self.plugins(server)
                self.assertEqual(os.getpgid(plugin), plugin)
                server.process.send_signal(number)
                server.process.wait(10)
                until(lambda: not Path(f"/proc/{plugin}/exe").exists(), "the plugin's end")  # noqa: B023


def _answers(port: int) -> bool:
    try:
        dial(port).close()
    except ConnectionRefusedError:
        return False
    return True
