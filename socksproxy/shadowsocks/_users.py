"""
The users of one server, and whose a stream or a datagram is.

With a classic method the key of each of them is tried. With a method of 2022 the
client names its key, sealed with the server's own, in an identity header.
"""

from collections import OrderedDict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from types import MappingProxyType

from cryptography.exceptions import InvalidTag

from socksproxy.errors import ConfigurationError
from socksproxy.shadowsocks._events import Reason, StreamFault
from socksproxy.shadowsocks._keys import (
    IDENTITY,
    Account,
    keyHash,
    openIdentity,
    sessionCipher,
)
from socksproxy.shadowsocks._methods import AEAD, NONCE, Method

MAX_TRIED = 500
"""
The most users of a classic method: each stream of a stranger costs a try for
all of them, some ten microseconds each.
"""

SOURCES = 4096
"""
The most sources of which the last user is remembered.
"""

_FIRST_NONCE = bytes(NONCE)


class Accounts:
    """
    All that one server lets in, with one method.

    @ivar method: The method.
    @ivar serverKey: The server's own key, which reads identity headers, or
        L{None} where there are none.
    @ivar byHash: The users by what an identity header says.
    @ivar headerLength: Octets of the identity header that is to be there: 16,
        or 0.
    """

    def __init__(self, accounts: Sequence[Account]) -> None:
        """
        @param accounts: At least one, of one method. More than one of a method
            of 2022 have two keys each, the first of them the server's.
        @raise ConfigurationError: They do not go together.
        """
        if not accounts:
            raise ConfigurationError("a Shadowsocks server needs a password")
        self.method: Method = accounts[0].method
        if any(account.method != self.method for account in accounts):
            raise ConfigurationError("the users of one Shadowsocks server have one method")
        if len({account.userKey for account in accounts}) < len(accounts):
            raise ConfigurationError("two users of a Shadowsocks server have the same key")
        self.serverKey = self._serverKeyOf(accounts)
        users = accounts if self.serverKey is not None else ()
        self.byHash: Mapping[bytes, Account] = MappingProxyType(
            {keyHash(account.userKey): account for account in users}
        )
        self.headerLength = IDENTITY if users else 0
        # Who was here last comes last.
        self._recent = OrderedDict.fromkeys(reversed(accounts))
        self._bySource: OrderedDict[Hashable, Account] = OrderedDict()

    def _serverKeyOf(self, accounts: Sequence[Account]) -> bytes | None:
        if not self.method.edition2022:
            if len(accounts) > MAX_TRIED:
                raise ConfigurationError(
                    f"{len(accounts)} users are too many for {self.method.name}: their keys are"
                    f" tried one after the other. More than {MAX_TRIED} need a method of 2022"
                )
            return None
        lengths = {len(account.keys) for account in accounts}
        if lengths == {1} and len(accounts) == 1:
            return None
        first = accounts[0].keys[0]
        if lengths != {2} or any(account.keys[0] != first for account in accounts):
            raise ConfigurationError(
                f"users of {self.method.name} have two keys each: the server's, which is the same"
                " for all, and their own"
            )
        if any(account.userKey == first for account in accounts):
            raise ConfigurationError("the server's own key cannot be a user's, too")
        return first

    def candidates(self, source: Hashable) -> Iterator[Account]:
        """
        Give all users, beginning with the last from a source, and then by when
        they were last here.

        @param source: Where something comes from.
        """
        first = self._bySource.get(source)
        if first is not None:
            yield first
        for account in reversed(self._recent):
            if account is not first:
                yield account

    def cameFrom(self, account: Account, source: Hashable) -> None:
        """
        Learn that a user was here, so that its key is tried sooner next time.
        """
        self._recent.move_to_end(account)
        if source is None or len(self._recent) == 1:
            return
        self._bySource[source] = account
        self._bySource.move_to_end(source)
        if len(self._bySource) > SOURCES:
            self._bySource.popitem(last=False)

    def opening(self, salt: bytes, record: bytes, source: Hashable) -> tuple[Account, AEAD]:
        """
        Find whose a stream or datagram of a classic method is.

        @param record: Its first record.
        @return: The user, and the cipher of this stream or datagram.
        @raise StreamFault: It is nobody's.
        """
        for account in self.candidates(source):
            cipher = sessionCipher(self.method, account.userKey, salt)
            try:
                cipher.decrypt(_FIRST_NONCE, record, None)
            except InvalidTag:
                continue
            self.cameFrom(account, source)
            return account, cipher
        raise StreamFault(Reason.SEAL)

    def identified(self, salt: bytes, header: bytes) -> Account:
        """
        Find whose a stream of a method of 2022 claims to be. It is theirs once
        something opens with their key.

        @param header: The identity header, if there is to be one.
        @raise StreamFault: It names nobody.
        """
        if self.serverKey is None:
            return next(iter(self._recent))
        account = self.byHash.get(openIdentity(self.serverKey, salt, header))
        if account is None:
            raise StreamFault(Reason.USER)
        return account
