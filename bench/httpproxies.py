"""
The HTTP proxies that are measured. Each keeps a log of what is asked of it, as
it does when it is installed.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench.kcp.programs import foreign
from bench.proxies import ROOT, TWISTD, freePort, installed

OURS = "socksproxy"

_TINYPROXY = """\
Port {port}
Listen 127.0.0.1
MaxClients 200
LogFile "{folder}/tinyproxy.log"
LogLevel Connect
"""

_SQUID = """\
http_port 127.0.0.1:{port}
http_access allow all
cache deny all
access_log stdio:{folder}/access.log squid
cache_log {folder}/cache.log
pid_filename none
coredump_dir none
netdb_filename none
pinger_enable off
visible_hostname bench
shutdown_lifetime 0 seconds
"""


_COMMANDS: Mapping[str, tuple[Sequence[str], str]] = {
    OURS: (
        (
            *("env", f"PYTHONPATH={ROOT}", sys.executable, *TWISTD),
            *("-n", "--pidfile=", "--logfile={folder}/socksproxy.log", "socksproxy"),
            *("--listen", "tcp:{port}:interface=127.0.0.1"),
        ),
        "",
    ),
    "tinyproxy": (("tinyproxy", "-d", "-c", "{folder}/proxy.conf"), _TINYPROXY),
    "squid": (("squid", "-N", "-f", "{folder}/proxy.conf"), _SQUID),
}

PROXIES = tuple(_COMMANDS)
"""
Their names.
"""


def isInstalled(name: str) -> bool:
    """
    Say whether this machine has a proxy.
    """
    return name == OURS or installed(name) is not None


@contextmanager
def proxy(name: str) -> Iterator[tuple[int, int]]:
    """
    Run a proxy until it is not needed any more.

    @return: The number of its process, and its port.
    """
    command, configuration = _COMMANDS[name]
    port = freePort()
    with tempfile.TemporaryDirectory() as folder:
        # squid gives up root's rights.
        os.chmod(folder, 0o777)
        Path(folder, "proxy.conf").write_text(configuration.format(port=port, folder=folder))
        program, *arguments = (part.format(port=port, folder=folder) for part in command)
        with foreign([installed(program) or program, *arguments], ("tcp", port)) as process:
            yield process, port
