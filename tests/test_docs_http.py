"""
The manual's page on HTTP: each command does what it is there for.

Everything runs in network namespaces, where names and addresses are those of
the manual.
"""

import shlex
import subprocess
from pathlib import Path
from typing import Any

from tests.interop.namespaces import NamespaceDaemon
from tests.interop.peers import requireProgram
from tests.manual import commandsIn, optionsWith, page, programOf
from tests.test_docs_recipes import PAGE, SITE, RecipeTestCase

COMMANDS = commandsIn(page("http"))


def commandWith(program: str, *words: str) -> str:
    """
    Give the one command of a program's that has certain words.
    """
    (found,) = (
        command
        for command in COMMANDS
        if programOf(command) == program and set(words) <= set(shlex.split(command))
    )
    return found


def test_everyProgramIsTried() -> None:
    """
    The page uses no program but those that this module, and the tests of
    browsers, try.
    """
    programs = {programOf(command) for command in COMMANDS}
    assert programs == {"twistd", "curl", "chromium", "wget", "git", "apt-get"}


class HTTPTests(RecipeTestCase):
    """
    The commands, one after another.
    """

    def serve(self, files: dict[str, bytes], name: str = "root") -> Path:
        """
        Have the site serve files by HTTP.
        """
        root = self.folder / name
        for path, content in files.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes(content)
        self.twistd("starting on 80", "web", "--listen", f"tcp:80:interface={SITE}", "--path", root)
        return root

    def twistd(self, ready: str, *command: Any) -> None:
        """
        Run a server of Twisted's out in the world.
        """
        super().twistd(ready, *map(str, command))

    def inHost(self, command: str) -> subprocess.CompletedProcess[bytes]:
        """
        Run a command of the page in the proxy's host.
        """
        ended = subprocess.run(
            self.network.host.command("/bin/sh", "-c", f"cd {self.folder} && {command}"),
            capture_output=True,
            timeout=60,
        )
        self.assertEqual(ended.returncode, 0, ended)
        return ended

    def test_proof(self) -> None:
        """
        The proxy's own page is shown by curl, with the way out.
        """
        requireProgram("curl")
        self.proxy()
        shown = self.inHost(commandWith("curl")).stdout.decode()
        self.assertIn("The proxy works", shown)
        self.assertRegex(shown, r"Way out: +direct")

    def test_wget(self) -> None:
        """
        wget fetches a page.
        """
        requireProgram("wget")
        self.serve({"index.html": PAGE})
        self.proxy()
        self.inHost(f"rm -f index.html; {commandWith('wget')}")
        self.assertEqual((self.folder / "index.html").read_bytes(), PAGE)

    def test_apt(self) -> None:
        """
        apt reads a repository's index.
        """
        requireProgram("apt-get")
        self.serve({"packages/Packages": b"Package: nothing\nVersion: 1\nArchitecture: all\n\n"})
        daemon = self.proxy()
        (self.folder / "sources").write_text("deb [trusted=yes] http://example.com/packages ./\n")
        apart = " ".join(
            f"-o {name}={value}"
            for name, value in {
                "Dir::Etc::sourcelist": self.folder / "sources",
                "Dir::Etc::sourceparts": "-",
                "Dir::State::lists": self.folder / "lists",
                "Dir::Cache": self.folder / "cache",
                "APT::Sandbox::User": "root",
            }.items()
        )
        (self.folder / "lists" / "partial").mkdir(parents=True)
        (self.folder / "cache" / "archives" / "partial").mkdir(parents=True)
        self.inHost(commandWith("apt-get").replace("apt-get", f"apt-get {apart}", 1))
        daemon.waitFor(rf"HTTP .* GET example\.com:80 \[{SITE}:80\]: succeeded")

    def test_bridge(self) -> None:
        """
        A proxy that asks no password logs in to one that does.
        """
        self.serve({"index.html": PAGE})
        far = self.folder / "far"
        far.mkdir()
        (far / "alice").write_text("s3cret\n")
        (far / "users").write_text("alice:s3cret\n")
        listen = "tcp:1080:interface=203.0.113.6"
        self.enterContext(
            NamespaceDaemon(
                self.network.world, listen, "--auth", f"file:{far / 'users'}", "--allow-private"
            )
        )
        options = [
            option.replace("/etc/socksproxy", str(far)).replace("proxy.example.com", "203.0.113.6")
            for option in optionsWith("http", "--via-password")
        ]
        self.proxy(*options)
        fetch = f"curl -sS --fail --proxy http://127.0.0.1:1080 http://{SITE}/"
        self.assertEqual(self.inHost(fetch).stdout, PAGE)
