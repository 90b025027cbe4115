"""
Tests for L{socksproxy.shadowsocks._users}.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from socksproxy.errors import ConfigurationError
from socksproxy.shadowsocks._events import Reason, StreamFault
from socksproxy.shadowsocks._keys import Account, accountFor, identityHeaders, sessionCipher
from socksproxy.shadowsocks._methods import METHODS, Method
from socksproxy.shadowsocks._users import MAX_TRIED, SOURCES, Accounts

CLASSIC = METHODS["aes-128-gcm"]
NEW = METHODS["2022-blake3-aes-128-gcm"]
SERVER = bytes([255] * 16)
SALT = bytes(range(16))


def classic(count: int, method: Method = CLASSIC) -> list[Account]:
    """
    Make users of a classic method.
    """
    return [accountFor(method, f"password {number}", f"user{number}") for number in range(count)]


def identified(count: int) -> list[Account]:
    """
    Make users of a method of 2022.
    """
    return [
        Account(NEW, [SERVER, number.to_bytes(16, "big")], f"user{number}")
        for number in range(count)
    ]


def recordOf(account: Account) -> bytes:
    """
    Seal the first record of a user's stream.
    """
    cipher = sessionCipher(account.method, account.userKey, SALT)
    return cipher.encrypt(bytes(12), b"\0\x07", None)


class TestTrying(SynchronousTestCase):
    """
    Users of a classic method, whose keys are tried.
    """

    def names(self, accounts: Accounts, source: Hashable) -> list[str]:
        """
        Tell in what order users are tried.
        """
        return [account.name for account in accounts.candidates(source)]

    def test_finds(self) -> None:
        """
        Every user is found, with the cipher of the stream.
        """
        users = classic(5)
        accounts = Accounts(users)
        self.assertEqual((accounts.headerLength, accounts.serverKey), (0, None))
        for user in users:
            record = recordOf(user)
            account, cipher = accounts.opening(SALT, record, "there")
            self.assertIs(account, user)
            self.assertEqual(cipher.decrypt(bytes(12), record, None), b"\0\x07")

    def test_stranger(self) -> None:
        """
        Who has no key is nobody, and changes no order.
        """
        accounts = Accounts(classic(3))
        stranger = accountFor(CLASSIC, "another password")
        error = self.assertRaises(StreamFault, accounts.opening, SALT, recordOf(stranger), "there")
        self.assertEqual(error.refused.reason, Reason.SEAL)
        self.assertEqual(self.names(accounts, "there"), ["user0", "user1", "user2"])

    def test_recentFirst(self) -> None:
        """
        Who was here last is tried first, and before them who came from the
        same source; each is tried once.
        """
        users = classic(4)
        accounts = Accounts(users)
        for number, source in ((2, "there"), (3, "elsewhere"), (1, "elsewhere")):
            accounts.opening(SALT, recordOf(users[number]), source)
        self.assertEqual(self.names(accounts, "new"), ["user1", "user3", "user2", "user0"])
        self.assertEqual(self.names(accounts, "there"), ["user2", "user1", "user3", "user0"])
        self.assertEqual(self.names(accounts, "elsewhere"), ["user1", "user3", "user2", "user0"])
        self.assertEqual(self.names(accounts, None), ["user1", "user3", "user2", "user0"])

    def test_fewSources(self) -> None:
        """
        There is a bound on the sources that are remembered: the one that was
        not heard of for longest is forgotten.
        """
        users = classic(2)
        accounts = Accounts(users)
        for source in range(SOURCES):
            accounts.cameFrom(users[0], source)
        accounts.cameFrom(users[0], 0)
        accounts.cameFrom(users[1], "new")
        self.assertEqual(len(accounts._bySource), SOURCES)
        self.assertEqual(self.names(accounts, 0), ["user0", "user1"])
        self.assertEqual(self.names(accounts, 1), ["user1", "user0"])

    def test_noSource(self) -> None:
        """
        Where nobody says where streams come from there is nothing to remember.
        """
        users = classic(2)
        accounts = Accounts(users)
        accounts.opening(SALT, recordOf(users[1]), None)
        self.assertEqual(len(accounts._bySource), 0)

    def test_bound(self) -> None:
        """
        There are not more of them than can be tried, and the error names the
        way out.
        """
        users = [Account(CLASSIC, [number.to_bytes(16, "big")]) for number in range(MAX_TRIED + 1)]
        Accounts(users[:-1])
        error = self.assertRaises(ConfigurationError, Accounts, users)
        self.assertIn("2022", str(error))


class TestIdentified(SynchronousTestCase):
    """
    Users of a method of 2022.
    """

    def test_finds(self) -> None:
        """
        Every user is found by what its identity header says, however many
        there are.
        """
        users = identified(MAX_TRIED + 100)
        accounts = Accounts(users)
        self.assertEqual((accounts.headerLength, accounts.serverKey), (16, SERVER))
        for user in users[::100]:
            header = identityHeaders(user.keys, SALT)
            self.assertIs(accounts.identified(SALT, header), user)

    def test_unknown(self) -> None:
        """
        A header that names nobody, or was sealed for another server or with
        another salt, is refused.
        """
        users = identified(3)
        accounts = Accounts(users[:2])
        other = Account(NEW, [bytes([254] * 16), users[0].userKey])
        for header in (
            identityHeaders(users[2].keys, SALT),
            identityHeaders(other.keys, SALT),
            identityHeaders(users[0].keys, bytes(16)),
            bytes(16),
        ):
            error = self.assertRaises(StreamFault, accounts.identified, SALT, header)
            self.assertEqual(error.refused.reason, Reason.USER)

    def test_one(self) -> None:
        """
        A server with one key has no identity headers.
        """
        account = Account(NEW, [SERVER], "alice")
        accounts = Accounts([account])
        self.assertEqual((accounts.headerLength, accounts.serverKey), (0, None))
        self.assertIs(accounts.identified(SALT, b""), account)


class TestTogether(SynchronousTestCase):
    """
    What does not go together is refused when a server is made.
    """

    def refused(self, accounts: list[Account]) -> str:
        """
        Give the reason for which accounts are refused.
        """
        return str(self.assertRaises(ConfigurationError, Accounts, accounts))

    def test_none(self) -> None:
        """
        There is at least one user.
        """
        self.assertIn("password", self.refused([]))

    def test_methods(self) -> None:
        """
        All have one method.
        """
        other = replace(CLASSIC, name="other")
        self.assertIn("one method", self.refused([*classic(1), *classic(1, other)]))

    def test_sameKey(self) -> None:
        """
        No two have one key, which would name either.
        """
        self.assertIn("same key", self.refused(classic(2) + classic(1)))
        self.assertIn("same key", self.refused(identified(2) + identified(1)))

    def test_keysOf2022(self) -> None:
        """
        Users of 2022 have the server's key and their own.
        """
        single = Account(NEW, [bytes(range(16))])
        elsewhere = Account(NEW, [bytes(range(16)), bytes(range(1, 17))])
        relayed = Account(NEW, [SERVER, bytes(range(16)), bytes(range(1, 17))])
        same = Account(NEW, [SERVER, SERVER])
        for accounts in (
            [single, Account(NEW, [SERVER])],
            [*identified(2), single],
            [*identified(2), elsewhere],
            [relayed],
            [*identified(1), relayed],
            [*identified(1), same],
        ):
            self.assertIn("key", self.refused(accounts))
