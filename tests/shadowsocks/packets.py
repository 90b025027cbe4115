"""
What the tests of Shadowsocks' datagrams have in common: the vectors as accounts
and plaintexts, and both ends to send some between.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.address import Destination, hostFromText
from socksproxy.shadowsocks._envelope import Writer, writerFor
from socksproxy.shadowsocks._events import Reason
from socksproxy.shadowsocks._keys import Account, accountFor
from socksproxy.shadowsocks._methods import METHODS
from socksproxy.shadowsocks._packet import DatagramFault
from socksproxy.shadowsocks._packet2022 import SESSION
from socksproxy.shadowsocks._packetclient import ClientPackets, clientPackets
from socksproxy.shadowsocks._packetserver import ServerPackets, serverPackets
from socksproxy.shadowsocks._replay import Replay, SaltMemory
from socksproxy.shadowsocks._users import Accounts
from tests.shadowsocks.streams import NOW, accountOf, fresh, methodOf, scripted
from tests.vectors import Vector

HERE = ("192.0.2.1", 4000)
THERE = ("198.51.100.2", 5000)
TARGET = Destination("example.com", 443)
SOURCE = Destination(hostFromText("192.0.2.7") or "", 5353)

CLASSIC = [name for name, method in METHODS.items() if not method.edition2022]
NEW = [name for name, method in METHODS.items() if method.edition2022]
AES = [name for name, method in METHODS.items() if method.identityHeaders]


def packetAccountOf(vector: Vector) -> Account:
    """
    Give the client's account of a vector.
    """
    if "password_utf8" in vector:
        return accountFor(methodOf(vector), vector["password_utf8"], "alice")
    return accountOf(vector)


def packetAccountsOf(vector: Vector) -> Accounts:
    """
    Give what the server of a vector knows, which is behind the relays.
    """
    account = packetAccountOf(vector)
    return Accounts([Account(account.method, account.keys[-2:], "alice")])


def octetsOf(vector: Vector, name: str = "packet") -> bytes:
    """
    Give octets of a vector.
    """
    return bytes.fromhex(vector[name])


def sourceOf(vector: Vector) -> Destination:
    """
    Give where the payload of a vector's answer comes from.
    """
    host, port = vector["source"]
    return Destination(hostFromText(host) or host, port)


def usersOf(method: str, count: int = 3) -> list[Account]:
    """
    Make users of one server.
    """
    found = METHODS[method]
    if not found.edition2022:
        return [accountFor(found, f"password {number}", f"user{number}") for number in range(count)]
    server = bytes([255] * found.keyLength)
    return [
        Account(found, [server, bytes([number + 1] * found.keyLength)], f"user{number}")
        for number in range(count)
    ]


class Ends:
    """
    A server, and clients of it, on one clock.

    @ivar clock: What all of them read; it began at C{NOW}.
    """

    def __init__(self, accounts: list[Account] | str, **options: int) -> None:
        """
        @param accounts: The users, or a method of which there is one.
        """
        self.accounts = [fresh(accounts)] if isinstance(accounts, str) else accounts
        self.clock = Clock()
        self.clock.advance(NOW)
        self.replay: Replay = SaltMemory(b"server")
        self.server: ServerPackets = serverPackets(
            Accounts(self.accounts), self.replay, self.clock.seconds, self.clock.seconds, **options
        )

    def client(self, user: int = 0, **options: Callable[[int], bytes]) -> ClientPackets:
        """
        Make a client.
        """
        return clientPackets(
            self.accounts[user],
            SaltMemory(b"client"),
            self.clock.seconds,
            self.clock.seconds,
            **options,
        )


def writerAt(account: Account, session: bytes, number: int, *nonces: bytes) -> Writer:
    """
    Make what seals with a number to begin with.

    @param nonces: Those of XChaCha20, if it is that.
    """
    skipped = [bytes(len(nonce)) for nonce in nonces] * number
    assert len(session) == SESSION
    writer = writerFor(account.method, account.keys, scripted(session, *skipped, *nonces))
    for _ in range(number):
        writer.seal(b"")
    return writer


@contextmanager
def refused(case: SynchronousTestCase, reason: Reason) -> Iterator[None]:
    """
    Require that a datagram is refused, and for a reason.
    """
    with case.assertRaises(DatagramFault) as caught:
        yield
    case.assertEqual(caught.exception.refused.reason, reason)


def damaged(datagram: bytes) -> Iterator[bytes]:
    """
    Damage a datagram in all the ways that are quick to try: cut at each octet,
    made longer, and with one bit of each octet turned.
    """
    for end in range(len(datagram)):
        yield datagram[:end]
    yield datagram + b"\0"
    for at in range(len(datagram)):
        turned = bytearray(datagram)
        turned[at] ^= 1 << at % 8
        yield bytes(turned)
