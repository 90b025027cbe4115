"""
Tests for L{socksproxy.shadowsocks._blake3}.
"""

from __future__ import annotations

from typing import Any

import pytest
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.shadowsocks import _blake3

CONTEXT = "BLAKE3 2019-12-27 16:29:52 test vectors context"

# The octets of the input, its hash, and the key made of it. The input is what
# the authors of BLAKE3 use for their vectors.
VECTORS = [
    (
        0,
        "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262",
        "2cc39783c223154fea8dfb7c1b1660f2ac2dcbd1c1de8277b0b0dd39b7e50d7d",
    ),
    (
        1,
        "2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213",
        "b3e2e340a117a499c6cf2398a19ee0d29cca2bb7404c73063382693bf66cb06c",
    ),
    (
        63,
        "e9bc37a594daad83be9470df7f7b3798297c3d834ce80ba85d6e207627b7db7b",
        "b6451e30b953c206e34644c6803724e9d2725e0893039cfc49584f991f451af3",
    ),
    (
        64,
        "4eed7141ea4a5cd4b788606bd23f46e212af9cacebacdc7d1f4c6dc7f2511b98",
        "a5c4a7053fa86b64746d4bb688d06ad1f02a18fce9afd3e818fefaa7126bf73e",
    ),
    (
        65,
        "de1e5fa0be70df6d2be8fffd0e99ceaa8eb6e8c93a63f2d8d1c30ecb6b263dee",
        "51fd05c3c1cfbc8ed67d139ad76f5cf8236cd2acd26627a30c104dfd9d3ff8a8",
    ),
    (
        128,
        "f17e570564b26578c33bb7f44643f539624b05df1a76c81f30acd548c44b45ef",
        "81720f34452f58a0120a58b6b4608384b5c51d11f39ce97161a0c0e442ca0225",
    ),
    (
        129,
        "683aaae9f3c5ba37eaaf072aed0f9e30bac0865137bae68b1fde4ca2aebdcb12",
        "938d2d4435be30eafdbb2b7031f7857c98b04881227391dc40db3c7b21f41fc1",
    ),
    (
        1023,
        "10108970eeda3eb932baac1428c7a2163b0e924c9a9e25b35bba72b28f70bd11",
        "74a16c1c3d44368a86e1ca6df64be6a2f64cce8f09220787450722d85725dea5",
    ),
    (
        1024,
        "42214739f095a406f3fc83deb889744ac00df831c10daa55189b5d121c855af7",
        "7356cd7720d5b66b6d0697eb3177d9f8d73a4a5c5e968896eb6a689684302706",
    ),
]


def inputOf(length: int) -> bytes:
    """
    Make the input of the vectors.
    """
    return bytes(at % 251 for at in range(length))


@pytest.mark.parametrize(("length", "hashed", "derived"), VECTORS)
def test_vectors(length: int, hashed: str, derived: str) -> None:
    """
    Our own BLAKE3, and the one in use, are BLAKE3.
    """
    data = inputOf(length)
    assert _blake3.ownDigest(data).hex() == hashed
    assert _blake3.digest(data).hex() == hashed
    assert _blake3.ownDeriveKey(CONTEXT, data).hex() == derived
    assert _blake3.deriveKey(CONTEXT, data).hex() == derived


def test_asThePackage() -> None:
    """
    Our own BLAKE3 gives what the package gives, for every length of input.
    """
    package: Any = pytest.importorskip("blake3")
    for length in range(_blake3.CHUNK + 1):
        data = inputOf(length)
        assert _blake3.ownDigest(data) == package.blake3(data).digest()
        derived = package.blake3(data, derive_key_context=CONTEXT).digest()
        assert _blake3.ownDeriveKey(CONTEXT, data) == derived


class StandIn:
    """
    Stands for the package's class, and tells what it was asked for.
    """

    asked: list[tuple[bytes, str | None, int]] = []

    def __init__(self, data: bytes, derive_key_context: str | None = None) -> None:
        self._what = data, derive_key_context

    def digest(self, length: int) -> bytes:
        self.asked.append((*self._what, length))
        return bytes(length)


class TestBLAKE3(SynchronousTestCase):
    """
    Tests for lengths, and for which BLAKE3 is used.
    """

    def test_shortOutput(self) -> None:
        """
        A shorter output is the beginning of the whole.
        """
        self.assertEqual(_blake3.ownDigest(b"x", 16), _blake3.ownDigest(b"x")[:16])
        whole = _blake3.ownDeriveKey(CONTEXT, b"x")
        self.assertEqual(_blake3.ownDeriveKey(CONTEXT, b"x", 16), whole[:16])

    def test_bounds(self) -> None:
        """
        What our own BLAKE3 cannot do is refused, and not done wrongly.
        """
        self.assertRaises(ValueError, _blake3.ownDigest, bytes(_blake3.CHUNK + 1))
        self.assertRaises(ValueError, _blake3.ownDigest, b"", _blake3.OUTPUT + 1)
        self.assertRaises(ValueError, _blake3.ownDeriveKey, CONTEXT, b"", _blake3.OUTPUT + 1)

    def test_prefersPackage(self) -> None:
        """
        The package is used where there is one.
        """
        self.patch(_blake3, "_blake3", StandIn)
        self.patch(StandIn, "asked", [])
        self.assertEqual(_blake3.digest(b"data", 16), bytes(16))
        self.assertEqual(_blake3.deriveKey("context", b"material", 8), bytes(8))
        self.assertEqual(StandIn.asked, [(b"data", None, 16), (b"material", "context", 8)])

    def test_withoutPackage(self) -> None:
        """
        Our own BLAKE3 is used where there is none.
        """
        self.patch(_blake3, "_blake3", None)
        self.assertEqual(_blake3.digest(b"data"), _blake3.ownDigest(b"data"))
        derived = _blake3.deriveKey(CONTEXT, b"data")
        self.assertEqual(derived, _blake3.ownDeriveKey(CONTEXT, b"data"))
