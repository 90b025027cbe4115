"""
The daemon with C{--auth gssapi:}, a KDC of MIT's, and our own client on real
sockets.
"""

from __future__ import annotations

import random
import re
import socket
from contextlib import ExitStack
from queue import Queue
from typing import ClassVar

from socksproxy.errors import (
    AuthenticationFailed,
    CommandNotSupported,
    SOCKSProxyError,
)
from socksproxy.socks import GSSAPI, NoAuthentication, ProtectionLevel
from socksproxy.socks.methods import Method
from tests.daemon import Daemon, run
from tests.interop import client
from tests.interop.associations import head
from tests.interop.responders import Responder, echoed
from tests.interop.socks5client import SOCKS5Client, Stream
from tests.interop.test_gssapi import LEVELS, SERVICE, RealmTestCase
from tests.targets import Target, collector, echo, witness

MEBIBYTE = 1 << 20
SIZE = 20 * MEBIBYTE
ALICE = "alice@SOCKS.TEST"


class Both:
    """
    A server that keeps what comes, to the end of the stream, and then sends as
    much that is different.

    @ivar received: What came.
    @ivar sent: What it sends.
    """

    def __init__(self) -> None:
        self.received = bytearray()
        self.sent = random.Random(2).randbytes(SIZE)

    def __call__(self, connection: socket.socket) -> None:
        """
        Serve one connection.
        """
        while data := connection.recv(65536):
            self.received += data
        connection.sendall(self.sent)
        connection.shutdown(socket.SHUT_WR)


class DaemonTestCase(RealmTestCase):
    """
    Tests with a daemon that takes Alice's tickets.

    @cvar daemon: The daemon.
    """

    daemon: ClassVar[Daemon]

    @classmethod
    def setUpClass(cls) -> None:
        """
        Start a daemon beside the realm.
        """
        super().setUpClass()
        cls.daemon = cls.enterClassContext(Daemon("--auth", cls.auth()))

    @classmethod
    def auth(cls, **changes: str) -> str:
        """
        Give the value of C{--auth}.

        @param changes: What is not as usual.
        """
        values = {
            "realm": cls.realm.name,
            "service": SERVICE,
            "keytab": cls.keytab,
            "level": "integrity",
            **changes,
        }
        return "gssapi:" + ":".join(f"{key}={value}" for key, value in values.items())

    def through(
        self,
        level: int = ProtectionLevel.CONFIDENTIALITY,
        datagrams: bool = False,
        daemon: Daemon | None = None,
    ) -> SOCKS5Client:
        """
        Give a client that has a ticket.
        """
        return self.with_(
            GSSAPI(SERVICE, level=level, cache=self.tickets, datagrams=datagrams), daemon=daemon
        )

    def with_(self, *methods: Method, daemon: Daemon | None = None) -> SOCKS5Client:
        """
        Give a client with certain methods.
        """
        return SOCKS5Client((daemon or self.daemon).port, methods)


class StreamTests(DaemonTestCase):
    """
    Connections through the daemon.
    """

    def test_transfers(self) -> None:
        """
        On each level 20 MiB get to the target and others back unchanged, with a
        half-close between them.
        """
        data = random.Random(1).randbytes(SIZE)
        for level in LEVELS:
            target = Both()
            with (
                self.subTest(level=level),
                Target(target) as listening,
                self.through(level).connect(listening.port) as stream,
            ):
                self.assertTrue(stream.protected)
                stream.sendall(data)
                stream.shutdown()
                received = bytearray()
                while more := stream.recv(MEBIBYTE):
                    received += more
                self.assertTrue(target.received == data)
                self.assertTrue(received == target.sent)

    def test_accessLine(self) -> None:
        """
        The access line names the principal, and counts what was said and not
        what it took to protect it.
        """
        with Target(echo) as target:
            with self.through().connect(target.port) as stream:
                self.assertTrue(stream.echoes(b"x" * 1000))
            self.daemon.waitFor(
                rf"SOCKS5 .*{ALICE} CONNECT 127\.0\.0\.1:{target.port} .*"
                r"succeeded; 1000 sent, 1000 received"
            )

    def test_earlyData(self) -> None:
        """
        What is sent before the target is connected arrives, a mebibyte of it.
        """
        received = bytearray()
        data = random.Random(3).randbytes(MEBIBYTE)
        with Target(collector(received)) as target:
            with self.through().connect(target.port, early=data) as stream:
                stream.shutdown()
                self.assertEqual(stream.recv(1), b"")
            self.assertTrue(received == data)

    def test_noTicket(self) -> None:
        """
        Without a ticket nobody gets in.
        """
        with self.assertRaises(AuthenticationFailed):
            self.with_(NoAuthentication()).connect(1)

    def test_otherRealm(self) -> None:
        """
        A ticket of a realm that is not asked for is not enough, and the log
        says whose it was, in the words that are written for wrong passwords.
        """
        with Daemon("--auth", self.auth(realm="OTHER.TEST")) as daemon:
            with self.assertRaises(AuthenticationFailed):
                self.through(daemon=daemon).connect(1)
            daemon.waitFor(re.escape(ALICE))

    def test_minimum(self) -> None:
        """
        Where confidentiality is demanded less is refused.
        """
        with (
            Daemon("--auth", self.auth(level="confidentiality")) as daemon,
            Target(echo) as target,
        ):
            with self.assertRaises(AuthenticationFailed):
                self.through(ProtectionLevel.INTEGRITY, daemon=daemon).connect(target.port)
            daemon.waitFor("protection level 1 is not enough")
            for level in (ProtectionLevel.CONFIDENTIALITY, ProtectionLevel.SELECTIVE):
                with self.through(level, daemon=daemon).connect(target.port) as stream:
                    self.assertTrue(stream.echoes())

    def test_noProtection(self) -> None:
        """
        Where none is demanded, what follows may be in the clear.
        """
        with (
            Daemon("--auth", self.auth(level="none")) as daemon,
            Target(echo) as target,
            self.through(ProtectionLevel.NONE, daemon=daemon).connect(target.port) as stream,
        ):
            self.assertFalse(stream.protected)
            self.assertTrue(stream.echoes())

    def test_besidesOthers(self) -> None:
        """
        A daemon may take tickets from some and nothing from others.
        """
        with (
            Daemon("--auth", self.auth(), "--auth", "anonymous") as daemon,
            Target(echo) as target,
        ):
            for guest in (
                self.with_(NoAuthentication(), daemon=daemon),
                self.through(daemon=daemon),
            ):
                with guest.connect(target.port) as stream:
                    self.assertTrue(stream.echoes())

    def checkReset(self, data: bytes, stream: Stream, ends: Queue[type[OSError] | None]) -> None:
        """
        Require that octets on a connection reset it and the target's.
        """
        stream.socket.sendall(data)
        with self.assertRaises(ConnectionResetError):
            while stream.socket.recv(65536):
                pass
        self.assertIs(ends.get(timeout=client.TIMEOUT), ConnectionResetError)

    def test_tampered(self) -> None:
        """
        A frame that has been changed on the way, or comes twice, resets both
        sides, and nothing of it reaches the target.
        """
        for change in (lambda good: good[:-1] + bytes([good[-1] ^ 1]), lambda good: good * 2):
            ends: Queue[type[OSError] | None] = Queue()
            with (
                Target(witness(ends)) as target,
                self.through().connect(target.port) as stream,
            ):
                self.checkReset(change(stream.encode(b"pay 10")), stream, ends)
            self.daemon.waitFor("a token|GSSAPI: ")

    def test_truncated(self) -> None:
        """
        The end of the stream inside a frame is no end of it: the target is
        reset.
        """
        ends: Queue[type[OSError] | None] = Queue()
        with Target(witness(ends)) as target, self.through().connect(target.port) as stream:
            stream.socket.sendall(stream.encode(b"some")[:-1])
            stream.shutdown()
            self.assertIs(ends.get(timeout=client.TIMEOUT), ConnectionResetError)

    def test_refused(self) -> None:
        """
        A refusal comes through the protection, too.
        """
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            with self.assertRaises(SOCKSProxyError) as caught:
                self.through().connect(closed.getsockname()[1])
        self.assertEqual(getattr(caught.exception, "replyCode", 0), 5)


class OtherCommandTests(DaemonTestCase):
    """
    What there is besides CONNECT.
    """

    def test_bind(self) -> None:
        """
        Both replies of BIND and what follows them are protected.
        """
        for level in LEVELS:
            with self.subTest(level=level), ExitStack() as stack:
                binding = stack.enter_context(self.through(level).bind())
                peer = stack.enter_context(socket.create_connection(binding.bound))
                stream = stack.enter_context(binding.accept())
                self.assertEqual(stream.bound, peer.getsockname())
                peer.sendall(b"220 hello")
                self.assertEqual(stream.receive(9), b"220 hello")
                stream.sendall(b"QUIT")
                self.assertEqual(client.receive(peer, 4), b"QUIT")

    def test_datagrams(self) -> None:
        """
        Datagrams are protected both ways, on every level, up to the size that
        still fits.
        """
        with Responder(echoed) as responder:
            there = (responder.host, responder.port)
            for level in LEVELS:
                with (
                    self.subTest(level=level),
                    self.through(level, datagrams=True).associate() as association,
                ):
                    for payload in (b"", b"ping", bytes(65000)):
                        association.send(payload, there)
                        self.assertEqual(association.receive(), (payload, there))

    def test_lostAndRepeated(self) -> None:
        """
        A datagram that is lost stops nothing, and one that comes twice is
        passed on once.
        """
        with (
            Responder(echoed) as responder,
            self.through(datagrams=True).associate() as association,
        ):
            there = (responder.host, responder.port)
            association.encode(b"lost", there)
            first, second = (association.encode(name, there) for name in (b"1", b"2"))
            for datagram in (second, first, second, first, association.encode(b"3", there)):
                association.datagrams.sendto(datagram, association.relay)
            received = [association.receive()[0] for _ in range(3)]
            self.assertEqual(received, [b"2", b"1", b"3"])

    def test_unprotected(self) -> None:
        """
        A datagram that is not protected is not passed on.
        """
        with (
            Responder(echoed) as responder,
            self.through(datagrams=True).associate() as association,
        ):
            there = (responder.host, responder.port)
            forged = association.encode(b"no", there)[:-1] + b"!"
            association.datagrams.sendto(head(*there) + b"no", association.relay)
            association.datagrams.sendto(forged, association.relay)
            association.send(b"yes", there)
            self.assertEqual(association.receive()[0], b"yes")
            self.assertEqual(responder.received.get_nowait(), b"yes")
            self.assertTrue(responder.received.empty())

    def test_watchedOrder(self) -> None:
        """
        A client whose context takes nothing after a datagram that was lost
        gets no association.
        """
        with self.assertRaises(CommandNotSupported):
            self.through().associate()


class StartTests(RealmTestCase):
    """
    What cannot work is said at the start, in one line.
    """

    def checkError(self, auth: str, *names: str) -> None:
        """
        Require that the daemon does not start.

        @param names: What the line has to name.
        """
        done = run("-n", "--pidfile=", "socksproxy", "--auth", auth)
        self.assertEqual(done.returncode, 1)
        line = (done.stdout + done.stderr).decode()
        self.assertEqual(line.count("\n"), 1, line)
        for name in ("--auth", *names):
            self.assertIn(name, line)

    def test_mistakes(self) -> None:
        """
        A key that there is not, a level that is none, no realm.
        """
        self.checkError("gssapi:realm=A.TEST:colour=red", "colour")
        self.checkError("gssapi:realm=A.TEST:level=high", "level=high")
        self.checkError(f"gssapi:keytab={self.keytab}", "realm")

    def test_keytab(self) -> None:
        """
        A keytab that is not there, or has not the right key.
        """
        self.checkError("gssapi:realm=A.TEST:keytab=/nowhere/keys", "/nowhere/keys")
        self.checkError(
            f"gssapi:realm=A.TEST:keytab={self.keytab}:service=http@localhost", "http/localhost"
        )
