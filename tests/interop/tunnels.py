"""
Daemons at both ends of a tunnel: of KCP, and of TLS.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from tests.certificates import Authority
from tests.daemon import Daemon
from tests.interop.kcptuns import KEY

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Kind:
    """
    How the ends of a tunnel of some kind are described.

    @ivar name: The prefix of its endpoint strings.
    @ivar server: The parameters of the server.
    @ivar client: The parameters of the client.
    """

    name: str
    server: Mapping[str, str]
    client: Mapping[str, str]

    def listener(self, port: int = 0, interface: str = LOOPBACK, **more: str) -> str:
        """
        Describe the server's end.
        """
        return self._described(str(port), {"interface": interface, **self.server, **more})

    def way(self, port: int, host: str = LOOPBACK, **more: str) -> str:
        """
        Describe the client's end.

        @param port: Where the server is.
        """
        return self._described(f"{host}:{port}", {**self.client, **more})

    def proxy(self, port: int, **more: str) -> str:
        """
        Give the URL of a SOCKS5 proxy behind the tunnel.
        """
        query = "&".join(
            f"{name}={quote(value)}" for name, value in {**self.client, **more}.items()
        )
        return f"socks5h+{self.name}://{LOOPBACK}:{port}?{query}"

    def _described(self, place: str, parameters: Mapping[str, str]) -> str:
        named = (f"{name}={value}" for name, value in parameters.items())
        return ":".join((self.name, place, *named))


def kinds(folder: Path, *hosts: str) -> tuple[Kind, Kind]:
    """
    Write a key and a certificate, and give both kinds.

    @param folder: Where files go.
    @param hosts: The addresses of the server.
    """
    key = folder / "key"
    key.write_text(KEY)
    authority = Authority(folder)
    certificate = authority.issue(*(hosts or (LOOPBACK,)), name="server")
    common = {"keyFile": str(key), "nocomp": "yes"}
    return (
        Kind("kcp", common, common),
        Kind("tunnel", {"certificate": certificate.both}, {"ca": authority.path}),
    )


def forwardedPorts(daemon: Daemon, count: int) -> list[int]:
    """
    Read from a daemon's log where it forwards from.
    """
    return [int(daemon.waitFor(r"Forwarding .*, at [\d.]+:(\d+), to ")[1]) for _ in range(count)]
