"""
A client's end of datagrams, without I/O, for one that has asked and wants the
answers.

@see: U{https://shadowsocks.org/doc/aead.html}
@see: U{https://shadowsocks.org/doc/sip022.html}
"""

import os
from collections.abc import Callable
from typing import Protocol

from socksproxy.address import Destination
from socksproxy.shadowsocks._envelope import readerFor, writerFor
from socksproxy.shadowsocks._events import Reason
from socksproxy.shadowsocks._keys import Account
from socksproxy.shadowsocks._methods import AEAD, TAG
from socksproxy.shadowsocks._packet import DatagramFault, openPacket, sealPacket, splitAddress
from socksproxy.shadowsocks._packet2022 import decodeResponse, encodeRequest, paddingFor
from socksproxy.shadowsocks._replay import LIFETIME, Replay
from socksproxy.shadowsocks._window import Window


class ClientPackets(Protocol):
    """
    What seals and opens the datagrams of one local port.
    """

    def seal(self, destination: Destination, payload: bytes) -> bytes:
        """
        Make a datagram.

        @param destination: Where the payload is to go.
        @raise LocalProtocolError: It is too long for a datagram.
        """

    def open(self, datagram: bytes) -> tuple[Destination, bytes]:
        """
        Take an answer.

        @return: Where the payload comes from, and the payload.
        @raise DatagramFault: It is to be dropped. It has changed nothing.
        """


def clientPackets(
    account: Account,
    replay: Replay,
    wallClock: Callable[[], float],
    clock: Callable[[], float],
    *,
    random: Callable[[int], bytes] = os.urandom,
) -> ClientPackets:
    """
    Give what seals and opens the datagrams of one local port.

    @param account: Who we are.
    @param replay: The salts of answers that were here before, and our own, for
        all ports that ask one server; a method of 2022 has none in datagrams.
    @param wallClock: Gives seconds since 1970.
    @param clock: Gives seconds, since whenever, that never go backwards.
    @param random: Gives that many random octets.
    """
    if account.method.edition2022:
        return ClientPackets2022(account, wallClock, clock, random)
    return ClassicClientPackets(account, replay, random)


class ClassicClientPackets:
    """
    See L{ClientPackets}.
    """

    def __init__(self, account: Account, replay: Replay, random: Callable[[int], bytes]) -> None:
        """
        See L{clientPackets}.
        """
        self._account = account
        self._replay = replay
        self._random = random
        self._saltLength = account.method.saltLength

    def seal(self, destination: Destination, payload: bytes) -> bytes:
        """
        See L{ClientPackets}.
        """
        salt = self._random(self._saltLength)
        datagram = sealPacket(self._account, salt, destination, payload)
        # Or our own request could be sent back to us as an answer.
        self._replay.add(salt)
        return datagram

    def open(self, datagram: bytes) -> tuple[Destination, bytes]:
        """
        See L{ClientPackets}.
        """
        if len(datagram) <= self._saltLength + TAG:
            raise DatagramFault(Reason.SHORT)
        salt, sealed = datagram[: self._saltLength], datagram[self._saltLength :]
        if self._replay.seen(salt):
            raise DatagramFault(Reason.REPLAY)
        plain = openPacket(self._account, salt, sealed)
        if plain is None:
            raise DatagramFault(Reason.SEAL)
        answer = splitAddress(plain)
        self._replay.add(salt)
        return answer


class _ServerSession:
    """
    What a server calls our session, until it starts anew.
    """

    __slots__ = ("cipher", "heard", "name", "window")

    def __init__(self, name: bytes, cipher: AEAD) -> None:
        self.name = name
        self.cipher = cipher
        self.window = Window()
        # When the last answer came.
        self.heard = 0.0


class ClientPackets2022:
    """
    See L{ClientPackets}. It is one session.
    """

    def __init__(
        self,
        account: Account,
        wallClock: Callable[[], float],
        clock: Callable[[], float],
        random: Callable[[int], bytes],
    ) -> None:
        """
        See L{clientPackets}.
        """
        self._key = account.userKey
        self._wallClock = wallClock
        self._clock = clock
        self._random = random
        self._writer = writerFor(account.method, account.keys, random)
        self._reader = readerFor(account.method, account.userKey)
        self._current: _ServerSession | None = None
        self._previous: _ServerSession | None = None

    def seal(self, destination: Destination, payload: bytes) -> bytes:
        """
        See L{ClientPackets}.
        """
        padding = paddingFor(destination, payload, self._random)
        now = int(self._wallClock())
        return self._writer.seal(encodeRequest(now, destination, padding, payload))

    def open(self, datagram: bytes) -> tuple[Destination, bytes]:
        """
        See L{ClientPackets}.
        """
        envelope = self._reader.read(datagram)
        name, number = envelope.session, envelope.number
        session = self._named(name)
        if session is None:
            # Kept only if the datagram is good.
            session = _ServerSession(name, self._reader.cipher(self._key, name))
        elif not session.window.isNew(number):
            raise DatagramFault(Reason.REPLAY)
        plain = self._reader.open(envelope, session.cipher)
        answer = decodeResponse(plain, int(self._wallClock()), self._writer.session)
        if session is not self._current and session is not self._previous:
            self._previous, self._current = self._current, session
        session.heard = self._clock()
        session.window.mark(number)
        return answer

    def _named(self, name: bytes) -> _ServerSession | None:
        """
        Find a server's session.

        @return: L{None} where it is new.
        @raise DatagramFault: It is new, and the numbers of the one that would
            have to be forgotten for it matter yet.
        """
        current, previous = self._current, self._previous
        if current is not None and current.name == name:
            return current
        if previous is None:
            return None
        if previous.name == name:
            return previous
        if self._clock() - previous.heard < LIFETIME:
            raise DatagramFault(Reason.REPLAY)
        return None
