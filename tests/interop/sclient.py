"""
C{openssl s_client}, as a client that speaks whatever a test writes.
"""

import os
import select
import subprocess
import time
from types import TracebackType

from tests.interop.client import TIMEOUT
from tests.interop.peers import peerEnvironment, requireProgram


class SClient:
    """
    C{openssl s_client}, as a context manager.
    """

    def __init__(self, port: int, *options: str, quiet: bool = True) -> None:
        """
        @param options: What it is told besides.
        @param quiet: It says nothing, and carries what it reads as it is.
        """
        self._command = [
            requireProgram("openssl"),
            "s_client",
            *(["-quiet", "-no_ign_eof"] if quiet else []),
            "-connect",
            f"127.0.0.1:{port}",
            *options,
        ]

    def __enter__(self) -> "SClient":
        self.process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=peerEnvironment(),
            bufsize=0,
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()

    def send(self, data: bytes) -> None:
        """
        Have it send something.
        """
        assert self.process.stdin is not None
        self.process.stdin.write(data)

    def end(self) -> None:
        """
        Have it close the connection as it should.
        """
        assert self.process.stdin is not None
        self.process.stdin.close()

    def waitFor(self, wanted: bytes) -> bytes:
        """
        Read until something has come.

        @return: All that has.
        @raise AssertionError: It ends before.
        """
        assert self.process.stdout is not None
        data = b""
        deadline = time.monotonic() + TIMEOUT
        while wanted not in data:
            left = deadline - time.monotonic()
            readable, _, _ = select.select([self.process.stdout], [], [], max(0, left))
            more = os.read(self.process.stdout.fileno(), 65536) if readable else b""
            assert more, data
            data += more
        return data
