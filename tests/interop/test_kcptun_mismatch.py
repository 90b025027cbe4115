"""
Tunnels whose two ends do not fit: what is sent, and what the log says.
"""

from __future__ import annotations

import os
import time

from socksproxy.kcp.datagram import NOT_KCP, UNREADABLE
from tests.interop.associations import datagramSocket
from tests.interop.client import dial
from tests.interop.kcptuns import LOOPBACK, Kcptun, Settings, Wire, keyFile, parameters
from tests.interop.peers import requireProgram, runPeer
from tests.interop.processes import until
from tests.interop.test_forward import Forwarding
from tests.interop.test_kcptun import KcptunTestCase

WRONG: dict[str, Settings] = {
    "key": {},
    "cipher": {"crypt": "aes-128"},
    "salt": {"salt": "another"},
    "no encryption": {"crypt": "null"},
}
"""
What is wrong on our side.
"""

LINE = r"KCP: (\d+) datagrams from 127\.0\.0\.1 port \d+: "


class SilenceTests(KcptunTestCase):
    """
    Ends that cannot decrypt one another's datagrams.
    """

    def wrong(self, case: str) -> str:
        """
        Write the parameters of a side that does not fit.
        """
        key = keyFile(self.folder, "another") if case == "key" else self.key
        return parameters({"keyFile": key, **WRONG[case]})

    def server(self, given: str) -> Forwarding:
        """
        Start a server of ours.
        """
        forward = f"kcp:0:interface=127.0.0.1:{given},tcp:127.0.0.1:{self.target.port}"
        return Forwarding(forward)

    def assertPeriodic(self, daemon: Forwarding, reason: str, seconds: float) -> None:
        """
        Make sure that a daemon, which has ended, has said something about once
        a second.
        """
        lines = [line for line in daemon.lines if "KCP: " in line and reason in line]
        self.assertTrue(2 <= len(lines) <= seconds + 1, (seconds, daemon.lines))

    def test_ourServer(self) -> None:
        """
        A server of ours answers nothing, connects to nothing and says once a
        second what is wrong.
        """
        for case in WRONG:
            with self.subTest(case), self.server(self.wrong(case)) as daemon:
                begun = time.monotonic()
                wire = self.enterContext(Wire(daemon.ports[0]))
                client = self.enterContext(Kcptun(self.folder, "client", wire.port, {}))
                reason = NOT_KCP if case == "no encryption" else UNREADABLE
                with dial(client.port) as connection:
                    connection.sendall(b"Is anybody there?")
                    daemon.waitFor(LINE + reason[:12])
                    daemon.waitFor(LINE + reason[:12])
                self.assertEqual(wire.back, [])
            self.assertPeriodic(daemon, reason, time.monotonic() - begun)
        self.assertEqual(self.target.accepted, [])

    def test_ourClient(self) -> None:
        """
        A client of ours gets nothing from a server that it does not fit.
        """
        server = self.enterContext(Kcptun(self.folder, "server", self.target.port, {}))
        wires = {case: self.enterContext(Wire(server.port)) for case in WRONG}
        daemon = self.enterContext(
            Forwarding(
                *(
                    f"{LOOPBACK},kcp:127.0.0.1:{wire.port}:{self.wrong(case)}"
                    for case, wire in wires.items()
                )
            )
        )
        for port in daemon.ports:
            self.enterContext(dial(port)).sendall(b"Is anybody there?")
        for case, wire in wires.items():
            with self.subTest(case):
                until(lambda wire=wire: len(wire.there) >= 4, "repetitions")  # type: ignore[misc]
                self.assertEqual(wire.back, [])
        self.assertEqual(self.target.accepted, [])

    def test_garbage(self) -> None:
        """
        Noise of any length gets no answer, and a line once a second.
        """
        given = parameters({"keyFile": self.key})
        begun = time.monotonic()
        with self.server(given) as daemon, datagramSocket() as source:
            address = ("127.0.0.1", daemon.ports[0])
            source.connect(address)
            for size in (0, 1, 15, 19, 20, 24, 43, 44, 100, 1400, 9000):
                for _ in range(20):
                    source.send(os.urandom(size))
            total = int(daemon.waitFor(LINE)[1])
            # What all of them were comes with the next line.
            source.settimeout(1.1)
            self.assertRaises(TimeoutError, source.recv, 65536)
            source.send(b"the last one")
            while total < 201:
                total += int(daemon.waitFor(LINE + UNREADABLE[:8])[1])
            source.setblocking(False)
            self.assertRaises(BlockingIOError, source.recv, 65536)
        lines = [line for line in daemon.lines if "KCP: " in line]
        self.assertLessEqual(len(lines), time.monotonic() - begun + 1)
        self.assertEqual(self.target.accepted, [])

    def test_netcat(self) -> None:
        """
        Neither does what netcat sends.
        """
        nc = requireProgram("nc.openbsd")
        with self.server(parameters({"keyFile": self.key})) as daemon:
            ran = runPeer(nc, "-u", "-w1", "127.0.0.1", str(daemon.ports[0]), input=b"hello\n")
            self.assertEqual(ran.stdout, b"")
            self.assertEqual(daemon.waitFor(LINE + UNREADABLE[:8])[1], "1")


class RecognitionTests(KcptunTestCase):
    """
    Ends that decrypt one another's datagrams and differ in what is in them.
    """

    def refused(self, theirs: Settings, ours: Settings, fault: str) -> None:
        """
        Make sure that our server says what does not fit, and that nothing gets
        through.
        """
        forward = f"kcp:0:interface=127.0.0.1:{self.ours(ours)},tcp:127.0.0.1:{self.target.port}"
        with (
            Forwarding(forward) as daemon,
            Kcptun(self.folder, "client", daemon.ports[0], theirs) as client,
            dial(client.port) as connection,
        ):
            connection.sendall(b"Is anybody there?")
            daemon.waitFor(fault)
        self.assertEqual(self.target.accepted, [])

    def test_compression(self) -> None:
        """
        The log says which side compresses.
        """
        self.refused({"nocomp": False}, {"nocomp": True}, "the peer compresses: set nocomp")
        self.refused({"nocomp": True}, {"nocomp": False}, "the peer does not compress: set nocomp")

    def test_versions(self) -> None:
        """
        A server of ours speaks the version that its client does, whatever it
        was told.
        """
        for theirs, ours in ((1, 2), (2, 1)):
            forward = (
                f"kcp:0:interface=127.0.0.1:{self.ours({'smuxver': ours})}"
                f",tcp:127.0.0.1:{self.target.port}"
            )
            daemon = self.enterContext(Forwarding(forward))
            client = self.enterContext(
                Kcptun(self.folder, "client", daemon.ports[0], {"smuxver": theirs})
            )
            with dial(client.port) as connection:
                connection.sendall(b"hello")
                self.assertEqual(connection.recv(5), b"hello")
