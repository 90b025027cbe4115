"""
Tests for L{socksproxy.http.otherproxies}: what is told where another proxy is
the reason.
"""

from __future__ import annotations

from twisted.internet import error as twistedError
from twisted.internet.interfaces import IReactorPluggableNameResolver
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import directlyProvides

from socksproxy import errors
from socksproxy.address import Destination
from socksproxy.client import errors as clientErrors
from socksproxy.client.endpoint import TIMEOUT
from socksproxy.client.errors import ProxiedConnectError, connectErrorFrom
from socksproxy.http.otherproxies import proxyName
from socksproxy.http.status import Answer, answerFor
from socksproxy.outbound.proxyurl import proxyFromURL
from socksproxy.testing import ScriptedNetwork
from socksproxy.tls.errors import TLSFailed
from tests.client.scripted import HOST, PORT, Connecting, Dialect, http, socks5
from tests.outbound.chains import ONE, TWO, ChainTestCase

NAMED = "socks5h://proxy.test:1080"
BEFORE = "http://before.test:3128"


def about(error: ProxiedConnectError, proxy: str) -> ProxiedConnectError:
    """
    Have an error say which proxy it is about.
    """
    error.proxy = proxy  # type: ignore[attr-defined]
    return error


def unreachable(cause: BaseException | None) -> ProxiedConnectError:
    """
    Give the error of a proxy that could not be connected to.
    """
    error = clientErrors.ProxyUnreachable("at 10.1.2.3")
    error.__cause__ = cause
    return about(error, NAMED)


class TargetFaultTests(SynchronousTestCase):
    """
    Another proxy does its part, and the answer is no.
    """

    def test_statuses(self) -> None:
        """
        What it says is told as its word, with the status for that.
        """
        expected = {
            1: (502, "destination_unavailable", "does not say why"),
            2: (403, "http_request_denied", "does not allow"),
            3: (502, "destination_ip_unroutable", "network"),
            4: (502, "destination_unavailable", "cannot reach the host"),
            5: (502, "connection_refused", "refused"),
            6: (504, "connection_timeout", "in time"),
            7: (502, "destination_unavailable", "does not say why"),
            8: (502, "destination_ip_unroutable", "addresses of this kind"),
            99: (502, "destination_unavailable", "does not say why"),
        }
        for code, (status, kind, words) in expected.items():
            answer = answerFor(connectErrorFrom(errors.requestFailedFor(code)))
            with self.subTest(code=code):
                self.assertEqual((answer.status, answer.error), (status, kind))
                self.assertIn(words, answer.text)
                self.assertIn("nother proxy on the way", answer.text)
                self.assertNotIn("--allow-private", answer.advice)

    def test_privateThere(self) -> None:
        """
        What another proxy forbids is not for our options to allow, whatever
        words it has for that.
        """
        answer = answerFor(clientErrors.TargetNotAllowed("the address is internal"))
        self.assertEqual((answer.status, answer.error), (403, "http_request_denied"))
        self.assertNotIn("--allow-private", answer.text + answer.advice)

    def test_named(self) -> None:
        """
        Which proxy it is is told where the error says so.
        """
        answer = answerFor(about(clientErrors.TargetConnectionRefused(), NAMED))
        self.assertIn(f"the proxy {NAMED} says so", answer.text)
        answer = answerFor(about(clientErrors.TargetHostUnreachable(), NAMED))
        self.assertTrue(answer.text.startswith(f"The proxy {NAMED} cannot reach"), answer.text)


class ProxyFaultTests(SynchronousTestCase):
    """
    Another proxy does not work.
    """

    def test_credentials(self) -> None:
        """
        Credentials that another proxy does not take are not the client's, who
        is not asked for any.
        """
        answer = answerFor(about(clientErrors.ProxyAuthenticationFailed(), NAMED))
        self.assertEqual((answer.status, answer.error), (502, "proxy_configuration_error"))
        self.assertIn(f"The proxy {NAMED} does not accept", answer.text)
        self.assertIn("Yours are not at fault", answer.advice)

    def test_late(self) -> None:
        """
        A proxy that takes too long is a time-out.
        """
        answer = answerFor(about(clientErrors.ProxyTimedOut(), NAMED))
        self.assertEqual((answer.status, answer.error), (504, "connection_timeout"))
        self.assertIn(f"The proxy {NAMED} was not done in time", answer.text)

    def test_broken(self) -> None:
        """
        A proxy that talks nonsense is told from one that just does not work.
        """
        broken = answerFor(clientErrors.ProxyProtocolError())
        faulty = answerFor(clientErrors.ProxyFault())
        self.assertEqual((broken.status, faulty.status), (502, 502))
        self.assertIn("protocol", broken.text)
        self.assertIn("does not work", faulty.text)

    def test_unreachable(self) -> None:
        """
        Why there is no connection to it is told, whether we or the proxy
        before it have tried.
        """
        expected: list[tuple[BaseException | None, str, str]] = [
            (None, "destination_unavailable", "reached."),
            (twistedError.ConnectError(111, "10.1.2.3"), "destination_unavailable", "reached."),
            (twistedError.ConnectionRefusedError(), "connection_refused", "refused"),
            (clientErrors.TargetConnectionRefused(), "connection_refused", "refused"),
            (twistedError.DNSLookupError("10.1.2.3"), "dns_error", "resolved"),
            (errors.NameNotFound(), "dns_error", "resolved"),
            (twistedError.TimeoutError(), "connection_timeout", "not answer"),
            (clientErrors.TargetTimedOut(), "connection_timeout", "not answer"),
            (twistedError.NoRouteError(), "destination_ip_unroutable", "no way"),
            (clientErrors.TargetHostUnreachable(), "destination_ip_unroutable", "no way"),
            (clientErrors.TargetNotAllowed(), "http_request_denied", "not allowed"),
            (clientErrors.TargetGeneralFailure(), "destination_unavailable", "reached."),
            (TLSFailed("10.1.2.3"), "tls_protocol_error", "TLS"),
        ]
        for cause, kind, words in expected:
            answer = answerFor(unreachable(cause))
            with self.subTest(cause=cause):
                self.assertEqual((answer.status, answer.error), (502, kind))
                self.assertTrue(
                    answer.text.startswith(f"The proxy {NAMED} cannot be reached"), answer.text
                )
                self.assertIn(words, answer.text)
                self.assertNotIn("10.1.2.3", answer.text)
                self.assertNotIn("from", answer.text)

    def test_unreachableFrom(self) -> None:
        """
        The proxy before it is told, too.
        """
        cause = about(clientErrors.TargetConnectionRefused(), BEFORE)
        self.assertEqual(
            answerFor(unreachable(cause)).text,
            f"The proxy {NAMED} cannot be reached from the proxy {BEFORE}:"
            " the connection was refused.",
        )

    def test_oddNames(self) -> None:
        """
        A name cannot break the sentence that it is put into, and what is no
        proxy's is not told.
        """
        odd = about(clientErrors.TargetConnectionRefused(), "http://{0}{x}:1")
        answer = answerFor(unreachable(odd))
        self.assertIn("from the proxy http://{0}{x}:1: the connection", answer.text)
        for nonsense in ("", "proxy.test", "http://a\r\nb"):
            answer = answerFor(about(clientErrors.ProxyFault(), nonsense))
            self.assertEqual(answer.text, "Another proxy on the way does not work.")
        error = clientErrors.ProxyFault()
        error.proxy = 7  # type: ignore[attr-defined]
        self.assertEqual(answerFor(error).text, "Another proxy on the way does not work.")


class ChainTests(ChainTestCase):
    """
    What is told of failures in real chains.
    """

    def answerTo(self, first: Dialect, second: bytes | None = None) -> Answer:
        """
        Give what is answered if a chain of two proxies fails.

        @param first: The conversation with the first one.
        @param second: What the second one says, unless the first one has
            refused to go there.
        """
        chain = self.chained(f"socks5h://{ONE}:1080,http://{TWO}:1080")
        connecting = Connecting(chain.endpointTo(Destination(HOST, PORT)))
        peer = self.peer()
        if second is None:
            self.answer(peer, first.messages, first.answers[:-1])
            peer.peerSends(first.refusal)
        else:
            self.converse(peer, first)
            self.answer(peer, http().messages, [])
            peer.peerSends(second)
        return answerFor(self.failureResultOf(connecting.result).value)

    def test_secondNotReached(self) -> None:
        """
        A proxy that the one before it cannot connect to is told from a target
        that it cannot connect to.
        """
        answer = self.answerTo(socks5(TWO, 1080))
        self.assertEqual((answer.status, answer.error), (502, "connection_refused"))
        self.assertRegex(answer.text, "roxy .* cannot be reached.*: the connection was refused")

    def test_secondRefuses(self) -> None:
        """
        What the last proxy says of the target, and of us, is told.
        """
        said = {
            b"HTTP/1.1 403 No\r\n\r\n": (403, "http_request_denied", "does not allow"),
            b"HTTP/1.1 407 Who\r\n\r\n": (502, "proxy_configuration_error", "credentials"),
            b"HTTP/1.1 502 No\r\n\r\n": (502, "destination_unavailable", "cannot reach"),
            b"HTTP/1.1 504 No\r\n\r\n": (504, "connection_timeout", "in time"),
            b"SSH-2.0-x\r\n": (502, "destination_unavailable", "its protocol"),
        }
        for answered, (status, kind, words) in said.items():
            self.start()
            answer = self.answerTo(socks5(TWO, 1080), answered)
            with self.subTest(answered=answered):
                self.assertEqual((answer.status, answer.error), (status, kind))
                self.assertIn(words, answer.text)

    def test_firstNotReached(self) -> None:
        """
        So is why the first proxy cannot be reached, without its address if
        that is internal.
        """
        self.network = ScriptedNetwork(
            {"10.0.0.2:1080": "ETIMEDOUT", "10.0.0.3:1080": "EHOSTUNREACH"}
        )
        directlyProvides(self.network, IReactorPluggableNameResolver)
        expected = {
            "10.0.0.1": ("connection_refused", "refused"),
            "10.0.0.2": ("connection_timeout", "not answer"),
            "10.0.0.3": ("destination_ip_unroutable", "no way"),
            "nowhere.test": ("dns_error", "resolved"),
        }
        for host, (kind, words) in expected.items():
            chain = self.chained(f"socks5h://{host}:1080")
            connecting = Connecting(chain.endpointTo(Destination(HOST, PORT)))
            self.network.advance(1)
            answer = answerFor(self.failureResultOf(connecting.result).value)
            with self.subTest(host=host):
                self.assertEqual((answer.status, answer.error), (502, kind))
                self.assertIn(words, answer.text)
                self.assertNotIn("10.0.0", answer.text)

    def test_firstLate(self) -> None:
        """
        So is that a proxy has let us wait for too long.
        """
        self.chained(f"socks5h://{ONE}:1080")
        connecting = Connecting(self.chain.endpointTo(Destination(HOST, PORT)))
        self.network.advance(TIMEOUT)
        answer = answerFor(self.failureResultOf(connecting.result).value)
        self.assertEqual((answer.status, answer.error), (504, "connection_timeout"))


class ProxyNameTests(SynchronousTestCase):
    """
    Tests for L{proxyName}.
    """

    def test_secrets(self) -> None:
        """
        Neither user nor password is ever shown, nor that there is one.
        """
        shown = {
            "socks5h://proxy.test:1080": "socks5h://proxy.test:1080",
            "socks5h://***@proxy.test:1080": "socks5h://proxy.test:1080",
            "http://user:s3cret@proxy.test:3128": "http://proxy.test:3128",
            "http://us@er:s3@cret@proxy.test:3128": "http://proxy.test:3128",
            "ss+kcp://***@192.0.2.1:8388": "ss+kcp://192.0.2.1:8388",
            "socks5+tls://[2001:db8::1]:1080": "socks5+tls://[2001:db8::1]:1080",
        }
        for text, name in shown.items():
            self.assertEqual(proxyName(text), name)
            self.assertEqual(proxyName(text, whole=True), name)

    def test_internal(self) -> None:
        """
        Addresses behind the proxy and paths are shown to those who are there
        already, and else only what kind of proxy it is.
        """
        inside = {
            "socks5h://127.0.0.1:9050": "(socks5h)",
            "http://***@10.0.0.1:3128": "(http)",
            "socks5://[::1]:1080": "(socks5)",
            "socks5://[fd00::1]:1080": "(socks5)",
            "socks5://[::ffff:10.0.0.1]:1080": "(socks5)",
            "socks4a://unix:/run/tor/socks": "(socks4a)",
            "socks5h+kcp://192.168.0.1:29900": "(socks5h+kcp)",
        }
        for text, name in inside.items():
            self.assertEqual(proxyName(text), name)
            self.assertEqual(proxyName(text, whole=True), text.replace("***@", ""))

    def test_configured(self) -> None:
        """
        Whatever can be configured has a name without its secrets.
        """
        for url in (
            "socks5h://user:s3cret@proxy.test",
            "https://user:s3cret@proxy.test",
            "socks4a://user@proxy.test",
            "socks5h+tls://proxy.test",
            "socks5h+kcp://user:s3cret@proxy.test?key=s3cret",
            "ss://YWVzLTEyOC1nY206czNjcmV0@proxy.test:8388",
            "http://proxy.test:8080",
        ):
            name = proxyName(str(proxyFromURL(url)))
            self.assertIn("://proxy.test:", name)
            self.assertNotIn("s3cret", name)
            self.assertNotIn("@", name)
            self.assertNotIn("user", name)

    def test_nonsense(self) -> None:
        """
        What is no proxy has no name.
        """
        for text in ("", "proxy", "http://a\nb", "HTTP://a", "://"):
            self.assertEqual(proxyName(text), "")
