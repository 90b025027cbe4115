"""
The programs that speak Shadowsocks, ours and those of shadowsocks-libev.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from bench.kcp.programs import foreign
from bench.tunnel.daemons import LOCAL, daemon
from socksproxy.shadowsocks._methods import METHODS


@dataclass(frozen=True)
class Scene:
    """
    Where programs are to be put.

    @ivar folder: For files.
    @ivar method: The method.
    @ivar password: The password, or key.
    @ivar entrance: The port of the SOCKS5 proxy.
    @ivar port: The server's.
    """

    folder: Path
    method: str
    password: str
    entrance: int
    port: int

    @property
    def url(self) -> str:
        """
        The server as we name it.
        """
        return f"ss://{self.method}:{quote(self.password, safe='')}@127.0.0.1:{self.port}"

    def settings(self) -> str:
        """
        Write the file that shadowsocks-libev wants.

        @return: Its path.
        """
        path = self.folder / "libev.json"
        settings = {
            "server": "127.0.0.1",
            "server_port": self.port,
            "local_address": "127.0.0.1",
            "local_port": self.entrance,
            "password": self.password,
            "method": self.method,
        }
        path.write_text(json.dumps(settings))
        return str(path)


Start = Callable[[Scene], AbstractContextManager[int]]
"""
Runs a program, and gives the number of its process.
"""


def _ourClient(scene: Scene) -> AbstractContextManager[int]:
    options = ["--listen", f"tcp:{scene.entrance}:{LOCAL}", "--via", scene.url]
    return daemon(options, ("tcp", scene.entrance))


def _ourServer(scene: Scene) -> AbstractContextManager[int]:
    return daemon(["--shadowsocks", scene.url], ("tcp", scene.port))


def _theirClient(scene: Scene) -> AbstractContextManager[int]:
    return foreign(["ss-local", "-c", scene.settings()], ("tcp", scene.entrance))


def _theirServer(scene: Scene) -> AbstractContextManager[int]:
    return foreign(["ss-server", "-c", scene.settings()], ("tcp", scene.port))


@dataclass(frozen=True)
class Contender:
    """
    @ivar client: The end with the SOCKS5 proxy.
    @ivar server: The other.
    @ivar needs: The programs that they are, besides ours.
    """

    client: Start
    server: Start
    needs: Sequence[str] = ()

    @property
    def methods(self) -> list[str]:
        """
        The methods that both ends have.
        """
        return [name for name, one in METHODS.items() if not (self.needs and one.edition2022)]


CONTENDERS: Mapping[str, Contender] = {
    "socksproxy": Contender(_ourClient, _ourServer),
    "libev": Contender(_theirClient, _theirServer, ("ss-local", "ss-server")),
}
MIXED: Mapping[str, Contender] = {
    "libev>socksproxy": Contender(_theirClient, _ourServer, ("ss-local",)),
    "socksproxy>libev": Contender(_ourClient, _theirServer, ("ss-server",)),
}
"""
A client of one with the server of the other; only if they are asked for.
"""
