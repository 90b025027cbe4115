"""
ss-local as Debian has it, and our server opposite to it.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from urllib.parse import quote

from tests.daemon import TIMEOUT, Daemon
from tests.interop.client import receive
from tests.interop.peers import peerEnvironment, requireProgram
from tests.interop.processes import freePort, isOpen, until
from tests.interop.socks5client import SOCKS5Client

PASSWORD = "correct-horse-battery-staple"
METHODS = ("aes-128-gcm", "aes-256-gcm", "chacha20-ietf-poly1305")


def linkFor(method: str, password: str = PASSWORD, place: str = "127.0.0.1:0", **query: str) -> str:
    """
    Write the link of a server.
    """
    parameters = "&".join(f"{name}={quote(value, safe='')}" for name, value in query.items())
    return f"ss://{method}:{quote(password, safe='')}@{place}{parameters and '/?' + parameters}"


class Server(Daemon):
    """
    Our daemon with Shadowsocks servers.

    @ivar ports: Their ports, in order.
    """

    def __init__(self, *links: str, options: tuple[str, ...] = ()) -> None:
        """
        @param links: What they are.
        @param options: Further options.
        """
        self._count = len(links)
        super().__init__(*(f"--shadowsocks={link}" for link in links), *options)
        self.ports: list[int] = []

    def __enter__(self) -> Server:
        super().__enter__()
        try:
            self.ports = [
                int(self.waitFor(r"\] ss://\*\*\*@\S+:(\d+) is open for Shadowsocks")[1])
                for _ in range(self._count)
            ]
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self


class SSLocal:
    """
    A client, as a context manager.

    @ivar port: Where it speaks SOCKS5.
    @ivar socks: Makes connections through it.
    """

    def __init__(
        self,
        server: int,
        method: str,
        password: str = PASSWORD,
        host: str = "127.0.0.1",
        plugin: tuple[str, str] | None = None,
    ) -> None:
        """
        @param server: Where its server is.
        @param plugin: The program of a plugin and its options.
        """
        self.port = freePort()
        self.socks = SOCKS5Client(self.port)
        command = [requireProgram("ss-local"), "-s", host, "-p", str(server)]
        command += ["-b", "127.0.0.1", "-l", str(self.port), "-k", password, "-m", method, "-u"]
        if plugin is not None:
            program, options = plugin
            command += ["--plugin", requireProgram(program), "--plugin-opts", options]
        self._command = command

    def __enter__(self) -> SSLocal:
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
            until(self._isUp, "ss-local listening")
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
            raise AssertionError(f"ss-local has ended: {self._log.read_text()}")
        return isOpen(self.port)


def exchange(client: SSLocal, size: int, port: int, host: str = "127.0.0.1") -> None:
    """
    Send something to an echo server and have the same come back, both at a
    time.

    @param client: By way of this one.
    @param size: Octets.
    @param port: The echo server's.
    @raise AssertionError: Something else came back.
    """
    data = os.urandom(size)
    with client.socks.connect(port, host) as stream, ThreadPoolExecutor(1) as pool:
        stream.socket.settimeout(TIMEOUT)
        sending = pool.submit(stream.socket.sendall, data)
        back = receive(stream.socket, size)
        sending.result(TIMEOUT)
    if hashlib.sha256(back).digest() != hashlib.sha256(data).digest():
        raise AssertionError(f"what came back of {size} octets is not what was sent")
