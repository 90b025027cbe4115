"""
Datagrams on a stream: what follows the reply to a request of UDP STREAM, in
both directions::

    +--------+-----+------+------+----------+----------+----------+
    | LENGTH | RSV | FRAG | ATYP | DST.ADDR | DST.PORT |   DATA   |
    |   2    |  2  |  1   |  1   | variable |    2     | variable |
    +--------+-----+------+------+----------+----------+----------+

LENGTH counts what follows it, which is a datagram as a SOCKS5 client and its
relay exchange them, with FRAG 0: the address is where it is to go on the way to
the proxy, and where it comes from on the way back.

UDP STREAM (CMD X'F5') is no command of RFC 1928, but one of our own between two
daemons of ours. It is requested like UDP ASSOCIATE, and its reply tells no
address. A client may send datagrams right behind its request.

@see: U{https://www.rfc-editor.org/rfc/rfc1928#section-7}
"""

from __future__ import annotations

import struct

from socksproxy.address import Destination, hostFromName, hostFromPacked
from socksproxy.errors import BadName, MalformedMessage, RemoteProtocolError
from socksproxy.socks._wire5 import AddressType
from socksproxy.socks._wireudp import decodeHead, encodeHead

MAX_FRAME = 65535
"""
Octets of the longest frame, without LENGTH.
"""

MIN_FRAME = 7
"""
Octets of the shortest frame: a head with an empty name, and nothing else.
"""

REMEMBERED = 1024
"""
Heads that need not be read, or written, again.
"""

_LENGTH = struct.Struct("!H")
_lengthAt = _LENGTH.unpack_from

# By ATYP; names, which have none, are rare.
_HEAD_LENGTHS = {int(AddressType.IPV4): 10, int(AddressType.IPV6): 22}

Received = tuple[bytes, Destination]
"""
A payload, and where it is to go or has come from.
"""


class FrameWriter:
    """
    Writes frames.
    """

    def __init__(self) -> None:
        self._heads: dict[Destination, bytes] = {}

    def frame(self, payload: bytes, destination: Destination) -> bytes | None:
        """
        Give the frame of a datagram, or L{None} if there is none: it would be
        too long, or has no port.

        @param destination: Where it is to go, or has come from.
        """
        head = self._heads.get(destination)
        if head is None:
            if destination.port == 0:
                return None
            if len(self._heads) >= REMEMBERED:
                self._heads.clear()
            head = self._heads[destination] = encodeHead(destination)
        length = len(head) + len(payload)
        return None if length > MAX_FRAME else _LENGTH.pack(length) + head + payload


class FrameReader:
    """
    Reads frames. It never keeps more than one that is incomplete.

    @ivar error: Why the stream cannot be read any further. Everything before
        that has been given.
    @ivar dropped: How many datagrams had a head that can be read and lead
        nowhere: no port, or a name that no host has.
    """

    def __init__(self) -> None:
        self.error: RemoteProtocolError | None = None
        self.dropped = 0
        self._rest = bytearray()
        self._destinations: dict[bytes, Destination] = {}

    def receive(self, data: bytes) -> list[Received]:
        """
        Take what came, cut anywhere.

        @return: The datagrams that are complete. See L{error} afterwards.
        """
        if self.error is not None:
            return []
        rest = self._rest
        if rest:
            rest += data
            if len(rest) < 2 or len(rest) < 2 + _lengthAt(rest)[0] >= 2 + MIN_FRAME:
                return []
            data = bytes(rest)
            rest.clear()
        datagrams: list[Received] = []
        try:
            rest += data[self._split(data, datagrams) :]
        except RemoteProtocolError as e:
            self.error = e
        return datagrams

    def _split(self, data: bytes, datagrams: list[Received]) -> int:
        """
        Append the datagrams that are complete.

        @return: How many octets they take.
        @raise RemoteProtocolError: There is something else.
        """
        start, end = 0, len(data)
        known = self._destinations
        while end - start >= 2:
            (length,) = _lengthAt(data, start)
            if length < MIN_FRAME:
                raise MalformedMessage("it is too short")
            stop = start + 2 + length
            if stop > end:
                break
            payload = start + 2 + _HEAD_LENGTHS.get(data[start + 5], 0)
            destination = known.get(data[start + 2 : payload])
            if destination is not None and payload <= stop:
                datagrams.append((data[payload:stop], destination))
            else:
                self._read(data[start + 2 : stop], datagrams)
            start = stop
        return start

    def _read(self, frame: bytes, datagrams: list[Received]) -> None:
        """
        Read a frame whose head is new.

        @raise RemoteProtocolError: It has none.
        """
        head = decodeHead(frame)
        if head.fragment:
            raise MalformedMessage("it is a fragment")
        payload = frame[head.length :]
        if head.port == 0:
            self.dropped += 1
        elif head.addressType == AddressType.DOMAINNAME:
            try:
                host = hostFromName(head.address)
            except BadName:
                self.dropped += 1
            else:
                datagrams.append((payload, Destination(host, head.port)))
        else:
            destination = Destination(hostFromPacked(head.address), head.port)
            if len(self._destinations) >= REMEMBERED:
                self._destinations.clear()
            self._destinations[frame[: head.length]] = destination
            datagrams.append((payload, destination))
