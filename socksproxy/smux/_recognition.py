"""
What a peer speaks, by the first octets that it sends.

Compression and the version of smux are not negotiated, so that peers with
different settings send one another what looks like garbage. Its beginning says
which setting it is::

    fault = mismatch(first, SMUX2)
    if fault is not None:
        raise MalformedMessage(fault)
"""

import struct

IDENTIFIER = b"\xff\x06\x00\x00sNaPpY"
"""
The chunk that a compressed stream begins with.
"""

ENOUGH = 8
"""
Octets that L{recognise} needs, those of smux's header; more are not looked at.
"""

COMPRESSED = "compressed"
SMUX1 = "smux version 1"
SMUX2 = "smux version 2"

_HEADER = struct.Struct("<BBHI")
_VERSIONS = {1: SMUX1, 2: SMUX2}
_SYN, _FIN, _PSH, _NOP, _UPD = range(5)


def recognise(first: bytes) -> str | None:
    """
    Tell what a stream is by how it begins.

    @param first: Its first octets, L{ENOUGH} or more.
    @return: L{COMPRESSED}, L{SMUX1} or L{SMUX2}; L{None} if it is nothing that
        a peer could mean, or too little to tell.
    """
    if len(first) < ENOUGH:
        return None
    if first[:ENOUGH] == IDENTIFIER[:ENOUGH]:
        return COMPRESSED
    version, command, length, stream = _HEADER.unpack_from(first)
    if command == _PSH:
        plausible = stream != 0
    elif command == _UPD:
        plausible = version == 2 and length == 8 and stream != 0
    elif command == _NOP:
        plausible = length == 0 and stream == 0
    else:
        plausible = command in (_SYN, _FIN) and length == 0 and stream != 0
    return _VERSIONS.get(version) if plausible else None


def mismatch(first: bytes, *expected: str) -> str | None:
    """
    Name the setting that the two sides do not have in common.

    @param first: The first octets that the peer sent, as for L{recognise}.
    @param expected: What this side takes: L{COMPRESSED}, L{SMUX1}, L{SMUX2}. A
        compressed stream is looked at twice, the second time when it is
        decompressed.
    @return: Text for a person, or L{None} if the octets are as expected, or
        tell nothing.
    """
    seen = recognise(first)
    if seen is None or seen in expected:
        return None
    if seen == COMPRESSED:
        return "the peer compresses: set nocomp on the other side or not on this one"
    if COMPRESSED in expected:
        return "the peer does not compress: set nocomp on this side or not on the other"
    takes = " or ".join(expected)
    return f"the peer speaks {seen}, and this side {takes}: set the same smuxver on both"
