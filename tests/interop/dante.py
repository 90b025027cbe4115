"""
Programs that know nothing of SOCKS under Dante's client, which makes even
those use a proxy that wait for connections or send datagrams.
"""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.interop.peers import peerEnvironment, requireProgram, runPeer
from tests.interop.proxied import ProxyTestCase

_ROUTE = """\
route {{
    from: 0.0.0.0/0 to: 0.0.0.0/0 via: {host} port = {port}
    proxyprotocol: socks_v{version}
    protocol: {protocols}
    command: {commands}
}}
"""


def socksify(
    folder: Path,
    proxy: tuple[str, int],
    version: int,
    *command: str,
    input: bytes = b"",  # noqa: A002
    settings: Sequence[str] = (),
    wrapper: Sequence[str] = (),
    **variables: str,
) -> subprocess.CompletedProcess[bytes]:
    """
    Run a program to its end.

    @param folder: For the client's configuration.
    @param proxy: The proxy's address and port.
    @param version: Of SOCKS.
    @param settings: Further lines of the client's configuration.
    @param wrapper: What is before the command line.
    @param variables: Further variables of the environment.
    """
    path = folder / "dante.conf"
    route = _ROUTE.format(
        host=proxy[0],
        port=proxy[1],
        version=version,
        protocols="tcp" if version == 4 else "tcp udp",
        commands="bind connect" if version == 4 else "bind connect udpassociate",
    )
    path.write_text("\n".join([*settings, route]))
    # Without the last one it leaves networks alone that this host is in.
    environment = peerEnvironment(SOCKS_CONF=str(path), SOCKS_AUTOADD_LANROUTES="no", **variables)
    return runPeer(
        *wrapper, requireProgram("socksify"), *command, input=input, environment=environment
    )


class SocksifyTestCase(ProxyTestCase):
    """
    Tests with programs under Dante's client.
    """

    def socksify(
        self,
        version: int,
        *command: str,
        input: bytes = b"",  # noqa: A002
        settings: Sequence[str] = (),
        **variables: str,
    ) -> subprocess.CompletedProcess[bytes]:
        """
        Run a program to its end; see L{socksify}.

        @param command: The name of a program of L{programs}, and its
            arguments.
        """
        return socksify(
            self.folder,
            ("127.0.0.1", self.daemon.port),
            version,
            self.paths[command[0]],
            *command[1:],
            input=input,
            settings=settings,
            **variables,
        )
