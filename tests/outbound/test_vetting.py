"""
Tests for L{socksproxy.outbound.vetting}.
"""

from __future__ import annotations

from ipaddress import ip_address

from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.address import Host, IPAddress
from socksproxy.dns.resolver import BoundedResolver
from socksproxy.errors import NameNotFound, NotAllowed
from socksproxy.interfaces import IAddressPolicy
from socksproxy.outbound.vetting import Vetting
from socksproxy.testing import ScriptedNetwork
from tests.dns.names import SlowNames
from tests.memoryproxy import DenyNetworks

ONE, TWO, SIX, INSIDE = (
    ip_address(text) for text in ("192.0.2.1", "192.0.2.2", "2001:db8::1", "10.0.0.1")
)


class VettingTestCase(SynchronousTestCase):
    """
    Tests with a policy that denies 10.0.0.0/8.
    """

    def vetting(self, *addresses: IPAddress, policy: IAddressPolicy | None = None) -> Vetting:
        """
        Vet for a client.

        @param addresses: Those of C{web.test}.
        """
        self.network = ScriptedNetwork({"web.test": [str(address) for address in addresses]})
        self.reversed: list[str] = []
        resolver = BoundedResolver(self.network, self.network, reverse=self._reverse)
        return Vetting(resolver, policy or DenyNetworks(["10.0.0.0/8"]), "client")

    def _reverse(self, address: IPAddress) -> Deferred[str]:
        self.reversed.append(str(address))
        return succeed("web.test")


class AddressesTests(VettingTestCase):
    """
    The addresses that may be used.
    """

    def test_name(self) -> None:
        """
        Those of a name come in the resolver's order, without those that are
        denied.
        """
        vetting = self.vetting(SIX, INSIDE, TWO, ONE)
        self.assertEqual(self.successResultOf(vetting.addressesOf("web.test")), [SIX, TWO, ONE])
        self.assertEqual(self.network.queries, ["web.test"])

    def test_address(self) -> None:
        """
        An address is its own only one, and nothing is looked up.
        """
        for address in (ONE, SIX):
            vetting = self.vetting()
            self.assertEqual(self.successResultOf(vetting.addressesOf(address)), [address])
            self.assertEqual(self.network.queries, [])

    def test_allDenied(self) -> None:
        """
        Where none is left that is not allowed, and the reason is the policy's.
        """
        hosts: list[Host] = ["web.test", INSIDE]
        for host in hosts:
            self.failureResultOf(self.vetting(INSIDE).addressesOf(host), NotAllowed)

    def test_notFound(self) -> None:
        """
        A name without addresses is not found, which is something else.
        """
        vetting = self.vetting()
        error = self.failureResultOf(vetting.addressesOf("web.test"), NameNotFound).value
        self.assertEqual(error.replyCode, 4)

    def test_hiddenService(self) -> None:
        """
        Names of hidden services are not asked for, so that they do not leak
        (RFC 7686).
        """
        for name in ("abc.onion", "www.abc.onion"):
            vetting = self.vetting()
            self.failureResultOf(vetting.addressesOf(name), NameNotFound)
            self.assertEqual(self.network.queries, [])

    def test_notHidden(self) -> None:
        """
        Others that only look alike are.
        """
        vetting = self.vetting()
        for name in ("onion.test", "myonion"):
            self.failureResultOf(vetting.addressesOf(name), NameNotFound)
        self.assertEqual(self.network.queries, ["onion.test", "myonion"])

    def test_onBehalfOfClient(self) -> None:
        """
        Names are looked up on behalf of the client, whose bounds hold: another
        one does not wait for it.
        """
        network, names = ScriptedNetwork(), SlowNames()
        resolver = BoundedResolver(network, names, perClient=1)
        for client in ("one", "two"):
            vetting = Vetting(resolver, DenyNetworks(), client)
            for name in ("a.test", "b.test"):
                vetting.addressesOf(name).addErrback(lambda _: None)
        self.assertEqual(names.open, ["a.test", "a.test"])

    def test_unforeseen(self) -> None:
        """
        An error of the policy's own lets no address pass.
        """

        class Broken:
            def check(self, address: IPAddress) -> None:
                raise ZeroDivisionError

        vetting = self.vetting(ONE, policy=Broken())  # type: ignore[arg-type]
        hosts: list[Host] = ["web.test", ONE]
        for host in hosts:
            self.failureResultOf(vetting.addressesOf(host), ZeroDivisionError)


class CheckTests(VettingTestCase):
    """
    One address.
    """

    def test_check(self) -> None:
        """
        It passes, or is not allowed (REP 2).
        """
        vetting = self.vetting()
        vetting.check(ONE)
        error = self.assertRaises(NotAllowed, vetting.check, INSIDE)
        self.assertEqual(error.replyCode, 2)


class NameTests(VettingTestCase):
    """
    The names of addresses.
    """

    def test_name(self) -> None:
        """
        An address that may be used has a name.
        """
        vetting = self.vetting()
        self.assertEqual(self.successResultOf(vetting.nameOf(ONE)), "web.test")
        self.assertEqual(self.reversed, ["192.0.2.1"])

    def test_denied(self) -> None:
        """
        One that may not is not even asked for.
        """
        self.failureResultOf(self.vetting().nameOf(INSIDE), NotAllowed)
        self.assertEqual(self.reversed, [])
