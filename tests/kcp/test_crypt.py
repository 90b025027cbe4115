"""
Tests for L{socksproxy.kcp.crypt}: what holds for every cipher.
"""

import os
from typing import Any

import pytest
from cryptography.exceptions import InternalError, UnsupportedAlgorithm
from hypothesis import given, settings
from hypothesis import strategies as st

from socksproxy.errors import ConfigurationError
from socksproxy.kcp import _cfb
from socksproxy.kcp.crypt import (
    CIPHERS,
    DEFAULT_SALT,
    PacketCipher,
    cipherFor,
    deriveKey,
)
from tests.vectors import Vector, document

VECTORS: list[Vector] = document("kcp_vectors")["ciphers"]
KEYS: list[Vector] = document("kcp_vectors")["kdf"]

MASTER = deriveKey("the tests' key")

CHECKED = [name for name in CIPHERS if name != "null"]
"""
All but the one that takes everything for a payload.
"""

LENGTHS = [0, 1, 7, 8, 9, 12, 23, 24, 44, 60, 61, 62, 63, 64, 65, 500, 1350, 1480]
"""
Of payloads: around the sizes of blocks, with and without what is in front.
"""


class Nonces:
    """
    A source of nonces that is not random, and knows what it was asked for.
    """

    def __init__(self, *values: bytes) -> None:
        self.values = list(values)
        self.asked: list[int] = []

    def __call__(self, size: int) -> bytes:
        self.asked.append(size)
        return self.values.pop(0) if self.values else bytes(size)


def payloadsOf(lengths: list[int]) -> list[bytes]:
    """
    Make payloads, no two of which are alike.
    """
    return [os.urandom(length) for length in lengths]


def vectorName(vector: Vector) -> str:
    """
    Name a case after its cipher and the length of its payload.
    """
    return f"{vector['cipher']}-{len(vector['payload']) // 2}"


def test_deriveKeyVectors() -> None:
    """
    A key that is text or its UTF-8 gives what kcptun derives from it, and its
    salt is the one that is taken if none is given.
    """
    for vector in KEYS:
        if not vector["passphrase_utf8"]:
            continue
        text, salt = vector["passphrase_utf8"], vector["salt"].encode()
        expected = bytes.fromhex(vector["key"])
        assert salt == DEFAULT_SALT
        assert deriveKey(text) == deriveKey(text.encode("utf-8"), salt) == expected


def test_deriveKeySalt() -> None:
    """
    Another salt gives another key.
    """
    assert deriveKey("key", b"pepper") not in (deriveKey("key"), deriveKey("key", b""))


@pytest.mark.parametrize("empty", ["", b""])
def test_deriveKeyEmpty(empty: str | bytes) -> None:
    """
    There has to be a key.
    """
    with pytest.raises(ConfigurationError, match="key is empty"):
        deriveKey(empty)


def test_deriveKeyNotUTF8() -> None:
    """
    Octets of the command line that are no UTF-8 count as they are.
    """
    octets = b"caf\xe9"
    assert deriveKey(octets.decode("utf-8", "surrogateescape")) == deriveKey(octets)


def test_deriveKeyNotText() -> None:
    """
    Text that has no UTF-8 is refused, and not shown.
    """
    with pytest.raises(ConfigurationError) as caught:
        deriveKey("secret\ud800")
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_names() -> None:
    """
    There are the ciphers that kcptun has, and each says what it is.
    """
    assert set(CIPHERS) == {vector["cipher"] for vector in VECTORS}
    assert len(CIPHERS) == 15
    overheads = {"null": 0, "aes-128-gcm": 28}
    for name, kind in CIPHERS.items():
        cipher = cipherFor(name, MASTER)
        assert cipher.name == name
        assert cipher.overhead == overheads.get(name, 20)
        assert cipher.authenticates == kind.authenticates == (name == "aes-128-gcm")


def test_slowOnes() -> None:
    """
    Slow are those that are written in Python block by block, and 3DES.
    """
    slow = {name for name, kind in CIPHERS.items() if kind.slow}
    assert slow == {"salsa20", "twofish", "tea", "xtea", "3des"}


def test_keyOctets() -> None:
    """
    A cipher uses as much of the key as it says, and no more.
    """
    for name, kind in CIPHERS.items():
        used = kind.keyOctets
        (sealed,) = cipherFor(name, MASTER).seal([b"payload"])
        assert cipherFor(name, MASTER[:used]).open([sealed]) == [b"payload"], name
        if used:
            last = bytes([MASTER[used - 1] ^ 0x80])
            other = MASTER[: used - 1] + last + MASTER[used:]
            assert cipherFor(name, other).open([sealed]) == [None], name


def test_unknownName() -> None:
    """
    An unknown cipher is refused with the names of those that there are.
    """
    with pytest.raises(ConfigurationError) as caught:
        cipherFor("AES", MASTER)
    text = str(caught.value)
    assert "'AES'" in text
    assert text.endswith(", ".join(CIPHERS))


@pytest.mark.parametrize("name", [name for name, kind in CIPHERS.items() if kind.keyOctets])
def test_shortKey(name: str) -> None:
    """
    A key that is too short is refused and not shown.
    """
    with pytest.raises(ConfigurationError) as caught:
        cipherFor(name, b"k" * (CIPHERS[name].keyOctets - 1))
    assert "kkk" not in str(caught.value)
    assert name in str(caught.value)


@pytest.mark.parametrize("name", ["aes", "sm4", "blowfish", "cast5", "3des"])
@pytest.mark.parametrize("error", [UnsupportedAlgorithm("no"), InternalError("no", [])])
def test_unavailable(name: str, error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A cipher that OpenSSL has switched off is refused in a sentence.
    """

    def refuse(*args: Any) -> None:
        raise error

    monkeypatch.setattr(_cfb, "Cipher", refuse)
    with pytest.raises(ConfigurationError, match=f"crypt is {name}, which this OpenSSL"):
        cipherFor(name, MASTER)


def test_repr() -> None:
    """
    What a cipher shows of itself is its name.
    """
    for name in CIPHERS:
        shown = repr(cipherFor(name, MASTER))
        assert shown.startswith("<")
        assert shown.endswith(f" {name}>")
        assert "0x" not in shown
        assert MASTER.hex()[:8] not in shown


def test_allVectors() -> None:
    """
    There are three datagrams of each cipher.
    """
    assert len(VECTORS) == 45


@pytest.mark.parametrize("vector", VECTORS, ids=vectorName)
def test_sealVector(vector: Vector) -> None:
    """
    With its nonce the first payload is sealed as kcptun seals it, octet for
    octet.
    """
    key, nonce, payload, datagram = (
        bytes.fromhex(vector[field]) for field in ("key", "nonce", "payload", "datagram")
    )
    cipher = cipherFor(vector["cipher"], key, Nonces(nonce))
    assert cipher.seal([payload]) == [datagram]
    assert len(datagram) == len(payload) + cipher.overhead


@pytest.mark.parametrize("vector", VECTORS, ids=vectorName)
def test_openVector(vector: Vector) -> None:
    """
    What kcptun sealed is opened, also for the second time.
    """
    key, payload, datagram = (
        bytes.fromhex(vector[field]) for field in ("key", "payload", "datagram")
    )
    cipher = cipherFor(vector["cipher"], key)
    assert cipher.open([datagram]) == [payload]
    assert cipher.open([datagram, datagram]) == [payload, payload]


@pytest.mark.parametrize("name", CIPHERS)
def test_batches(name: str) -> None:
    """
    Payloads of all lengths, in batches of every size and order, come out of
    another object as they were; each datagram is as much longer as the cipher
    says.
    """
    one, other = cipherFor(name, MASTER), cipherFor(name, MASTER)
    for lengths in (LENGTHS, LENGTHS[::-1], [1350] * 5, [9], [64, 0, 64]):
        payloads = payloadsOf(lengths)
        sealed = one.seal(payloads)
        assert [len(datagram) for datagram in sealed] == [
            length + one.overhead for length in lengths
        ]
        assert other.open(sealed) == payloads
        # In another order, and in batches that are cut differently.
        assert other.open(sealed[::-1]) == payloads[::-1]
        assert [other.open([datagram]) for datagram in sealed] == [[each] for each in payloads]


@pytest.mark.parametrize("name", CIPHERS)
def test_bothDirections(name: str) -> None:
    """
    One object seals and opens in turns.
    """
    one, other = cipherFor(name, MASTER), cipherFor(name, MASTER)
    for length in range(40):
        payloads = payloadsOf([length, 100])
        assert other.open(one.seal(payloads)) == payloads
        assert one.open(other.seal(payloads)) == payloads


@pytest.mark.parametrize("name", CIPHERS)
def test_emptyBatch(name: str) -> None:
    """
    Nothing comes of nothing, and takes no randomness.
    """
    random = Nonces()
    cipher = cipherFor(name, MASTER, random)
    assert cipher.seal([]) == cipher.open([]) == []
    assert random.asked == []


@pytest.mark.parametrize("name", CHECKED)
def test_oneQuestionForRandomness(name: str) -> None:
    """
    The nonces of a batch are asked for at once, and every datagram has its
    own.
    """
    asked: list[int] = []

    def random(size: int) -> bytes:
        asked.append(size)
        return os.urandom(size)

    cipher = cipherFor(name, MASTER, random)
    nonce = 12 if name == "aes-128-gcm" else 16
    sealed = cipher.seal([b"the same"] * 5) + cipher.seal([b"the same"] * 2)
    assert asked == [5 * nonce, 2 * nonce]
    assert len({datagram[:8] for datagram in sealed}) == 7


@pytest.mark.parametrize("name", CHECKED)
def test_randomByDefault(name: str) -> None:
    """
    Two objects with the same key never seal alike.
    """
    (one,), (other,) = (cipherFor(name, MASTER).seal([b"payload"]) for _ in range(2))
    assert one != other


@pytest.mark.parametrize("name", CHECKED)
def test_damaged(name: str) -> None:
    """
    A datagram of which one bit of the checksum, the tag or the payload is not
    as it was is not opened, and those around it are.
    """
    cipher = cipherFor(name, MASTER)
    payloads = payloadsOf([40, 33, 40])
    first, good, last = cipher.seal(payloads)
    start = 0 if name == "aes-128-gcm" else 16
    for at in range(start, len(good)):
        damaged = bytearray(good)
        damaged[at] ^= 1 << at % 8
        assert cipher.open([first, bytes(damaged), last]) == [payloads[0], None, payloads[2]], at


@pytest.mark.parametrize("name", CHECKED)
def test_cut(name: str) -> None:
    """
    A datagram that ends too early is not opened, and those around it are.
    """
    cipher = cipherFor(name, MASTER)
    payloads = payloadsOf([24, 24, 24])
    first, good, last = cipher.seal(payloads)
    cuts = [good[:length] for length in range(len(good))]
    assert cipher.open([first, *cuts, last]) == [payloads[0], *[None] * len(cuts), payloads[2]]
    assert [cipher.open([cut]) for cut in cuts] == [[None]] * len(cuts)


@pytest.mark.parametrize("name", CIPHERS)
def test_otherKey(name: str) -> None:
    """
    What was sealed with another key is not opened, unless there is none.
    """
    payloads = payloadsOf([0, 24, 100])
    sealed = cipherFor(name, deriveKey("another key")).seal(payloads)
    keyless = name in ("none", "null")
    assert cipherFor(name, MASTER).open(sealed) == (payloads if keyless else [None] * 3)


@pytest.mark.parametrize("name", CHECKED)
def test_otherCipher(name: str) -> None:
    """
    What was sealed with another cipher is not opened.
    """
    sealed = [
        cipherFor(other, MASTER).seal([bytes(50)])[0]
        for other in CIPHERS
        if other != name and not (other == "null" and name == "none")
    ]
    assert cipherFor(name, MASTER).open(sealed) == [None] * len(sealed)


@pytest.mark.parametrize("name", CHECKED)
def test_noise(name: str) -> None:
    """
    Noise of any length up to the longest that a datagram has is not opened;
    neither are zeros, where 20 of them do not mean an empty payload.
    """
    cipher = cipherFor(name, MASTER)
    lengths = [*range(70), 1499, 1500, 1501, 8191, 65507, 65535]
    assert cipher.open(payloadsOf(lengths)) == [None] * len(lengths)
    if name == "none":
        lengths.remove(20)
    assert cipher.open([bytes(length) for length in lengths]) == [None] * len(lengths)
    # And the cipher still works.
    assert cipher.open(cipher.seal([b"payload"])) == [b"payload"]


CIPHERS_AT_WORK: dict[str, PacketCipher] = {name: cipherFor(name, MASTER) for name in CIPHERS}


@pytest.mark.parametrize("name", CHECKED)
@given(data=st.data())
@settings(deadline=None, max_examples=15)
def test_anything(name: str, data: st.DataObject) -> None:
    """
    Whatever comes between good datagrams, they are opened and it is not.
    """
    cipher = CIPHERS_AT_WORK[name]
    payloads = data.draw(st.lists(st.binary(max_size=80), min_size=1, max_size=4))
    noise = data.draw(st.lists(st.binary(max_size=80), min_size=1, max_size=4))
    if name == "none":
        # There 20 zeros are a datagram.
        noise = [b"\x01" * 16 + b"\x02" + each for each in noise]
    batch: list[tuple[bytes, bytes | None]] = [
        *zip(cipher.seal(payloads), payloads, strict=True),
        *((each, None) for each in noise),
    ]
    batch = data.draw(st.permutations(batch))
    assert cipher.open([each for each, _ in batch]) == [payload for _, payload in batch]


def test_null() -> None:
    """
    Under C{null} everything is a payload, and nothing is around it.
    """
    cipher = cipherFor("null", b"", Nonces())
    octets = [b"", b"a", os.urandom(65535)]
    assert cipher.seal(octets) == octets
    assert cipher.open(octets) == octets


def test_none() -> None:
    """
    Under C{none} all can be read.
    """
    nonce = bytes(range(16))
    cipher = cipherFor("none", b"", Nonces(nonce))
    assert cipher.seal([b"123456789"]) == [nonce + bytes.fromhex("2639f4cb") + b"123456789"]


@pytest.mark.parametrize("name", [name for name in CHECKED if name != "xor"])
def test_longPayload(name: str) -> None:
    """
    A payload may be as long as UDP can carry.
    """
    cipher = cipherFor(name, MASTER)
    payloads = payloadsOf([65507 - cipher.overhead, 10])
    assert cipher.open(cipher.seal(payloads)) == payloads


@pytest.mark.parametrize("name", CHECKED)
def test_afterAnError(name: str) -> None:
    """
    A batch that fails, by an error of the caller's, of the source of nonces
    or of anything else, does the later ones no harm.
    """
    failing = False

    def random(size: int) -> bytes:
        if failing:
            raise OSError("no randomness")
        return os.urandom(size)

    nothing: Any = None
    cipher, other = cipherFor(name, MASTER, random), cipherFor(name, MASTER)
    payloads = payloadsOf([33, 5])
    for _ in range(2):
        with pytest.raises(TypeError):
            cipher.seal([b"good", nothing])
        with pytest.raises(TypeError):
            cipher.open([*cipher.seal([b"good"]), nothing])
        failing = True
        with pytest.raises(OSError, match="no randomness"):
            cipher.seal(payloads)
        failing = False
        assert other.open(cipher.seal(payloads)) == payloads
        assert cipher.open(other.seal(payloads)) == payloads
