"""
The documents name what the log says of KCP, and only that.
"""

import re

from socksproxy.kcp.ledger import Ledger
from socksproxy.state import State
from tests.daemon import ROOT

PAGE = (ROOT / "docs" / "kcp.rst").read_text()


def names() -> set[str]:
    """
    Give the names that a port tells.
    """
    (state,) = Ledger().report("kcp-port", "x")
    return set(state.numbers)


def test_all() -> None:
    """
    Every number is explained.
    """
    assert {name for name in names() if f"``{name}``" not in PAGE} == set()


def test_noOther() -> None:
    """
    The table has no number that there is not.
    """
    _, _, section = PAGE.partition("Numbers\n-------\n")
    table = re.findall(r"^``([A-Z]\w+)``  ", section, re.M)
    assert len(table) > 20
    assert set(table) <= names()


def test_example() -> None:
    """
    The numbers of the line that is shown have names that there are.
    """
    (line,) = re.findall(r"^    KCP session with .*$", PAGE, re.M)
    _, _, numbers = line.partition("; ")
    shown = {pair.split()[0] for pair in numbers.split(", ")}
    assert shown - {"srtt", "rto", "streamsBegun"} <= names()


def test_kinds() -> None:
    """
    The page on logs explains each kind that the code knows, and shows lines
    that there can be.
    """
    page = (ROOT / "docs" / "logs.rst").read_text().partition("What goes on\n---")[2]
    explained = re.findall(r"^``([\w-]+)``  ", page, re.M)
    known = re.findall(r"C\{([\w-]+)\}", (State.__doc__ or "").partition("@ivar name")[0])
    assert known
    assert sorted(explained) == sorted(known)
    for kind in re.findall(r"^    State of ([\w-]+) ", page, re.M):
        assert kind in known
