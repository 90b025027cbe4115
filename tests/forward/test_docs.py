"""
The page of the manual on port forwarding: what it says is so.
"""

from __future__ import annotations

import re
import shlex

import pytest

from socksproxy.events import AccessRecord
from socksproxy.forward import forwardFromText
from socksproxy.forward.datagrams import IDLE, MAX_FLOWS
from socksproxy.inbound.connection import PAUSE_AT
from socksproxy.outbound.direct import CONNECT_TIMEOUT
from tests.daemon import ROOT

TEXT = (ROOT / "docs" / "forwarding.rst").read_text()


def specifications() -> list[str]:
    """
    Give those of the table, and those of the commands.
    """
    commands = [shlex.split(line) for line in re.findall(r"^    twistd .*", TEXT, re.M)]
    given = [words[words.index("--forward") + 1] for words in commands]
    return given + re.findall(r"^``([a-z]+:\S+,\S+)``  ", TEXT, re.M)


@pytest.mark.parametrize("text", specifications())
def test_examples(text: str) -> None:
    """
    Every example can be read.
    """
    forwardFromText(text)


def test_howMany() -> None:
    """
    There are some of each.
    """
    assert len(specifications()) == 3 + 7


def test_numbers() -> None:
    """
    The numbers are those that hold.
    """
    flowing = " ".join(TEXT.split())
    for said in (
        f"within {CONNECT_TIMEOUT:g} seconds",
        f"up to {PAUSE_AT // 1024} KiB",
        f"anything for {IDLE:g} seconds",
        f"more than {MAX_FLOWS} and",
    ):
        assert said in flowing


@pytest.mark.parametrize(
    "record",
    [
        AccessRecord(
            protocol="FORWARD",
            client="127.0.0.1:50312",
            command="CONNECT",
            destination="tcp:db.example.com:5432",
            address="192.0.2.80:5432",
            result="succeeded",
            sent=1840,
            received=52311,
            duration=3.204,
            reason="target closed",
        ),
        AccessRecord(
            protocol="FORWARD",
            client="127.0.0.1:50313",
            command="UDP",
            destination="udp:9.9.9.9:53",
            address="9.9.9.9:53",
            result="succeeded",
            sent=42,
            received=58,
            datagramsSent=1,
            datagramsReceived=1,
            duration=300,
            reason="idle for too long",
        ),
    ],
    ids=lambda record: record.command,
)
def test_lines(record: AccessRecord) -> None:
    """
    The sample lines are what such connections make.
    """
    assert f"\n    {record}\n" in TEXT
