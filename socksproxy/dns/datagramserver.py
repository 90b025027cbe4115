"""
Answering clients by UDP.

@see: U{https://www.rfc-editor.org/rfc/rfc1035#section-4.2.1}
@see: U{https://www.rfc-editor.org/rfc/rfc6891#section-6.2}
"""

from __future__ import annotations

from typing import Any

from twisted.internet.protocol import DatagramProtocol

from socksproxy.address import hostFromText
from socksproxy.dns._wireedns import OUR_UDP_SIZE
from socksproxy.dns.answers import limitFor
from socksproxy.dns.forwarder import Forwarder
from socksproxy.dns.message import BadQuery, readQuery
from socksproxy.relay.datagrams import sendDatagram

MAX_DATAGRAMS = 1000
"""
Questions by UDP that wait for answers.
"""

LOOPBACK_SIZE = 4096
"""
Octets of the largest datagram to a client on this host, where none is lost for
being in pieces.
"""


class DatagramServer(DatagramProtocol):
    """
    Answers by UDP.
    """

    noisy = False

    def __init__(self, forwarder: Forwarder, most: int = MAX_DATAGRAMS) -> None:
        """
        @param forwarder: Knows the answers.
        @param most: Questions that may wait for one. Those that are too many
            are dropped, and asked again by who cares.
        """
        self._forwarder = forwarder
        self._most = most
        self._waiting = 0

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        """
        See C{DatagramProtocol}.

        @param addr: Begins with a numeric host; the rest is the socket's
            business.
        """
        try:
            query = readQuery(datagram)
        except BadQuery as e:
            if e.answer:
                sendDatagram(self.transport, e.answer, addr)
            return
        limit = limitFor(query)
        if limit == OUR_UDP_SIZE and _isLoopback(addr[0]):
            limit = limitFor(query, LOOPBACK_SIZE)
        answer = self._forwarder.answerNow(query, limit)
        if answer is not None:
            sendDatagram(self.transport, answer, addr)
        elif self._waiting < self._most:
            self._waiting += 1
            self._forwarder.answerLater(query, limit).addCallback(self._answered, addr)

    def _answered(self, answer: bytes, addr: Any) -> None:
        self._waiting -= 1
        sendDatagram(self.transport, answer, addr)


def _isLoopback(host: str) -> bool:
    address = hostFromText(host)
    return address is not None and address.is_loopback
