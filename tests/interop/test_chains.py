"""
Daemons that leave through other daemons.
"""

from __future__ import annotations

import hashlib
import random
import re
import socket
import struct
import tempfile
import unittest
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import quote

from tests.daemon import Daemon
from tests.interop.associations import Association
from tests.interop.client import (
    SUCCEEDED,
    ask,
    dial,
    echoes,
    login,
    receive,
    receiveAll,
    receiveReply,
    through,
)
from tests.interop.peers import closedPort
from tests.interop.processes import restingDescriptors
from tests.interop.proxied import PASSWORD, USER, WRONG_PASSWORD, passwordOptions
from tests.interop.responders import Responder, echoed
from tests.interop.test_forward import Forwarding, toTarget
from tests.interop.test_twistd_errors import oneLine
from tests.interop.tlslistener import serving
from tests.socksclient import request
from tests.targets import Target, echo

GENERAL_FAILURE, COMMAND_NOT_SUPPORTED, CONNECTION_REFUSED = 1, 7, 5
MEBIBYTE = 1 << 20
FILLING = random.Random(1).randbytes(MEBIBYTE - 16)


def via(*daemons: Daemon, scheme: str = "socks5h", login: str = "") -> str:
    """
    Give the option that leads through some daemons.

    @param login: What stands before the host.
    """
    return "--via=" + ",".join(f"{scheme}://{login}127.0.0.1:{d.port}" for d in daemons)


def account(password: str) -> str:
    """
    Give what stands before the host in a URL.
    """
    return f"{USER}:{quote(password, safe='')}@"


def blocks(number: int, count: int) -> Iterator[bytes]:
    """
    Give what goes over a connection, no two blocks of which are the same.

    @param number: Of the connection.
    @param count: Of mebibytes.
    """
    for index in range(count):
        yield struct.pack("!QQ", number, index) + FILLING


class ChainTestCase(unittest.TestCase):
    """
    Tests with daemons for the duration of a test.
    """

    def daemon(self, *options: str) -> Daemon:
        """
        Start a daemon.
        """
        return self.enterContext(Daemon(*options))

    def folder(self) -> Path:
        """
        Make a folder.
        """
        return Path(self.enterContext(tempfile.TemporaryDirectory()))

    def target(self, host: str = "127.0.0.1") -> Target:
        """
        Start a server that echoes.
        """
        return self.enterContext(Target(echo, host))

    def assertLeads(self, daemon: Daemon, host: str = "127.0.0.1") -> Target:
        """
        Fail unless a daemon leads to a server.
        """
        target = self.target()
        with through(daemon.port, target.port, host) as connection:
            self.assertTrue(echoes(connection))
        return target

    def code(self, daemon: Daemon, port: int = 1, host: str = "127.0.0.1") -> int:
        """
        Ask a daemon for a connection.

        @return: The REP of its reply.
        """
        with dial(daemon.port) as connection:
            return ask(connection, host, port)


class ChainTests(ChainTestCase):
    """
    Chains that work.
    """

    def test_eachThroughTheNext(self) -> None:
        """
        A daemon that leaves through one that leaves through a third leads to
        names and addresses, and each knows the client before it only.
        """
        last = self.daemon()
        middle = self.daemon(via(last))
        first = self.daemon(via(middle))
        for host in ("127.0.0.1", "localhost"):
            target = self.assertLeads(first, host)
            for daemon in (first, middle, last):
                daemon.waitFor(rf"SOCKS5 \S+ - CONNECT {host}:{target.port} .* succeeded")

    def test_allFromTheFirst(self) -> None:
        """
        So does one that goes through three by itself.
        """
        hops = [self.daemon() for _ in range(3)]
        first = self.daemon(via(*hops))
        target = self.assertLeads(first, "localhost")
        asked = [f"127.0.0.1:{hop.port}" for hop in hops[1:]] + [f"localhost:{target.port}"]
        for hop, destination in zip(hops, asked, strict=True):
            hop.waitFor(rf"SOCKS5 \S+ - CONNECT {destination} .* succeeded")

    def test_kinds(self) -> None:
        """
        Hops of all kinds work, with names resolved here and there.
        """
        hop = self.daemon()
        for scheme in ("socks4", "socks4a", "socks5", "socks5h"):
            with self.subTest(scheme):
                self.assertLeads(self.daemon(via(hop, hop, scheme=scheme)), "localhost")

    def test_unix(self) -> None:
        """
        The first hop may be on a UNIX socket.
        """
        path = self.folder() / "proxy"
        second = self.daemon()
        self.daemon(f"--listen=unix:{path}")
        daemon = self.daemon(f"--via=socks5h://unix:{path},socks5h://127.0.0.1:{second.port}")
        self.assertLeads(daemon)

    def test_tls(self) -> None:
        """
        A hop may be spoken to in TLS, and is verified.
        """
        hop = self.enterContext(serving(self.folder()))
        where = f"socks5h+tls://localhost:{hop.port}"
        authority = hop.certificates.authority
        self.assertLeads(self.daemon(f"--via={where}?ca={authority.path}"))
        self.assertEqual(self.code(self.daemon(f"--via={where}")), GENERAL_FAILURE)

    def test_refused(self) -> None:
        """
        A closed port is told as such through all of them, and a hop that is
        not there as a general failure.
        """
        hops = [self.daemon() for _ in range(2)]
        first = self.daemon(via(*hops))
        with closedPort() as port:
            self.assertEqual(self.code(first, port), CONNECTION_REFUSED)
            for urls in (
                f"socks5h://127.0.0.1:{port}",
                f"socks5h://127.0.0.1:{hops[0].port},socks5h://127.0.0.1:{port}",
            ):
                daemon = self.daemon(f"--via={urls}")
                self.assertEqual(self.code(daemon, hops[1].port), GENERAL_FAILURE)

    def test_udp(self) -> None:
        """
        Datagrams go through one hop, and not through two.
        """
        hop = self.daemon()
        responder = self.enterContext(Responder(echoed))
        with Association(self.daemon(via(hop)).port) as association:
            association.send(b"question", ("127.0.0.1", responder.port))
            self.assertEqual(association.receive(), (b"question", ("127.0.0.1", responder.port)))
        with self.assertRaisesRegex(AssertionError, f"REP is {COMMAND_NOT_SUPPORTED}"):
            Association(self.daemon(via(hop, hop)).port)

    def test_halfClose(self) -> None:
        """
        An end goes through all of them, and leaves the way back open.
        """

        def answer(connection: socket.socket) -> None:
            said = receiveAll(connection)
            connection.sendall(said[::-1])
            connection.shutdown(socket.SHUT_WR)

        hops = [self.daemon() for _ in range(2)]
        target = self.enterContext(Target(answer))
        with through(self.daemon(via(*hops)).port, target.port) as connection:
            connection.sendall(b"stressed")
            connection.shutdown(socket.SHUT_WR)
            self.assertEqual(receiveAll(connection), b"desserts")


class LoadTests(ChainTestCase):
    """
    Many connections at once.
    """

    COUNT = 200
    MEBIBYTES = 10

    def serve(self, connection: socket.socket) -> None:
        """
        Take a stream and answer with its hash, or send one, as is asked for.
        """
        direction, number = struct.unpack("!QQ", receive(connection, 16))
        if direction:
            digest = hashlib.sha256()
            while data := connection.recv(MEBIBYTE):
                digest.update(data)
            connection.sendall(digest.digest())
        else:
            for block in blocks(number, self.MEBIBYTES):
                connection.sendall(block)
        connection.shutdown(socket.SHUT_WR)

    def transfer(self, port: int, number: int) -> bool:
        """
        Send a stream, or receive one.

        @param port: Where a daemon forwards from.
        @return: Whether it has arrived as it was.
        """
        digest, expected = hashlib.sha256(), hashlib.sha256()
        with dial(port) as connection:
            connection.settimeout(100)
            connection.sendall(struct.pack("!QQ", number % 2, number))
            for block in blocks(number, self.MEBIBYTES):
                expected.update(block)
                if number % 2:
                    connection.sendall(block)
            if number % 2:
                connection.shutdown(socket.SHUT_WR)
                return receiveAll(connection) == expected.digest()
            while data := connection.recv(MEBIBYTE):
                digest.update(data)
            return digest.digest() == expected.digest()

    def test_forwards(self) -> None:
        """
        200 connections at once, each with 10 MiB in one of both directions,
        go through three daemons unharmed, and leave no descriptor behind.
        """
        target = self.enterContext(Target(self.serve))
        last = self.daemon()
        middle = self.daemon(via(last))
        first = self.enterContext(Forwarding(toTarget(target), options=(via(middle),)))
        (port,) = first.ports
        self.assertTrue(self.transfer(port, 0))
        daemons = (first, middle, last)
        before = [restingDescriptors(daemon.process.pid) for daemon in daemons]
        with ThreadPoolExecutor(self.COUNT) as threads:
            transfers = threads.map(lambda n: self.transfer(port, n), range(1, self.COUNT + 1))
            self.assertEqual(list(transfers), [True] * self.COUNT)
        after = [restingDescriptors(daemon.process.pid) for daemon in daemons]
        self.assertEqual(after, before)


class AlternativesTests(ChainTestCase):
    """
    Hops for which there is a choice.
    """

    def test_failsOver(self) -> None:
        """
        When one goes, the next one is used, also for BIND and UDP, and this
        is in the log.
        """
        second = self.daemon()
        with ExitStack() as running:
            first = running.enter_context(Daemon())
            urls = [f"socks5h://127.0.0.1:{daemon.port}" for daemon in (first, second)]
            daemon = self.daemon(f"--via={'|'.join(urls)}")
            self.assertLeads(daemon)
            first.waitFor("SOCKS5 .* succeeded")
        target = self.assertLeads(daemon)
        second.waitFor(rf"SOCKS5 \S+ - CONNECT 127.0.0.1:{target.port} .* succeeded")
        daemon.waitFor(rf"{re.escape(urls[0])} does not work")
        daemon.waitFor(rf"Now going through {re.escape(urls[1])}")
        responder = self.enterContext(Responder(echoed))
        with Association(daemon.port) as association:
            association.send(b"question", ("127.0.0.1", responder.port))
            self.assertEqual(association.receive()[0], b"question")

    def test_firstRequestIsUDP(self) -> None:
        """
        That holds if nothing else has been asked for before.
        """
        second = self.daemon()
        responder = self.enterContext(Responder(echoed))
        with closedPort() as port:
            daemon = self.daemon(
                f"--via=socks5h://127.0.0.1:{port}|socks5h://127.0.0.1:{second.port}"
            )
            with Association(daemon.port) as association:
                association.send(b"question", ("127.0.0.1", responder.port))
                self.assertEqual(association.receive()[0], b"question")

    def test_targetsFault(self) -> None:
        """
        A closed port is no reason to ask another one.
        """
        first, second = self.daemon(), self.daemon()
        urls = "|".join(f"socks5h://127.0.0.1:{daemon.port}" for daemon in (first, second))
        daemon = self.daemon(f"--via={urls}")
        with closedPort() as port:
            for _ in range(3):
                self.assertEqual(self.code(daemon, port), CONNECTION_REFUSED)
        self.assertLeads(daemon)
        first.waitFor("CONNECT .* succeeded")
        self.assertNotIn("does not work", "\n".join(daemon.lines))


class SecretTests(ChainTestCase):
    """
    Passwords of hops.
    """

    def assertUnseen(self, *daemons: Daemon) -> None:
        """
        Fail if a password can be found in the logs of daemons that have ended.
        """
        for daemon in daemons:
            shown = "\n".join(daemon.lines)
            self.assertIn("open for", shown)
            for password in (PASSWORD, WRONG_PASSWORD):
                self.assertNotIn(password.rpartition(":")[2], shown)

    def test_unseen(self) -> None:
        """
        A hop gets its password, and nobody else sees it, whether it is right
        or not, and whether or not the hop is there.
        """
        target = self.target()
        with ExitStack() as running:
            hop = running.enter_context(Daemon(*passwordOptions(self.folder())))
            port = running.enter_context(closedPort())
            right = running.enter_context(Daemon(via(hop, login=account(PASSWORD))))
            wrong = running.enter_context(Daemon(via(hop, login=account(WRONG_PASSWORD))))
            absent = running.enter_context(
                Daemon(f"--via=socks5h://{account(PASSWORD)}127.0.0.1:{port}")
            )
            with through(right.port, target.port) as connection:
                self.assertTrue(echoes(connection))
            hop.waitFor(rf"SOCKS5 \S+ {USER} CONNECT")
            for daemon in (wrong, absent):
                self.assertEqual(self.code(daemon, target.port), GENERAL_FAILURE)
        self.assertUnseen(right, wrong, absent, hop)
        self.assertIn("***@127.0.0.1", "\n".join(right.lines))

    def test_ownPasswords(self) -> None:
        """
        The users of a daemon and its own account at the next one have nothing
        to do with one another.
        """
        hop = self.daemon(*passwordOptions(self.folder()))
        daemon = self.daemon("--auth=memory:bob:builder", via(hop, login=account(PASSWORD)))
        target = self.target()
        with dial(daemon.port) as connection:
            self.assertEqual(login(connection, b"bob", b"builder"), SUCCEEDED)
            connection.sendall(request("127.0.0.1", target.port))
            self.assertEqual(receiveReply(connection), SUCCEEDED)
            self.assertTrue(echoes(connection))
        daemon.waitFor(r"SOCKS5 \S+ bob CONNECT")
        hop.waitFor(rf"SOCKS5 \S+ {USER} CONNECT")

    def test_wrongOptions(self) -> None:
        """
        A chain that cannot be is refused in one line, without the password.
        """
        for urls in (
            "",
            "127.0.0.1:1080",
            f"socks6://{USER}:s3cret@127.0.0.1",
            f"socks5h://{USER}:s3cret@127.0.0.1:port",
            f"socks5h://{USER}:s3cret",
            f"socks5h://{USER}:?s3cret@127.0.0.1",
            f"socks5h://{USER}:[s3cret]@127.0.0.1",
            f"socks5h://127.0.0.1,socks5h://{USER}:s3cret@unix:/run/proxy",
            f"socks5h+tls://{USER}:s3cret@127.0.0.1?ca=/nowhere.pem",
            f"socks4a://{USER}:s3cret@127.0.0.1",
            f"socks5h://{'a' * 256}:s3cret@127.0.0.1",
        ):
            with self.subTest(urls):
                said = oneLine(self.folder(), ["-n"], ["--via", urls])
                self.assertIn("via" if "ca=" not in urls else "/nowhere.pem", said)
                self.assertNotIn("s3cret", said)
