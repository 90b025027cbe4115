"""
Client endpoints that go through a SOCKS proxy::

    from twisted.internet.endpoints import clientFromString
    from socksproxy.socks import SOCKS5ClientEndpoint

    proxy = clientFromString(reactor, "tcp:127.0.0.1:1080")
    endpoint = SOCKS5ClientEndpoint(reactor, proxy, "example.com", 80)
    connecting = endpoint.connect(factory)

The endpoint to the proxy may be any: a TCP or TLS connection, a UNIX socket,
or another endpoint of this kind, which makes a chain. Names go to the proxy
as they are, so that nothing is looked up here.

@see: U{https://www.rfc-editor.org/rfc/rfc1928}
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from twisted.internet.interfaces import IStreamClientEndpoint

from socksproxy.address import IPAddress
from socksproxy.client.endpoint import TIMEOUT, ProxiedClientEndpoint, destinationFor, octetsOf
from socksproxy.errors import RequestFailed
from socksproxy.negotiation import ClientMachine
from socksproxy.socks._negotiation4 import ClientNegotiation as ClientNegotiation4
from socksproxy.socks._negotiation5 import ClientNegotiation as ClientNegotiation5
from socksproxy.socks.methods import Method, NoAuthentication, UsernamePassword


class SOCKS5ClientEndpoint(ProxiedClientEndpoint):
    """
    Connects to a target through a SOCKS5 proxy.
    """

    def __init__(
        self,
        reactor: Any,
        proxy: IStreamClientEndpoint,
        host: str | bytes | IPAddress,
        port: int,
        username: str | bytes | None = None,
        password: str | bytes | None = None,
        methods: Sequence[Method] | None = None,
        timeout: float = TIMEOUT,
    ) -> None:
        """
        @param reactor: Time.
        @param proxy: Leads to the proxy.
        @param host: The target's name, which may be international, or
            address.
        @param port: The target's port.
        @param username: Who we are, up to 255 octets; text is sent as UTF-8.
        @param password: The same, for the password.
        @param methods: Methods of authentication to offer, in place of those
            that follow from C{username} and C{password}.
        @param timeout: Seconds for connecting to the proxy and for its answer
            together.
        @raise LocalProtocolError: The host is none, or something is too long
            to be sent.
        """
        super().__init__(reactor, proxy, destinationFor(host, port), timeout)
        self._methods = methodsWith(username, password) if methods is None else methods
        # What is wrong is told now and not when a connection is needed.
        self.machine()

    def machine(self) -> ClientMachine:
        """
        See L{ProxiedClientEndpoint.machine}.
        """
        return ClientNegotiation5(self._destination, self._methods)


class SOCKS4ClientEndpoint(ProxiedClientEndpoint):
    """
    Connects to a target through a SOCKS4 proxy: by SOCKS4 itself where the
    target is an IPv4 address, and by SOCKS4a where it is a name. Neither
    carries an IPv6 address.
    """

    def __init__(
        self,
        reactor: Any,
        proxy: IStreamClientEndpoint,
        host: str | bytes | IPAddress,
        port: int,
        userID: str | bytes = b"",
        timeout: float = TIMEOUT,
    ) -> None:
        """
        @param reactor: Time.
        @param proxy: Leads to the proxy.
        @param host: The target's name, which may be international, or IPv4
            address.
        @param port: The target's port.
        @param userID: Who we are, up to 255 octets without a NUL.
        @param timeout: Seconds for connecting to the proxy and for its answer
            together.
        @raise LocalProtocolError: The host is none, or C{userID} cannot be
            sent.
        """
        super().__init__(reactor, proxy, destinationFor(host, port), timeout)
        self._userID = octetsOf(userID)
        # What is wrong is told now; that there is no word for an address is
        # told as proxies tell it.
        with suppress(RequestFailed):
            self.machine()

    def machine(self) -> ClientMachine:
        """
        See L{ProxiedClientEndpoint.machine}.
        """
        return ClientNegotiation4(self._destination, self._userID)


def methodsWith(username: str | bytes | None, password: str | bytes | None) -> list[Method]:
    """
    Give the methods to offer: a password if there is one, and none at all.

    @raise LocalProtocolError: One of them is longer than 255 octets.
    """
    methods: list[Method] = []
    if username is not None or password is not None:
        methods.append(UsernamePassword(octetsOf(username or b""), octetsOf(password or b"")))
    methods.append(NoAuthentication())
    return methods
