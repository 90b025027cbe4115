"""
Programs that send datagrams through the daemon, by UDP ASSOCIATE.
"""

import errno
import os
import socket
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

from tests.daemon import Daemon
from tests.interop.associations import MAX_UDP, datagramSocket, endpointOf
from tests.interop.dante import SocksifyTestCase
from tests.interop.peers import TIMEOUT, peerEnvironment, requireIPv6, requirePackage, runPeer
from tests.interop.processes import freePort
from tests.interop.proxied import (
    PASSWORD,
    USER,
    WRONG_PASSWORD,
    PasswordTestCase,
    ProxyTestCase,
)
from tests.interop.responders import Responder, echoed

ADDRESS = "203.0.113.5"
FORGED_ADDRESS = "203.0.113.66"


class _UDPMixin(ProxyTestCase):
    def responder(self, host: str = "127.0.0.1") -> Responder:
        """
        Echo datagrams for the duration of the test.
        """
        return self.enterContext(Responder(echoed, host))

    def assertRelayed(self, sent: int, received: int, user: str = "-") -> None:
        """
        Check that an association has ended, and what went through it.

        @param sent: Octets to whoever the client wrote to.
        @param received: Octets back.
        """
        octets = f"{sent} sent, {received} received"
        self.daemon.waitFor(rf"SOCKS5 \S+ {user} UDP \S+ \[-\]: succeeded; {octets}, ")


class _PySocksMixin(_UDPMixin):
    socks: ClassVar[Any]

    @classmethod
    def setUpClass(cls) -> None:
        """
        Import PySocks.
        """
        cls.socks = requirePackage("socks")
        super().setUpClass()

    @contextmanager
    def datagrams(self, daemon: Daemon | None = None, **options: Any) -> Iterator[Any]:
        """
        Open a socket for datagrams that goes through the daemon.
        """
        made = self.socks.socksocket(socket.AF_INET, socket.SOCK_DGRAM)
        with made:
            made.settimeout(TIMEOUT)
            port = (self.daemon if daemon is None else daemon).port
            made.set_proxy(self.socks.SOCKS5, "127.0.0.1", port, **options)
            yield made


class PySocksTests(_PySocksMixin):
    """
    PySocks without authentication.
    """

    def test_sendsAndReceives(self) -> None:
        """
        On one socket PySocks writes to an address of either family and to a
        name, and is told the address of who answers.
        """
        requireIPv6()
        four, six = self.responder(), self.responder("::1")
        with self.datagrams() as client:
            for host, target in (("127.0.0.1", four), ("::1", six), ("localhost", four)):
                client.sendto(b"hello", (host, target.port))
                self.assertEqual(client.recvfrom(65535), (b"hello", (target.host, target.port)))
        self.assertRelayed(15, 15)

    def test_keepsBoundaries(self) -> None:
        """
        Each datagram arrives as one, from the empty one to the largest that
        there is room for beside its head.
        """
        requireIPv6()
        for host, target, most in (
            ("127.0.0.1", self.responder(), MAX_UDP - 10),
            ("localhost", self.responder(), MAX_UDP - 7 - len("localhost")),
            ("::1", self.responder("::1"), MAX_UDP - 22),
        ):
            with self.subTest(host), self.datagrams() as client:
                for size in (0, 1, 1400, most, 0):
                    payload = os.urandom(size)
                    client.sendto(payload, (host, target.port))
                    self.assertEqual(client.recvfrom(65535)[0], payload)
                    self.assertEqual(target.received.get(timeout=TIMEOUT), payload)

    def test_whatIsTooLarge(self) -> None:
        """
        With its head a datagram of 65,507 octets is none that can be sent.
        """
        target = self.responder()
        with self.datagrams() as client:
            with self.assertRaises(OSError) as raised:
                client.sendto(bytes(MAX_UDP), (target.host, target.port))
            self.assertEqual(raised.exception.errno, errno.EMSGSIZE)

    def test_connects(self) -> None:
        """
        A connected socket gets answers from its peer; PySocks drops those
        from somewhere else, since the head names where they came from.
        """
        with (
            self.datagrams() as client,
            datagramSocket() as target,
            datagramSocket() as neighbour,
        ):
            client.connect(("localhost", endpointOf(target)[1]))
            client.send(b"hello")
            received, sender = target.recvfrom(65535)
            self.assertEqual(received, b"hello")
            neighbour.sendto(b"forged", sender)
            target.sendto(b"genuine", sender)
            with self.assertRaises(BlockingIOError) as raised:
                client.recv(65535)
            self.assertEqual(raised.exception.strerror, "Packet filtered")
            self.assertEqual(client.recv(65535), b"genuine")

    def test_twoAtATime(self) -> None:
        """
        Each socket has an association of its own: where two write to the same
        target each gets its own answers.
        """
        target = self.responder()
        with self.datagrams() as one, self.datagrams() as other:
            for client, payload in ((one, b"one"), (other, b"other"), (one, b"once more")):
                client.sendto(payload, (target.host, target.port))
            for client, payload in ((other, b"other"), (one, b"one"), (one, b"once more")):
                self.assertEqual(client.recv(65535), payload)

    def test_switchedOff(self) -> None:
        """
        Under C{--udp off} PySocks gets REP 7.
        """
        target = self.responder()
        with (
            Daemon("--udp", "off") as daemon,
            self.datagrams(daemon) as client,
            self.assertRaises(self.socks.SOCKS5Error) as raised,
        ):
            client.sendto(b"hello", (target.host, target.port))
        self.assertIn("0x07", str(raised.exception))


class PySocksPasswordTests(PasswordTestCase, _PySocksMixin):
    """
    PySocks with authentication.
    """

    def test_logsIn(self) -> None:
        """
        The right password opens the relay.
        """
        target = self.responder()
        with self.datagrams(username=USER, password=PASSWORD) as client:
            client.sendto(b"hello", (target.host, target.port))
            self.assertEqual(client.recv(65535), b"hello")
        self.assertRelayed(5, 5, USER)

    def test_aWrongPassword(self) -> None:
        """
        A wrong password is an error of its own kind.
        """
        target = self.responder()
        with (
            self.datagrams(username=USER, password=WRONG_PASSWORD) as client,
            self.assertRaises(self.socks.SOCKS5AuthError),
        ):
            client.sendto(b"hello", (target.host, target.port))
        self.assertTrue(target.received.empty())


class SocksifyTests(_UDPMixin, SocksifyTestCase):
    """
    Netcat and socat under Dante's client, which announces the port that it
    will send from.
    """

    programs = ("socksify", "nc.openbsd", "socat")

    def test_netcat(self) -> None:
        """
        nc exchanges datagrams with an address.
        """
        target = self.responder("127.0.0.2")
        nc = ("nc.openbsd", "-u", "-W", "1", target.host, str(target.port))
        ended = self.socksify(5, *nc, input=b"hello\n")
        self.assertEqual(self.assertSucceeded(ended), b"hello\n")
        self.assertRelayed(6, 6)

    def test_sendsNames(self) -> None:
        """
        Without resolving it on its own the client writes to a name.
        """
        target = self.responder()
        nc = ("nc.openbsd", "-u", "-W", "1", "localhost", str(target.port))
        ended = self.socksify(5, *nc, input=b"hello\n", settings=["resolveprotocol: fake"])
        self.assertEqual(self.assertSucceeded(ended), b"hello\n")
        self.assertRelayed(6, 6)

    def test_largeDatagrams(self) -> None:
        """
        socat gets back the largest datagram that there is room for beside its
        head.
        """
        target = self.responder("127.0.0.2")
        payload = os.urandom(MAX_UDP - 10)
        address = f"UDP:{target.host}:{target.port},readbytes={len(payload)}"
        ended = self.socksify(5, "socat", "-b65535", f"-t{TIMEOUT}", "-", address, input=payload)
        self.assertEqual(self.assertSucceeded(ended), payload)
        self.assertRelayed(len(payload), len(payload))


class SocksifyPasswordTests(PasswordTestCase, _UDPMixin, SocksifyTestCase):
    """
    The same with authentication.
    """

    programs = ("socksify", "nc.openbsd")

    def test_logsIn(self) -> None:
        """
        The right password opens the relay, a wrong one does not.
        """
        target = self.responder("127.0.0.2")
        nc = ("nc.openbsd", "-u", "-W", "1", "-w", "1", target.host, str(target.port))
        for password, answer in ((PASSWORD, b"hello\n"), (WRONG_PASSWORD, b"")):
            with self.subTest(password):
                login = {"SOCKS_USERNAME": USER, "SOCKS_PASSWORD": password}
                ended = self.socksify(5, *nc, input=b"hello\n", **login)
                self.assertEqual(ended.stdout, answer, ended)
        self.assertEqual(target.received.qsize(), 1)
        self.assertRelayed(6, 6, USER)


def _answer(query: bytes, address: str, identifier: bytes = b"") -> bytes:
    """
    Make a name server's answer (RFC 1035 section 4).

    @param address: The address of every name.
    @param identifier: The ID, if it is not to be the right one.
    """
    end = 12
    while query[end]:
        end += 1 + query[end]
    end += 5
    head = (identifier or query[:2]) + struct.pack("!5H", 0x8400, 1, 1, 0, 0)
    record = struct.pack("!3HLH", 0xC00C, 1, 1, 60, 4) + socket.inet_aton(address)
    return head + query[12:end] + record


def _answers(query: bytes) -> list[bytes]:
    """
    Answer wrongly, and then rightly.
    """
    wrong = bytes(octet ^ 0xFF for octet in query[:2])
    return [_answer(query, FORGED_ADDRESS, wrong), _answer(query, ADDRESS)]


class RedsocksTests(_UDPMixin):
    """
    redsocks, which takes the datagrams of programs that know nothing of it,
    such as dig.
    """

    programs = ("redsocks", "dig")

    @contextmanager
    def redsocks(self, target: Responder) -> Iterator[int]:
        """
        Run redsocks.

        @return: The port where it takes datagrams for the target.
        """
        port = freePort()
        path = self.folder / "redsocks.conf"
        path.write_text(
            "base { log = stderr; log_info = on; daemon = off; redirector = generic; }\n"
            f"redudp {{ local_ip = 127.0.0.1; local_port = {port};"
            f" ip = 127.0.0.1; port = {self.daemon.port};"
            f" dest_ip = {target.host}; dest_port = {target.port};"
            " udp_timeout = 30; udp_timeout_stream = 180; }\n"
        )
        with subprocess.Popen(
            [self.paths["redsocks"], "-c", str(path)],
            env=peerEnvironment(),
            stderr=subprocess.PIPE,
        ) as process:
            try:
                assert process.stderr is not None
                # It writes a line or two for each client, which fit the pipe.
                while b"redsocks started" not in (line := process.stderr.readline()):
                    self.assertNotEqual(line, b"", "redsocks has ended")
                yield port
            finally:
                process.terminate()

    def test_asksANameServer(self) -> None:
        """
        dig asks a name server, several times, and gets answers; that the
        first has the wrong ID does not escape it.
        """
        target = self.enterContext(Responder(_answers, "127.0.0.2"))
        with self.redsocks(target) as port:
            dig = (self.paths["dig"], "@127.0.0.1", "-p", str(port), "+tries=1", "+noedns")
            for name in ("one.example", "two.example", "three.example"):
                ended = runPeer(*dig, name, "A")
                shown = self.assertSucceeded(ended)
                self.assertIn(ADDRESS.encode(), shown)
                self.assertNotIn(FORGED_ADDRESS.encode(), shown)
                self.assertIn(b"ID mismatch", shown + ended.stderr)
                self.assertIn(name.encode().split(b".")[0], target.received.get(timeout=TIMEOUT))
        question, answer = 12 + len("one.example") + 6, 16
        self.assertRelayed(question, 2 * (question + answer))
