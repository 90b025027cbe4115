"""
C{openssl}, as a client of the daemon's C{tcp+tls:} listeners, and as a server
to clients of ours.
"""

import contextlib
import re
import socket
import subprocess
from collections.abc import Iterator
from queue import Queue

import pytest
from twisted.internet import reactor
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator, IStreamClientEndpoint
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from socksproxy.socks.endpoints import SOCKS5ClientEndpoint
from socksproxy.tls import PeerRejected, TLSBroken, clientTLS, wrapTLSClient
from tests.files import temporaryFolder
from tests.interop.client import TIMEOUT
from tests.interop.peers import peerEnvironment, requireProgram, runPeer
from tests.interop.sclient import SClient
from tests.interop.tlslistener import Certificates, Served, serving
from tests.socksclient import NO_AUTHENTICATION, request
from tests.targets import Target, witness

GREETED = bytes.fromhex("0500")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """
    Start the daemon.
    """
    with serving(tmp_path_factory.mktemp("tls")) as served:
        yield served


class TestOpenSSL:
    """
    C{openssl s_client}.
    """

    def trusting(self, certificates: Certificates) -> list[str]:
        """
        Give the options that make it look at the daemon's certificate.
        """
        return [
            "-CAfile",
            certificates.authority.path,
            "-verify_return_error",
            "-verify_hostname",
            "localhost",
        ]

    @pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
    @pytest.mark.parametrize("clean", [True, False])
    def test_speaksSOCKS(self, served: Served, version: str, clean: bool) -> None:
        """
        It can speak SOCKS5 by itself; when it closes, the target sees the end
        of the stream, and when it is killed, a reset.
        """
        ends: Queue[type[OSError] | None] = Queue()

        def serve(connection: socket.socket) -> None:
            connection.sendall(connection.recv(5)[::-1])
            witness(ends)(connection)

        options = [version, *self.trusting(served.certificates)]
        with Target(serve) as target, SClient(served.port, *options) as client:
            client.send(NO_AUTHENTICATION)
            client.waitFor(GREETED)
            client.send(request("127.0.0.1", target.port) + b"hello")
            client.waitFor(b"olleh")
            if clean:
                client.end()
            else:
                client.process.kill()
            assert ends.get(timeout=TIMEOUT) is (None if clean else ConnectionResetError)

    def test_clientCertificate(self, served: Served) -> None:
        """
        With an authority of clients it gets through with a certificate...
        """
        client = served.certificates.client
        shown = ["-cert", client.certificate, "-key", client.key]
        options = [*self.trusting(served.certificates), *shown]
        with SClient(served.demanding, *options) as process:
            process.send(NO_AUTHENTICATION)
            process.waitFor(GREETED)

    @pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
    @pytest.mark.parametrize("foreign", [True, False])
    def test_noClientCertificate(self, served: Served, version: str, foreign: bool) -> None:
        """
        ... and not without one, nor with one of somebody else.
        """
        options = [version, *self.trusting(served.certificates)]
        if foreign:
            options += ["-cert", served.certificates.foreign.both]
        with SClient(served.demanding, *options) as client:
            # It may be gone already.
            with contextlib.suppress(BrokenPipeError):
                client.send(NO_AUTHENTICATION)
            assert GREETED not in client.waitFor(b"alert")
            assert client.process.wait(TIMEOUT) != 0

    def test_renegotiation(self, served: Served) -> None:
        """
        It cannot renegotiate.
        """
        options = ["-tls1_2", *self.trusting(served.certificates)]
        with SClient(served.port, *options, quiet=False) as client:
            said = client.waitFor(b"Extended master secret")
            assert b"Compression: NONE" in said
            client.send(b"R\n")
            client.waitFor(b"no renegotiation")

    def test_oldVersions(self, served: Served) -> None:
        """
        It cannot speak TLS 1.1.
        """
        ended = runPeer(
            requireProgram("openssl"),
            "s_client",
            "-connect",
            f"127.0.0.1:{served.port}",
            "-tls1_1",
            "-cipher",
            "ALL:@SECLEVEL=0",
        )
        assert ended.returncode != 0
        assert b"alert protocol version" in ended.stderr


class SServerTests(TestCase):
    """
    C{openssl s_server}, with a client of ours.
    """

    timeout = 30

    def setUp(self) -> None:
        """
        Make certificates.
        """
        self.certificates = Certificates(temporaryFolder(self))

    def start(self, *options: str) -> int:
        """
        Start a server that sends back lines from their end.

        @return: Its port.
        """
        server = self.certificates.server
        process = subprocess.Popen(
            [
                *(requireProgram("openssl"), "s_server", "-accept", "127.0.0.1:0", "-rev"),
                *("-cert", server.certificate, "-key", server.key, *options),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=peerEnvironment(),
        )
        assert process.stdout is not None
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait, TIMEOUT)
        self.addCleanup(process.kill)
        for line in process.stdout:
            match = re.match(rb"ACCEPT 127\.0\.0\.1:(\d+)", line)
            if match is not None:
                return int(match[1])
        raise AssertionError("it does not start")

    async def asked(
        self,
        port: int,
        creator: IOpenSSLClientConnectionCreator,
        below: IStreamClientEndpoint | None = None,
    ) -> bytes:
        """
        Give what the server answers.

        @param below: The way to it, if it is not the straight one.
        """
        below = below or TCP4ClientEndpoint(reactor, "127.0.0.1", port)
        endpoint = wrapTLSClient(reactor, below, creator)  # type: ignore[arg-type]
        line = Line()
        await connectProtocol(endpoint, line)
        line.transport.write(b"hello\n")
        answer: bytes = await line.answer
        return answer

    async def test_authority(self) -> None:
        """
        By its authority and its address.
        """
        creator = clientTLS("127.0.0.1", ca=self.certificates.authority.path)
        self.assertEqual(await self.asked(self.start(), creator), b"olleh")

    async def test_pinned(self) -> None:
        """
        By its fingerprint, as C{openssl} writes it.
        """
        command = ["x509", "-noout", "-fingerprint", "-sha256", "-in"]
        path = self.certificates.server.certificate
        said = runPeer(requireProgram("openssl"), *command, path).stdout.decode()
        creator = clientTLS("elsewhere.test", pins=[said.strip().partition("=")[2]])
        self.assertEqual(await self.asked(self.start(), creator), b"olleh")

    async def test_clientCertificate(self) -> None:
        """
        It gets our certificate when it wants one, and nothing from us
        otherwise.
        """
        authority = self.certificates.authority.path
        port = self.start("-Verify", "1", "-verify_return_error", "-CAfile", authority)
        known = clientTLS("localhost", authority, self.certificates.client.both)
        self.assertEqual(await self.asked(port, known), b"olleh")
        foreign = clientTLS("localhost", authority, self.certificates.foreign.both)
        await self.assertFailure(ensureDeferred(self.asked(port, foreign)), TLSBroken)

    async def test_throughProxy(self) -> None:
        """
        TLS runs through a proxy, to which the way may be over TLS itself.
        """
        port = self.start()
        with serving(temporaryFolder(self)) as served:
            authority = served.certificates.authority.path
            own = clientTLS("localhost", authority, served.certificates.client.both)
            straight = TCP4ClientEndpoint(reactor, "127.0.0.1", served.demanding)
            proxy = wrapTLSClient(reactor, straight, own)  # type: ignore[arg-type]
            creator = clientTLS("127.0.0.1", ca=self.certificates.authority.path)
            for host in ("127.0.0.1", "localhost"):
                tunnel = SOCKS5ClientEndpoint(reactor, proxy, host, port)
                self.assertEqual(await self.asked(port, creator, tunnel), b"olleh")
            other = clientTLS("elsewhere.test", self.certificates.authority.path)
            tunnel = SOCKS5ClientEndpoint(reactor, proxy, "127.0.0.1", port)
            await self.assertFailure(ensureDeferred(self.asked(port, other, tunnel)), PeerRejected)

    async def test_rejected(self) -> None:
        """
        We do not talk to it when it is not who it should be.
        """
        port = self.start()
        for creator in (
            clientTLS("localhost"),
            clientTLS("elsewhere.test", self.certificates.authority.path),
            clientTLS("localhost", pins=["00" * 32]),
        ):
            await self.assertFailure(ensureDeferred(self.asked(port, creator)), PeerRejected)


class Line(Protocol):
    """
    Waits for one line.

    @ivar answer: It, or why there is none.
    """

    def __init__(self) -> None:
        self.answer: Deferred[bytes] = Deferred()
        self._received = b""

    def dataReceived(self, data: bytes) -> None:
        """
        Take some of it.
        """
        self._received += data
        if self._received.endswith(b"\n"):
            self.transport.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        It is over.
        """
        if self._received.endswith(b"\n"):
            self.answer.callback(self._received.strip())
        else:
            self.answer.errback(reason)
