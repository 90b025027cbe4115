"""
A client endpoint that goes through an HTTP proxy::

    from twisted.internet.endpoints import clientFromString
    from socksproxy.http import HTTPConnectClientEndpoint

    proxy = clientFromString(reactor, "tcp:127.0.0.1:3128")
    endpoint = HTTPConnectClientEndpoint(reactor, proxy, "example.com", 443)
    connecting = endpoint.connect(factory)

The endpoint to the proxy may be any: a TCP or TLS connection, a UNIX socket,
or another endpoint that goes through a proxy, which makes a chain. Names go to
the proxy as they are, so that nothing is looked up here.

@see: U{https://www.rfc-editor.org/rfc/rfc9110#section-9.3.6}
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet.interfaces import IStreamClientEndpoint

from socksproxy.address import IPAddress
from socksproxy.client.endpoint import TIMEOUT, ProxiedClientEndpoint, destinationFor, octetsOf
from socksproxy.http._connect import ConnectNegotiation, HeaderField, basicAuthorization
from socksproxy.negotiation import ClientMachine


class HTTPConnectClientEndpoint(ProxiedClientEndpoint):
    """
    Connects to a target through an HTTP proxy, by CONNECT.
    """

    def __init__(
        self,
        reactor: Any,
        proxy: IStreamClientEndpoint,
        host: str | bytes | IPAddress,
        port: int,
        username: str | bytes | None = None,
        password: str | bytes | None = None,
        timeout: float = TIMEOUT,
        headers: Sequence[HeaderField] = (),
    ) -> None:
        """
        @param reactor: Time.
        @param proxy: Leads to the proxy.
        @param host: The target's name, which may be international, or
            address.
        @param port: The target's port.
        @param username: Who we are, without a colon; text is sent as UTF-8.
            It is sent with the request, whether the proxy asks for it or not.
        @param password: The same, for the password.
        @param timeout: Seconds for connecting to the proxy and for its answer
            together.
        @param headers: Further header fields of the request.
        @raise LocalProtocolError: The host is none, or something cannot be
            sent.
        """
        super().__init__(reactor, proxy, destinationFor(host, port), timeout)
        self._headers = [*authorizationWith(username, password), *headers]
        # What cannot be sent is found out now, and not at each connection.
        self.machine()

    def machine(self) -> ClientMachine:
        """
        See L{ProxiedClientEndpoint.machine}.
        """
        return ConnectNegotiation(self._destination, self._headers)


def authorizationWith(
    username: str | bytes | None, password: str | bytes | None
) -> list[HeaderField]:
    """
    Give the header field for a name and a password, if there are any.

    @raise LocalProtocolError: The name cannot be sent.
    """
    if username is None and password is None:
        return []
    return [basicAuthorization(octetsOf(username or b""), octetsOf(password or b""))]
