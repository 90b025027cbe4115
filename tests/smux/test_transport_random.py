"""
Tests for L{socksproxy.smux.transport} with applications that do anything.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost

from socksproxy.smux.config import SmuxConfig
from tests.smux.muxes import Application, HalfCloseable, Muxes

ENDS = (ConnectionDone, ConnectionAborted, ConnectionLost)

ACTIONS = (
    *("open", "write", "write", "large", "pause", "resume", "carry", "carry", "turn"),
    *("half", "close", "abort", "full", "room"),
)

steps = st.tuples(
    st.sampled_from(ACTIONS),
    st.integers(0, 1),
    st.integers(0, 9),
)


class Story:
    """
    What becomes of one stream.

    @ivar streamID: Its number.
    @ivar ends: Its two applications, the opener's first; the second one is
        L{None} before it is accepted.
    @ivar written: What each has written that is to arrive.
    @ivar closed: How each has ended it: not at all, C{half}, C{close} or
        C{abort}.
    """

    def __init__(self, opener: Any) -> None:
        self.streamID = opener.transport.record.streamID
        self.ends: list[Any] = [opener, None]
        self.written = [b"", b""]
        self.closed = ["", ""]


class Run:
    """
    Applications and what they have done.
    """

    def __init__(self, version: int, make: type[Application]) -> None:
        self.muxes = Muxes(
            SmuxConfig(version=version, smuxbuf=400000, streambuf=300000, streams=1000), make
        )
        self.make = make
        self.stories: list[Story] = []

    def step(self, action: str, side: int, number: int) -> None:
        """
        Do something.
        """
        muxes = self.muxes
        if action == "open":
            self.stories.append(Story(muxes.open(self.make())))
        elif action == "carry":
            muxes.carry()
        elif action == "turn":
            muxes.clock.advance(0)
        elif action in ("full", "room"):
            mux = (muxes.client, muxes.server)[side]
            mux.pauseProducing() if action == "full" else mux.resumeProducing()
        elif self.stories:
            self.act(action, self.stories[number % len(self.stories)], side, number)
        accepted = zip(muxes.accepted.addresses, muxes.accepted.made, strict=True)
        made = {address.streamID: application for address, application in accepted}  # type: ignore[attr-defined]
        for story in self.stories:
            story.ends[1] = made.get(story.streamID)

    def act(self, action: str, story: Story, side: int, number: int) -> None:
        """
        Have an application do something.
        """
        application = story.ends[side]
        if application is None or application.reason is not None:
            return
        transport = application.transport
        if action in ("write", "large"):
            data = bytes([number + side]) * (90001 if action == "large" else 1 + number * 100)
            application.act(transport.write, data)
            if not story.closed[side]:
                story.written[side] += data
        elif action in ("pause", "resume"):
            application.act(getattr(transport, f"{action}Producing"))
        else:
            close = {
                "half": transport.loseWriteConnection,
                "close": transport.loseConnection,
                "abort": transport.abortConnection,
            }[action]
            application.act(close)
            order = ("", "half", "close", "abort")
            story.closed[side] = max(story.closed[side], action, key=order.index)

    def finish(self) -> None:
        """
        Let everybody read, and everything happen.
        """
        for mux in (self.muxes.client, self.muxes.server):
            mux.resumeProducing()
        self.step("turn", 0, 0)
        for _ in range(3):
            self.muxes.settle()
            self.step("turn", 0, 0)
            for story in self.stories:
                for side in (0, 1):
                    self.act("resume", story, side, 0)
        self.muxes.settle()

    def check(self) -> None:
        """
        Require that everything is as it should be.
        """
        for story in self.stories:
            for side in (0, 1):
                application = story.ends[side]
                if application is None:
                    assert story.closed[0] == "abort"
                    continue
                told = application.told
                assert told[0] == "made"
                assert len(set(told)) == len(told)
                assert story.written[1 - side].startswith(application.data)
                if application.end is not None:
                    assert told[-1] == "lost"
                    assert application.end in ENDS
                left = {story.closed[0], story.closed[1]} & {"close", "abort"}
                if not left and self.make is HalfCloseable:
                    assert application.data == story.written[1 - side]
                    assert ("read" in told) == (story.closed[1 - side] == "half")
                    assert ("write" in told) == (story.closed[side] == "half")
                    over = story.closed == ["half", "half"]
                    assert application.end is (ConnectionDone if over else None)
                elif story.closed[side] in ("close", "abort") or (
                    self.make is Application and any(story.closed)
                ):
                    assert application.end is not None


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("make", [HalfCloseable, Application])
@given(plan=st.lists(steps, max_size=60))
@settings(deadline=None, max_examples=100)
def test_anything(version: int, make: type[Application], plan: list[tuple[str, int, int]]) -> None:
    """
    Data arrives once and in order, and all of it on streams that nobody drops;
    everybody is told of the beginning first, of the end last, of each once, and
    of nothing within a call of its own; and when all have left, nothing is
    left.
    """
    run = Run(version, make)
    for step in plan:
        run.step(*step)
    run.finish()
    run.check()
    for story in run.stories:
        for side in (0, 1):
            run.act("close", story, side, 0)
    run.muxes.settle()
    run.muxes.settle()
    assert run.muxes.idle
    assert all(end is None or end.reason is not None for story in run.stories for end in story.ends)
    run.muxes.client.close()
    run.muxes.settle()
    assert run.muxes.here.lost and run.muxes.there.lost
    assert run.muxes.clock.getDelayedCalls() == []
