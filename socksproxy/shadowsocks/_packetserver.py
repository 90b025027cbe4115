"""
A server's end of datagrams, without I/O.

With a classic method each datagram stands for itself, and who sends from one
address with one key is one session. With a method of 2022 there are sessions:
see L{socksproxy.shadowsocks._packetsessions}.

@see: U{https://shadowsocks.org/doc/aead.html}
"""

import os
from collections.abc import Callable, Hashable
from typing import NamedTuple, Protocol

from socksproxy.address import Destination
from socksproxy.shadowsocks._events import Reason
from socksproxy.shadowsocks._keys import Account
from socksproxy.shadowsocks._methods import TAG
from socksproxy.shadowsocks._packet import (
    DatagramFault,
    Opened,
    openPacket,
    sealPacket,
    splitAddress,
)
from socksproxy.shadowsocks._packetsessions import ServerPackets2022
from socksproxy.shadowsocks._replay import Replay
from socksproxy.shadowsocks._users import Accounts

TRIES = 25_000
"""
How many keys of a classic method are tried in a second for datagrams which do
not open with the first: a fifth of that time. Anybody can send such.
"""


class ServerPackets(Protocol):
    """
    What opens the datagrams of all clients.
    """

    def open(self, datagram: bytes, client: Hashable) -> Opened:
        """
        Take a datagram.

        @param client: Where it comes from.
        @raise DatagramFault: It is to be dropped, without an answer. It has
            changed nothing.
        """


def serverPackets(
    accounts: Accounts,
    replay: Replay,
    wallClock: Callable[[], float],
    clock: Callable[[], float],
    *,
    notBefore: int = 0,
    random: Callable[[int], bytes] = os.urandom,
) -> ServerPackets:
    """
    Give what opens the datagrams of a server's clients.

    @param accounts: Whom to let in.
    @param replay: The salts of datagrams; a method of 2022 has none in them.
        Those of streams are better kept elsewhere: datagrams are many, and
        would have them forgotten too soon. Neither can be taken for the other.
    @param wallClock: Gives seconds since 1970.
    @param clock: Gives seconds, since whenever, that never go backwards.
    @param notBefore: Datagrams of 2022 that bear an earlier time, in seconds
        since 1970, are dropped: the server's start, since what it knew of
        their numbers is lost.
    @param random: Gives that many random octets.
    """
    if accounts.method.edition2022:
        return ServerPackets2022(accounts, wallClock, clock, notBefore, random)
    return ClassicServerPackets(accounts, replay, clock, random)


class ClassicSession(NamedTuple):
    """
    See L{Session<socksproxy.shadowsocks._packet.Session>}. It is made anew for
    each datagram, and equal to those before.
    """

    account: Account
    client: Hashable
    packets: "ClassicServerPackets"

    def seal(self, source: Destination, payload: bytes) -> bytes:
        """
        See L{Session<socksproxy.shadowsocks._packet.Session>}.
        """
        return self.packets.seal(self.account, source, payload)

    def end(self) -> None:
        """
        See L{Session<socksproxy.shadowsocks._packet.Session>}.
        """


class ClassicServerPackets:
    """
    See L{ServerPackets}.
    """

    def __init__(
        self,
        accounts: Accounts,
        replay: Replay,
        clock: Callable[[], float],
        random: Callable[[int], bytes],
        tries: int = TRIES,
    ) -> None:
        """
        See L{serverPackets}.

        @param tries: See L{TRIES}.
        """
        self._accounts = accounts
        self._replay = replay
        self._clock = clock
        self._random = random
        self._saltLength = accounts.method.saltLength
        self._rate = tries
        # How many keys may be tried yet, and when that was so.
        self._tries: float = tries
        self._counted = clock()

    def open(self, datagram: bytes, client: Hashable) -> Opened:
        """
        See L{ServerPackets}.
        """
        if len(datagram) <= self._saltLength + TAG:
            raise DatagramFault(Reason.SHORT)
        salt, sealed = datagram[: self._saltLength], datagram[self._saltLength :]
        if self._replay.seen(salt):
            raise DatagramFault(Reason.REPLAY)
        account, plain = self._opened(salt, sealed, client)
        destination, payload = splitAddress(plain)
        self._replay.add(salt)
        self._accounts.cameFrom(account, client)
        return Opened(ClassicSession(account, client, self), destination, payload)

    def _opened(self, salt: bytes, sealed: bytes, client: Hashable) -> tuple[Account, bytes]:
        """
        Find whose key opens a datagram.

        @raise DatagramFault: Nobody's, or too much is tried already.
        """
        candidates = self._accounts.candidates(client)
        first = next(candidates)
        plain = openPacket(first, salt, sealed)
        if plain is not None:
            return first, plain
        now = self._clock()
        self._tries = min(self._rate, self._tries + (now - self._counted) * self._rate)
        self._counted = now
        for account in candidates:
            if self._tries < 1:
                break
            self._tries -= 1
            plain = openPacket(account, salt, sealed)
            if plain is not None:
                return account, plain
        raise DatagramFault(Reason.SEAL)

    def seal(self, account: Account, source: Destination, payload: bytes) -> bytes:
        """
        As L{ClassicSession.seal}.
        """
        salt = self._random(self._saltLength)
        datagram = sealPacket(account, salt, source, payload)
        # Or our own answer could be played back to us as a client's.
        self._replay.add(salt)
        return datagram
