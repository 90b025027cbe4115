"""
The numbers of the packets of one session that have been here, so that none is
taken twice.

Of the last L{SIZE} before the highest, each is known; what is older counts as
known. Looking and marking are two steps, since a number means nothing before
what it came with has been opened.

@see: U{https://www.rfc-editor.org/rfc/rfc6479}
@see: U{https://shadowsocks.org/doc/sip022.html}
"""

SIZE = (128 - 1) * 64
"""
How far a packet may come after one with a higher number; the same as other
programs have it.
"""

_MASK = (1 << SIZE + 1) - 1


class Window:
    """
    The numbers of one session, none of them at first.
    """

    __slots__ = ("_highest", "_marked")

    def __init__(self) -> None:
        self._highest = -1
        # The bit i is that of the number which is i below the highest.
        self._marked = 0

    def isNew(self, number: int) -> bool:
        """
        Tell whether a number has not been here, for certain. This changes
        nothing.

        @param number: Not negative.
        """
        behind = self._highest - number
        return behind < 0 or (behind <= SIZE and not self._marked >> behind & 1)

    def mark(self, number: int) -> bool:
        """
        Learn that a number was here.

        @param number: One that L{isNew}.
        @return: Whether it is the highest so far.
        """
        ahead = number - self._highest
        if ahead <= 0:
            self._marked |= 1 << -ahead
            return False
        # No shift by what a peer has chosen: it may be up to 2**64.
        kept = self._marked << ahead & _MASK if ahead <= SIZE else 0
        self._marked = kept | 1
        self._highest = number
        return True
