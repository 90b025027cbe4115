"""
What a proxy needs of a process that it has for itself.
"""

from __future__ import annotations

import gc
import resource
from typing import Any

RESERVED_DESCRIPTORS = 128
"""
File descriptors that are not for connections: ports, logs, look-ups.
"""

ENOUGH = 1 << 16
"""
File descriptors to use where the system sets no limit.
"""

RESOLVER_THREADS = 64
"""
Each look-up blocks a thread; the resolver has its own, equal bound.
"""


def takeProcess(reactor: Any) -> int:
    """
    Take as many file descriptors as the system lets us have, and as many
    threads as there can be look-ups, and do not look for garbage in what the
    program itself consists of.

    @param reactor: The reactor.
    @return: How many connections can be carried, at two descriptors each.
    """
    reactor.suggestThreadPoolSize(RESOLVER_THREADS)
    reactor.callWhenRunning(_tuneGarbageCollection)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = ENOUGH if hard == resource.RLIM_INFINITY else hard
    if soft != resource.RLIM_INFINITY and soft < limit:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    return max(16, (limit - RESERVED_DESCRIPTORS) // 2)


def _tuneGarbageCollection() -> None:
    """
    Have collections be rare and short: connections that are over are freed
    without them, and what there is at the start stays to the end.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)
