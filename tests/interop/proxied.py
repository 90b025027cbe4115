"""
What the tests share that run a program against the daemon.
"""

import re
import subprocess
import sys
import tempfile
import unittest
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar

from tests.daemon import ROOT, Daemon, environment
from tests.interop.peers import TIMEOUT, requireProgram
from tests.targets import Target

USER = "alice"
PASSWORD = "open:sesame"
WRONG_PASSWORD = "open:barley"


class ProxyTestCase(unittest.TestCase):
    """
    Tests with a daemon of their own, which lets everybody in.

    @cvar programs: What has to be installed.
    @cvar paths: Where it is.
    @cvar folder: A folder for what a test writes.
    @cvar daemon: The daemon.
    """

    programs: ClassVar[Sequence[str]] = ()
    paths: ClassVar[dict[str, str]]
    folder: ClassVar[Path]
    daemon: ClassVar[Daemon]

    @classmethod
    def setUpClass(cls) -> None:
        """
        Start the daemon.
        """
        cls.paths = {name: requireProgram(name) for name in cls.programs}
        cls.folder = Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        cls.daemon = cls.enterClassContext(Daemon(*cls.options()))

    @classmethod
    def options(cls) -> Sequence[str]:
        """
        Give the daemon's options.
        """
        return ()

    @property
    def proxy(self) -> str:
        """
        The daemon's address and port.
        """
        return f"127.0.0.1:{self.daemon.port}"

    def target(self, serve: Callable[..., None], host: str = "127.0.0.1") -> Target:
        """
        Start a server for the duration of the test.
        """
        return self.enterContext(Target(serve, host))

    def assertSeen(
        self, protocol: str, destination: str, user: str = "-", result: str = "succeeded"
    ) -> None:
        """
        Check that a connection went through the daemon, and how.

        @param protocol: What the client spoke.
        @param destination: What it asked for.
        @param user: Who it was.
        @param result: What came of it.
        """
        asked = rf"{protocol} \S+ {user} CONNECT {re.escape(destination)}"
        self.daemon.waitFor(rf"\] {asked} \[.*\]: {result};")

    def assertSucceeded(self, ended: subprocess.CompletedProcess[bytes]) -> bytes:
        """
        Check that a program was content.

        @return: Its output.
        """
        self.assertEqual(ended.returncode, 0, ended)
        return ended.stdout


class PasswordTestCase(ProxyTestCase):
    """
    Tests with a daemon of their own, which wants a password.
    """

    @classmethod
    def options(cls) -> Sequence[str]:
        """
        Make a password file as a user would.
        """
        return passwordOptions(cls.folder)


def passwordOptions(folder: Path) -> Sequence[str]:
    """
    Make a password file for L{USER} with the command that is there for it.

    @return: The daemon's options that make use of the file.
    """
    path = str(folder / "passwords")
    subprocess.run(
        [sys.executable, "-m", "socksproxy", "passwd", path, USER],
        cwd=ROOT,
        env=environment(),
        input=PASSWORD.encode() + b"\n",
        check=True,
        timeout=TIMEOUT,
    )
    return ("--auth", f"passwords:{path}")
