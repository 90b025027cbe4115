"""
A server of Shadowsocks that connections and datagrams leave through, with what
is kept for all of them.
"""

from __future__ import annotations

from typing import Any, NoReturn

from twisted.internet import error
from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.error import ConnectError
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.python.failure import Failure
from zope.interface import implementer

from socksproxy.address import IPAddress
from socksproxy.errors import ConfigurationError
from socksproxy.interfaces import Received
from socksproxy.shadowsocks.accounts import accountFrom
from socksproxy.shadowsocks.conduit import ShadowsocksAssociation, newSalts
from socksproxy.shadowsocks.endpoints import ShadowsocksClientEndpoint, ShadowsocksPeer
from socksproxy.shadowsocks.plugin import Plugin, PluginFailed, findPlugin, freePort
from socksproxy.shadowsocks.url import ShadowsocksURL
from socksproxy.state import IKeepsSessions

LOOPBACK = "127.0.0.1"


@implementer(IKeepsSessions)
class ShadowsocksServerAway:
    """
    One server. Its plugin, if it has one, is started with the first connection.
    """

    def __init__(self, reactor: Any, url: ShadowsocksURL) -> None:
        """
        @param reactor: The reactor.
        @param url: The link.
        @raise ConfigurationError: Something in the link cannot be.
        """
        self._reactor = reactor
        self._url = url
        self._peer = ShadowsocksPeer(accountFrom(url), str(url))
        self._program = findPlugin(url.plugin) if url.plugin else ""
        self._plugin: Plugin | None = None
        self._salts = newSalts()

    def endpointTo(
        self, server: IStreamClientEndpoint, host: str | IPAddress, port: int
    ) -> IStreamClientEndpoint:
        """
        Give the endpoint that leads to a target.

        @param server: Leads to the server, if there is no plugin.
        """
        if self._program:
            server = _BehindPlugin(self)
        return ShadowsocksClientEndpoint(self._reactor, server, self._peer, host, port)

    def associate(self, address: IPAddress, received: Received) -> ShadowsocksAssociation:
        """
        Have datagrams relayed.

        @param address: That of the server.
        @raise GeneralFailure: That is not possible.
        """
        port = self._url.address.port
        return ShadowsocksAssociation(
            self._reactor, self._peer.account, address, port, received, self._salts
        )

    def connectPlugin(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """
        Connect to the plugin, which connects to the server.
        """
        plugin = self._plugin
        if plugin is None or plugin.given:
            try:
                local = (LOOPBACK, freePort(LOOPBACK))
            except ConfigurationError as e:
                raise ConnectError(string=str(e)) from e
            remote = (str(self._url.address.host), self._url.address.port)
            plugin = self._plugin = Plugin(
                self._reactor, self._program, self._url.pluginOptions, remote, local
            )
            plugin.start()
        endpoint = TCP4ClientEndpoint(self._reactor, *plugin.local)

        def wait(failure: Failure) -> Deferred[IProtocol]:
            # It is only just starting, or starting again.
            failure.trap(error.ConnectionRefusedError)
            return current.ready().addCallback(lambda _: endpoint.connect(protocolFactory))

        current = plugin
        connecting: Deferred[IProtocol] = endpoint.connect(protocolFactory)
        return connecting.addErrback(wait)

    def close(self, patience: float | None = None) -> Deferred[None]:
        """
        End the plugin. See L{IKeepsSessions}.
        """
        plugin, self._plugin = self._plugin, None
        return succeed(None) if plugin is None else plugin.stop()


@implementer(IStreamClientEndpoint)
class _BehindPlugin:
    """
    Leads to a server by its plugin.
    """

    def __init__(self, server: ShadowsocksServerAway) -> None:
        self._server = server

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        def failed(failure: Failure) -> NoReturn:
            failure.trap(PluginFailed)
            raise ConnectError(string=str(failure.value)) from failure.value

        connecting: Deferred[IProtocol] = maybeDeferred(self._server.connectPlugin, protocolFactory)
        return connecting.addErrback(failed)
