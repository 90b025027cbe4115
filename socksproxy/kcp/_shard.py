"""
The unit of forward error correction, which has a head of its own before what
it carries. Three kinds::

    data          +-------+------+------+----------+
                  | seqid | type | size | segments |
                  |   4   |  2   |  2   |          |
                  +-------+------+------+----------+

    parity        +-------+------+-----------------+
                  | seqid | type |     parity      |
                  |   4   |  2   |                 |
                  +-------+------+-----------------+

    out of band   +-------+------+------+------+---------+
                  | seqid | type | size | conv |  octets |
                  |   4   |  2   |  2   |  4   |         |
                  +-------+------+------+------+---------+

All numbers are little-endian. Type stands where a bare segment has cmd and
frg, with a value that these do not have. Size counts itself and what follows.

Parity covers the data shards from size on; shorter ones count as filled up
with zeros. A group is D data shards and the P parity shards made of them. Their
seqids follow one another from a multiple of D + P on.

@see: U{https://github.com/xtaci/kcp-go#specification}
"""

import struct

from socksproxy.errors import ConfigurationError
from socksproxy.kcp._segment import MASK, ShardType

DATA = int(ShardType.DATA)
PARITY = int(ShardType.PARITY)
OUT_OF_BAND = int(ShardType.OUT_OF_BAND)

HEAD = struct.Struct("<IHH")
"""
Seqid, type and size. In parity what looks like size is part of it already.
"""

PARITY_HEAD = struct.Struct("<IH")

OVERHEAD = HEAD.size
"""
Octets that a data shard has before its segments.
"""

COVERED = PARITY_HEAD.size
"""
Octets before what parity covers.
"""

SIZE = OVERHEAD - COVERED
"""
Octets of size, the least that it says.
"""

MOST = 256
"""
Shards that a group has at the most: so many elements has the field.
"""


def checkShards(dataShards: int, parityShards: int) -> None:
    """
    Refuse groups that cannot be.

    @raise ConfigurationError: A number is not positive, or they are too many
        together.
    """
    if dataShards <= 0 or parityShards <= 0:
        raise ConfigurationError("datashard and parityshard have to be positive")
    if dataShards + parityShards > MOST:
        raise ConfigurationError(f"datashard and parityshard are more than {MOST} together")


def seqidLimit(shards: int) -> int:
    """
    Give the first seqid that is not used: 0 follows the one before it, so that
    groups begin where they should.

    @param shards: Of a group, both kinds.
    """
    return MASK // shards * shards
