"""
The ports that a proxy listens on, and what it can say about them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv6Address
from typing import Any
from typing import Protocol as Interface

from twisted.internet.address import UNIXAddress
from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IAddress, IListeningPort
from twisted.python.failure import Failure

from socksproxy.config import withoutSecrets
from socksproxy.errors import ConfigurationError
from socksproxy.events import log
from socksproxy.inbound import Inbound, shownAddress
from socksproxy.relay.leg import addressAndPort
from socksproxy.state import State, reportOf


class PortGroup(Interface):
    """
    What a service has ports for besides the proxy itself.

    @ivar listeners: Those for connections that are open.
    """

    @property
    def listeners(self) -> Sequence[ProxyPort]:
        """
        See the class.
        """

    def open(self) -> None:
        """
        Start listening.

        @raise ConfigurationError: That is not possible.
        """

    def start(self) -> None:
        """
        Start what else is needed, in the process that will go on.
        """

    def announce(self) -> None:
        """
        Say in the log what there is, and warn of what should not be.
        """

    def report(self) -> Iterator[State]:
        """
        See L{IReportsState<socksproxy.state.IReportsState>}.
        """

    def stop(self) -> Deferred[Any]:
        """
        Stop listening. Connections go on.
        """


BACKLOG = 1024
"""
Connections that may wait to be accepted. Twisted's 50 make a burst of clients
wait for their second SYN, a second later.
"""


_NOT_FOR_CURL = ("ssl:", "tls:", "tcp+tls:", "kcp:", "tunnel:")


class ProxyPort:
    """
    One listening endpoint of a proxy.

    @ivar description: Its endpoint string, fit to be shown.
    @ivar inbound: What its connections share.
    """

    def __init__(self, description: str, inbound: Inbound) -> None:
        self.description = description
        self.inbound = inbound
        self._port: IListeningPort | None = None
        self._failure: str | None = None
        self._late = False
        self._stopped = False
        self._pid = 0

    @property
    def keyed(self) -> bool:
        """
        Only who has a key gets in.
        """
        return self.inbound.keyed

    def start(self, listening: Deferred[IListeningPort]) -> None:
        """
        Wait for the port. Most endpoints have it at once, and then a failure
        is raised at once.
        """
        listening.addCallback(self._listening)
        listening.addErrback(self._notListening)
        if self._failure is not None:
            raise ConfigurationError(self._failure)
        self._late = True

    def _notListening(self, failure: Failure) -> None:
        self._failure = f"cannot listen on {self.description}: {reasonOf(failure.value)}"
        if self._late:
            log.error("{reason}", reason=self._failure)

    def _listening(self, port: IListeningPort) -> object:
        if self._stopped:
            return port.stopListening()
        self._port = port
        self._pid = os.getpid()
        if "backlog=" not in self.description:
            _lengthenBacklog(port)
        address = port.getHost()
        self.inbound.local = not self.inbound.balanced and _isLocal(address)
        self.inbound.keyed = bool(getattr(port, "keyed", False))
        return None

    def claim(self) -> None:
        """
        Take the lock of a UNIX socket over from the process that this one has
        been forked from, so that nobody else takes it for abandoned.
        """
        lock = getattr(self._port, "lockFile", None)
        if lock is not None and self._pid != os.getpid():
            os.remove(lock.name)
            lock.lock()

    def stop(self) -> Deferred[Any]:
        """
        Stop listening, now or as soon as that has begun.
        """
        self._stopped = True
        port, self._port = self._port, None
        if port is None:
            return succeed(None)
        return maybeDeferred(port.stopListening)

    def report(self) -> Iterator[State]:
        """
        Tell of its connections, and what the port itself has to say.
        """
        connections = list(self.inbound.connections)
        yield State("listener", self.description, {"connections": len(connections)})
        for connection in connections:
            yield connection.state()
        yield from reportOf(self._port)

    def where(self) -> str:
        """
        Give the address, where it is not plain from the endpoint string.
        """
        address = None if self._port is None else self._port.getHost()
        host, _ = addressAndPort(address)
        return "" if address is None or host is None else f", at {shownAddress(address)}"

    def example(self, user: str) -> str:
        """
        Give a command that shows this listener at work, if there is one.
        """
        address = None if self._port is None else self._port.getHost()
        host, port = addressAndPort(address)
        if host is None or self.inbound.balanced or self.description.startswith(_NOT_FOR_CURL):
            # It speaks SOCKS neither in TLS or KCP nor behind a header.
            return ""
        if host.is_unspecified:
            host = IPv4Address("127.0.0.1") if host.version == 4 else IPv6Address("::1")
        shown = f"[{host}]" if host.version == 6 else str(host)
        return f"curl {user}--proxy socks5h://{shown}:{port} https://example.com/"


def _lengthenBacklog(port: IListeningPort) -> None:
    listener = getattr(port, "socket", None)
    if listener is not None:
        listener.listen(BACKLOG)


def _isLocal(address: IAddress) -> bool:
    """
    Tell whether only this host can connect to an address.
    """
    if isinstance(address, UNIXAddress):
        return True
    host, _ = addressAndPort(address)
    return host is not None and host.is_loopback


def reasonOf(error: BaseException | None) -> str:
    """
    Say in a few words why an endpoint could not be had.
    """
    if isinstance(error, CannotListenError):
        error = error.socketError
    if isinstance(error, OSError) and error.strerror:
        # The lock of a UNIX socket is a link to a process number.
        path = str(error.filename)
        return f"{path}: {error.strerror}" if path.startswith("/") else error.strerror
    if isinstance(error, LookupError):
        return "something is missing in it"
    return withoutSecrets(str(error)).replace("\n", " ") or type(error).__name__
