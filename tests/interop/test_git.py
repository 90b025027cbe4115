"""
git through the daemon.
"""

import os
import subprocess

from tests.interop.githttp import GitServer
from tests.interop.peers import peerEnvironment, runPeer
from tests.interop.proxied import (
    PASSWORD,
    USER,
    WRONG_PASSWORD,
    PasswordTestCase,
    ProxyTestCase,
)

CONTENTS = os.urandom(1 << 20)


class _GitMixin(ProxyTestCase):
    programs = ("git",)

    def setUp(self) -> None:
        """
        Make a repository with one file and serve it.
        """
        root = self.folder / self.id()
        source = root / "source"
        source.mkdir(parents=True)
        (source / "file").write_bytes(CONTENTS)
        self.repository = root / "repository.git"
        self.clone = root / "clone"
        self.git("-C", str(source), "init", "-q")
        self.git("-C", str(source), "add", "file")
        self.git("-C", str(source), "commit", "-q", "-m", "One")
        self.git("clone", "-q", "--bare", str(source), str(self.repository))
        self.server = self.enterContext(GitServer(self.paths["git"], root))

    def git(self, *arguments: str, expect: int = 0) -> subprocess.CompletedProcess[bytes]:
        """
        Run git without anybody's configuration.

        @param expect: Its exit status.
        """
        environment = peerEnvironment(
            GIT_CONFIG_GLOBAL=os.devnull,
            GIT_CONFIG_SYSTEM=os.devnull,
            GIT_TERMINAL_PROMPT="0",
        )
        someone = ("-c", "user.name=Someone", "-c", "user.email=someone@example.com")
        ended = runPeer(self.paths["git"], *someone, *arguments, environment=environment)
        self.assertEqual(ended.returncode, expect, ended)
        return ended

    def url(self, host: str) -> str:
        """
        Give the repository's URL.
        """
        return f"http://{host}:{self.server.port}/repository.git"

    def head(self, folder: str) -> bytes:
        """
        Give the commit that a repository is at.
        """
        return self.git("-C", folder, "rev-parse", "HEAD").stdout


class GitTests(_GitMixin):
    """
    Without authentication.
    """

    def test_clones(self) -> None:
        """
        C{http.proxy} with each scheme that git knows for SOCKS brings a
        repository here.
        """
        for scheme, protocol, host, asked in (
            ("socks4", "SOCKS4", "127.0.0.1", "127.0.0.1"),
            ("socks4a", "SOCKS4a", "localhost", "localhost"),
            ("socks5", "SOCKS5", "127.0.0.1", "127.0.0.1"),
            ("socks5h", "SOCKS5", "localhost", "localhost"),
        ):
            with self.subTest(scheme):
                clone = self.clone.with_name(scheme)
                proxy = f"http.proxy={scheme}://{self.proxy}"
                self.git("-c", proxy, "clone", "-q", self.url(host), str(clone))
                self.assertTrue((clone / "file").read_bytes() == CONTENTS)
                self.assertSeen(protocol, f"{asked}:{self.server.port}")

    def test_pushes(self) -> None:
        """
        A commit goes back the same way.
        """
        proxy = ("-c", f"http.proxy=socks5h://{self.proxy}")
        clone = str(self.clone)
        self.git(*proxy, "clone", "-q", self.url("localhost"), clone)
        (self.clone / "another").write_bytes(CONTENTS[: 1 << 16])
        self.git("-C", clone, "add", "another")
        self.git("-C", clone, "commit", "-q", "-m", "Two")
        self.git(*proxy, "-C", clone, "push", "-q", "origin", "HEAD")
        self.assertEqual(self.head(str(self.repository)), self.head(clone))
        self.assertSeen("SOCKS5", f"localhost:{self.server.port}")


class GitPasswordTests(PasswordTestCase, _GitMixin):
    """
    With authentication.
    """

    def proxyWith(self, password: str) -> str:
        """
        Give the setting for a proxy with a password.
        """
        quoted = password.replace(":", "%3A")
        return f"http.proxy=socks5h://{USER}:{quoted}@{self.proxy}"

    def test_clones(self) -> None:
        """
        A user name and password in the proxy's URL open it.
        """
        arguments = ("clone", "-q", self.url("localhost"), str(self.clone))
        self.git("-c", self.proxyWith(PASSWORD), *arguments)
        self.assertTrue((self.clone / "file").read_bytes() == CONTENTS)
        self.assertSeen("SOCKS5", f"localhost:{self.server.port}", USER)

    def test_aWrongPassword(self) -> None:
        """
        With a wrong password git fails and says why, and no request gets to
        the server.
        """
        arguments = ("clone", "-q", self.url("localhost"), str(self.clone))
        ended = self.git("-c", self.proxyWith(WRONG_PASSWORD), *arguments, expect=128)
        self.assertIn(b"rejected", ended.stderr)
        self.assertEqual(self.server.requests, [])
