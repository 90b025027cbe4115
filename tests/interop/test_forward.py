"""
Programs that reach their servers by way of a forwarded port.
"""

import hashlib
import os
import pwd
import signal
import socket
import tempfile
import unittest
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from twisted.names import dns

from tests.daemon import Daemon
from tests.interop.client import dial, echoes, receive, receiveAll
from tests.interop.peers import TIMEOUT, closedPort, requireProgram, runPeer
from tests.interop.processes import freePort, isOpen, restingDescriptors, until
from tests.interop.responders import Responder, echoed
from tests.interop.sshserver import SSHServer, privilegeSeparation
from tests.interop.test_twistd_errors import oneLine
from tests.interop.test_twistd_signals import AT_ONCE, ended
from tests.targets import Target, echo, web

LOOPBACK = "tcp:0:interface=127.0.0.1"
ADDRESS = "203.0.113.5"


class Forwarding(Daemon):
    """
    A daemon that forwards.
    """

    def __init__(self, *forward: str, options: tuple[str, ...] = ()) -> None:
        """
        @param forward: From where to where.
        @param options: Further options.
        """
        self._forwarded = len(forward)
        super().__init__(*(f"--forward={each}" for each in forward), *options)
        self.ports: list[int] = []

    def __enter__(self) -> "Forwarding":
        super().__enter__()
        try:
            self.ports = [
                int(self.waitFor(r"Forwarding .*, at [\d.]+:(\d+), to ")[1])
                for _ in range(self._forwarded)
            ]
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self


def toTarget(target: Target) -> str:
    """
    Give the option that forwards to a target.
    """
    return f"{LOOPBACK},tcp:127.0.0.1:{target.port}"


def nameServer(datagram: bytes) -> list[bytes]:
    """
    Answer a query of any name with an address.
    """
    message = dns.Message()
    message.fromStr(datagram)
    message.answer = 1
    name = message.queries[0].name.name
    message.answers = [dns.RRHeader(name, dns.A, dns.IN, 60, dns.Record_A(ADDRESS, 60))]
    return [message.toStr()]


class StreamTests(unittest.TestCase):
    """
    Connections.
    """

    def enterForwarding(self, *forward: str, options: tuple[str, ...] = ()) -> Forwarding:
        """
        Start a daemon for the duration of the test.
        """
        return self.enterContext(Forwarding(*forward, options=options))

    def test_ssh(self) -> None:
        """
        ssh runs a command on the other side, and megabytes go there and back;
        straight and through a proxy.
        """
        ssh = requireProgram("ssh")
        self.enterContext(privilegeSeparation())
        folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        server = SSHServer(folder)
        target = self.enterContext(Target(server))
        proxy = self.enterContext(Daemon())
        user = pwd.getpwuid(os.getuid()).pw_name
        data = os.urandom(4 << 20)
        for options in ((), (f"--via=socks5h://127.0.0.1:{proxy.port}",)):
            daemon = self.enterForwarding(toTarget(target), options=options)
            login = (*server.options(), "-p", str(daemon.ports[0]), f"{user}@127.0.0.1")
            ran = runPeer(ssh, *login, "cat; exit 7", input=data, timeout=2 * TIMEOUT)
            server.requireUser()
            self.assertEqual(ran.returncode, 7, f"{ran.stderr!r}\n{server.log()}")
            self.assertTrue(ran.stdout == data)
            daemon.waitFor(
                rf"\] FORWARD 127\.0\.0\.1:\d+ - CONNECT tcp:127\.0\.0\.1:{target.port} "
                r"\[127\.0\.0\.1:\d+\]: succeeded; \d{7} sent, \d{7} received, "
            )

    def test_curl(self) -> None:
        """
        curl fetches a page over a forwarded UNIX socket.
        """
        curl = requireProgram("curl")
        folder = self.enterContext(tempfile.TemporaryDirectory())
        target = self.enterContext(Target(web(b"<title>There</title>")))
        daemon = self.enterContext(
            Daemon(f"--forward=unix:{folder}/socket,tcp:127.0.0.1:{target.port}")
        )
        daemon.waitFor(rf"Forwarding unix:{folder}/socket to tcp:")
        ran = runPeer(curl, "-sS", "--unix-socket", f"{folder}/socket", "http://there.test/")
        self.assertEqual((ran.returncode, ran.stdout), (0, b"<title>There</title>"), ran)

    def test_netcat(self) -> None:
        """
        The end of a question is passed on, and the whole answer comes back.
        """
        nc = requireProgram("nc.openbsd")
        daemon = self.enterForwarding(toTarget(self.enterContext(Target(echo))))
        data = os.urandom(1 << 20)
        ran = runPeer(nc, "-N", "127.0.0.1", str(daemon.ports[0]), input=data)
        self.assertEqual(ran.returncode, 0, ran.stderr)
        self.assertTrue(ran.stdout == data)

    def test_refused(self) -> None:
        """
        Where nobody is the client is reset, and the log says why.
        """
        port = self.enterContext(closedPort())
        daemon = self.enterForwarding(f"{LOOPBACK},tcp:localhost:{port}")
        with dial(daemon.ports[0]) as connection:
            self.assertRaises(ConnectionResetError, connection.recv, 1)
        daemon.waitFor(rf"CONNECT tcp:localhost:{port} \[-\]: connection refused; ")

    def test_many(self) -> None:
        """
        Twenty connections at a time carry two megabytes each through a proxy,
        there and back, and then no descriptor is left in either daemon.
        """
        target = self.enterContext(Target(echo))
        proxy = self.enterContext(Daemon())
        via = f"--via=socks5h://127.0.0.1:{proxy.port}"
        daemon = self.enterForwarding(toTarget(target), options=(via,))
        pids = [daemon.process.pid, proxy.process.pid]
        carry(daemon.ports[0], 1)
        before = [restingDescriptors(pid) for pid in pids]
        with ThreadPoolExecutor(20) as pool:
            carried = list(pool.map(carry, [daemon.ports[0]] * 20, [2 << 20] * 20))
        self.assertEqual([there == back for there, back in carried], [True] * 20)
        self.assertEqual([restingDescriptors(pid) for pid in pids], before)


class DatagramTests(unittest.TestCase):
    """
    Datagrams.
    """

    def ask(self, port: int, name: str) -> str:
        """
        Have dig ask for the address of a name.
        """
        dig = requireProgram("dig")
        ran = runPeer(
            *(dig, "@127.0.0.1", "-p", str(port), "+short", "+tries=1", "+notcp", "+nocookie"),
            *(f"+timeout={TIMEOUT}", name, "A"),
            timeout=2 * TIMEOUT,
        )
        self.assertEqual(ran.returncode, 0, ran)
        return ran.stdout.decode().strip()

    def test_dig(self) -> None:
        """
        dig gets its answer, straight and through a proxy by UDP ASSOCIATE; the
        lines count the datagrams.
        """
        server = self.enterContext(Responder(nameServer))
        proxy = self.enterContext(Daemon())
        target = f"udp:127.0.0.1:{server.port}"
        for options, address in (
            ((), rf"127\.0\.0\.1:{server.port}"),
            ((f"--via=socks5h://127.0.0.1:{proxy.port}",), "-"),
        ):
            forward = f"udp:0:interface=127.0.0.1,{target}"
            with Forwarding(forward, options=options) as daemon:
                for number in range(3):
                    shown = self.ask(daemon.ports[0], f"host{number}.example")
                    self.assertEqual(IPv4Address(shown), IPv4Address(ADDRESS))
            lines = [line for line in daemon.lines if "FORWARD" in line]
            self.assertEqual(len(lines), 3)
            for line in lines:
                self.assertRegex(
                    line,
                    rf"\] FORWARD 127\.0\.0\.1:\d+ - UDP {target} \[{address}\]: succeeded; "
                    r"\d+ sent, \d+ received, 1 and 1 datagrams, 0 dropped, \S+ s; shut down$",
                )

    def test_socat(self) -> None:
        """
        socat sends and receives the largest datagrams, over IPv6 too.
        """
        socat = requireProgram("socat")
        server = self.enterContext(Responder(echoed))
        port = freePort()
        daemon = self.enterContext(
            Daemon(
                f"--forward=udp:0:interface=127.0.0.1,udp:127.0.0.1:{server.port}",
                rf"--forward=udp:{port}:interface=\:\:1,udp:127.0.0.1:{server.port}",
            )
        )
        first = daemon.waitFor(r"Forwarding udp:0.*, at 127\.0\.0\.1:(\d+), to")[1]
        daemon.waitFor(rf"Forwarding udp:{port}.*, at \[::1\]:{port}, to")
        for address in (f"UDP4:127.0.0.1:{first}", f"UDP6:[::1]:{port}"):
            data = os.urandom(65507)
            ran = runPeer(socat, "-b65535", "-t5", "-T1", "-", address, input=data)
            self.assertTrue(ran.stdout == data, (address, len(ran.stdout), ran.stderr))


class EndTests(unittest.TestCase):
    """
    The end of the daemon.
    """

    def test_terminate(self) -> None:
        """
        After SIGTERM no more connections are taken, one under way goes on to
        its end, and then the status is 0.
        """
        with Target(echo) as target, Forwarding(toTarget(target)) as daemon:
            with dial(daemon.ports[0]) as connection:
                self.assertTrue(echoes(connection))
                daemon.process.send_signal(signal.SIGTERM)
                daemon.waitFor("Waiting up to .* for 1 transfer")
                until(lambda: not isOpen(daemon.ports[0]), "a closed port")
                self.assertTrue(echoes(connection, b"x" * 100_000))
            self.assertEqual(ended(daemon, AT_ONCE), 0)
        self.assertNotIn("Traceback", "\n".join(daemon.lines))

    def test_interrupt(self) -> None:
        """
        After SIGINT it is cut off, as it is at a second SIGTERM.
        """
        for signals in ((signal.SIGINT,), (signal.SIGTERM, signal.SIGTERM)):
            with Target(echo) as target, Forwarding(toTarget(target)) as daemon:
                with dial(daemon.ports[0]) as connection:
                    self.assertTrue(echoes(connection))
                    daemon.process.send_signal(signals[0])
                    if len(signals) > 1:
                        daemon.waitFor("Waiting up to")
                        daemon.process.send_signal(signals[1])
                    self.assertRaises(ConnectionResetError, connection.recv, 1)
                ended(daemon, AT_ONCE)
            self.assertNotIn("Traceback", "\n".join(daemon.lines))

    def test_dialling(self) -> None:
        """
        A connection whose target is still being dialled is not waited for.
        """
        with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
            port = full.getsockname()[1]
            # What the kernel does not take any more gets no answer.
            queued = [socket.create_connection(("127.0.0.1", port), TIMEOUT)]
            with Forwarding(f"{LOOPBACK},tcp:127.0.0.1:{port}") as daemon:
                with dial(daemon.ports[0]) as connection:
                    connection.sendall(b"question")
                    daemon.process.send_signal(signal.SIGTERM)
                    self.assertRaises(ConnectionResetError, connection.recv, 1)
                self.assertEqual(ended(daemon, AT_ONCE), 0)
            queued[0].close()


def carry(port: int, size: int) -> tuple[str, str]:
    """
    Send something to an echo server, and its end.

    @param port: Where it is forwarded.
    @return: The SHA-256 of what went and of what came back.
    """
    data = os.urandom(size)
    with dial(port) as connection, ThreadPoolExecutor(1) as pool:
        sending = pool.submit(connection.sendall, data)
        back = receive(connection, size)
        sending.result(TIMEOUT)
        connection.shutdown(socket.SHUT_WR)
        back += receiveAll(connection)
    return hashlib.sha256(data).hexdigest(), hashlib.sha256(back).hexdigest()


WRONG = {
    "no comma": ("tcp:8080", "one comma"),
    "two commas": ("tcp:1,tcp:web.test:80,tcp:web.test:81", "one comma"),
    "no endpoint": ("tcp:0:interface=127.0.0.1,carrier:1", "carrier"),
    "no listener": ("carrier:1,tcp:web.test:80", "carrier"),
    "no port": ("tcp:0:interface=127.0.0.1,tcp:web.test:http", "http is no port"),
    "no target port": ("tcp:0:interface=127.0.0.1,tcp:web.test", "port"),
    "UDP on one side": ("udp:53,tcp:web.test:53", "both sides"),
    "UDP without a host": ("udp:53,udp:53", "udp:HOST:PORT"),
    "no address": ("udp:53:interface=lo,udp:192.0.2.53:53", "lo is no address"),
    "no key": ("tcp:0:interface=127.0.0.1,ssl:web.test:443:privateKey=/no:certKey=/no", "/no"),
    "PROXY header": (r"haproxy:tcp\:0,tcp:web.test:80", "--listen"),
}


@pytest.mark.parametrize("mode", [["-n"], []], ids=["foreground", "background"])
@pytest.mark.parametrize("error", WRONG)
def test_saysWhatIsWrong(error: str, mode: list[str], tmp_path: Path) -> None:
    """
    What is wrong is named in one line on standard error; the status is not 0,
    and nothing is left.
    """
    forward, named = WRONG[error]
    assert named in oneLine(tmp_path, mode, ["--forward", forward])


@pytest.mark.parametrize(
    ("via", "forward", "named"),
    [
        ("socks5h://192.0.2.1", f"{LOOPBACK},unix:/run/web", "tcp:HOST:PORT"),
        (
            "http://192.0.2.1",
            "udp:0:interface=127.0.0.1,udp:192.0.2.53:53",
            "single proxy of SOCKS5",
        ),
    ],
)
def test_saysWhatProxiesCannot(via: str, forward: str, named: str, tmp_path: Path) -> None:
    """
    What does not go through the proxy is refused in one line, too.
    """
    line = oneLine(tmp_path, ["-n"], ["--via", via, "--forward", forward])
    assert "cannot forward to" in line
    assert named in line
