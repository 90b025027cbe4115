"""
Tests for L{socksproxy.shadowsocks._server}.
"""

from __future__ import annotations

from base64 import b64decode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.errors import LocalProtocolError, TruncatedStream
from socksproxy.shadowsocks._address import encodeAddress
from socksproxy.shadowsocks._client import sealRequest
from socksproxy.shadowsocks._events import Data, Reason, Refused, Requested, StreamFault
from socksproxy.shadowsocks._keys import Account, accountFor, identityHeaders, sessionCipher
from socksproxy.shadowsocks._methods import METHODS
from socksproxy.shadowsocks._replay import SaltMemory, SaltPool
from socksproxy.shadowsocks._stream import Sealer
from socksproxy.shadowsocks._stream2022 import encodeFixed
from socksproxy.shadowsocks._users import Accounts
from tests.shadowsocks.streams import (
    NOW,
    TARGET,
    accountOf,
    accountsOf,
    byID,
    cases,
    chunksOf,
    clientOf,
    cutsOf,
    fresh,
    isStreamOf,
    methodOf,
    nameOf,
    reasonsIn,
    replayOf,
    scripted,
    serverOf,
    targetOf,
    told,
)
from tests.vectors import Vector

CLASSIC = cases("tcp_request_aead")
NEW = cases("tcp_request_2022")
CAPTURED = cases("captured_tcp_request")
NEGATIVE = [vector for vector in cases("negative_tcp_2022") if "stream" in vector]
REPLAYED = [vector for vector in cases("negative_tcp_2022") if "replay_of" in vector]
RESPONSES = cases("tcp_response")

CHACHA = "chacha20-ietf-poly1305"
NEW128 = "2022-blake3-aes-128-gcm"
SERVER = bytes([255] * 16)
USER = Account(METHODS[NEW128], [SERVER, bytes(range(16))], "bob")


def streamOf(vector: Vector) -> bytes:
    """
    Give the octets of a request, made again where a vector has only their hash,
    as they are behind the relays.
    """
    account, salt = accountOf(vector), bytes.fromhex(vector["salt"])
    method = methodOf(vector)
    if method.edition2022:
        stream, sealer = sealRequest(
            account,
            salt,
            vector["timestamp"],
            bytes.fromhex(vector["address"]),
            bytes.fromhex(vector["padding"]),
            bytes.fromhex(vector["initial_payload"]),
        )
    else:
        sealer = Sealer(sessionCipher(method, account.userKey, salt), method.chunkLimit)
        stream = salt
    stream += b"".join(sealer.seal(chunk) for chunk in chunksOf(vector))
    assert isStreamOf(vector, stream)
    relayed = 16 * max(0, len(account.keys) - 2)
    return salt + stream[len(salt) + relayed :]


def payloadOf(vector: Vector) -> bytes:
    """
    Give what a request has for its target.
    """
    if "initial_payload" in vector:
        return bytes.fromhex(vector["initial_payload"]) + b"".join(chunksOf(vector))
    return b"".join(chunksOf(vector))[len(vector["address"]) // 2 :]


@pytest.mark.parametrize("vector", [*CLASSIC, *NEW], ids=nameOf)
def test_requests(vector: Vector) -> None:
    """
    The requests of the vectors are understood, however they are cut.
    """
    stream = streamOf(vector)
    expected = [Requested("alice", targetOf(vector), payloadOf(vector))]
    for pieces in cutsOf(stream, 200 if len(stream) > 2000 else 700):
        server = serverOf(accountsOf(vector))
        assert told(server, pieces) == expected
        server.endOfStream()


@pytest.mark.parametrize("vector", CAPTURED, ids=nameOf)
def test_captured(vector: Vector) -> None:
    """
    So are those that other programs have written.
    """
    stream = bytes.fromhex(vector["stream"])
    expected = [Requested("alice", targetOf(vector), bytes.fromhex(vector["plaintext"]))]
    for pieces in cutsOf(stream):
        assert told(serverOf(accountsOf(vector)), pieces) == expected
    first = vector["first_segments"][0]
    server = serverOf(accountsOf(vector), strictFirstRead=True)
    assert told(server, [stream[:first], stream[first:]]) == expected


REASONS = {
    "timestamp-stale": [Refused(Reason.CLOCK, -120)],
    "timestamp-future": [Refused(Reason.CLOCK, 120)],
    "no-payload-no-padding": [Refused(Reason.HEADER)],
    "type1": [Refused(Reason.HEADER)],
}


@pytest.mark.parametrize("vector", NEGATIVE, ids=nameOf)
def test_negative(vector: Vector) -> None:
    """
    What the vectors say is to be refused is refused, however it is cut.
    """
    name = nameOf(vector).removeprefix("neg-2022-tcp-").removesuffix("-" + vector["method"])
    for pieces in cutsOf(bytes.fromhex(vector["stream"])):
        server = serverOf(accountsOf(vector))
        assert told(server, pieces) == REASONS[name]
        checkMute(server)


def checkMute(server: object) -> None:
    """
    Require that there is nothing that could be written.
    """
    for data in (b"data", b""):
        with pytest.raises(LocalProtocolError):
            server.seal(data)  # type: ignore[attr-defined]


@pytest.mark.parametrize("vector", REPLAYED, ids=nameOf)
def test_replayed(vector: Vector) -> None:
    """
    A request is taken once, and refused from then on.
    """
    original = byID("tcp_request_2022", vector["replay_of"])
    replay = replayOf(methodOf(original))
    stream = bytes.fromhex(original["stream"])
    accounts = accountsOf(original)
    assert isinstance(serverOf(accounts, replay).feed(stream)[0], Requested)
    for pieces in cutsOf(stream):
        server = serverOf(accounts, replay)
        assert told(server, pieces) == [Refused(Reason.REPLAY)]
        checkMute(server)


@pytest.mark.parametrize("vector", RESPONSES, ids=nameOf)
def test_responses(vector: Vector) -> None:
    """
    An answer is written as the vectors have it.
    """
    account = accountOf(vector)
    salt = bytes.fromhex(vector["salt"])
    client = clientOf(account, random=scripted(*requestRandom(vector)))
    server = serverOf(account, random=scripted(salt))
    server.feed(client.start())
    stream = b"".join(server.seal(chunk) for chunk in chunksOf(vector))
    assert isStreamOf(vector, stream)


def requestRandom(vector: Vector) -> list[bytes]:
    """
    Give the random octets of the request that a response answers.
    """
    if "request_salt" in vector:
        return [bytes.fromhex(vector["request_salt"]), b"\0\0"]
    return [bytes(methodOf(vector).saltLength)]


@pytest.mark.parametrize(
    ("method", "named"),
    [
        *((name, False) for name in METHODS),
        *((name, True) for name, method in METHODS.items() if method.identityHeaders),
    ],
)
def test_anyDamage(method: str, named: bool) -> None:
    """
    Whatever bit of a first packet is changed, and wherever it is cut off, the
    request is not understood, and nothing can be written; the next fault looks
    like the one before.
    """
    account = fresh(method)
    if named:
        server = bytes([255] * account.method.keyLength)
        account = Account(account.method, [server, account.userKey], "bob")
    accounts = Accounts([account])
    first = clientOf(account).start(b"GET / HTTP/1.0\r\n\r\n" * 10)
    assert told(serverOf(accounts), [first]) != []
    for number in range(300):
        bit = number * (len(first) * 8 - 1) // 299
        damaged = bytearray(first)
        damaged[bit // 8] ^= 1 << bit % 8
        for strict in (False, True):
            server = serverOf(accounts, strictFirstRead=strict)
            events = server.feed(bytes(damaged))
            assert [type(event) for event in events] == [Refused], bit
            checkMute(server)
            assert server.feed(first) == []
    for number in range(300):
        length = number * (len(first) - 1) // 299
        server = serverOf(accounts)
        assert server.feed(first[:length]) == []
        checkMute(server)
        with pytest.raises(TruncatedStream):
            server.endOfStream()


@pytest.mark.parametrize("method", METHODS)
def test_noise(method: str) -> None:
    """
    Noise of any length is refused, or waited with, and never answered; with
    the strict rule any first read is refused at once, whatever its length.
    """
    accounts = Accounts([fresh(method)])
    noise = bytes(at * 197 >> 2 & 0xFF for at in range(300))
    for length in range(1, 301):
        lax, strict = serverOf(accounts), serverOf(accounts, strictFirstRead=True)
        assert reasonsIn(lax.feed(noise[:length])) in ([], [Reason.SEAL])
        assert reasonsIn(strict.feed(noise[:length])) in ([Reason.SHORT], [Reason.SEAL])
        for server in (lax, strict):
            checkMute(server)


@settings(max_examples=100)
@given(st.sampled_from(sorted(METHODS)), st.lists(st.binary(max_size=200), max_size=5))
def test_anyOctets(method: str, pieces: list[bytes]) -> None:
    """
    Octets that nobody has sealed are refused once at most.
    """
    server = serverOf(fresh(method))
    assert len(told(server, pieces)) <= 1
    checkMute(server)


@settings(max_examples=60)
@given(st.sampled_from(sorted(METHODS)), st.lists(st.binary(max_size=2000), max_size=4), st.data())
def test_anyCuts(method: str, writes: list[bytes], data: st.DataObject) -> None:
    """
    Whatever a client writes is told, in order, whatever the pieces.
    """
    account = fresh(method)
    # Cuts are drawn for a stream whose length does not change.
    client, server = clientOf(account, random=bytes), serverOf(account)
    stream = client.start(writes[0] if writes else b"") + b"".join(map(client.seal, writes[1:]))
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=6).map(sorted))
    ends = [*cuts, len(stream)]
    pieces = [stream[start:end] for start, end in zip([0, *cuts], ends, strict=True)]
    assert told(server, pieces) == [Requested("bob", TARGET, b"".join(writes))]
    server.endOfStream()


class TestEvents(SynchronousTestCase):
    """
    What a server tells of a client that it knows.
    """

    def test_data(self) -> None:
        """
        After the request there are data, one event for each piece that
        completes a chunk.
        """
        for method in METHODS:
            account = fresh(method)
            client, server = clientOf(account), serverOf(account)
            self.assertEqual(
                server.feed(client.start(b"first")), [Requested("bob", TARGET, b"first")]
            )
            second = client.seal(b"second") + client.seal(b"third")
            self.assertEqual(server.feed(second), [Data(b"secondthird")])
            self.assertEqual(server.feed(b""), [])

    def test_keepsNothing(self) -> None:
        """
        Of what was refused nothing is kept, however long the connection stays.
        """
        for method in METHODS:
            server = serverOf(fresh(method))
            server.feed(bytes(60000))
            server.feed(bytes(60000))
            self.assertEqual(server.fault, Refused(Reason.SEAL))
            self.assertEqual(len(server._waiting), 0)

    def test_secret(self) -> None:
        """
        What is shown of an event has none of the data.
        """
        for event in (Requested("bob", TARGET, b"secret"), Data(b"secret")):
            self.assertNotIn("secret", repr(event))

    def test_laterFault(self) -> None:
        """
        A fault in a later chunk ends the stream: what came before it is told,
        and nothing after it.
        """
        for method in METHODS:
            for whole in (False, True):
                account = fresh(method)
                client, server = clientOf(account), serverOf(account)
                pieces = [client.start(b"first"), client.seal(b"second"), client.seal(b"third")]
                bad = bytearray(pieces[1])
                bad[-1] ^= 1
                pieces[1] = bytes(bad)
                pieces = [b"".join(pieces)] if whole else pieces
                self.assertEqual(
                    told(server, pieces),
                    [Requested("bob", TARGET, b"first"), Refused(Reason.SEAL)],
                )
                self.assertEqual(server.fault, Refused(Reason.SEAL))
                self.assertRaises(StreamFault, server.endOfStream)

    def test_end(self) -> None:
        """
        The end is clean after a whole chunk, and nowhere else.
        """
        for method in METHODS:
            account = fresh(method)
            client = clientOf(account)
            first, second = client.start(b"first"), client.seal(b"second")
            for length in (0, 1, 17, 18, 19, len(second) - 1):
                server = serverOf(account)
                server.feed(first + second[:length])
                if length == 0:
                    server.endOfStream()
                else:
                    self.assertRaises(TruncatedStream, server.endOfStream)

    def test_endOfNothing(self) -> None:
        """
        A connection without a request has not ended well.
        """
        self.assertRaises(TruncatedStream, serverOf(fresh(NEW128)).endOfStream)


class TestReply(SynchronousTestCase):
    """
    What a server writes.
    """

    def test_together(self) -> None:
        """
        The salt goes out with the first bytes, and there is nothing to write
        for none.
        """
        for method in METHODS:
            account = fresh(method)
            client, server = clientOf(account), serverOf(account)
            server.feed(client.start())
            self.assertEqual(server.seal(b""), b"")
            first = server.seal(b"first")
            self.assertEqual(client.feed(first), [Data(b"first")])
            self.assertEqual(server.seal(b""), b"")
            self.assertEqual(client.feed(server.seal(b"second")), [Data(b"second")])

    def test_long(self) -> None:
        """
        First bytes that are many go out in one piece.
        """
        for method in METHODS:
            account = fresh(method)
            client, server = clientOf(account), serverOf(account)
            server.feed(client.start())
            data = bytes(range(256)) * 600
            self.assertEqual(client.feed(server.seal(data)), [Data(data)])

    def test_reflected(self) -> None:
        """
        What a server has written is not taken for a client's request.
        """
        for method in METHODS:
            account = fresh(method)
            accounts, replay = Accounts([account]), replayOf(account.method)
            client, server = clientOf(account), serverOf(accounts, replay)
            server.feed(client.start())
            answer = server.seal(encodeAddress(TARGET) + b"looks like a request")
            # That of 2022 has another header, of another length.
            expected = Reason.SEAL if account.method.edition2022 else Reason.REPLAY
            self.assertEqual(serverOf(accounts, replay).feed(answer), [Refused(expected)])


class TestClassic(SynchronousTestCase):
    """
    What is special to the classic methods.
    """

    def test_addressInPieces(self) -> None:
        """
        An address may come in more than one chunk, as nobody writes it.
        """
        account = fresh(CHACHA)
        salt = bytes(32)
        sealer = Sealer(sessionCipher(account.method, account.userKey, salt), 0x3FFF)
        octets = encodeAddress(TARGET) + b"payload"
        stream = salt + b"".join(sealer.seal(octets[at : at + 1]) for at in range(len(octets)))
        for pieces in cutsOf(stream):
            self.assertEqual(
                told(serverOf(account), pieces), [Requested("bob", TARGET, b"payload")]
            )

    def test_badAddress(self) -> None:
        """
        A destination that is none is refused as soon as that is known.
        """
        account = fresh(CHACHA)
        salt = bytes(32)
        for address in (b"\x11\x7f\0\0\x01\0\x50", b"\x05", b"\x03\0", b"\x01\x7f\0\0\x01\0\0"):
            sealer = Sealer(sessionCipher(account.method, account.userKey, salt), 0x3FFF)
            server = serverOf(account)
            self.assertEqual(server.feed(salt + sealer.seal(address)), [Refused(Reason.ADDRESS)])
            checkMute(server)

    def test_longChunk(self) -> None:
        """
        A chunk that is too long is refused once its length is known.
        """
        account = fresh(CHACHA)
        salt = bytes(32)
        sealer = Sealer(sessionCipher(account.method, account.userKey, salt), 0x3FFF)
        stream = salt + sealer.sealRecord(b"\x40\x00")
        self.assertEqual(serverOf(account).feed(stream), [Refused(Reason.CHUNK)])

    def test_replay(self) -> None:
        """
        A request is taken once; noise with its salt, before it, changes
        nothing.
        """
        account = fresh(CHACHA)
        replay = SaltMemory(b"key")
        stream = clientOf(account).start(b"data")
        noise = stream[:32] + bytes(100)
        self.assertEqual(serverOf(account, replay).feed(noise), [Refused(Reason.SEAL)])
        self.assertEqual(len(replay), 0)
        self.assertEqual(
            serverOf(account, replay).feed(stream), [Requested("bob", TARGET, b"data")]
        )
        self.assertEqual(serverOf(account, replay).feed(stream), [Refused(Reason.REPLAY)])

    def test_users(self) -> None:
        """
        Each of many users is known by its key, and answered with it.
        """
        method = METHODS["aes-256-gcm"]
        users = [accountFor(method, f"password {n}", f"user{n}") for n in range(20)]
        accounts, replay = Accounts(users), SaltMemory(b"key")
        for user in users:
            client, server = clientOf(user), serverOf(accounts, replay, source="there")
            self.assertEqual(
                server.feed(client.start(b"data")), [Requested(user.name, TARGET, b"data")]
            )
            self.assertEqual(client.feed(server.seal(b"answer")), [Data(b"answer")])
            # Whoever is somewhere else is not who is there.
            accounts.cameFrom(users[0], "elsewhere")
            self.assertIs(next(accounts.candidates("there")), user)

    def test_strict(self) -> None:
        """
        With the strict rule the first read brings the salt and a length.
        """
        account = fresh(CHACHA)
        stream = clientOf(account).start(b"data")
        for length, events in ((49, [Refused(Reason.SHORT)]), (50, [])):
            server = serverOf(account, strictFirstRead=True)
            self.assertEqual(server.feed(stream[:length]), events)
            rest = server.feed(stream[length:])
            self.assertEqual(rest, [] if events else [Requested("bob", TARGET, b"data")])


class Test2022(SynchronousTestCase):
    """
    What is special to the methods of 2022.
    """

    def test_strict(self) -> None:
        """
        With the strict rule the first read brings salt, identity header and
        fixed header; what follows may come later.
        """
        single = fresh(NEW128)
        for account, needed in ((single, 16 + 27), (USER, 16 + 16 + 27)):
            stream = clientOf(account).start(b"data")
            for length, events in ((needed - 1, [Refused(Reason.SHORT)]), (needed, [])):
                server = serverOf(account, strictFirstRead=True)
                self.assertEqual(server.feed(stream[:length]), events)
                rest = told(server, [stream[at : at + 1] for at in range(length, len(stream))])
                self.assertEqual(rest, [] if events else [Requested("bob", TARGET, b"data")])

    def test_lax(self) -> None:
        """
        Without it they may come in any pieces.
        """
        stream = clientOf(USER).start(b"data")
        for pieces in cutsOf(stream):
            self.assertEqual(told(serverOf(USER), pieces), [Requested("bob", TARGET, b"data")])

    def test_serverKeyAlone(self) -> None:
        """
        A server with users does not let in who has only its own key.
        """
        alone = Account(METHODS[NEW128], [SERVER])
        server = serverOf(USER)
        self.assertEqual(server.feed(clientOf(alone).start(b"data")), [Refused(Reason.USER)])
        checkMute(server)

    def test_wrongUserKey(self) -> None:
        """
        Who names a user without having its key is refused, and its salt not
        remembered.
        """
        replay = SaltPool(lambda: 0.0)
        salt = bytes(16)
        headers = identityHeaders(USER.keys, salt)
        thief = Account(METHODS[NEW128], [bytes(16)])
        stream, _ = sealRequest(thief, salt, NOW, encodeAddress(TARGET), b"p", b"")
        stolen = salt + headers + stream[16:]
        self.assertEqual(serverOf(USER, replay).feed(stolen), [Refused(Reason.SEAL)])
        self.assertEqual(len(replay), 0)

    def test_poolTakesNoJunk(self) -> None:
        """
        The salts of requests that are too late, or a server's, are not
        remembered; that of one whose second record is bad is.
        """
        account = fresh(NEW128)
        method = account.method
        for kind, time, remembered in ((0, NOW - 31, 0), (1, NOW, 0), (0, NOW, 1)):
            replay = SaltPool(lambda: 0.0)
            salt = bytes(16)
            sealer = Sealer(sessionCipher(method, account.userKey, salt), method.chunkLimit)
            fixed = bytes([kind]) + encodeFixed(time, 30)[1:]
            stream = salt + sealer.sealRecord(fixed) + bytes(46)
            self.assertEqual(len(serverOf(account, replay).feed(stream)), 1)
            self.assertEqual(len(replay), remembered)

    def test_clock(self) -> None:
        """
        The server's clock is asked when the header is there, and counts in
        whole seconds.
        """
        account = fresh(NEW128)
        stream = clientOf(account).start(b"data")
        for time, good in ((NOW + 30.9, True), (NOW - 30.0, True), (NOW + 31.0, False)):
            server = serverOf(account, wallClock=lambda time=time: time)
            events = server.feed(stream)
            self.assertEqual(isinstance(events[0], Requested), good)
            if not good:
                self.assertEqual(events, [Refused(Reason.CLOCK, -31)])

    def test_notBefore(self) -> None:
        """
        A server that has lost its salts refuses what is older than itself.
        """
        account = fresh(NEW128)
        stream = clientOf(account).start(b"data")
        for start, good in ((NOW, True), (NOW + 1, False)):
            events = serverOf(account, notBefore=start).feed(stream)
            self.assertEqual(isinstance(events[0], Requested), good)
            if not good:
                self.assertEqual(events, [Refused(Reason.REPLAY)])

    def test_otherKey(self) -> None:
        """
        Who has another key is refused.
        """
        vector = NEW[0]
        self.assertNotEqual(b64decode(vector["psk_base64"]), fresh(NEW128).userKey)
        server = serverOf(fresh(NEW128))
        self.assertEqual(server.feed(bytes.fromhex(vector["stream"])), [Refused(Reason.SEAL)])
