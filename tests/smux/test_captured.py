"""
Tests for L{socksproxy.smux.session} with what was recorded between clients and
servers of kcptun.
"""

from __future__ import annotations

import struct
from hashlib import sha256

import pytest

from socksproxy.kcp.crypt import cipherFor, deriveKey
from socksproxy.smux._events import Ended, Event, Opened, Received
from socksproxy.smux.config import SmuxConfig
from socksproxy.smux.session import Session
from tests.smux.frames import Frame, contentOf, framesOf, sent
from tests.vectors import Vector, document

CONVERSATIONS: list[Vector] = [
    vector
    for vector in document("kcp_vectors")["captured_conversations"]
    if not vector["compression"]
]

_SHARD = struct.Struct("<IHH")
_SEGMENT = struct.Struct("<IBBHIIII")
_DATA, _PUSH = 0xF1, 81


def octetsOf(conversation: Vector, way: str) -> bytes:
    """
    Give what one side sent, without what KCP has around it.
    """
    cipher = cipherFor(conversation["cipher"], deriveKey(conversation["passphrase"]))
    datagrams = [
        bytes.fromhex(each["hex"]) for each in conversation["datagrams"] if each["dir"] == way
    ]
    pieces = {}
    for payload in cipher.open(datagrams):
        assert payload is not None
        _, kind, _ = _SHARD.unpack_from(payload)
        at = _SHARD.size
        while kind == _DATA and at < len(payload):
            _, command, _, _, _, number, _, length = _SEGMENT.unpack_from(payload, at)
            at += _SEGMENT.size
            if command == _PUSH:
                pieces[number] = payload[at : at + length]
            at += length
    return b"".join(pieces[number] for number in range(len(pieces)))


def described(frames: list[Frame]) -> list[dict[str, object]]:
    """
    Describe frames as the vectors do.
    """
    return [
        {
            "cmd": each.name,
            "sid": each.streamID,
            "len": len(each.data),
            "sha256": sha256(each.data).hexdigest(),
        }
        for each in frames
    ]


def test_allConversations() -> None:
    """
    There is one of each version.
    """
    assert sorted(vector["smux_version"] for vector in CONVERSATIONS) == [1, 2]


def nameOf(conversation: Vector) -> str:
    """
    Name a conversation.
    """
    return f"version {conversation['smux_version']}"


@pytest.mark.parametrize("conversation", CONVERSATIONS, ids=nameOf)
@pytest.mark.parametrize("size", [1, 7, 8])
def test_understood(conversation: Vector, size: int) -> None:
    """
    What either side said is understood, in pieces of any size.
    """
    expected = bytes.fromhex(conversation["application_bytes_each_way"])
    for way, client in (("c2s", False), ("s2c", True)):
        octets = octetsOf(conversation, way)
        frames = framesOf(octets, conversation["smux_version"])
        assert described(frames) == conversation["frames_" + way]
        session = Session(SmuxConfig(version=conversation["smux_version"]), client)
        if client:
            session.write(session.open(), expected)
            sent(session)
        events: list[Event] = []
        for at in range(0, len(octets), size):
            happened = session.receive(octets[at : at + size])
            events += happened
            if not client and len(events) == len(happened) == 1:
                # It was opened, and is told how much the other side consumes.
                session.write(session.streams[3], expected)
                sent(session)
        assert contentOf(events) == expected
        ended = any(frame.name == "FIN" for frame in frames)
        others = [type(event) for event in events if not isinstance(event, Received)]
        assert others == [Opened] * (not client) + [Ended] * ended


@pytest.mark.parametrize("conversation", CONVERSATIONS, ids=nameOf)
def test_spokenAlike(conversation: Vector) -> None:
    """
    Two of our sessions say the same frames in the same order as those of
    kcptun, when their applications do the same.
    """
    version: int = conversation["smux_version"]
    data = bytes.fromhex(conversation["application_bytes_each_way"])
    client = Session(SmuxConfig(version=version), client=True)
    server = Session(SmuxConfig(), client=False)
    ours: list[Frame] = []
    theirs: list[Frame] = []

    def speak() -> None:
        """
        Move what the client says, have it sent back, and move that.
        """
        octets = client.take()
        ours.extend(framesOf(octets, version))
        for event in server.receive(octets):
            if isinstance(event, Received):
                came = b"".join(event.pieces)
                server.consumed(event.stream, len(came))
                server.write(event.stream, came)
        octets = server.take()
        theirs.extend(framesOf(octets, version))
        for event in client.receive(octets):
            if isinstance(event, Received):
                client.consumed(event.stream, sum(map(len, event.pieces)))

    stream = client.open()
    client.write(stream, data[:10])
    speak()
    ours.extend(sent(client))
    client.write(stream, data[10:])
    speak()
    client.end(stream)
    speak()
    if conversation["frames_s2c"][-1]["cmd"] == "FIN":
        server.end(server.streams[3])
        theirs.extend(sent(server))
    assert described(ours) == conversation["frames_c2s"]
    assert described(theirs) == conversation["frames_s2c"]
