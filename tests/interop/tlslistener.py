"""
The daemon with listeners over TLS, and clients of them.
"""

import contextlib
import re
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.certificates import FOR_CLIENTS, FOR_SERVERS, Authority
from tests.daemon import Daemon
from tests.interop.client import dial
from tests.tlspeer import clientContext


class Certificates:
    """
    What the tests need of certificates.

    @ivar authority: Who has signed them.
    @ivar server: The daemon's.
    @ivar client: A client's.
    @ivar foreign: A client's, by somebody else.
    """

    def __init__(self, folder: Path) -> None:
        self.authority = Authority(folder)
        self.server = self.authority.issue("localhost", "127.0.0.1", purpose=FOR_SERVERS)
        self.client = self.authority.issue("client", purpose=FOR_CLIENTS)
        self.foreign = Authority(folder, "other").issue("foreign", purpose=FOR_CLIENTS)

    def listener(self, **parameters: str) -> str:
        """
        Give the endpoint string of a listener.
        """
        named = {
            "interface": "127.0.0.1",
            "certificate": self.server.certificate,
            "privateKey": self.server.key,
            **parameters,
        }
        return ":".join(["tcp+tls:0", *(f"{name}={value}" for name, value in named.items())])

    def demanding(self) -> str:
        """
        Give one that lets nobody in without a certificate.
        """
        return self.listener(clientCA=self.authority.path)


@dataclass(frozen=True)
class Served:
    """
    A daemon with listeners over TLS.

    @ivar daemon: It.
    @ivar certificates: Its and its clients'.
    @ivar port: The port of the listener that lets everybody in.
    @ivar demanding: The port of the one that wants certificates of clients.
    """

    daemon: Daemon
    certificates: Certificates
    port: int
    demanding: int


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[Served]:
    """
    Start a daemon. Nothing may go wrong in it, and it shows no secrets.
    """
    certificates = Certificates(folder)
    listeners = [certificates.listener(), certificates.demanding()]
    with Daemon(*(f"--listen={listener}" for listener in listeners)) as daemon:
        ports = [
            int(daemon.waitFor(rf"^.*{re.escape(listener)} is open .*:(\d+)$")[1])
            for listener in listeners
        ]
        yield Served(daemon, certificates, *ports)
    log = "\n".join(daemon.lines)
    assert "Traceback" not in log, log
    assert "PRIVATE KEY" not in log


@contextlib.contextmanager
def connected(served: Served) -> Iterator[ssl.SSLSocket]:
    """
    Connect to the listener for everybody, with Python's TLS, to which an end
    without a C{close_notify} is an error.
    """
    context = clientContext(served.certificates.authority.path)
    with (
        dial(served.port) as plain,
        context.wrap_socket(
            plain, server_hostname="localhost", suppress_ragged_eofs=False
        ) as connection,
    ):
        yield connection
