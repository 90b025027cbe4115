"""
Tests for L{socksproxy.kcp.crypt} with what was recorded between clients and
servers of kcptun.
"""

import struct
from collections import Counter

import pytest

from socksproxy.kcp.crypt import CIPHERS, PacketCipher, cipherFor, deriveKey
from tests.vectors import Vector, document

DATAGRAMS: list[Vector] = document("kcp_vectors")["captured_datagrams"]
CONVERSATIONS: list[Vector] = document("kcp_vectors")["captured_conversations"]

SHARD = struct.Struct("<IH")
SEGMENT = struct.Struct("<IBBHIIII")
FIELDS = ("conv", "cmd", "frg", "wnd", "ts", "sn", "una", "len")
DATA, PARITY = 0xF1, 0xF2


def cipherOf(vector: Vector) -> PacketCipher:
    """
    Make the cipher under which something was recorded.
    """
    return cipherFor(vector["cipher"], deriveKey(vector["passphrase"]))


def test_allDatagrams() -> None:
    """
    There are five datagrams of each cipher.
    """
    assert Counter(vector["cipher"] for vector in DATAGRAMS) == dict.fromkeys(CIPHERS, 5)


@pytest.mark.parametrize("name", CIPHERS)
def test_datagrams(name: str) -> None:
    """
    What kcptun sent is opened, and holds what kcptun meant.
    """
    vectors = [vector for vector in DATAGRAMS if vector["cipher"] == name]
    opened = cipherOf(vectors[0]).open([bytes.fromhex(vector["datagram"]) for vector in vectors])
    for vector, payload in zip(vectors, opened, strict=True):
        assert payload is not None
        assert SHARD.unpack_from(payload) == (vector["seqid"], vector["fec_type"])
        at = SHARD.size + 2
        for segment in vector.get("segments", ()):
            fields = dict(zip(FIELDS, SEGMENT.unpack_from(payload, at), strict=True))
            assert fields == segment
            at += SEGMENT.size + fields["len"]


@pytest.mark.parametrize("conversation", CONVERSATIONS, ids=lambda vector: vector["cipher"])
@pytest.mark.parametrize("batch", [1, 7, 1000])
def test_conversations(conversation: Vector, batch: int) -> None:
    """
    Every datagram of a recorded conversation is opened, in batches of any
    size, and belongs to it.
    """
    cipher = cipherOf(conversation)
    datagrams = [bytes.fromhex(each["hex"]) for each in conversation["datagrams"]]
    payloads = [
        payload
        for at in range(0, len(datagrams), batch)
        for payload in cipher.open(datagrams[at : at + batch])
    ]
    assert len(payloads) == len(datagrams) > 20
    conversations = set()
    for payload in payloads:
        assert payload is not None
        kind = SHARD.unpack_from(payload)[1]
        assert kind in (DATA, PARITY)
        if kind == DATA:
            conversations.add(SEGMENT.unpack_from(payload, SHARD.size + 2)[0])
    assert len(conversations) == 1
