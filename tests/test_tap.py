"""
Tests for L{socksproxy.tap}: options.
"""

from __future__ import annotations

import io
from contextlib import redirect_stdout

from twisted.cred.checkers import AllowAnonymousAccess
from twisted.cred.error import UnauthorizedLogin
from twisted.internet.defer import maybeDeferred
from twisted.python import usage
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.auth.checkers import PasswordFileChecker
from socksproxy.auth.credentials import OctetPassword
from socksproxy.config import DEFAULT_LISTENER, Configuration
from socksproxy.policy.limits import ConnectionLimits
from socksproxy.tap import Options
from tests.auth.cheap import writeRecords
from tests.files import temporaryFolder


def parsed(*arguments: str) -> Options:
    """
    Read a command line.
    """
    options = Options()
    options.parseOptions(arguments)
    return options


def configured(*arguments: str) -> Configuration:
    """
    Give what a command line asks for.
    """
    return parsed(*arguments).configuration(ConnectionLimits())


class OptionsTests(SynchronousTestCase):
    """
    Command lines.
    """

    def test_none(self) -> None:
        """
        Without options the defaults hold.
        """
        configuration = configured()
        default = Configuration()
        self.assertEqual(configuration.listen, (DEFAULT_LISTENER,))
        for name in ("checkers", "openRelay", "allowPrivate", "drain", "timers"):
            self.assertEqual(getattr(configuration, name), getattr(default, name), name)

    def test_listen(self) -> None:
        """
        Listeners are those given, in order, and the default is then none of
        them.
        """
        configuration = configured("--listen", "tcp:1", "--listen=unix:/run/proxy")
        self.assertEqual(configuration.listen, ("tcp:1", "unix:/run/proxy"))

    def test_twoCommandLines(self) -> None:
        """
        Two command lines in a process do not add up.
        """
        configured("--listen", "tcp:1")
        self.assertEqual(configured("--listen", "tcp:2").listen, ("tcp:2",))

    def test_flags(self) -> None:
        """
        Each flag lifts one default.
        """
        openRelay = configured("--open-relay")
        self.assertTrue(openRelay.openRelay and not openRelay.allowPrivate)
        allowPrivate = configured("--allow-private")
        self.assertTrue(allowPrivate.allowPrivate and not allowPrivate.openRelay)

    def test_drain(self) -> None:
        """
        The time to drain is in seconds, fractions included.
        """
        self.assertEqual(configured("--drain", "1.5").drain, 1.5)
        self.assertEqual(configured("--drain=0").drain, 0)

    def test_limits(self) -> None:
        """
        The limits are those of the process.
        """
        limits = ConnectionLimits(total=7)
        self.assertIs(parsed().configuration(limits).limits, limits)

    def test_help(self) -> None:
        """
        The help names every option and the default.
        """
        with redirect_stdout(io.StringIO()) as output:
            self.assertRaises(SystemExit, parsed, "--help")
        for text in (
            "--listen",
            "--auth",
            "--open-relay",
            "--allow-private",
            "--drain",
            "--log-format",
            "--log-size",
            "--log-count",
            "--bind",
            "--udp",
            "--resolve",
            "--bind-any-peer",
            "--full-cone",
            "--udp-fragments",
            "--public-address",
            "--port-range",
            "--ident",
            "--socks4-user",
            DEFAULT_LISTENER,
        ):
            self.assertIn(text, output.getvalue())

    def test_wrong(self) -> None:
        """
        Every wrong option is refused in one line that names it.
        """
        for arguments, name in (
            (["--no-such"], "no-such"),
            (["--drain", "soon"], "soon"),
            (["--drain", "-1"], "--drain"),
            (["--log-format", "xml"], "--log-format"),
            (["--log-size", "10M"], "10M"),
            (["--log-size", "-1"], "--log-size"),
            (["--log-count", "-1"], "--log-count"),
            (["--listen"], "listen"),
            (["tcp:1080"], "argument"),
        ):
            error = str(self.assertRaises(usage.UsageError, parsed, *arguments))
            self.assertIn(name, error)
            self.assertNotIn("\n", error)

    def test_drainIsNoNumber(self) -> None:
        """
        So is a time to drain that no clock can wait for.
        """
        error = self.assertRaises(usage.UsageError, parsed, "--drain", "nan")
        self.assertIn("--drain", str(error))


class AuthTests(SynchronousTestCase):
    """
    C{--auth}.
    """

    def test_none(self) -> None:
        """
        Without it there are no checkers.
        """
        self.assertEqual(configured().checkers, ())

    def test_passwords(self) -> None:
        """
        C{passwords:PATH} asks a file of hashed passwords.
        """
        path = temporaryFolder(self) / "passwords"
        writeRecords(path, alice="secret")
        (checker,) = configured("--auth", f"passwords:{path}").checkers
        self.assertIsInstance(checker, PasswordFileChecker)
        self.assertEqual(checker.path, str(path))  # type: ignore[attr-defined]

    def test_file(self) -> None:
        """
        C{file:PATH} asks Twisted's own file of passwords.
        """
        path = temporaryFolder(self) / "users"
        path.write_text("alice:secret\n")
        self.assertChecks(f"file:{path}")

    def test_memory(self) -> None:
        """
        C{memory:} takes users from the command line.
        """
        self.assertChecks("memory:alice:secret")

    def assertChecks(self, description: str) -> None:
        """
        Fail unless Alice gets in with her password and with no other.
        """
        (checker,) = configured("--auth", description).checkers
        right = maybeDeferred(checker.requestAvatarId, OctetPassword(b"alice", b"secret"))
        self.assertIn(self.successResultOf(right), (b"alice", "alice"))
        wrong = maybeDeferred(checker.requestAvatarId, OctetPassword(b"alice", b"wrong"))
        self.failureResultOf(wrong, UnauthorizedLogin)

    def test_several(self) -> None:
        """
        Several may be given, and anonymous clients let in beside users.
        """
        checkers = configured("--auth", "memory:alice:secret", "--auth", "anonymous").checkers
        self.assertEqual(len(checkers), 2)
        self.assertIsInstance(checkers[1], AllowAnonymousAccess)

    def test_wrong(self) -> None:
        """
        Whatever is wrong with it is told in one line that names the option,
        and shows no password.
        """
        folder = temporaryFolder(self)
        malformed = folder / "malformed"
        malformed.write_text("alice:hunter2\n")
        for description, reason in (
            (f"passwords:{folder}/nowhere", f"password file {folder}/nowhere: No such file"),
            (f"passwords:{folder}", f"password file {folder}: Is a directory"),
            (f"passwords:{malformed}", f"password file {malformed}: line 1"),
            (f"file:{folder}/nowhere", f"password file {folder}/nowhere: No such file"),
            ("passwords", "password file"),
            ("passwords:", "password file"),
            ("nosuch:hunter2", "nosuch is not known"),
            ("", "--auth"),
        ):
            error = self.assertRaises(usage.UsageError, parsed, "--auth", description)
            self.assertIn(reason, str(error))
            self.assertTrue(str(error).startswith("--auth: "), error)
            self.assertNotIn("\n", str(error))
            self.assertNotIn("hunter2", str(error))

    def test_checkerComplains(self) -> None:
        """
        So is what a checker of Twisted's finds wrong with its own part.
        """
        for description in ("memory:alice", "memory:alice:hunter2:bob"):
            error = self.assertRaises(usage.UsageError, parsed, "--auth", description)
            self.assertTrue(str(error).startswith("--auth: "), error)
            self.assertNotIn("hunter2", str(error))

    def test_help(self) -> None:
        """
        C{--help-auth} lists our checker beside Twisted's.
        """
        options = Options()
        options.authOutput = output = io.StringIO()
        self.assertRaises(SystemExit, options.parseOptions, ["--help-auth"])
        self.assertIn("passwords", output.getvalue())
        self.assertIn("file", output.getvalue())
