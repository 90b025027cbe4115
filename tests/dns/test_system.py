"""
Tests for L{socksproxy.dns.system}.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from socksproxy.dns.asking import IUpstream, NoReply
from socksproxy.dns.message import makeQuery
from socksproxy.dns.reply import Reply
from socksproxy.dns.system import MAX_THREADS, SystemUpstream
from tests.dns.messages import HTTPS

ENTRIES = [
    (family, socket.SOCK_STREAM, 6, "", (host, 0))
    for family, host in (
        (socket.AF_INET6, "2001:db8::1"),
        (socket.AF_INET, "192.0.2.1"),
        (socket.AF_INET, "192.0.2.2"),
        (socket.AF_INET, "192.0.2.1"),
    )
]


class SystemTests(SynchronousTestCase):
    """
    Asking the system.
    """

    def setUp(self) -> None:
        """
        Put something in the system's place.
        """
        self.running: list[tuple[Deferred[Any], Callable[[], Any]]] = []
        self.asked: list[object] = []
        self.outcome: Any = ENTRIES
        self.upstream = SystemUpstream(self.inThread)
        self.patch(socket, "getaddrinfo", self.look)
        self.patch(socket, "getnameinfo", self.look)

    def inThread(self, lookUp: Callable[[], Any]) -> Deferred[Any]:
        """
        Begin something in a thread.
        """
        result: Deferred[Any] = Deferred()
        self.running.append((result, lookUp))
        return result

    def look(self, *arguments: object, **options: object) -> Any:
        """
        See L{socket.getaddrinfo}.
        """
        self.asked.append(arguments[0])
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome

    def finish(self) -> None:
        """
        Have the oldest thread do its work.
        """
        result, lookUp = self.running.pop(0)
        maybeDeferred(lookUp).chainDeferred(result)

    def reply(self, name: str, kind: int = 1) -> Reply:
        """
        Ask, and read the reply.
        """
        asking = self.upstream.ask(makeQuery(name, kind))
        while self.running:
            self.finish()
        return self.successResultOf(asking)

    def test_addresses(self) -> None:
        """
        The addresses of the family that is asked for are given, each once, for
        thirty seconds.
        """
        verifyObject(IUpstream, self.upstream)
        reply = self.reply("www.test")
        self.assertEqual([str(each) for each in reply.addresses], ["192.0.2.1", "192.0.2.2"])
        self.assertEqual(reply.smallestTTL, 30)
        reply = self.reply("www.test", 28)
        self.assertEqual([str(each) for each in reply.addresses], ["2001:db8::1"])
        self.assertEqual(self.asked, ["www.test", "www.test"])

    def test_otherFamily(self) -> None:
        """
        A name that has addresses of the other family only has none, but
        exists.
        """
        self.outcome = ENTRIES[:1]
        reply = self.reply("www.test")
        self.assertEqual((reply.code, reply.addresses), (0, ()))

    def test_unknown(self) -> None:
        """
        A name that the system does not know does not exist.
        """
        self.outcome = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        self.assertEqual(self.reply("www.test").code, 3)
        self.assertEqual(self.reply("1.2.0.192.in-addr.arpa", 12).code, 3)

    def test_failed(self) -> None:
        """
        If the system cannot tell, there is no reply.
        """
        for error in (socket.gaierror(socket.EAI_AGAIN, "Temporary failure"), OSError("no")):
            self.outcome = error
            for name, kind in (("www.test", 1), ("1.2.0.192.in-addr.arpa", 12)):
                asking = self.upstream.ask(makeQuery(name, kind))
                self.finish()
                self.failureResultOf(asking, NoReply)

    def test_names(self) -> None:
        """
        So it is with the names of addresses.
        """
        self.outcome = ("www.test", "0")
        self.assertEqual(self.reply("1.2.0.192.in-addr.arpa", 12).pointers, ("www.test",))
        self.assertEqual(self.asked, [("192.0.2.1", 0)])

    def test_noHosts(self) -> None:
        """
        Names that no host has are not asked for.
        """
        for name, kind in (("a\\000b.test", 1), ("127.1", 1), ("2.0.192.in-addr.arpa", 12)):
            self.assertEqual(self.reply(name, kind).code, 3)
        self.assertEqual(self.asked, [])

    def test_otherTypes(self) -> None:
        """
        Records of the type HTTPS are not there, and others cannot be asked
        for.
        """
        reply = self.reply("www.test", HTTPS)
        self.assertEqual((reply.code, reply.hasAnswers), (0, False))
        self.assertEqual(self.reply("www.test", 15).code, 4)
        self.assertEqual(self.asked, [])

    def test_threads(self) -> None:
        """
        So many threads are held, and the rest waits; who gives up leaves the
        queue.
        """
        asking = [self.upstream.ask(makeQuery("www.test", 1)) for _ in range(MAX_THREADS + 2)]
        self.assertEqual(len(self.running), MAX_THREADS)
        asking[-2].cancel()
        self.failureResultOf(asking[-2], CancelledError)
        for _ in range(MAX_THREADS + 1):
            self.finish()
        for each in [*asking[:-2], asking[-1]]:
            self.successResultOf(each)

    def test_close(self) -> None:
        """
        There is nothing to close.
        """
        self.successResultOf(self.upstream.close())
