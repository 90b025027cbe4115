"""
The daemon's C{tcp+tls:} listeners.
"""

import os
import re
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from queue import Queue

import pytest

from tests.daemon import TWISTD, environment
from tests.interop.client import SUCCEEDED, TIMEOUT, ask, dial, echoes, receiveAll, reset
from tests.interop.peers import requireProgram, runPeer
from tests.interop.tlslistener import Certificates, Served, connected, serving
from tests.socksclient import NO_AUTHENTICATION, request
from tests.targets import Target, echo, sender, witness


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """
    Start the daemon.
    """
    with serving(tmp_path_factory.mktemp("tls")) as served:
        yield served


class TestRelaying:
    """
    What goes through a listener, and how it ends.
    """

    def test_bulk(self, served: Served) -> None:
        """
        More than one record is relayed in both directions, and the client is a
        local one, by its address.
        """
        data = os.urandom(1_000_000)
        with Target(echo) as target, connected(served) as connection:
            assert ask(connection, "127.0.0.1", target.port) == SUCCEEDED
            for start in range(0, len(data), 100_000):
                assert echoes(connection, data[start : start + 100_000])
            connection.unwrap()
        served.daemon.waitFor(
            r"SOCKS5 127\.0\.0\.1:.* succeeded; 1000000 sent, 1000000 received, .*client closed"
        )

    @pytest.mark.parametrize("clean", [True, False])
    def test_clientEnds(self, served: Served, clean: bool) -> None:
        """
        After a client's C{close_notify} the target sees the end of the stream;
        after a FIN without one it sees a reset.
        """
        ends: Queue[type[OSError] | None] = Queue()
        with Target(witness(ends)) as target, connected(served) as connection:
            assert ask(connection, "127.0.0.1", target.port) == SUCCEEDED
            connection.sendall(b"x" * 100_000)
            if clean:
                connection.unwrap()
            else:
                # Python leaves TLS out of that.
                connection.shutdown(socket.SHUT_WR)
            assert ends.get(timeout=TIMEOUT) is (None if clean else ConnectionResetError)

    def test_targetCloses(self, served: Served) -> None:
        """
        When the target ends its stream, the client gets everything and a
        C{close_notify}.
        """
        data = os.urandom(300_000)
        with Target(sender(data)) as target, connected(served) as connection:
            assert ask(connection, "127.0.0.1", target.port) == SUCCEEDED
            assert receiveAll(connection) == data

    def test_targetResets(self, served: Served) -> None:
        """
        When the target resets, the client gets no C{close_notify}.
        """

        def serve(connection: socket.socket) -> None:
            connection.recv(1)
            reset(connection)

        with Target(serve) as target, connected(served) as connection:
            assert ask(connection, "127.0.0.1", target.port) == SUCCEEDED
            connection.sendall(b".")
            with pytest.raises((ConnectionResetError, ssl.SSLEOFError)):
                receiveAll(connection)

    def test_plainText(self, served: Served) -> None:
        """
        A client that speaks SOCKS without TLS learns nothing.
        """
        with Target(echo) as target:
            with dial(served.port) as connection:
                connection.sendall(NO_AUTHENTICATION + request("127.0.0.1", target.port))
                try:
                    assert not receiveAll(connection).startswith(b"\x05")
                except ConnectionResetError:
                    pass
            assert target.accepted == []


class TestCurl:
    """
    curl, straight to a listener: it makes a request of HTTP inside TLS, and
    offers protocols in the handshake.
    """

    def fetch(self, port: int, *options: str) -> subprocess.CompletedProcess[bytes]:
        """
        Make a request.

        @return: What is on standard output is the status of the answer.
        """
        command = [requireProgram("curl"), "-qsS", "--noproxy", "*", "--max-time", "15"]
        written = ["--output", os.devnull, "--write-out", "%{http_code}"]
        return runPeer(*command, *written, *options, f"https://localhost:{port}/")

    def test_isAnswered(self, served: Served) -> None:
        """
        It gets an answer in HTTP.
        """
        ended = self.fetch(served.port, "--cacert", served.certificates.authority.path)
        assert ended.returncode == 0, ended
        assert ended.stdout == b"200"

    def test_clientCertificate(self, served: Served) -> None:
        """
        With an authority of clients it does so with a certificate only.
        """
        trusting = ["--cacert", served.certificates.authority.path]
        known = self.fetch(served.demanding, *trusting, "--cert", served.certificates.client.both)
        without = self.fetch(served.demanding, *trusting)
        assert known.returncode == 0, known
        assert without.returncode != 0
        assert without.stdout == b"000"
        assert b"alert" in without.stderr


def test_example(served: Served) -> None:
    """
    There is no line to paste for them, as curl speaks no SOCKS in TLS.
    """
    # Whatever has been said at the start has been read by now.
    with connected(served):
        pass
    served.daemon.waitFor(r"client gone")
    shown = [line for line in served.daemon.lines if "Try: " in line]
    assert len(shown) == 1


def test_otherPrograms(tmp_path: Path) -> None:
    """
    Any program of Twisted's can listen like that: a web server does.
    """
    certificates = Certificates(tmp_path)
    (tmp_path / "page").write_bytes(b"a page")
    listener = certificates.demanding()
    options = ["--cacert", certificates.authority.path, "--cert", certificates.client.both]
    server = subprocess.Popen(
        [*TWISTD, "-n", "--pidfile=", "web", f"--listen={listener}", f"--path={tmp_path}"],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert server.stdout is not None
    try:
        starting = (re.search(r"starting on (\d+)", line) for line in server.stdout)
        port = next(match[1] for match in starting if match is not None)
        url = f"https://localhost:{port}/page"
        ended = runPeer(requireProgram("curl"), "-qsS", "--noproxy", "*", *options, url)
        assert ended.stdout == b"a page", ended
    finally:
        server.terminate()
        server.communicate(timeout=TIMEOUT)
