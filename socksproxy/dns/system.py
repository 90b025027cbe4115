"""
This host's own way to look names up, in the place of a name server: what the
administrator has set up for all programs, which may be more than DNS. It knows
addresses and the names of addresses, and nothing else.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn

from twisted.internet.defer import Deferred, DeferredSemaphore, succeed
from twisted.internet.threads import deferToThreadPool
from twisted.python.failure import Failure
from zope.interface import implementer

from socksproxy.address import IPAddress, hostFromName, hostFromText
from socksproxy.dns import answers
from socksproxy.dns._wire import RecordType, ResponseCode
from socksproxy.dns.asking import IUpstream, NoReply, reasonIn
from socksproxy.dns.message import Query
from socksproxy.dns.names import addressInName
from socksproxy.dns.reply import Reply, readReply
from socksproxy.errors import BadName

TTL = 30
"""
Seconds for which an answer may be used: how long it is good for is not told.
"""

MAX_THREADS = 16
"""
Threads of the reactor's few that are held at a time.
"""

LookUp = Callable[[], Any]
InThread = Callable[[LookUp], Deferred[Any]]
"""
Does something in a thread.
"""

_ADDRESSES = (RecordType.A, RecordType.AAAA)
_WITHOUT_RECORDS = (RecordType.HTTPS, RecordType.SVCB)

_UNKNOWN = {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}


@implementer(IUpstream)
class SystemUpstream:
    """
    Asks the system.
    """

    name = "system"

    def __init__(self, inThread: InThread) -> None:
        """
        @param inThread: Does what blocks.
        """
        self._inThread = inThread
        self._places = DeferredSemaphore(MAX_THREADS)

    def ask(self, query: Query) -> Deferred[Reply]:
        """
        See L{IUpstream}. Cancelling does not stop a look-up that has begun.
        """
        if query.type in _ADDRESSES:
            return self._addresses(query)
        if query.type == RecordType.PTR:
            return self._names(query)
        if query.type in _WITHOUT_RECORDS:
            return succeed(_read(answers.empty(query)))
        return succeed(_read(answers.refusal(query, ResponseCode.NOTIMP)))

    def close(self) -> Deferred[None]:
        """
        See L{IUpstream}.
        """
        return succeed(None)

    def _addresses(self, query: Query) -> Deferred[Reply]:
        def found(addresses: list[IPAddress] | None) -> bytes:
            if addresses is None:
                return answers.refusal(query, ResponseCode.NXDOMAIN)
            return answers.addressAnswer(query, addresses, TTL)

        try:
            if hostFromName(query.name.encode()) != query.name:
                raise BadName("not what the system takes for a name")
        except BadName:
            return succeed(_read(found(None)))
        return self._run(partial(_addressesOf, query.name)).addCallback(found).addCallback(_read)

    def _names(self, query: Query) -> Deferred[Reply]:
        def found(name: str | None) -> bytes:
            if name is None:
                return answers.refusal(query, ResponseCode.NXDOMAIN)
            return answers.pointerAnswer(query, [name], TTL)

        address = addressInName(query.name)
        if address is None:
            return succeed(_read(found(None)))
        return self._run(partial(_nameOf, address)).addCallback(found).addCallback(_read)

    def _run(self, lookUp: LookUp) -> Deferred[Any]:
        running: Deferred[Any] = self._places.run(self._inThread, lookUp)
        return running.addErrback(_failed)


def systemUpstream(reactor: Any) -> SystemUpstream:
    """
    Ask the system, in threads of a reactor's.
    """

    def inThread(lookUp: LookUp) -> Deferred[Any]:
        return deferToThreadPool(reactor, reactor.getThreadPool(), lookUp)

    return SystemUpstream(inThread)


def _addressesOf(name: str) -> list[IPAddress] | None:
    """
    Look a name up; this takes as long as it takes.

    @return: L{None} if there is no such name.
    """
    try:
        entries = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except socket.gaierror as e:
        if e.errno in _UNKNOWN:
            return None
        raise
    hosts = (hostFromText(str(entry[4][0])) for entry in entries)
    return list(dict.fromkeys(host for host in hosts if host is not None))


def _nameOf(address: IPAddress) -> str | None:
    """
    Look the name of an address up; this takes as long as it takes.

    @return: L{None} if it has none.
    """
    try:
        return socket.getnameinfo((str(address), 0), socket.NI_NAMEREQD)[0]
    except socket.gaierror as e:
        if e.errno in _UNKNOWN:
            return None
        raise


def _read(octets: bytes) -> Reply:
    return readReply(octets, encrypted=True)


def _failed(failure: Failure) -> NoReturn:
    failure.trap(OSError, UnicodeError)
    raise NoReply(f"the system cannot look it up: {reasonIn(failure)}")
