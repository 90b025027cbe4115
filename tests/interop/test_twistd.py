"""
The daemon as an administrator meets it: what it says when it starts, in the
background and in the foreground, and who may log in.
"""

import re
import signal
from pathlib import Path

from socksproxy.auth.passwords import updateFile
from tests.daemon import Daemon, run
from tests.interop.background import Background
from tests.interop.client import SUCCEEDED, answers, dial, echoes, login, through
from tests.socksclient import NO_AUTHENTICATION, WITH_PASSWORD, password, request4
from tests.targets import Target, echo

LOOPBACK = "tcp:0:interface=127.0.0.1"
BALANCED = "haproxy:tcp:0:interface=127.0.0.1"


def passwordFile(folder: Path, user: bytes = b"alice", secret: bytes = b"one") -> str:
    """
    Write a password file with one user.
    """
    path = str(folder / "passwords")
    updateFile(path, user, secret)
    return path


def messages(daemon: Daemon) -> list[str]:
    """
    Give what a daemon that has ended has logged, without time and namespace.
    """
    return [re.sub(r"^\S+ \[[^]]*\] ", "", line) for line in daemon.lines]


class TestStart:
    """
    The start-up lines.
    """

    def test_listsTheListener(self) -> None:
        """
        The start says what listens, what it speaks, that nobody has to log
        in, and how to try it.
        """
        with Daemon() as daemon:
            assert answers(daemon.port)
        said = messages(daemon)
        assert (
            f"{LOOPBACK} is open for SOCKS4, SOCKS4a, SOCKS5 and HTTP, authentication off,"
            f" at 127.0.0.1:{daemon.port}"
        ) in said, said
        assert (
            f"Try: curl --proxy socks5h://127.0.0.1:{daemon.port} https://example.com/" in said
        ), said

    def test_listsEveryListener(self) -> None:
        """
        With several listeners each has its line, in the order of the options.
        """
        with Daemon("--listen", LOOPBACK) as daemon:
            daemon.waitFor("Try: curl")
            assert answers(daemon.port)
        assert len([line for line in daemon.lines if "is open for" in line]) == 2
        assert len({line.split("Try: ")[1] for line in daemon.lines if "Try: " in line}) == 2

    def test_saysThatAUserIsNeeded(self, tmp_path: Path) -> None:
        """
        With passwords the start says so, and the line to try names a user.
        """
        with Daemon("--auth", f"passwords:{passwordFile(tmp_path)}") as daemon:
            assert answers(daemon.port)
        said = "\n".join(messages(daemon))
        assert "authentication on" in said
        assert f"Try: curl --proxy-user USER --proxy socks5h://127.0.0.1:{daemon.port} " in said

    def test_saysWhichDefaultsAreLifted(self) -> None:
        """
        An open relay, and one that reaches internal addresses, say so with a
        line each that names the option and the listener.
        """
        with Daemon("--listen", BALANCED, "--open-relay", "--allow-private") as daemon:
            daemon.waitFor("--allow-private: ")
            assert answers(daemon.port)
        said = "\n".join(messages(daemon))
        assert f"--open-relay: whoever reaches {BALANCED} can use this proxy" in said
        assert f"--allow-private: clients of {BALANCED} can reach internal addresses" in said

    def test_saysNothingOfDefaultsThatStand(self) -> None:
        """
        A proxy for this host alone is no open relay, whatever was allowed.
        """
        with Daemon("--open-relay", "--allow-private") as daemon:
            assert answers(daemon.port)
        assert "--open-relay:" not in "\n".join(daemon.lines)
        assert "--allow-private:" not in "\n".join(daemon.lines)

    def test_helpNamesEveryOption(self) -> None:
        """
        C{--help} lists the options on standard output and succeeds.
        """
        shown = run("socksproxy", "--help")
        assert (shown.returncode, shown.stderr) == (0, b"")
        for option in ("listen", "auth", "open-relay", "allow-private", "drain", "log-format"):
            assert b"--" + option.encode() in shown.stdout

    def test_twistdKnowsThePlugin(self) -> None:
        """
        C{twistd --help} lists the proxy among its commands.
        """
        assert re.search(rb"^ +socksproxy +A SOCKS4", run("--help").stdout, re.M)


class TestBackground:
    """
    Without C{-n}.
    """

    def test_serves(self, tmp_path: Path) -> None:
        """
        The start returns silently with status 0 once the port is open; the
        pid file names a process that serves, and a SIGTERM ends it and takes
        the pid file away.
        """
        with Background(tmp_path) as daemon, Target(echo) as target:
            with through(daemon.port, target.port) as connection:
                assert echoes(connection)
            daemon.waitFor(f"CONNECT 127.0.0.1:{target.port}")
            daemon.send(signal.SIGTERM)
            daemon.waitForEnd()
            assert not daemon.pidFile.exists()
            assert "Received SIGTERM" in daemon.log.read_text()

    def test_logsTheStart(self, tmp_path: Path) -> None:
        """
        The log file begins with what happened before there was a daemon, too,
        and has no traceback.
        """
        with Background(tmp_path) as daemon:
            text = daemon.log.read_text()
        assert "is open for SOCKS4, SOCKS4a, SOCKS5 and HTTP" in text
        assert "starting up" in text
        assert "Traceback" not in text

    def test_oneAtATime(self, tmp_path: Path) -> None:
        """
        A second daemon with the pid file of a running one does not start, and
        leaves the first alone.
        """
        with Background(tmp_path) as daemon, Target(echo) as target:
            second = run(f"--pidfile={daemon.pidFile}", "socksproxy", f"--listen={LOOPBACK}")
            assert second.returncode != 0
            assert int(daemon.pidFile.read_text()) == daemon.pid
            with through(daemon.port, target.port) as connection:
                assert echoes(connection)


class TestPasswords:
    """
    Logging in.
    """

    def test_admitsTheRightOneOnly(self, tmp_path: Path) -> None:
        """
        With a password file the right password opens the proxy, a wrong one
        and none do not.
        """
        arguments = ("--auth", f"passwords:{passwordFile(tmp_path)}")
        with Daemon(*arguments) as daemon, Target(echo) as target:
            with dial(daemon.port) as connection:
                assert login(connection, b"alice", b"one") == SUCCEEDED
            with dial(daemon.port) as connection:
                assert login(connection, b"alice", b"two") != SUCCEEDED
                assert connection.recv(1) == b""
            with dial(daemon.port) as connection:
                connection.sendall(NO_AUTHENTICATION)
                assert connection.recv(2) == b"\x05\xff"
            with dial(daemon.port) as connection:
                # SOCKS4 has no passwords.
                connection.sendall(request4("127.0.0.1", target.port))
                assert connection.recv(2)[1] == 0x5B

    def test_readsAChangedFile(self, tmp_path: Path) -> None:
        """
        A changed password counts from the next login on, without a restart,
        although the old one has been right just before.
        """
        path = passwordFile(tmp_path)
        with Daemon("--auth", f"passwords:{path}") as daemon:
            with dial(daemon.port) as connection:
                assert login(connection, b"alice", b"one") == SUCCEEDED
            updateFile(path, b"alice", b"two")
            with dial(daemon.port) as connection:
                assert login(connection, b"alice", b"one") != SUCCEEDED
            with dial(daemon.port) as connection:
                assert login(connection, b"alice", b"two") == SUCCEEDED

    def test_admitsNobodyWithoutItsFile(self, tmp_path: Path) -> None:
        """
        When the password file is gone nobody can log in and the log says why;
        when it is back they can.
        """
        path = Path(passwordFile(tmp_path))
        with Daemon("--auth", f"passwords:{path}") as daemon:
            hidden = path.rename(tmp_path / "hidden")
            with dial(daemon.port) as connection:
                assert login(connection, b"alice", b"one") != SUCCEEDED
            daemon.waitFor(rf"Nobody can log in: password file {path}: No such file")
            hidden.rename(path)
            with dial(daemon.port) as connection:
                assert login(connection, b"alice", b"one") == SUCCEEDED

    def test_logsAWrongPassword(self, tmp_path: Path) -> None:
        """
        A wrong password makes the line that fail2ban matches, with the
        client's address and port, the listener and the user.
        """
        arguments = ("--auth", f"passwords:{passwordFile(tmp_path)}")
        with Daemon(*arguments) as daemon, dial(daemon.port) as connection:
            port = connection.getsockname()[1]
            connection.sendall(WITH_PASSWORD + password(b"alice", b"two"))
            daemon.waitFor(
                rf"Authentication failure from 127\.0\.0\.1 port {port}:"
                rf" SOCKS5 on {re.escape(LOOPBACK)}, user alice$"
            )

    def test_aNameForgesNoLine(self, tmp_path: Path) -> None:
        """
        A user name with a line of its own in it stays within its line.
        """
        forged = b"x\nAuthentication failure from 192.0.2.1 port 1: SOCKS5 on y, user z"
        arguments = ("--auth", f"passwords:{passwordFile(tmp_path)}")
        with Daemon(*arguments) as daemon, dial(daemon.port) as connection:
            connection.sendall(WITH_PASSWORD + password(forged, b"two"))
            daemon.waitFor("Authentication failure")
        failures = [line for line in daemon.lines if "Authentication failure" in line]
        assert len(failures) == 1, failures
        assert r"user x\x0aAuthentication\x20failure\x20" in failures[0]

    def test_showsNoPassword(self, tmp_path: Path) -> None:
        """
        Neither a right nor a wrong password stands in the log.
        """
        path = passwordFile(tmp_path, secret=b"correct-horse")
        with Daemon("--auth", f"passwords:{path}") as daemon:
            for secret in (b"correct-horse", b"battery-staple"):
                with dial(daemon.port) as connection:
                    login(connection, b"alice", secret)
        said = "\n".join(daemon.lines)
        assert "correct-horse" not in said
        assert "battery-staple" not in said
