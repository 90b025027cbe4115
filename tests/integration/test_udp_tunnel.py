"""
Datagrams of SOCKS clients through a tunnel of KCP, between two daemons of ours.
"""

from __future__ import annotations

import json
import socket
import sys
import threading
import unittest
from collections.abc import Sequence

import pytest

from tests.daemon import Daemon

socks = pytest.importorskip("socks")

SIZES = (1, 2, 100, 512, 1024, 1200, 1350, 1400, 9000)
"""
Octets of datagrams, from the smallest to more than a network carries in one.
"""

COUNTING = """
import collections, json, socket, sys
sent = collections.Counter()
def counting(send):
    def counted(sender, *arguments):
        if sender.type == socket.SOCK_DGRAM and sender.family == socket.AF_INET:
            last = arguments[-1]
            peer = last if isinstance(last, tuple) else sender.getpeername()
            sent[peer[1]] += 1
        return send(sender, *arguments)
    return counted
for name in ("send", "sendto", "sendmsg"):
    setattr(socket.socket, name, counting(getattr(socket.socket, name)))
def tell():
    print("COUNTED", json.dumps(sent), file=sys.__stdout__, flush=True)
from twisted.internet import reactor
from twisted.scripts.twistd import run
reactor.addSystemEventTrigger("after", "shutdown", tell)
run()
"""
"""
Runs twistd, and tells in the end where its process has sent datagrams to, by
port.
"""


class CountingDaemon(Daemon):
    """
    A daemon of which it is known where it has sent datagrams to.
    """

    def command(self, arguments: list[str]) -> list[str]:
        """
        See L{Daemon.command}.
        """
        return [sys.executable, "-c", COUNTING, "-n", "--pidfile=", "socksproxy", *arguments]

    def counted(self) -> dict[int, int]:
        """
        Give the ports that it has sent to, once it has ended, and how often.
        """
        (line,) = (line for line in self.lines if line.startswith("COUNTED "))
        return {int(port): count for port, count in json.loads(line[8:]).items()}


class Echo:
    """
    Sends datagrams back, in a thread.

    @ivar address: Where it takes them.
    @ivar senders: From which ports some have come.
    """

    def __init__(self) -> None:
        self.senders: set[int] = set()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.address: tuple[str, int] = self._socket.getsockname()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """
        End it.
        """
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", self.address)
        self._thread.join(10)
        self._socket.close()

    def _run(self) -> None:
        while True:
            data, sender = self._socket.recvfrom(65535)
            if not data:
                return
            self.senders.add(sender[1])
            self._socket.sendto(data, sender)


def exchange(proxy: int, target: tuple[str, int], messages: Sequence[bytes]) -> list[bytes]:
    """
    Send datagrams through a proxy, one after the other, as a program with
    PySocks does.

    @return: What has come back.
    """
    answers = []
    with socks.socksocket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.set_proxy(socks.SOCKS5, "127.0.0.1", proxy)
        client.settimeout(10)
        for message in messages:
            client.sendto(message, target)
            answer, source = client.recvfrom(65535)
            assert source == target
            answers.append(answer)
    return answers


class TunnelledDatagramTests(unittest.TestCase):
    """
    A daemon that reaches another one through a tunnel.
    """

    def setUp(self) -> None:
        """
        Start the target.
        """
        self.echo = Echo()
        self.addCleanup(self.echo.stop)

    def far(self, *options: str) -> tuple[Daemon, int]:
        """
        Start the daemon at the far end.

        @return: It, and the port of its tunnel.
        """
        tunnel = "kcp:0:interface=127.0.0.1:key=secret:nocomp=yes"
        daemon = self.enterContext(Daemon("--listen", tunnel, *options))
        return daemon, int(daemon.waitFor(r"kcp:.* is open .*, at 127\.0\.0\.1:(\d+)")[1])

    def near(self, tunnel: int, eager: str) -> CountingDaemon:
        """
        Make the daemon at the near end.
        """
        url = f"socks5h+kcp://127.0.0.1:{tunnel}?key=secret&nocomp=yes&eager={eager}"
        return CountingDaemon("--via", url)

    def test_carried(self) -> None:
        """
        Datagrams of all sizes go through the tunnel and come back, whether the
        far end's answer is waited for or not. Beside it the near end sends
        nothing but the client what is for it, and both ends count alike.
        """
        messages = [bytes([size % 251]) * size for size in SIZES]
        octets, count = sum(SIZES), len(SIZES)
        line = (
            rf"SOCKS5 \S+ - UDP \S+ \[-\]: succeeded; {octets} sent, {octets} received,"
            rf" {count} and {count} datagrams, 0 dropped, "
        )
        far, tunnel = self.far()
        for eager in ("yes", "no"):
            self.echo.senders.clear()
            with self.near(tunnel, eager) as near:
                self.assertEqual(exchange(near.port, self.echo.address, messages), messages)
                near.waitFor(line)
                far.waitFor(line)
            self.assertEqual(len(self.echo.senders), 1)
            sent = near.counted()
            self.assertGreaterEqual(sent.pop(tunnel), count)
            self.assertEqual(list(sent.values()), [count])
            self.assertNotIn(self.echo.address[1], sent)

    def test_refused(self) -> None:
        """
        A far end that relays no datagrams is a reason to say the same, if its
        answer is waited for; nothing goes another way.
        """
        _, tunnel = self.far("--udp", "off")
        with self.near(tunnel, "no") as near:
            with self.assertRaises(OSError) as caught:
                exchange(near.port, self.echo.address, [b"question"])
            self.assertIn("0x07", str(caught.exception))
        self.assertEqual((set(near.counted()), self.echo.senders), ({tunnel}, set()))

    def test_refusedUnheard(self) -> None:
        """
        If its answer is not waited for, datagrams are lost, and still go no
        other way.
        """
        far, tunnel = self.far("--udp", "off")
        with self.near(tunnel, "yes") as near:
            with socks.socksocket(socket.AF_INET, socket.SOCK_DGRAM) as client:
                client.set_proxy(socks.SOCKS5, "127.0.0.1", near.port)
                client.settimeout(5)
                client.sendto(b"question", self.echo.address)
                far.waitFor(r" UDP 0\.0\.0\.0:0 \[-\]: command not supported; ")
                client.settimeout(0.2)
                with self.assertRaises(TimeoutError):
                    client.recvfrom(65535)
            near.waitFor(r" UDP \S+ \[-\]: succeeded; ")
        self.assertEqual((set(near.counted()), self.echo.senders), ({tunnel}, set()))
