"""
Tests for L{socksproxy.shadowsocks._client}.
"""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.errors import LocalProtocolError, TruncatedStream
from socksproxy.shadowsocks._client import ClientStream, sealRequest
from socksproxy.shadowsocks._events import Data, Reason, Refused, Requested, StreamFault
from socksproxy.shadowsocks._keys import Account, sessionCipher
from socksproxy.shadowsocks._methods import METHODS
from socksproxy.shadowsocks._stream import Sealer
from socksproxy.shadowsocks._stream2022 import encodeResponse
from tests.shadowsocks.streams import (
    NOW,
    TARGET,
    accountOf,
    cases,
    chunksOf,
    clientOf,
    cutsOf,
    fresh,
    isStreamOf,
    methodOf,
    nameOf,
    scripted,
    serverOf,
    targetOf,
    told,
)
from tests.vectors import Vector

CLASSIC = cases("tcp_request_aead")
NEW = cases("tcp_request_2022")
CAPTURED = [
    {**vector, "id": f"{vector['id']}-{vector['captured_from'][:11]}"}
    for vector in cases("captured_tcp_response")
]
RESPONSES = cases("tcp_response")

NEW128 = "2022-blake3-aes-128-gcm"


@pytest.mark.parametrize("vector", NEW, ids=nameOf)
def test_requests2022(vector: Vector) -> None:
    """
    Requests of 2022 are written as the vectors have them.
    """
    stream, sealer = sealRequest(
        accountOf(vector),
        bytes.fromhex(vector["salt"]),
        vector["timestamp"],
        bytes.fromhex(vector["address"]),
        bytes.fromhex(vector["padding"]),
        bytes.fromhex(vector["initial_payload"]),
    )
    stream += b"".join(sealer.seal(chunk) for chunk in chunksOf(vector))
    assert isStreamOf(vector, stream)


@pytest.mark.parametrize("vector", CLASSIC, ids=nameOf)
def test_requestsClassic(vector: Vector) -> None:
    """
    So are those of the classic methods, whose first chunk has the whole
    address.
    """
    chunks = chunksOf(vector)
    address = bytes.fromhex(vector["address"])
    client = clientOf(
        accountOf(vector), targetOf(vector), random=scripted(bytes.fromhex(vector["salt"]))
    )
    stream = client.start(chunks[0].removeprefix(address))
    assert isStreamOf(vector, stream + b"".join(map(client.seal, chunks[1:])))


def clientFor(vector: Vector) -> ClientStream:
    """
    Make the client that waits for the response of a vector.
    """
    if "request_salt" in vector:
        random = scripted(bytes.fromhex(vector["request_salt"]), b"\0\0")
    else:
        random = scripted(bytes(methodOf(vector).saltLength))
    client = clientOf(accountOf(vector), random=random)
    client.start()
    return client


@pytest.mark.parametrize("vector", CAPTURED, ids=nameOf)
def test_captured(vector: Vector) -> None:
    """
    Responses that other programs have written are read, however they are cut.
    """
    plaintext = bytes.fromhex(vector["plaintext"])
    for pieces in cutsOf(bytes.fromhex(vector["stream"])):
        client = clientFor(vector)
        assert told(client, pieces) == [Data(plaintext)]
        client.endOfStream()


@pytest.mark.parametrize("vector", RESPONSES, ids=nameOf)
def test_responses(vector: Vector) -> None:
    """
    So are those of the vectors.
    """
    for pieces in cutsOf(bytes.fromhex(vector["stream"])):
        client = clientFor(vector)
        assert told(client, pieces) == [Data(b"".join(chunksOf(vector)))]
        client.endOfStream()


@pytest.mark.parametrize("vector", RESPONSES, ids=nameOf)
def test_anyDamage(vector: Vector) -> None:
    """
    Whatever octet of a response is changed, nothing that comes after it is
    told.
    """
    stream = bytes.fromhex(vector["stream"])
    whole = b"".join(chunksOf(vector))
    for at in range(len(stream)):
        damaged = bytearray(stream)
        damaged[at] ^= 0x10
        client = clientFor(vector)
        events = client.feed(bytes(damaged) + stream)
        assert isinstance(events[-1], Refused), at
        before = b"".join(event.data for event in events[:-1] if isinstance(event, Data))
        assert whole.startswith(before)
        assert len(before) < len(whole)
        assert client.feed(stream) == []


@settings(max_examples=60)
@given(st.sampled_from(sorted(METHODS)), st.lists(st.binary(max_size=200), max_size=5))
def test_anyOctets(method: str, pieces: list[bytes]) -> None:
    """
    Octets that nobody has sealed are refused once at most.
    """
    client = clientOf(fresh(method))
    client.start()
    events = told(client, pieces)
    assert [type(event) for event in events] in ([], [Refused])
    assert not client.answered


def responseTo(
    account: Account, requestSalt: bytes, payload: bytes, *, time: int = NOW, kind: int = 1
) -> bytes:
    """
    Write a response of 2022 that is well sealed.
    """
    method = account.method
    salt = bytes([7] * method.saltLength)
    sealer = Sealer(sessionCipher(method, account.userKey, salt), method.chunkLimit)
    header = encodeResponse(time, requestSalt, len(payload))
    return b"".join(
        (
            salt,
            sealer.sealRecord(bytes([kind]) + header[1:]),
            sealer.sealRecord(payload),
            sealer.seal(b", more"),
        )
    )


class TestStart(SynchronousTestCase):
    """
    How a request is begun.
    """

    def test_once(self) -> None:
        """
        A request is made once.
        """
        for method in METHODS:
            client = clientOf(fresh(method))
            self.assertFalse(client.started)
            client.start()
            self.assertTrue(client.started)
            self.assertRaises(LocalProtocolError, client.start)

    def test_byFirstBytes(self) -> None:
        """
        Our first bytes make the request, if nothing else has, and no bytes do
        not.
        """
        for method in METHODS:
            account = fresh(method)
            client = clientOf(account)
            self.assertEqual(client.seal(b""), b"")
            self.assertFalse(client.started)
            self.assertEqual(
                serverOf(account).feed(client.seal(b"data")), [Requested("bob", TARGET, b"data")]
            )

    def test_salts(self) -> None:
        """
        Each request has its own salt.
        """
        for method in METHODS:
            account = fresh(method)
            length = account.method.saltLength
            salts = {clientOf(account).start()[:length] for _ in range(50)}
            self.assertEqual(len(salts), 50)

    def test_padding(self) -> None:
        """
        A request of 2022 with little to send has padding, so that its length
        says little; one with much has none.
        """
        account = fresh(NEW128)
        lengths = {len(clientOf(account).start(b"x" * 10)) for _ in range(50)}
        self.assertGreater(len(lengths), 10)
        self.assertEqual(len({len(clientOf(account).start(bytes(900))) for _ in range(20)}), 1)

    def test_long(self) -> None:
        """
        Much to send is all in the request, whatever fits into its header.
        """
        data = bytes(range(256)) * 600
        for method in METHODS:
            account = fresh(method)
            self.assertEqual(
                serverOf(account).feed(clientOf(account).start(data)),
                [Requested("bob", TARGET, data)],
            )

    def test_secret(self) -> None:
        """
        A stream shows nothing of its keys.
        """
        account = fresh(NEW128)
        client = clientOf(account)
        client.start()
        self.assertNotIn(account.userKey.hex(), repr(client))
        self.assertNotIn(repr(account.userKey), repr(client))


class TestAnswer(SynchronousTestCase):
    """
    What a client takes for an answer.
    """

    def setUp(self) -> None:
        """
        Have a request of 2022.
        """
        self.account = fresh(NEW128)
        self.salt = bytes(range(16))
        self.client = clientOf(self.account, random=scripted(self.salt, b"\0\0"))
        self.client.start()

    def test_good(self) -> None:
        """
        An answer to this request, of now, is told.
        """
        self.assertFalse(self.client.answered)
        stream = responseTo(self.account, self.salt, b"data")
        self.assertEqual(self.client.feed(stream), [Data(b"data, more")])
        self.assertTrue(self.client.answered)

    def test_emptyFirst(self) -> None:
        """
        The first payload may be empty, as some servers have it.
        """
        stream = responseTo(self.account, self.salt, b"")
        self.assertEqual(self.client.feed(stream), [Data(b", more")])

    def test_otherRequest(self) -> None:
        """
        An answer to another request is refused, be its salt greater or less.
        """
        for other in (bytes(16), bytes([255] * 16), self.salt[:-1] + b"\0"):
            self.setUp()
            stream = responseTo(self.account, other, b"data")
            self.assertEqual(self.client.feed(stream), [Refused(Reason.SALT)])

    def test_clock(self) -> None:
        """
        An answer that is too old is refused, with how old it is.
        """
        for skew in (-31, 31):
            self.setUp()
            stream = responseTo(self.account, self.salt, b"data", time=NOW + skew)
            self.assertEqual(self.client.feed(stream), [Refused(Reason.CLOCK, skew)])

    def test_kind(self) -> None:
        """
        A client's header is no answer.
        """
        stream = responseTo(self.account, self.salt, b"data", kind=0)
        self.assertEqual(self.client.feed(stream), [Refused(Reason.HEADER)])

    def test_ownRequest(self) -> None:
        """
        Our own request, sent back, is no answer.
        """
        for method in METHODS:
            client = clientOf(fresh(method))
            request = client.start(b"data")
            self.assertEqual(client.feed(request)[-1], Refused(Reason.SALT))

    def test_unasked(self) -> None:
        """
        What comes before our request is no answer.
        """
        for method in METHODS:
            client = clientOf(fresh(method))
            self.assertEqual(client.feed(b"x"), [Refused(Reason.SALT)])

    def test_otherKey(self) -> None:
        """
        An answer with another key is refused, and the server has not shown
        that it has ours.
        """
        other = Account(self.account.method, [bytes(16)])
        stream = responseTo(other, self.salt, b"data")
        self.assertEqual(self.client.feed(stream), [Refused(Reason.SEAL)])
        self.assertFalse(self.client.answered)


class TestEnd(SynchronousTestCase):
    """
    How a response may end.
    """

    def test_unanswered(self) -> None:
        """
        A server that could not reach the target closes, and says nothing.
        """
        for method in METHODS:
            client = clientOf(fresh(method))
            client.endOfStream()
            client.start()
            client.endOfStream()
            self.assertFalse(client.answered)

    def test_anywhere(self) -> None:
        """
        An end is clean before a response, and after a chunk of it; nowhere
        else.
        """
        for method in METHODS:
            account = fresh(method)
            client, server = clientOf(account), serverOf(account)
            server.feed(client.start())
            first = server.seal(b"first")
            stream = first + server.seal(b"second")
            salt = client._salt
            for length in range(len(stream) + 1):
                other = clientOf(account)
                other.start()
                other._salt = salt
                other.feed(stream[:length])
                clean = length in (0, len(first), len(stream))
                # With a classic method an end right after the salt could be
                # one without a chunk; nobody writes that.
                if not account.method.edition2022 and length == account.method.saltLength:
                    clean = True
                if clean:
                    other.endOfStream()
                else:
                    self.assertRaises(TruncatedStream, other.endOfStream)

    def test_afterFault(self) -> None:
        """
        After a fault no end is clean.
        """
        client = clientOf(fresh(NEW128))
        client.start()
        client.feed(bytes(200))
        self.assertRaises(StreamFault, client.endOfStream)
