"""
Programs that know nothing of SOCKS under Dante's client, which makes even
those use a proxy that wait for connections or send datagrams.
"""

import subprocess
from collections.abc import Sequence

from tests.interop.peers import peerEnvironment, requireProgram, runPeer
from tests.interop.proxied import ProxyTestCase

_ROUTE = """\
route {{
    from: 0.0.0.0/0 to: 0.0.0.0/0 via: 127.0.0.1 port = {port}
    proxyprotocol: socks_v{version}
    protocol: {protocols}
    command: {commands}
}}
"""


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
        Run a program to its end.

        @param version: Of SOCKS.
        @param command: The name of a program of L{programs}, and its
            arguments.
        @param settings: Further lines of the client's configuration.
        @param variables: Further variables of the environment.
        """
        path = self.folder / "dante.conf"
        route = _ROUTE.format(
            port=self.daemon.port,
            version=version,
            protocols="tcp" if version == 4 else "tcp udp",
            commands="bind connect" if version == 4 else "bind connect udpassociate",
        )
        path.write_text("\n".join([*settings, route]))
        # Without the last one it leaves loopback alone.
        environment = peerEnvironment(
            SOCKS_CONF=str(path), SOCKS_AUTOADD_LANROUTES="no", **variables
        )
        return runPeer(
            requireProgram("socksify"),
            self.paths[command[0]],
            *command[1:],
            input=input,
            environment=environment,
        )
