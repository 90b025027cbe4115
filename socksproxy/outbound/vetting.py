"""
From what a client names to the addresses that may be used for it.

A name is resolved once, every one of its addresses is put before the policy,
and what is used is an address that passed, never the name again: a name
server that answers differently the second time gains nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.defer import Deferred, fail, succeed

from socksproxy.address import Host, IPAddress
from socksproxy.dns.resolver import BoundedResolver
from socksproxy.errors import NameNotFound, NotAllowed
from socksproxy.interfaces import IAddressPolicy

# Names that must not leak to the DNS (RFC 7686 section 2).
_UNRESOLVABLE = (".onion",)


class Vetting:
    """
    Resolves and vets for one client.
    """

    def __init__(
        self, resolver: BoundedResolver, policy: IAddressPolicy, client: str | None
    ) -> None:
        """
        @param resolver: What resolves names.
        @param policy: Which addresses may be used.
        @param client: For whom names are looked up, or L{None} where clients
            cannot be told apart.
        """
        self._resolver = resolver
        self._policy = policy
        self._client = client

    def addressesOf(self, host: Host) -> Deferred[list[IPAddress]]:
        """
        Give the addresses of a host that may be used.

        @return: At least one; fails with L{NotAllowed} or L{NameNotFound}.
        """
        return self._resolved(host).addCallback(self._allowed)

    def check(self, address: IPAddress) -> None:
        """
        Let an address pass.

        @raise NotAllowed: It must not be used.
        """
        self._policy.check(address)

    def nameOf(self, address: IPAddress) -> Deferred[str]:
        """
        Give the name of an address that may be used.
        """
        try:
            self.check(address)
        except NotAllowed:
            return fail()
        return self._resolver.reverse(address, self._client)

    def _resolved(self, host: Host) -> Deferred[list[IPAddress]]:
        if not isinstance(host, str):
            return succeed([host])
        if host.endswith(_UNRESOLVABLE):
            return fail(NameNotFound("a name of a hidden service has no address"))
        return self._resolver.resolve(host, self._client)

    def _allowed(self, addresses: Sequence[IPAddress]) -> list[IPAddress]:
        allowed = []
        denied = NotAllowed()
        for address in addresses:
            try:
                self.check(address)
            except NotAllowed as e:
                denied = e
            else:
                allowed.append(address)
        if not allowed:
            raise denied
        return allowed
