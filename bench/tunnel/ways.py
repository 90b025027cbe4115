"""
Ways to a target through a proxy that is far away, for the time of a first octet.

To add one, write a function that runs its programs on both sides and gives the
port at which it speaks SOCKS5 on the near one, and put it into L{WAYS}.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from bench.kcp.contenders import KCPTUN_CLIENT, KCPTUN_SERVER, KEY
from bench.kcp.programs import foreign
from bench.lossylink import RIGHT_ADDRESS
from bench.proxies import freePort, installed
from bench.tunnel.daemons import LOCAL, daemon, parameters
from tests.certificates import selfSigned

PRIVILEGE_SEPARATION = Path("/run/sshd")
"""
A folder that sshd wants to see, and that its start script makes otherwise.
"""


@dataclass(frozen=True)
class Scene:
    """
    Two sides with a long line between them.

    @ivar stack: What ends with the scene.
    @ivar folder: For files.
    @ivar near: What to put before a command to run it where the client is.
    @ivar far: Likewise where the target is.
    """

    stack: ExitStack
    folder: Path
    near: Sequence[str]
    far: Sequence[str]

    def runNear(self, *command: str, port: int) -> int:
        """
        Run a program of somebody else's beside the client.

        @param port: The port of TCP that it opens.
        @return: The port.
        """
        self.stack.enter_context(foreign([*self.near, *command], ("tcp", port)))
        return port

    def runFar(self, *command: str, port: int, protocol: str = "tcp") -> None:
        """
        Run one beside the target.
        """
        self.stack.enter_context(foreign([*self.far, *command], (protocol, port)))

    def proxies(self, listener: str, protocol: str, port: int, via: str) -> int:
        """
        Run our daemon on both sides.

        @param listener: The endpoint string of the far one, which opens that
            port.
        @param via: The URL by which the near one reaches it.
        """
        # The target is at the far one's own loopback address, and nobody else
        # is on the line.
        far = ["--listen", listener, "--allow-private", "--open-relay"]
        self.stack.enter_context(daemon(far, (protocol, port), prefix=self.far))
        entrance = freePort()
        near = ["--listen", f"tcp:{entrance}:{LOCAL}", "--via", via]
        self.stack.enter_context(daemon(near, ("tcp", entrance), prefix=self.near))
        return entrance


@dataclass(frozen=True)
class Way:
    """
    @ivar start: Runs it.
    @ivar needs: The programs that it is made of, besides ours.
    """

    start: Callable[[Scene], int]
    needs: Sequence[str] = ()


def _direct(scene: Scene) -> int:
    return 0


def _kcp(scene: Scene) -> int:
    key = scene.folder / "key"
    key.write_text(KEY)
    given = parameters({"keyFile": key, "nocomp": True})
    port = freePort()
    url = f"socks5h+kcp://{RIGHT_ADDRESS}:{port}?{'&'.join(given)}"
    return scene.proxies(":".join((f"kcp:{port}", *given)), "udp", port, url)


def _tunnel(scene: Scene) -> int:
    issued = selfSigned(scene.folder, RIGHT_ADDRESS)
    port = freePort()
    url = f"socks5h+tunnel://{RIGHT_ADDRESS}:{port}?ca={quote(issued.certificate)}"
    return scene.proxies(f"tunnel:{port}:certificate={issued.both}", "tcp", port, url)


def _ssh(scene: Scene) -> int:
    folder, port, entrance = scene.folder, freePort(), freePort()
    for name in ("host", "user"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    hostKey = (folder / "host.pub").read_text()
    (folder / "known_hosts").write_text(f"[{RIGHT_ADDRESS}]:{port} {hostKey}")
    (folder / "sshd_config").write_text(
        f"Port {port}\n"
        f"HostKey {folder}/host\n"
        f"AuthorizedKeysFile {folder}/user.pub\n"
        "AuthenticationMethods publickey\n"
        # Whoever serves a connection is not in the listener's process group,
        # and shall not outlive the line.
        "ClientAliveInterval 2\n"
        "ClientAliveCountMax 1\n"
        "PidFile none\n"
        "StrictModes no\n"
        "UseDNS no\n"
        "UsePAM no\n"
    )
    scene.stack.enter_context(_privilegeSeparation())
    sshd = installed("sshd") or "sshd"
    scene.runFar(sshd, "-D", "-f", str(folder / "sshd_config"), port=port)
    options = {
        "BatchMode": "yes",
        "IdentitiesOnly": "yes",
        "IdentityAgent": "none",
        "GlobalKnownHostsFile": "none",
        "UserKnownHostsFile": str(folder / "known_hosts"),
        "StrictHostKeyChecking": "yes",
    }
    given = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    command = ["ssh", "-F", "none", "-N", "-i", str(folder / "user"), "-p", str(port), *given]
    return scene.runNear(*command, "-D", f"127.0.0.1:{entrance}", RIGHT_ADDRESS, port=entrance)


@contextmanager
def _privilegeSeparation() -> Iterator[None]:
    try:
        PRIVILEGE_SEPARATION.mkdir(mode=0o755)
    except FileExistsError:
        yield
        return
    try:
        yield
    finally:
        with suppress(OSError):
            PRIVILEGE_SEPARATION.rmdir()


def _microsocks(scene: Scene, host: str) -> int:
    port = freePort()
    scene.runFar("microsocks", "-i", host, "-p", str(port), port=port)
    return port


def _kcptun(scene: Scene) -> int:
    exit_ = _microsocks(scene, "127.0.0.1")
    port, entrance = freePort(), freePort()
    common = ["--key", KEY, "--mode", "fast", "--nocomp", "--quiet"]
    listen = ["-l", f"{RIGHT_ADDRESS}:{port}", "-t", f"127.0.0.1:{exit_}"]
    scene.runFar(KCPTUN_SERVER, *listen, *common, port=port, protocol="udp")
    dial = ["-l", f"127.0.0.1:{entrance}", "-r", f"{RIGHT_ADDRESS}:{port}"]
    return scene.runNear(KCPTUN_CLIENT, *dial, *common, port=entrance)


def _shadowsocks(scene: Scene) -> int:
    port, entrance = freePort(), freePort()
    path = scene.folder / "shadowsocks.json"
    settings = {
        "server": RIGHT_ADDRESS,
        "server_port": port,
        "local_address": "127.0.0.1",
        "local_port": entrance,
        "password": KEY,
        "method": "chacha20-ietf-poly1305",
    }
    path.write_text(json.dumps(settings))
    scene.runFar("ss-server", "-c", str(path), port=port)
    return scene.runNear("ss-local", "-c", str(path), port=entrance)


WAYS: Mapping[str, Way] = {
    "direct": Way(_direct),
    "socks5h+kcp": Way(_kcp),
    "socks5h+tunnel": Way(_tunnel),
    "ssh -D": Way(_ssh, ("ssh", "sshd", "ssh-keygen")),
    "kcptun+microsocks": Way(_kcptun, (KCPTUN_CLIENT, KCPTUN_SERVER, "microsocks")),
    "shadowsocks-libev": Way(_shadowsocks, ("ss-local", "ss-server")),
}
"""
What is measured.
"""
