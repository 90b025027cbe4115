"""
The sessions of a server's clients, with a method of 2022.

A session has a name that its client has drawn, and the client may go on from
another address. Its numbers are remembered for as long as a recording of it
would still be in time, whether anybody wants to know of the session or not.

@see: U{https://shadowsocks.org/doc/sip022.html}
"""

from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable

from socksproxy.address import Destination
from socksproxy.shadowsocks._envelope import Envelope, Writer, readerFor, writerFor
from socksproxy.shadowsocks._events import Reason
from socksproxy.shadowsocks._keys import Account
from socksproxy.shadowsocks._methods import AEAD
from socksproxy.shadowsocks._packet import DatagramFault, Opened
from socksproxy.shadowsocks._packet2022 import decodeRequest, encodeResponse, paddingFor
from socksproxy.shadowsocks._replay import LIFETIME
from socksproxy.shadowsocks._users import Accounts
from socksproxy.shadowsocks._window import Window

SESSIONS = 16_384
"""
The most sessions of 2022 that are remembered. With more of them no new one is
let in: to forget one too early would be worse.
"""

USER_SESSIONS = 4096
"""
The most of them that one of several users has.
"""


class Session2022:
    """
    See L{Session<socksproxy.shadowsocks._packet.Session>}.

    @ivar account: Whose it is.
    @ivar client: Where its newest datagram came from.
    @ivar name: What the client calls it.
    @ivar window: The numbers that were here.
    @ivar cipher: What opens its datagrams, while there are some.
    @ivar writer: What seals the answers, once there was one.
    """

    __slots__ = ("_packets", "account", "cipher", "client", "name", "window", "writer")

    def __init__(self, account: Account, name: bytes, packets: "ServerPackets2022") -> None:
        self.account = account
        self.client: Hashable = None
        self.name = name
        self.cipher: AEAD | None = None
        self.window = Window()
        self.writer: Writer | None = None
        self._packets = packets

    def seal(self, source: Destination, payload: bytes) -> bytes:
        """
        See L{Session<socksproxy.shadowsocks._packet.Session>}.
        """
        return self._packets.seal(self, source, payload)

    def end(self) -> None:
        """
        See L{Session<socksproxy.shadowsocks._packet.Session>}.
        """
        self._packets.rest(self)


class ServerPackets2022:
    """
    See L{ServerPackets<socksproxy.shadowsocks._packetserver.ServerPackets>}.
    """

    def __init__(
        self,
        accounts: Accounts,
        wallClock: Callable[[], float],
        clock: Callable[[], float],
        notBefore: int,
        random: Callable[[int], bytes],
        limit: int = SESSIONS,
        userLimit: int = USER_SESSIONS,
    ) -> None:
        """
        See L{serverPackets<socksproxy.shadowsocks._packetserver.serverPackets>}.

        @param limit: The most sessions that are remembered.
        @param userLimit: The most of them that one of several users has.
        """
        self._accounts = accounts
        self._wallClock = wallClock
        self._clock = clock
        self._notBefore = notBefore
        self._random = random
        self._limit = limit
        self._userLimit = limit if accounts.serverKey is None else userLimit
        self._single = next(accounts.candidates(None))
        key = accounts.serverKey
        self._reader = readerFor(accounts.method, key or self._single.userKey, key is not None)
        # All, by whose and what their clients call them.
        self._sessions: dict[tuple[Account, bytes], Session2022] = {}
        # When each that has ended is to be forgotten, the soonest first.
        self._resting: OrderedDict[Session2022, float] = OrderedDict()
        self._ofUsers: Counter[Account] = Counter()

    def __len__(self) -> int:
        return len(self._sessions)

    def open(self, datagram: bytes, client: Hashable) -> Opened:
        """
        See L{ServerPackets<socksproxy.shadowsocks._packetserver.ServerPackets>}.
        """
        envelope = self._reader.read(datagram)
        account = self._accountOf(envelope)
        name, number = envelope.session, envelope.number
        session = self._sessions.get((account, name))
        if session is not None and not session.window.isNew(number):
            raise DatagramFault(Reason.REPLAY)
        cipher = session.cipher if session is not None else None
        if cipher is None:
            cipher = self._reader.cipher(account.userKey, name)
        plain = self._reader.open(envelope, cipher)
        now = int(self._wallClock())
        destination, payload = decodeRequest(plain, now, self._notBefore)
        if session is None:
            session = self._add(account, name)
        if session.cipher is None:
            session.cipher = cipher
            self._resting.pop(session, None)
        # One that was late says nothing of where the client is now.
        if session.window.mark(number):
            session.client = client
        return Opened(session, destination, payload)

    def _accountOf(self, envelope: Envelope) -> Account:
        """
        Find whose a datagram claims to be. It is theirs once it opens.

        @raise DatagramFault: It names nobody.
        """
        if self._accounts.serverKey is None:
            return self._single
        account = self._accounts.byHash.get(envelope.user)
        if account is None:
            raise DatagramFault(Reason.USER)
        return account

    def _add(self, account: Account, name: bytes) -> Session2022:
        """
        Begin a session.

        @raise DatagramFault: There are too many.
        """
        self._forget()
        if len(self._sessions) >= self._limit or self._ofUsers[account] >= self._userLimit:
            raise DatagramFault(Reason.REPLAY)
        session = self._sessions[account, name] = Session2022(account, name, self)
        self._ofUsers[account] += 1
        return session

    def seal(self, session: Session2022, source: Destination, payload: bytes) -> bytes:
        """
        As L{Session2022.seal}.
        """
        writer = session.writer
        if writer is None:
            keys = (session.account.userKey,)
            writer = session.writer = writerFor(self._accounts.method, keys, self._random)
        padding = paddingFor(source, payload, self._random)
        now = int(self._wallClock())
        return writer.seal(encodeResponse(now, session.name, source, padding, payload))

    def rest(self, session: Session2022) -> None:
        """
        As L{Session2022.end}.
        """
        if session.cipher is not None:
            # It is most of what has to be kept, and can be made again.
            session.cipher = None
            self._resting[session] = self._clock() + LIFETIME

    def _forget(self) -> None:
        """
        Forget the sessions of which no recording can be in time any more.
        """
        now = self._clock()
        while self._resting and next(iter(self._resting.values())) <= now:
            session, _ = self._resting.popitem(last=False)
            del self._sessions[session.account, session.name]
            self._ofUsers[session.account] -= 1
