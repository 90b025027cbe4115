"""
The daemon when root starts it as somebody else.
"""

import os
import pwd
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp

import pytest

from tests.interop.background import Background
from tests.interop.client import echoes, through
from tests.interop.logfiles import rotated, visit, visitors
from tests.interop.processes import statusOf, until
from tests.targets import Target, echo


@pytest.fixture
def nobodys() -> Iterator[Path]:
    """
    Give a folder that belongs to nobody and that nobody can reach.
    """
    folder = Path(mkdtemp())
    shutil.chown(folder, "nobody", "nogroup")
    yield folder
    shutil.rmtree(folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
class TestUnprivileged:
    """
    C{--uid} and C{--gid}.
    """

    TWISTD = ("--uid=nobody", "--gid=nogroup")

    def test_becomesNobody(self, nobodys: Path) -> None:
        """
        The daemon is not root any more, in no respect, and serves.
        """
        user = pwd.getpwnam("nobody")
        with Background(nobodys, twistd=self.TWISTD) as daemon, Target(echo) as target:
            assert set(statusOf(daemon.pid, "Uid")) == {str(user.pw_uid)}
            assert set(statusOf(daemon.pid, "Gid")) == {str(user.pw_gid)}
            assert "0" not in statusOf(daemon.pid, "Groups")
            with through(daemon.port, target.port) as connection:
                assert echoes(connection)

    def test_ownsItsLog(self, nobodys: Path) -> None:
        """
        The log file belongs to the user that the daemon has become, and has
        the lines from before that too.
        """
        with Background(nobodys, twistd=self.TWISTD) as daemon:
            assert daemon.log.owner() == "nobody"
            assert daemon.log.group() == "nogroup"
            assert "starting up" in daemon.log.read_text()

    def test_rotatesItsLog(self, nobodys: Path) -> None:
        """
        As that user it still rotates the log, by size and by signal, and
        opens it again.
        """
        arguments = ("--log-size", "3000", "--log-count", "2")
        with Background(nobodys, *arguments, twistd=self.TWISTD) as daemon:
            ports = visit(daemon, 100)
            until(lambda: visitors(daemon.log)[-1:] == ports[-1:], "the last line")
            files = [rotated(daemon, 2), rotated(daemon, 1), daemon.log]
            assert all(file.owner() == "nobody" for file in files)
            kept = visitors(*files)
            assert kept == ports[-len(kept) :]
            daemon.send(signal.SIGUSR1)
            daemon.waitFor("Received SIGUSR1")
            daemon.log.rename(nobodys / "moved.log")
            daemon.send(signal.SIGHUP)
            daemon.waitFor("Received SIGHUP")
            assert daemon.log.owner() == "nobody"
