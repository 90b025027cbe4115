"""
The endpoint strings that the proxy can listen on.
"""

import datetime
import json
import os
import signal
import socket
import ssl
import sys
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.daemon import Daemon, run
from tests.interop.background import Background
from tests.interop.client import (
    SUCCEEDED,
    TIMEOUT,
    ask,
    dial,
    echoes,
    receive,
    receiveAll,
    receiveReply,
)
from tests.interop.peers import requireIPv6
from tests.interop.processes import listeningPorts
from tests.socksclient import NO_AUTHENTICATION, request
from tests.targets import Target, echo

NOT_ALLOWED = 2
HEADER = b"PROXY TCP4 203.0.113.7 203.0.113.1 40001 1080\r\n"


def secondPort(daemon: Daemon) -> int:
    """
    Give the port of a daemon's second listener.
    """
    [port] = listeningPorts(daemon.process.pid) - {daemon.port}
    return port


def test_tcp6() -> None:
    """
    C{tcp6:} listens on an IPv6 address; a client there gets to targets of
    either family.
    """
    requireIPv6()
    with Daemon(listen=r"tcp6:0:interface=\:\:1") as daemon:
        for host in ("::1", "127.0.0.1"):
            with Target(echo, host) as target, dial(daemon.port, "::1") as connection:
                client = connection.getsockname()[1]
                assert ask(connection, host, target.port) == SUCCEEDED
                assert echoes(connection)
            daemon.waitFor(rf"SOCKS5 \[::1\]:{client} - CONNECT .*succeeded")
    assert any(f"--proxy socks5h://[::1]:{daemon.port} " in line for line in daemon.lines)


def test_unix(tmp_path: Path) -> None:
    """
    C{unix:} listens on a path; its clients are of this host and may reach it,
    and the path is gone with the daemon.
    """
    path = tmp_path / "proxy.socket"
    with Daemon("--listen", f"unix:{path}") as daemon, Target(echo) as target:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(TIMEOUT)
            connection.connect(str(path))
            assert ask(connection, "127.0.0.1", target.port) == SUCCEEDED
            assert echoes(connection, b"x" * 200_000)
            connection.shutdown(socket.SHUT_WR)
            assert receiveAll(connection) == b""
        daemon.waitFor(rf"SOCKS5 unix:0 - CONNECT 127\.0\.0\.1:{target.port} .*succeeded")
    assert not path.exists()


def test_unixInTheBackground(tmp_path: Path) -> None:
    """
    A path that a daemon in the background listens on is not to be had by
    another one, and it is gone with its daemon.
    """
    path = tmp_path / "proxy.socket"
    listen = f"--listen=unix:{path}"
    with Background(tmp_path, listen) as daemon, Target(echo) as target:
        second = run(f"--pidfile={tmp_path / 'second.pid'}", "socksproxy", listen)
        if second.returncode == 0:
            os.kill(int((tmp_path / "second.pid").read_text()), signal.SIGKILL)
        assert second.returncode != 0
        assert second.stderr.decode().count("\n") == 1
        assert str(path) in second.stderr.decode()
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(TIMEOUT)
            connection.connect(str(path))
            assert ask(connection, "127.0.0.1", target.port) == SUCCEEDED
            assert echoes(connection)
        daemon.send(signal.SIGTERM)
        daemon.waitForEnd()
    assert [entry for entry in tmp_path.iterdir() if entry.name.startswith(path.name)] == []


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """
    Make a certificate for C{localhost} that nobody but the test trusts.

    @return: The files of the certificate and its key.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    certificateFile, keyFile = tmp_path / "certificate.pem", tmp_path / "key.pem"
    certificateFile.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    keyFile.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return certificateFile, keyFile


def test_ssl(certificate: tuple[Path, Path]) -> None:
    """
    C{ssl:} speaks SOCKS inside TLS, and relays what is more than one record
    in both directions.
    """
    certificateFile, keyFile = certificate
    listen = f"ssl:0:interface=127.0.0.1:privateKey={keyFile}:certKey={certificateFile}"
    context = ssl.create_default_context(cafile=str(certificateFile))
    data = os.urandom(1_000_000)
    with Daemon("--listen", listen) as daemon, Target(echo) as target:
        with (
            dial(secondPort(daemon)) as plain,
            context.wrap_socket(plain, server_hostname="127.0.0.1") as connection,
        ):
            assert ask(connection, "127.0.0.1", target.port) == SUCCEEDED
            for start in range(0, len(data), 100_000):
                assert echoes(connection, data[start : start + 100_000])
        daemon.waitFor(r"SOCKS5 .* succeeded; 1000000 sent, 1000000 received")


def test_sslRefusesPlainText(certificate: tuple[Path, Path]) -> None:
    """
    A client that speaks SOCKS to a TLS port learns nothing and does no harm.
    """
    certificateFile, keyFile = certificate
    listen = f"ssl:0:interface=127.0.0.1:privateKey={keyFile}:certKey={certificateFile}"
    with Daemon("--listen", listen) as daemon, Target(echo) as target:
        with dial(secondPort(daemon)) as connection:
            connection.sendall(NO_AUTHENTICATION + request("127.0.0.1", target.port))
            assert not receiveAll(connection).startswith(b"\x05")
        assert target.accepted == []


class TestBalanced:
    """
    C{haproxy:}, behind which the clients are somewhere else.
    """

    LISTEN = "haproxy:tcp:0:interface=127.0.0.1"

    def test_namesTheClient(self) -> None:
        """
        The access line has the client that the header names, and internal
        addresses are not for it, although the balancer is on this host.
        """
        with Daemon("--listen", self.LISTEN, "--open-relay") as daemon, Target(echo) as target:
            with dial(secondPort(daemon)) as connection:
                connection.sendall(HEADER)
                assert ask(connection, "127.0.0.1", target.port) == NOT_ALLOWED
            daemon.waitFor(r"SOCKS5 203\.0\.113\.7:40001 - CONNECT 127\.0\.0\.1:\d+ .*not allowed")
            assert target.accepted == []

    def test_allowsInternalAddressesOnRequest(self) -> None:
        """
        With C{--allow-private} they are.
        """
        arguments = ("--listen", self.LISTEN, "--open-relay", "--allow-private")
        with Daemon(*arguments) as daemon, Target(echo) as target:
            with dial(secondPort(daemon)) as connection:
                # All at once, and the header in two pieces before.
                connection.sendall(HEADER[:9])
                connection.sendall(
                    HEADER[9:] + NO_AUTHENTICATION + request("127.0.0.1", target.port)
                )
                assert receive(connection, 2) == b"\x05\x00"
                assert receiveReply(connection) == SUCCEEDED
                assert echoes(connection)
            daemon.waitFor(r"SOCKS5 203\.0\.113\.7:40001 - CONNECT .*succeeded")

    def test_wantsAHeader(self) -> None:
        """
        Without a header there is no service.
        """
        arguments = ("--listen", self.LISTEN, "--open-relay", "--allow-private")
        with Daemon(*arguments) as daemon, Target(echo) as target:
            with dial(secondPort(daemon)) as connection:
                connection.sendall(
                    NO_AUTHENTICATION + request("127.0.0.1", target.port) + b"x" * 1000
                )
                try:
                    assert receiveAll(connection) == b""
                except ConnectionResetError:
                    pass
            assert target.accepted == []

    def test_countsAsElsewhere(self) -> None:
        """
        Without authentication it does not start, since whom the balancer lets
        through is not known.
        """
        with pytest.raises(AssertionError, match="would let anybody use this proxy"):
            Daemon("--listen", self.LISTEN).__enter__()


ACTIVATE = """
import json, os, socket, sys

listener = socket.socket()
listener.bind(("127.0.0.1", 0))
listener.listen(128)
os.dup2(listener.fileno(), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", LISTEN_FDNAMES="socks")
command = json.loads(sys.argv[1])
os.execv(command[0], command)
"""


class Activated(Daemon):
    """
    A daemon that is given its listening socket, as systemd would.
    """

    def command(self, arguments: list[str]) -> list[str]:
        """
        See L{Daemon.command}.
        """
        return [sys.executable, "-c", ACTIVATE, json.dumps(super().command(arguments))]


@pytest.mark.parametrize("which", ["index=0", "name=socks"])
def test_systemd(which: str) -> None:
    """
    C{systemd:} serves on a socket that was open before, by its number or its
    name.
    """
    with Activated(listen=f"systemd:domain=INET:{which}") as daemon, Target(echo) as target:
        with dial(daemon.port) as connection:
            assert ask(connection, "127.0.0.1", target.port) == SUCCEEDED
            assert echoes(connection)
        daemon.waitFor(r"SOCKS5 127\.0\.0\.1:\d+ - CONNECT 127\.0\.0\.1:\d+")
