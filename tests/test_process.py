"""
Tests for L{socksproxy.process}.
"""

from __future__ import annotations

import resource
from collections.abc import Callable

import pytest

from socksproxy.process import RESERVED_DESCRIPTORS, takeProcess
from tests.memoryreactor import MemoryReactor


class Limits:
    """
    The limits of a process.

    @ivar limits: Soft and hard.
    """

    def __init__(self, soft: int, hard: int) -> None:
        self.limits = (soft, hard)

    def getrlimit(self, which: int) -> tuple[int, int]:
        """
        See C{resource.getrlimit}.
        """
        assert which == resource.RLIMIT_NOFILE
        return self.limits

    def setrlimit(self, which: int, limits: tuple[int, int]) -> None:
        """
        See C{resource.setrlimit}.
        """
        assert which == resource.RLIMIT_NOFILE
        self.limits = limits


Take = Callable[[int, int], tuple[int, Limits]]
"""
Soft and hard limit to the connections that can be carried, and the limits then.
"""


@pytest.fixture
def take(monkeypatch: pytest.MonkeyPatch) -> Take:
    """
    Give what takes a process with certain limits.
    """

    def takeWith(soft: int, hard: int) -> tuple[int, Limits]:
        limits = Limits(soft, hard)
        monkeypatch.setattr(resource, "getrlimit", limits.getrlimit)
        monkeypatch.setattr(resource, "setrlimit", limits.setrlimit)
        return takeProcess(MemoryReactor()), limits

    return takeWith


def test_takesAll(take: Take) -> None:
    """
    The process gets all file descriptors that it may have, and two are counted
    for each connection.
    """
    connections, limits = take(1024, 20000)
    assert limits.limits == (20000, 20000)
    assert connections == (20000 - RESERVED_DESCRIPTORS) // 2


def test_hasAll(take: Take) -> None:
    """
    A process that has them all is left as it is.
    """
    connections, limits = take(4096, 4096)
    assert limits.limits == (4096, 4096)
    assert connections == (4096 - RESERVED_DESCRIPTORS) // 2


def test_few(take: Take) -> None:
    """
    However few there are, some connections are let in.
    """
    connections, _ = take(64, 64)
    assert connections == 16


def test_unlimited(take: Take) -> None:
    """
    Without any limit there is room for thousands.
    """
    connections, limits = take(1024, resource.RLIM_INFINITY)
    assert connections >= 4000
    soft, _ = limits.limits
    assert soft == resource.RLIM_INFINITY or soft >= 2 * connections


def test_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    There are as many threads as there can be look-ups.
    """
    monkeypatch.setattr(resource, "setrlimit", lambda which, limits: None)
    reactor = MemoryReactor()
    takeProcess(reactor)
    assert reactor.threads == 64
