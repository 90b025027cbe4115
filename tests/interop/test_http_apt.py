"""
apt through the daemon as an HTTP proxy.
"""

from __future__ import annotations

import hashlib
import os
from urllib.parse import quote

from tests.interop.httporigins import Recorder
from tests.interop.peers import peerEnvironment, runPeer
from tests.interop.proxied import PASSWORD, USER, PasswordTestCase
from tests.targets import Target

PACKAGES = 12
"""
More than apt asks for before the first answer.
"""

CONTENTS = {f"some-package-{number}": os.urandom(300_000) for number in range(PACKAGES)}

_PACKAGE = """\
Package: {name}
Version: 1
Architecture: all
Maintainer: Somebody <somebody@example.com>
Filename: ./{name}_1_all.deb
Size: {size}
SHA256: {digest}
Description: nothing

"""

_RELEASE = """\
Date: Thu, 01 Jan 2026 00:00:00 UTC
SHA256:
 {digest} {size} Packages
"""

# This is read first, and keeps apt from reading what the system has.
_SETTINGS = """\
Dir::State "{root}/state";
Dir::State::status "{root}/state/status";
Dir::Cache "{root}/cache";
Dir::Etc "{root}/etc";
Dir::Log "{root}";
APT::Sandbox::User "";
Acquire::Languages "none";
Acquire::Retries "0";
Acquire::http::Proxy "{proxy}";
"""


def repository() -> dict[bytes, bytes]:
    """
    Make a repository of packages that nobody can install.
    """
    index = "".join(
        _PACKAGE.format(name=name, size=len(data), digest=hashlib.sha256(data).hexdigest())
        for name, data in CONTENTS.items()
    ).encode()
    release = _RELEASE.format(digest=hashlib.sha256(index).hexdigest(), size=len(index))
    files = {b"/./Packages": index, b"/./Release": release.encode()}
    for name, data in CONTENTS.items():
        files[f"/./{name}_1_all.deb".encode()] = data
    return files


class AptTests(PasswordTestCase):
    """
    Updating and downloading, with a password and folders of apt's own.
    """

    programs = ("apt-get",)

    def setUp(self) -> None:
        """
        Serve the repository, and make the folders.
        """
        self.server = Recorder()
        self.server.files = repository()
        self.port = self.enterContext(Target(self.server)).port
        self.root = self.folder / self.id()
        for name in ("state/lists/partial", "cache/archives/partial", "etc", "here"):
            (self.root / name).mkdir(parents=True)
        (self.root / "state/status").touch()
        source = f"deb [trusted=yes] http://127.0.0.1:{self.port}/ ./\n"
        (self.root / "etc/sources.list").write_text(source)
        proxy = f"http://{USER}:{quote(PASSWORD, safe='')}@{self.proxy}"
        (self.root / "etc/apt.conf").write_text(_SETTINGS.format(root=self.root, proxy=proxy))

    def apt(self, *arguments: str) -> bytes:
        """
        Run apt-get without touching what is the system's.

        @return: What it said.
        """
        ended = runPeer(
            "/bin/sh",
            *("-c", 'cd "$1" && shift && exec "$@"', "sh", str(self.root / "here")),
            *(self.paths["apt-get"], *arguments),
            environment=peerEnvironment(APT_CONFIG=str(self.root / "etc/apt.conf")),
        )
        return self.assertSucceeded(ended) + ended.stderr

    def test_updatesAndDownloads(self) -> None:
        """
        apt reads the index and gets many packages, asking for several at a
        time on one connection; each comes whole, and the repository does not
        get to know the password.
        """
        said = self.apt("update")
        self.assertNotIn(b"Err:", said)
        self.daemon.waitFor(rf" {USER} GET 127.0.0.1:{self.port} \[.*: succeeded;")
        self.apt("download", *CONTENTS)
        for name, data in CONTENTS.items():
            got = (self.root / "here" / f"{name}_1_all.deb").read_bytes()
            self.assertTrue(got == data, name)
        self.assertGreater(len(self.server.heads), PACKAGES)
        for word in (b"proxy-authorization", b"basic", USER.encode()):
            self.assertNotIn(word, self.server.seen)
