"""
Tests for L{socksproxy.outbound.direct}.
"""

from __future__ import annotations

from ipaddress import ip_address

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IHostnameResolver, IProtocol, IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from socksproxy.address import Destination, IPAddress, hostFromName
from socksproxy.dns.resolver import BoundedResolver
from socksproxy.errors import (
    ConnectionRefused,
    ConnectTimedOut,
    NameNotFound,
    NotAllowed,
    TooManyConnections,
)
from socksproxy.interfaces import IAddressPolicy, IOutbound
from socksproxy.outbound.direct import DirectOutbound
from socksproxy.outbound.eyeballs import MAX_ADDRESSES
from socksproxy.relay import Leg
from socksproxy.testing import ScriptedNetwork
from tests.dns.names import SlowNames


@implementer(IAddressPolicy)
class Except:
    """
    Lets all addresses pass but some.

    @ivar asked: Those that it has been asked about.
    """

    def __init__(self, *denied: str) -> None:
        self.denied = {ip_address(address) for address in denied}
        self.asked: list[str] = []

    def check(self, address: IPAddress) -> None:
        """
        See L{IAddressPolicy}.
        """
        self.asked.append(str(address))
        if address in self.denied:
            raise NotAllowed("not that one")


class DirectTestCase(SynchronousTestCase):
    """
    Tests that go out into a network by a script.
    """

    def outbound(
        self,
        policy: IAddressPolicy | None = None,
        resolver: IHostnameResolver | None = None,
        **world: str | list[str],
    ) -> DirectOutbound:
        """
        Make a way out.

        @param world: As for L{ScriptedNetwork}, with C{_} for dots and
            without ports, which are 80.
        """
        self.network = ScriptedNetwork(
            {
                name if isinstance(outcome, list) else f"{name}:80": outcome
                for name, outcome in (
                    (name.strip("_").replace("_", "."), outcome) for name, outcome in world.items()
                )
            }
        )
        self.policy = policy or Except()
        bounded = BoundedResolver(self.network, resolver or self.network, timeout=20)
        return DirectOutbound(self.network, self.network, bounded, self.policy, "client")

    def connect(self, outbound: DirectOutbound, name: bytes) -> Deferred[IProtocol]:
        """
        Connect to a host.
        """
        endpoint = outbound.endpointFor(Destination(hostFromName(name), 80))
        return endpoint.connect(Factory.forProtocol(Leg))

    def dialled(self) -> list[str]:
        """
        Give the hosts that have been dialled.
        """
        return [attempt.host for attempt in self.network.attempts]

    def assertQuiet(self) -> None:
        """
        Fail if anything is still under way, or will be.
        """
        self.assertEqual(self.network.getDelayedCalls(), [])


class ConnectTests(DirectTestCase):
    """
    Ways that lead somewhere.
    """

    def test_interfaces(self) -> None:
        """
        It is a way out, and what it gives are endpoints.
        """
        outbound = self.outbound()
        verifyObject(IOutbound, outbound)
        verifyObject(
            IStreamClientEndpoint, outbound.endpointFor(Destination(ip_address("192.0.2.1"), 80))
        )

    def test_address(self) -> None:
        """
        An address is vetted and dialled, and nothing is looked up.
        """
        answer = self.connect(self.outbound(_192_0_2_1="accept"), b"192.0.2.1")
        self.network.advance(0)
        self.assertIsInstance(self.successResultOf(answer), Leg)
        self.assertEqual((self.network.queries, self.policy.asked), ([], ["192.0.2.1"]))
        self.assertQuiet()

    def test_name(self) -> None:
        """
        A name is looked up once, all of its addresses are vetted, and an
        address is dialled.
        """
        outbound = self.outbound(web_test=["192.0.2.1", "192.0.2.2"], _192_0_2_1="accept")
        answer = self.connect(outbound, b"web.test")
        self.network.advance(0)
        self.successResultOf(answer)
        self.assertEqual(self.network.queries, ["web.test"])
        self.assertEqual(self.policy.asked, ["192.0.2.1", "192.0.2.2"])
        self.assertEqual(self.dialled(), ["192.0.2.1"])
        self.assertQuiet()

    def test_nothingBeforeConnect(self) -> None:
        """
        An endpoint does nothing before it is told to connect.
        """
        outbound = self.outbound(web_test=["192.0.2.1"])
        outbound.endpointFor(Destination("web.test", 80))
        outbound.endpointFor(Destination(ip_address("192.0.2.1"), 80))
        self.network.advance(60)
        self.assertEqual((self.network.queries, self.policy.asked, self.dialled()), ([], [], []))

    def test_endpointTwice(self) -> None:
        """
        An endpoint that connects again looks the name up again.
        """
        outbound = self.outbound(web_test=["192.0.2.1"], _192_0_2_1="accept")
        endpoint = outbound.endpointFor(Destination("web.test", 80))
        for _ in range(2):
            answer = endpoint.connect(Factory.forProtocol(Leg))
            self.network.advance(0)
            self.successResultOf(answer)
        self.assertEqual(self.network.queries, ["web.test"] * 2)

    def test_noRebinding(self) -> None:
        """
        A name server that changes its mind while we dial gains nothing: what
        is dialled is what was vetted.
        """
        outbound = self.outbound(
            Except("127.0.0.1"),
            web_test=["192.0.2.1", "192.0.2.2"],
            _192_0_2_1="ECONNREFUSED",
            _192_0_2_2="accept",
        )
        answer = self.connect(outbound, b"web.test")
        self.network.world["web.test"] = ["127.0.0.1"]
        self.network.pump([0, 0])
        self.successResultOf(answer)
        self.assertEqual(self.dialled(), ["192.0.2.1", "192.0.2.2"])
        self.assertEqual(self.network.queries, ["web.test"])


class VettingTests(DirectTestCase):
    """
    Addresses that must not be dialled.
    """

    def test_someDenied(self) -> None:
        """
        Of a name's addresses only those are dialled that may be.
        """
        outbound = self.outbound(
            Except("127.0.0.1", "10.0.0.1"),
            web_test=["127.0.0.1", "192.0.2.1", "10.0.0.1", "192.0.2.2"],
            _127_0_0_1="accept",
            _10_0_0_1="accept",
            _192_0_2_1="ECONNREFUSED",
            _192_0_2_2="ECONNREFUSED",
        )
        answer = self.connect(outbound, b"web.test")
        self.network.pump([0, 0, 0])
        self.failureResultOf(answer, ConnectionRefused)
        self.assertEqual(self.dialled(), ["192.0.2.1", "192.0.2.2"])
        self.assertQuiet()

    def test_allDenied(self) -> None:
        """
        Where no address may be dialled, the request is not allowed, and
        nothing is dialled.
        """
        outbound = self.outbound(
            Except("127.0.0.1", "::1"), localhost=["127.0.0.1", "::1"], _127_0_0_1="accept"
        )
        answer = self.connect(outbound, b"localhost")
        self.failureResultOf(answer, NotAllowed)
        self.assertEqual(self.policy.asked, ["127.0.0.1", "::1"])
        self.assertEqual(self.dialled(), [])
        self.assertQuiet()

    def test_addressDenied(self) -> None:
        """
        An address that the client gave itself is vetted too, however it is
        written.
        """
        for name in (b"127.0.0.1", b"::ffff:127.0.0.1", b"[::ffff:7f00:1]"):
            outbound = self.outbound(Except("127.0.0.1"), _127_0_0_1="accept")
            self.failureResultOf(self.connect(outbound, name), NotAllowed)
            self.assertEqual(self.dialled(), [])
            self.assertQuiet()

    def test_manyAddresses(self) -> None:
        """
        Of a name with very many addresses only the first sixteen that may be
        dialled are.
        """
        addresses = [f"192.0.2.{number}" for number in range(100)]
        outbound = self.outbound(Except(*addresses[:50]), web_test=addresses)
        answer = self.connect(outbound, b"web.test")
        self.network.pump([0] * 100)
        self.failureResultOf(answer, ConnectionRefused)
        self.assertEqual(self.dialled(), addresses[50 : 50 + MAX_ADDRESSES])
        self.assertQuiet()


class NameTests(DirectTestCase):
    """
    Names that lead nowhere.
    """

    def test_notFound(self) -> None:
        """
        A name without addresses is not found.
        """
        answer = self.connect(self.outbound(), b"nowhere.test")
        self.failureResultOf(answer, NameNotFound)
        self.assertQuiet()

    def test_hiddenService(self) -> None:
        """
        The name of a hidden service is never asked for, in whatever way it is
        written.
        """
        for name in (b"abc.onion", b"www.ABC.Onion", b"abc.onion."):
            outbound = self.outbound(abc_onion=["192.0.2.1"])
            self.failureResultOf(self.connect(outbound, name), NameNotFound)
            self.assertEqual(self.network.queries, [])
            self.assertQuiet()

    def test_tooMany(self) -> None:
        """
        That too many names are looked up is told as such.
        """
        self.patch(BoundedResolver, "resolve", lambda *_: refused)
        refused: Deferred[list[IPAddress]] = Deferred()
        answer = self.connect(self.outbound(), b"web.test")
        refused.errback(TooManyConnections())
        self.failureResultOf(answer, TooManyConnections)
        self.assertQuiet()


class TimeLimitTests(DirectTestCase):
    """
    Nobody waits for ever.
    """

    def test_thirtySeconds(self) -> None:
        """
        After thirty seconds the attempt has timed out, and nothing is under
        way any more.
        """
        outbound = self.outbound(
            web_test=["192.0.2.1", "192.0.2.2"], _192_0_2_1="timeout", _192_0_2_2="timeout"
        )
        answer = self.connect(outbound, b"web.test")
        self.network.pump([1] * 29 + [0.9])
        self.assertNoResult(answer)
        self.network.advance(0.2)
        self.failureResultOf(answer, ConnectTimedOut)
        self.assertEqual(self.network.cancelled, 2)
        self.assertQuiet()

    def test_lookUpCounts(self) -> None:
        """
        What looking the name up takes is part of the thirty seconds.
        """
        names = SlowNames()
        answer = self.connect(self.outbound(resolver=names, _192_0_2_1="timeout"), b"web.test")
        self.network.advance(15)
        names.answer("web.test", "192.0.2.1")
        self.network.advance(14.9)
        self.assertNoResult(answer)
        self.network.advance(0.2)
        self.failureResultOf(answer, ConnectTimedOut)
        self.assertQuiet()

    def test_cancelLookUp(self) -> None:
        """
        Cancelling during the look-up gives it up: an answer that comes later
        is not dialled.
        """
        names = SlowNames()
        answer = self.connect(self.outbound(resolver=names, _192_0_2_1="accept"), b"web.test")
        answer.cancel()
        self.failureResultOf(answer, CancelledError)
        names.answer("web.test", "192.0.2.1")
        self.network.advance(1)
        self.assertEqual(self.dialled(), [])
        self.assertQuiet()

    def test_cancelDial(self) -> None:
        """
        Cancelling during the dial ends the attempts.
        """
        answer = self.connect(self.outbound(_192_0_2_1="timeout"), b"192.0.2.1")
        answer.cancel()
        self.failureResultOf(answer, CancelledError)
        self.assertEqual(self.network.cancelled, 1)
        self.assertQuiet()
