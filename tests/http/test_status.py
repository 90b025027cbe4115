"""
Tests for L{socksproxy.http.status}: what is answered where requests fail here.

Failures of other proxies are in L{tests.http.test_otherproxies}.
"""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus
from ipaddress import ip_address

from twisted.internet.protocol import Factory, Protocol
from twisted.trial.unittest import SynchronousTestCase

from socksproxy import errors
from socksproxy.address import Destination
from socksproxy.client.errors import ProxyTimedOut, TargetCommandNotSupported
from socksproxy.dns.resolver import BoundedResolver
from socksproxy.errors import RequestFailed, SOCKSProxyError
from socksproxy.http._refusal import Refusal
from socksproxy.http.status import (
    RETRY_AFTER,
    Answer,
    BadResponse,
    ResponseTimedOut,
    answerFor,
    answerWith,
)
from socksproxy.outbound.chain import ChainOutbound
from socksproxy.outbound.hops import Chain
from socksproxy.outbound.proxyurl import chainFromURLs
from socksproxy.outbound.vetting import Vetting
from socksproxy.policy.rules import PublicAddresses
from socksproxy.testing import ScriptedNetwork
from tests.http.proxystatus import TYPES

SECRET = "10.1.2.3:8080 s3cret"
"""
What an error says of itself, and clients are not to know.
"""


def kindsOf(root: type[RequestFailed]) -> Iterator[type[RequestFailed]]:
    """
    Give a class of errors and all that derive from it.
    """
    yield root
    for kind in root.__subclasses__():
        yield from kindsOf(kind)


def errorOf(kind: type[RequestFailed]) -> RequestFailed:
    """
    Make an error that says more than it should.
    """
    try:
        return kind(SECRET)
    except TypeError:
        return kind(99)  # type: ignore[arg-type]


class AnswerForTests(SynchronousTestCase):
    """
    Tests for L{answerFor}.
    """

    def assertTells(self, error: BaseException, status: int, kind: str, *words: str) -> Answer:
        """
        Require an answer, and words in its sentences.
        """
        answer = answerFor(error)
        self.assertEqual((answer.status, answer.error), (status, kind))
        for word in words:
            self.assertIn(word, f"{answer.text} {answer.advice}")
        return answer

    def test_everyFailure(self) -> None:
        """
        Whatever can become of a request has its status, a type that RFC 9209
        knows, and whole sentences; what the error says of itself is not told.
        """
        kinds = set(kindsOf(RequestFailed))
        self.assertGreater(len(kinds), 30)
        for kind in kinds:
            answer = answerFor(errorOf(kind))
            with self.subTest(kind=kind.__name__):
                if kind is ProxyTimedOut:
                    self.assertEqual(answer.status, 504)
                elif kind is TargetCommandNotSupported:
                    self.assertEqual(answer.status, 502)
                else:
                    self.assertEqual(answer.status, kind.httpStatus)
                self.assertIn(answer.error, TYPES)
                self.assertEqual(answer.reason.decode(), HTTPStatus(answer.status).phrase)
                self.assertRegex(answer.text, r"\A[A-Z][ -~]+[a-z0-9)]\.\Z")
                self.assertRegex(answer.advice, r"\A(|[A-Z][ -~]+\.)\Z")
                self.assertEqual(answer.retryAfter, RETRY_AFTER if answer.status == 503 else None)
                for said in (answer.text, answer.advice):
                    self.assertNotIn("10.1.2.3", said)
                    self.assertNotIn("s3cret", said)
                    self.assertNotIn("{", said)

    def test_everyCauseHasWordsOfItsOwn(self) -> None:
        """
        No two causes are told with the same words, unless one of them is a
        special case of the other.
        """
        kinds = [kind for kind in kindsOf(RequestFailed) if kind.__module__ == errors.__name__]
        kinds += [BadResponse, ResponseTimedOut]
        # Clients of HTTP have nothing to do with ident.
        vague = (errors.GeneralFailure, errors.IdentMismatch, errors.ProxyReplied)
        told = {kind: answerFor(errorOf(kind)).text for kind in kinds if kind not in vague}
        self.assertGreater(len(told), 12)
        for one, text in told.items():
            for other, same in told.items():
                related = issubclass(one, other) or issubclass(other, one)
                self.assertTrue(related or text != same, (one, other))

    def test_connections(self) -> None:
        """
        Why there is no connection is told in words that people know.
        """
        self.assertTells(errors.ConnectionRefused(), 502, "connection_refused", "refused", "port")
        self.assertTells(errors.NameNotFound(), 502, "dns_error", "name", "resolved")
        self.assertTells(errors.HostUnreachable(), 502, "destination_ip_unroutable", "reached")
        self.assertTells(errors.NetworkUnreachable(), 502, "destination_ip_unroutable", "IPv6")
        self.assertTells(errors.ConnectTimedOut(), 504, "connection_timeout", "in time")
        self.assertTells(
            errors.AddressTypeNotSupported(), 502, "destination_ip_unroutable", "of this kind"
        )
        self.assertTells(errors.GeneralFailure(), 502, "destination_unavailable", "log")
        self.assertTells(errors.ProxyReplied(99), 502, "destination_unavailable", "log")

    def test_responses(self) -> None:
        """
        It is told whether a server does not answer, or cannot be understood.
        """
        self.assertTells(ResponseTimedOut(), 504, "http_response_timeout", "server", "reached")
        self.assertTells(BadResponse(), 502, "http_protocol_error", "server", "answer")

    def test_credentials(self) -> None:
        """
        Who needs a password is told that it is for the proxy.
        """
        words = ("user name", "password", "not for the site")
        self.assertTells(errors.AuthenticationFailed(), 407, "http_request_denied", *words)

    def test_overload(self) -> None:
        """
        Where there is no room now there may be later.
        """
        answer = self.assertTells(errors.TooManyConnections(), 503, "connection_limit_reached")
        self.assertEqual(answer.retryAfter, RETRY_AFTER)

    def test_malformed(self) -> None:
        """
        What the parser objects to is told in its own words.
        """
        answer = answerFor(Refusal(431, "too many fields"))
        self.assertEqual(answer, answerWith(431, "too many fields"))
        self.assertEqual(answer.text, "The request cannot be served: too many fields.")

    def test_accidents(self) -> None:
        """
        What nobody has foreseen is our fault, and nothing is told of it.
        """
        for error in (ValueError(SECRET), SOCKSProxyError(SECRET), errors.MalformedMessage(SECRET)):
            answer = self.assertTells(error, 500, "proxy_internal_error", "unforeseen")
            self.assertNotIn("s3cret", answer.text + answer.advice)


class PrivateAddressTests(SynchronousTestCase):
    """
    Only whoever is kept from private addresses is told how to open them.
    """

    def assertPrivate(self, error: BaseException) -> None:
        """
        Require the way out to be told.
        """
        answer = answerFor(error)
        self.assertEqual((answer.status, answer.error), (403, "destination_ip_prohibited"))
        self.assertIn("Private addresses are closed to clients from elsewhere", answer.text)
        self.assertIn("--allow-private", answer.advice)

    def test_policy(self) -> None:
        """
        The policy against private addresses is recognised.
        """
        for address in ("127.0.0.1", "10.0.0.1", "::1", "169.254.169.254"):
            error = self.assertRaises(
                errors.NotAllowed, PublicAddresses().check, ip_address(address)
            )
            self.assertPrivate(error)

    def test_ownAddress(self) -> None:
        """
        So is it where an address is the proxy's own.
        """
        policy = PublicAddresses(lambda address: True)
        error = self.assertRaises(errors.NotAllowed, policy.check, ip_address("192.0.2.1"))
        self.assertPrivate(error)

    def test_vetted(self) -> None:
        """
        So is it for an address, and for a name that has no other, on the way
        out of this host.
        """
        network = ScriptedNetwork({"inside.test": ["10.0.0.1", "10.0.0.2"]})
        resolver = BoundedResolver(network, network)
        vetting = Vetting(resolver, PublicAddresses(), None)
        for host in (ip_address("10.0.0.1"), "inside.test"):
            failure = self.failureResultOf(vetting.addressesOf(host))
            self.assertPrivate(failure.value)

    def test_chained(self) -> None:
        """
        So is it on the way through other proxies, where names are looked up
        here and where addresses are asked for.
        """
        network = ScriptedNetwork({"inside.test": ["10.0.0.1"]})
        resolver = BoundedResolver(network, network)
        chain = Chain(network, chainFromURLs("socks5://192.0.2.1"), resolver)
        outbound = ChainOutbound(chain, PublicAddresses())
        for host in (ip_address("10.0.0.1"), "inside.test"):
            endpoint = outbound.endpointFor(Destination(host, 80))
            failure = self.failureResultOf(endpoint.connect(Factory.forProtocol(Protocol)))
            self.assertPrivate(failure.value)

    def test_otherRules(self) -> None:
        """
        Of whatever else is forbidden it is not said that an option opens it.
        """
        for error in (errors.NotAllowed(), errors.NotAllowed("somebody else connected")):
            answer = answerFor(error)
            self.assertEqual((answer.status, answer.error), (403, "http_request_denied"))
            self.assertNotIn("--allow-private", answer.text + answer.advice)
            self.assertNotIn("rivate", answer.text + answer.advice)


class AnswerWithTests(SynchronousTestCase):
    """
    Tests for L{answerWith}.
    """

    def test_statuses(self) -> None:
        """
        Every status of the specification has its type.
        """
        expected = {
            400: "http_request_error",
            403: "http_request_denied",
            405: "http_request_error",
            407: "http_request_denied",
            408: "http_request_error",
            413: "http_request_error",
            414: "http_request_error",
            417: "http_request_error",
            429: "http_request_error",
            431: "http_request_error",
            500: "proxy_internal_error",
            501: "proxy_internal_response",
            502: "http_protocol_error",
            503: "proxy_internal_response",
            504: "http_response_timeout",
            505: "proxy_internal_response",
            508: "proxy_loop_detected",
        }
        for status, kind in expected.items():
            answer = answerWith(status, "it is so")
            with self.subTest(status=status):
                self.assertEqual((answer.status, answer.error), (status, kind))
                self.assertEqual(answer.reason.decode(), HTTPStatus(status).phrase)
                self.assertRegex(answer.advice, r"\A(|[A-Z][ -~]+\.)\Z")
                self.assertIn(answer.error, TYPES)
                self.assertEqual("it is so" in answer.text, status != 500)

    def test_unknown(self) -> None:
        """
        A status that nobody knows does no harm.
        """
        self.assertEqual(answerWith(499).reason, b"Error")
        self.assertEqual(answerWith(499).error, "http_request_error")
        self.assertEqual(answerWith(599).error, "proxy_internal_response")

    def test_withoutText(self) -> None:
        """
        There is a sentence even if there is nothing to say.
        """
        self.assertEqual(answerWith(405).text, "The request cannot be served.")

    def test_retryAfter(self) -> None:
        """
        A proxy that is being stopped says when to try again.
        """
        self.assertEqual(answerWith(503).retryAfter, RETRY_AFTER)
        self.assertIsNone(answerWith(502).retryAfter)
