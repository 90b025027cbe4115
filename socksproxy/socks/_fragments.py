"""
Putting the fragments of a client's datagrams together.

FRAG is 0 for a datagram that stands alone. Otherwise its low seven bits are a
fragment's position, counted from 1, and its high bit marks the last one. An
association has one sequence under way at most; fragments come in order, to
one destination and within one time, or the whole sequence is discarded.

The caller has one timer, for as long as something waits::

    def received(self, datagram, payload):
        whole = reassembly.receive(datagram.fragment, datagram.destination, payload, now())
        ...
        self.arm()

    def arm(self):
        if self.timer is None and reassembly.deadline is not None:
            self.timer = callLater(max(0.0, reassembly.deadline - now()), self.expired)

    def expired(self):
        self.timer = None
        reassembly.expire(now())
        self.arm()

@see: U{https://www.rfc-editor.org/rfc/rfc1928#section-7}
"""

from socksproxy.address import Destination

LAST = 0x80
"""
The bit of FRAG that ends a sequence.
"""

MAX_PIECES = 127
MAX_OCTETS = 65507
TIMEOUT = 5.0
"""
Seconds from the first fragment to the last; the least that the RFC allows.
"""


class Reassembly:
    """
    The fragments of one association, never more than a limit.

    @ivar deadline: When what waits has to be complete, on the clock that
        C{now} is read from, or L{None} while nothing waits.
    @ivar held: Octets that wait.
    @ivar discarded: How many fragments have been thrown away so far.
    """

    __slots__ = (
        "_destination",
        "_limit",
        "_payloads",
        "_pieces",
        "_timeout",
        "deadline",
        "discarded",
        "held",
    )

    def __init__(
        self, limit: int = MAX_OCTETS, pieces: int = MAX_PIECES, timeout: float = TIMEOUT
    ) -> None:
        """
        @param limit: The most octets that a whole datagram may have.
        @param pieces: The most fragments that it may come in.
        @param timeout: Seconds from its first fragment to its last.
        """
        self._limit = limit
        self._pieces = pieces
        self._timeout = timeout
        self._destination: Destination | None = None
        self._payloads: list[bytes] = []
        self.deadline: float | None = None
        self.held = 0
        self.discarded = 0

    @property
    def waiting(self) -> int:
        """
        How many fragments wait for others.
        """
        return len(self._payloads)

    def receive(
        self, fragment: int, destination: Destination, payload: bytes, now: float
    ) -> bytes | None:
        """
        Take a datagram.

        @param fragment: Its FRAG.
        @param destination: Where it is to go.
        @param payload: What follows its head.
        @param now: Seconds on a clock that does not go back.
        @return: The payload to send on: its own if it stands alone, that of
            the whole sequence if it is the last fragment of one, else
            L{None}.
        """
        self.expire(now)
        if fragment == 0:
            self._discard()
            return payload
        position = fragment & ~LAST
        if position == 1:
            # Whatever went before has been given up by the client.
            self._discard()
            self._destination = destination
            self.deadline = now + self._timeout
        elif position != len(self._payloads) + 1 or destination != self._destination:
            self._discard(1)
            return None
        if position > self._pieces or self.held + len(payload) > self._limit:
            self._discard(1)
            return None
        self._payloads.append(payload)
        self.held += len(payload)
        if not fragment & LAST:
            return None
        whole = b"".join(self._payloads)
        self._forget()
        return whole

    def expire(self, now: float) -> None:
        """
        Throw away what has waited for too long. It does no harm to call this
        early.

        @param now: Seconds on the clock of C{receive}.
        """
        if self.deadline is not None and now >= self.deadline:
            self._discard()

    def _discard(self, more: int = 0) -> None:
        """
        Throw away what waits, if something does.

        @param more: Fragments that go with it without having been kept.
        """
        self.discarded += len(self._payloads) + more
        self._forget()

    def _forget(self) -> None:
        self._destination = None
        self._payloads = []
        self.deadline = None
        self.held = 0
