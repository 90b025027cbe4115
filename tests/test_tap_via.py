"""
Tests for L{socksproxy.tap}: C{--via}.
"""

from __future__ import annotations

from twisted.python import usage
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.config import Configuration
from socksproxy.outbound.proxyurl import chainFromURLs
from socksproxy.policy.limits import ConnectionLimits
from tests.test_tap import configured, parsed


class ViaTests(SynchronousTestCase):
    """
    Other proxies on the command line.
    """

    def test_none(self) -> None:
        """
        Without them, connections leave straight.
        """
        self.assertEqual(list(configured().via), [])
        self.assertEqual(list(Configuration().via), [])

    def test_chain(self) -> None:
        """
        They are read as a chain with alternatives.
        """
        urls = "socks5h://alice:s%33cret@one.test,http://two.test|https://[::1]"
        self.assertEqual(list(configured("--via", urls).via), chainFromURLs(urls))
        self.assertEqual(list(configured(f"--via={urls}").via), chainFromURLs(urls))

    def test_once(self) -> None:
        """
        Two chains are refused.
        """
        error = self.assertRaises(
            usage.UsageError, parsed, "--via", "http://one.test", "--via", "http://two.test"
        )
        self.assertIn("--via", str(error))

    def test_wrong(self) -> None:
        """
        A wrong one is refused in one line that names the option and shows no
        password.
        """
        for urls in (
            "",
            "proxy.test:1080",
            "socks6://alice:s3cret@proxy.test",
            "socks5h://alice:s3cret@proxy.test:x",
            "socks5h://alice:s3cret",
            "socks5h://alice:s3cret@proxy.test,",
            "socks5h://one.test,socks5h://alice:s3cret@unix:/run/proxy",
        ):
            error = str(self.assertRaises(usage.UsageError, parsed, "--via", urls))
            self.assertIn("--via", error)
            self.assertNotIn("s3cret", error)
            self.assertNotIn("\n", error)

    def test_password(self) -> None:
        """
        A password may stand in a file, for users without one, and then counts
        wherever the option stands.
        """
        path = self.mktemp()
        with open(path, "w") as file:
            file.write("s3cret\n")
        for arguments in (
            ("--via", "socks5h://alice@one.test", "--via-password", path),
            ("--via-password", path, "--via", "socks5h://alice@one.test"),
        ):
            (((proxy,)),) = configured(*arguments).via
            self.assertEqual((proxy.username, proxy.password), (b"alice", b"s3cret"))

    def test_wrongPassword(self) -> None:
        """
        A file that is not there, or that nobody needs, is named in one line.
        """
        path = self.mktemp()
        for arguments in (
            ("--via", "socks5h://alice@one.test", "--via-password", path),
            ("--via", "socks5h://one.test", "--via-password", __file__),
            ("--via-password", __file__),
        ):
            error = str(self.assertRaises(usage.UsageError, parsed, *arguments))
            self.assertTrue(error.startswith("--via-password"))
            self.assertNotIn("\n", error)

    def test_shown(self) -> None:
        """
        The settings do not show passwords.
        """
        options = parsed("--via", "socks5h://alice:s3cret@one.test|http://bob:s3cret@two.test")
        self.assertNotIn("s3cret", repr(options.configuration(ConnectionLimits())))
        self.assertNotIn("s3cret", repr(dict(options)))
