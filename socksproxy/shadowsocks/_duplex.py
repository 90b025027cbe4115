"""
Both directions of a stream, once there is something to read: what a server and
a client have in common.
"""

from socksproxy.errors import TruncatedStream
from socksproxy.shadowsocks._events import Data, Event, Refused, StreamFault
from socksproxy.shadowsocks._stream import Opener


class Duplex:
    """
    One end of a connection. It is a
    L{StreamProtection<socksproxy.relay.protected.StreamProtection>}, too.

    Nothing is told of what follows a fault, and C{fault} stays set.

    @ivar fault: What is wrong with what the peer sends, once something is.
    """

    def __init__(self) -> None:
        self.fault: Refused | None = None
        # What has come of the peer's beginning.
        self._waiting = bytearray()
        # Reads what follows that.
        self._opener: Opener | None = None

    def seal(self, data: bytes) -> bytes:
        """
        Make of our bytes what is to be written, in one piece.

        @raise LocalProtocolError: It is too early for that.
        """
        raise NotImplementedError

    def _begin(self) -> list[Event]:
        """
        Look at what has come of the peer's beginning, and set C{_opener} once it
        is complete.

        @raise StreamFault: It is none.
        """
        raise NotImplementedError

    def _endInBeginning(self) -> None:
        """
        Learn that nothing comes after an incomplete beginning.

        @raise TruncatedStream: It should have been completed.
        """
        raise NotImplementedError

    def feed(self, data: bytes) -> list[Event]:
        """
        Take octets of the connection, cut anywhere.

        @return: What there is to tell, in order. After L{Refused}, nothing
            ever again.
        """
        if self.fault is not None or not data:
            return []
        events: list[Event] = []
        if self._opener is not None:
            opened = self._opener.open(data)
            if opened:
                events.append(Data(opened))
        else:
            self._waiting += data
            try:
                events += self._begin()
            except StreamFault as e:
                self.fault = e.refused
                self._waiting.clear()
        # What is good is told before the fault, however the octets are cut.
        if self._opener is not None:
            self.fault = self._opener.fault
        if self.fault is not None:
            events.append(self.fault)
        return events

    def wrap(self, data: bytes) -> bytes:
        """
        As L{seal}.
        """
        return self.seal(data)

    def unwrap(self, data: bytes) -> bytes:
        """
        Take octets of the connection, cut anywhere.

        @return: The peer's own bytes, as far as they are complete.
        @raise StreamFault: They are not what the peer has written. Every call
            after this one raises too.
        """
        opener = self._opener
        if opener is not None:
            opened = opener.open(data)
            self.fault = opener.fault
        else:
            told = self.feed(data)
            opened = b"".join(event.data for event in told if isinstance(event, Data))
        if self.fault is not None:
            raise StreamFault(self.fault.reason, self.fault.skew)
        return opened

    def endOfStream(self) -> None:
        """
        Learn that nothing more comes.

        @raise TruncatedStream: Something is incomplete.
        @raise StreamFault: The stream was at fault before.
        """
        if self.fault is not None:
            raise StreamFault(self.fault.reason, self.fault.skew)
        if self._opener is None:
            self._endInBeginning()
        elif not self._opener.complete:
            raise TruncatedStream("the connection ended inside a chunk of Shadowsocks")
