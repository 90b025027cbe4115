"""
Several datagrams in a system call: what Linux needs to be told for that.

@see: U{https://docs.kernel.org/networking/segmentation-offloads.html}
"""

import errno
import socket
import struct
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache

MAX_SEGMENTS = 64
MAX_RUN = 65000
"""
Datagrams, and octets, that are sent in a call. Newer kernels take 128, but IP
has no room for as many unless they are short.
"""

# See linux/udp.h; the socket module names neither.
UDP_SEGMENT = 103
UDP_GRO = 104
ANCILLARY = 32

# The device computes no checksums, IPsec is in the way, or nobody knows what
# is meant. In contrast, EMSGSIZE, and EINVAL of older kernels, are about one
# destination, whose path takes no datagrams that long without fragments.
NO_SEGMENTATION = frozenset((errno.EIO, errno.EOPNOTSUPP, errno.ENOPROTOOPT))


def offloadsOf(opened: socket.socket) -> tuple[bool, bool]:
    """
    Find out what a socket can do.

    @return: Whether it segments what is sent, and coalesces what is received.
    """
    segmenting = coalescing = False
    with suppress(OSError):
        # A kernel that does not know UDP_SEGMENT ignores it with sendmsg, and
        # sends the whole run as one datagram; some systems take any option.
        opened.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, 1200)
        known = opened.getsockopt(socket.IPPROTO_UDP, UDP_SEGMENT) == 1200
        opened.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, 0)
        segmenting = known
    with suppress(OSError):
        opened.setsockopt(socket.IPPROTO_UDP, UDP_GRO, 1)
        coalescing = True
    return segmenting, coalescing


def endOfRun(lengths: list[int], start: int) -> int:
    """
    Say how far a run of datagrams goes that can be sent in one call: all of
    one length, but the last of it may be shorter, if not empty, since the
    kernel would send no datagram for nothing.

    @param lengths: Octets of each datagram.
    @param start: Where the run begins.
    """
    size = lengths[start]
    most = min(MAX_SEGMENTS, MAX_RUN // size) if size else 1
    limit = min(len(lengths), start + most)
    end = start + 1
    while end < limit and lengths[end] == size:
        end += 1
    return end + (end < limit and 0 < lengths[end] < size)


def cut(data: bytes, ancillary: list[tuple[int, int, bytes]]) -> list[bytes]:
    """
    Take apart what was received in one call.

    @param ancillary: What came with it, of which one may be the length of
        each datagram.
    """
    for level, kind, value in ancillary:
        if level == socket.IPPROTO_UDP and kind == UDP_GRO:
            size = int.from_bytes(value, sys.byteorder)
            if 0 < size < len(data):
                whole = len(data) // size
                datagrams = list(_cutter(size, whole)(data))
                if rest := data[whole * size :]:
                    datagrams.append(rest)
                return datagrams
    return [data]


@lru_cache(maxsize=64)
def _cutter(size: int, count: int) -> Callable[[bytes], tuple[bytes, ...]]:
    # Half as long as slices take.
    return struct.Struct(f"{size}s" * count).unpack_from
