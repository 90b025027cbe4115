"""
git through the daemon as an HTTP proxy.
"""

from __future__ import annotations

import os
import re
import ssl
from contextlib import suppress
from pathlib import Path
from unittest import mock

from tests.certificates import Authority
from tests.interop.githttp import GitServer
from tests.interop.proxied import PASSWORD, USER, WRONG_PASSWORD, PasswordTestCase
from tests.interop.test_git import CONTENTS, _GitMixin
from tests.tlspeer import serverContext


class _Socket(ssl.SSLSocket):
    """
    A socket whose end is not taken for a truncation.
    """

    def shutdown(self, how: int) -> None:
        """
        See C{socket}.
        """
        with suppress(OSError):
            self.unwrap()
        super().shutdown(how)


class _TLSGitServer(GitServer):
    """
    The same over TLS.
    """

    def __init__(self, git: str, root: Path, context: ssl.SSLContext) -> None:
        super().__init__(git, root)
        context.sslsocket_class = _Socket
        # The handshake is made by the connection's thread, when it first reads.
        self._server.socket = context.wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )


class _HTTPGitMixin(_GitMixin):
    def assertRequested(self, method: str, user: str = "-") -> None:
        """
        Check that the daemon was asked for the server.
        """
        asked = rf"HTTP \S+ {re.escape(user)} {method} localhost:{self.server.port} \["
        self.daemon.waitFor(rf"\] {asked}.*\]: succeeded;")


class HTTPGitTests(_HTTPGitMixin):
    """
    Without authentication.
    """

    def test_clones(self) -> None:
        """
        git's requests are forwarded, GET and POST, and what it clones is whole.
        """
        proxy = f"http.proxy=http://{self.proxy}"
        self.git("-c", proxy, "clone", "-q", self.url("localhost"), str(self.clone))
        self.assertTrue((self.clone / "file").read_bytes() == CONTENTS)
        self.assertRequested("GET")
        self.assertRequested("POST")

    def test_clonesOverTLS(self) -> None:
        """
        A repository with an https URL is cloned through a tunnel.
        """
        authority = Authority(self.folder)
        context = serverContext(authority.issue("localhost"))
        root = self.repository.parent
        self.server = self.enterContext(_TLSGitServer(self.paths["git"], root, context))
        url = self.url("localhost").replace("http:", "https:")
        with mock.patch.dict(os.environ, GIT_SSL_CAINFO=str(authority.path)):
            self.git("-c", f"http.proxy=http://{self.proxy}", "clone", "-q", url, str(self.clone))
        self.assertTrue((self.clone / "file").read_bytes() == CONTENTS)
        self.assertRequested("CONNECT")

    def test_pushes(self) -> None:
        """
        A commit goes back the same way.
        """
        proxy = ("-c", f"http.proxy=http://{self.proxy}")
        clone = str(self.clone)
        self.git(*proxy, "clone", "-q", self.url("localhost"), clone)
        (self.clone / "another").write_bytes(CONTENTS[: 1 << 16])
        self.git("-C", clone, "add", "another")
        self.git("-C", clone, "commit", "-q", "-m", "Two")
        self.git(*proxy, "-C", clone, "push", "-q", "origin", "HEAD")
        self.assertEqual(self.head(str(self.repository)), self.head(clone))
        self.assertRequested("POST")


class HTTPGitPasswordTests(PasswordTestCase, _HTTPGitMixin):
    """
    With authentication.
    """

    def proxyWith(self, password: str) -> str:
        """
        Give the setting for a proxy with a password.
        """
        quoted = password.replace(":", "%3A")
        return f"http.proxy=http://{USER}:{quoted}@{self.proxy}"

    def test_clones(self) -> None:
        """
        A user name and password in the proxy's URL open it.
        """
        arguments = ("clone", "-q", self.url("localhost"), str(self.clone))
        self.git("-c", self.proxyWith(PASSWORD), *arguments)
        self.assertTrue((self.clone / "file").read_bytes() == CONTENTS)
        self.assertRequested("GET", USER)

    def test_aWrongPassword(self) -> None:
        """
        With a wrong password git fails and says why, and no request gets to
        the server.
        """
        arguments = ("clone", "-q", self.url("localhost"), str(self.clone))
        ended = self.git("-c", self.proxyWith(WRONG_PASSWORD), *arguments, expect=128)
        self.assertIn(b"407", ended.stderr)
        self.assertEqual(self.server.requests, [])
