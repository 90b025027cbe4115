"""
What the tests of Shadowsocks' streams have in common: the vectors as accounts
and plaintexts, and streams to talk to.
"""

from __future__ import annotations

import hashlib
from base64 import b64decode
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from socksproxy.address import Destination, hostFromText
from socksproxy.shadowsocks._client import ClientStream
from socksproxy.shadowsocks._events import Data, Event, Refused, Requested
from socksproxy.shadowsocks._keys import Account, masterKey
from socksproxy.shadowsocks._methods import METHODS, Method
from socksproxy.shadowsocks._replay import Replay, SaltMemory, SaltPool
from socksproxy.shadowsocks._server import ServerStream
from socksproxy.shadowsocks._users import Accounts
from tests.vectors import Vector, document

VECTORS = document("shadowsocks_vectors")

NOW = 1_700_000_000
"""
The time of the vectors.
"""

TARGET = Destination("example.com", 443)


def cases(section: str) -> list[Vector]:
    """
    Give the cases of one section of the vectors.
    """
    found: list[Vector] = VECTORS[section]
    return found


def nameOf(vector: Vector) -> str:
    """
    Name a vector.
    """
    name: str = vector["id"]
    return name


def byID(section: str, name: str) -> Vector:
    """
    Find a vector.
    """
    return next(vector for vector in cases(section) if vector["id"] == name)


def methodOf(vector: Vector) -> Method:
    """
    Give the method of a vector.
    """
    return METHODS[vector["method"]]


def accountOf(vector: Vector) -> Account:
    """
    Give the client's account of a vector.
    """
    if "psk_base64" in vector:
        texts = [*vector.get("identity_psks_base64", ()), vector["psk_base64"]]
        return Account(methodOf(vector), [b64decode(text) for text in texts], "alice")
    keys = [bytes.fromhex(vector["key"])]
    if vector.get("identity_psk"):
        keys.insert(0, bytes.fromhex(vector["identity_psk"]))
    return Account(methodOf(vector), keys, "alice")


def accountsOf(vector: Vector) -> Accounts:
    """
    Give what the server of a vector knows, which is behind the relays.
    """
    account = accountOf(vector)
    return Accounts([Account(account.method, account.keys[-2:], "alice")])


def targetOf(vector: Vector) -> Destination:
    """
    Give where a vector wants to go.
    """
    host, port = vector["target"]
    return Destination(hostFromText(host) or host, port)


def chunksOf(vector: Vector) -> list[bytes]:
    """
    Give the plaintext of a vector's chunks.
    """
    if "chunks" in vector:
        return [bytes.fromhex(chunk) for chunk in vector["chunks"]]
    return [
        bytes.fromhex(rule["hex"])
        if "hex" in rule
        else bytes((at * 7 + 3) & 0xFF for at in range(rule["generated_len"]))
        for rule in vector["chunk_rule"]
    ]


def isStreamOf(vector: Vector, octets: bytes) -> bool:
    """
    Compare octets with what a vector has, or has the hash of.
    """
    if "stream" in vector:
        return octets.hex() == vector["stream"]
    return (
        len(octets) == vector["stream_len"]
        and hashlib.sha256(octets).hexdigest() == vector["stream_sha256"]
    )


def fresh(method: str) -> Account:
    """
    Make an account of a method, the same one each time.
    """
    found = METHODS[method]
    if found.edition2022:
        return Account(found, [bytes(range(found.keyLength))], "bob")
    return Account(found, [masterKey(found, b"correct horse battery staple")], "bob")


def replayOf(method: Method, clock: Callable[[], float] = lambda: 0.0) -> Replay:
    """
    Make what remembers the salts of a method.
    """
    return SaltPool(clock) if method.edition2022 else SaltMemory(b"secret")


def serverOf(accounts: Accounts | Account, replay: Replay | None = None, **options: Any) -> Any:
    """
    Make a server's end, at the time of the vectors.
    """
    if isinstance(accounts, Account):
        accounts = Accounts([accounts])
    options.setdefault("wallClock", lambda: float(NOW))
    if replay is None:
        replay = replayOf(accounts.method)
    return ServerStream(accounts, replay, **options)


def clientOf(account: Account, destination: Destination = TARGET, **options: Any) -> ClientStream:
    """
    Make a client's end, at the time of the vectors.
    """
    options.setdefault("wallClock", lambda: float(NOW))
    return ClientStream(account, destination, **options)


def scripted(*octets: bytes) -> Callable[[int], bytes]:
    """
    Make a source of random octets that gives these, one after the other, and
    requires to be asked for just as many.
    """
    left = list(octets)

    def random(count: int) -> bytes:
        given = left.pop(0)
        assert len(given) == count
        return given

    return random


def told(stream: ClientStream | ServerStream, pieces: Iterable[bytes]) -> list[Event]:
    """
    Feed octets in pieces, and put data together that came in several.
    """
    return joined(event for piece in pieces for event in stream.feed(piece))


def joined(events: Iterable[Event]) -> list[Event]:
    """
    Put data together that was told by several events.
    """
    result: list[Event] = []
    for event in events:
        last = result[-1] if result else None
        if isinstance(event, Data) and isinstance(last, Requested):
            payload = last.firstPayload + event.data
            result[-1] = Requested(last.user, last.destination, payload)
        elif isinstance(event, Data) and isinstance(last, Data):
            result[-1] = Data(last.data + event.data)
        else:
            result.append(event)
    return result


def cutsOf(octets: bytes, most: int = 700) -> Iterator[list[bytes]]:
    """
    Cut octets in all the ways worth trying: not at all, in two at every
    position, or at some where there are too many, and into single octets.
    """
    yield [octets]
    step = max(1, len(octets) // most)
    for position in range(1, len(octets), step):
        yield [octets[:position], octets[position:]]
    if step == 1:
        yield [octets[at : at + 1] for at in range(len(octets))]


def reasonsIn(events: Sequence[Event]) -> list[str]:
    """
    Give the reasons of refusals.
    """
    return [event.reason for event in events if isinstance(event, Refused)]
