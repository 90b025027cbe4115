"""
The manual's page on Shadowsocks: each command does what it is there for.
"""

import json
import shlex
import subprocess
import sys
from pathlib import Path

from tests.daemon import environment
from tests.interop.namespaces import NamespaceDaemon
from tests.interop.peers import requireProgram
from tests.manual import commandsIn, divided, page, programOf
from tests.test_docs_recipes import PAGE, SERVER, SITE, RecipeTestCase

COMMANDS = commandsIn(page("shadowsocks"))
KEY = "/etc/socksproxy/shadowsocks.key"


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
    The page uses no program but those that this module tries.
    """
    assert [programOf(command) for command in COMMANDS] == [
        "python",
        "twistd",
        "twistd",
        "curl",
        "python",
    ]


class ShadowsocksTests(RecipeTestCase):
    """
    The commands, one after another.
    """

    def inShell(self, command: str) -> subprocess.CompletedProcess[bytes]:
        """
        Run a command of the page with this Python.
        """
        command = command.replace("python -m", f"{sys.executable} -m", 1)
        ended = subprocess.run(
            ["/bin/sh", "-c", f"cd {self.folder} && {command}"],
            env=environment(),
            capture_output=True,
            timeout=60,
        )
        self.assertEqual(ended.returncode, 0, ended)
        return ended

    def options(self, *words: str) -> list[str]:
        """
        Give the options of a daemon's command, with the key where it is here.
        """
        found = divided(shlex.split(commandWith("twistd", *words)))[1]
        return [option.replace(KEY, str(self.key)) for option in found]

    @property
    def key(self) -> Path:
        """
        Give the path of the key.
        """
        return self.folder / "shadowsocks.key"

    def test_serverAndClient(self) -> None:
        """
        A page is fetched through a client and a server with a new key.
        """
        requireProgram("curl")
        root = self.folder / "root"
        root.mkdir()
        (root / "index.html").write_bytes(PAGE)
        web = ("web", "--listen", f"tcp:80:interface={SITE}", "--path", str(root))
        self.twistd("starting on 80", *web)
        self.inShell(commandWith("python", "genkey").replace(KEY, str(self.key)))
        listen = f"tcp:1081:interface={SERVER}"
        options = ["--auth", "anonymous", "--open-relay", *self.options("--shadowsocks")]
        far = self.enterContext(
            NamespaceDaemon(self.network.world, listen, "--allow-private", *options)
        )
        far.waitFor(rf"ss://\*\*\*@{SERVER}:8388 is open for Shadowsocks")
        near = self.proxy(*self.options("--via"))
        ended = subprocess.run(
            self.network.host.command(*shlex.split(commandWith("curl")), "-sS"),
            capture_output=True,
            timeout=60,
        )
        self.assertEqual((ended.stdout, ended.returncode), (PAGE, 0), ended.stderr)
        near.waitFor(rf"SOCKS5 .* CONNECT {SITE}:80")
        far.waitFor(rf"Shadowsocks .* CONNECT {SITE}:80 \[{SITE}:80\]: succeeded")

    def test_import(self) -> None:
        """
        The configuration of another program becomes a command.
        """
        document = {
            "server": SERVER,
            "server_port": 8388,
            "password": "x" * 40,
            "method": "aes-256-gcm",
        }
        (self.folder / "config.json").write_text(json.dumps(document))
        printed = self.inShell(commandWith("python", "import")).stdout.decode()
        self.assertTrue(printed.startswith("twistd -n socksproxy --shadowsocks 'ss://"))
