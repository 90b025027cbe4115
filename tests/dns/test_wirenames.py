"""
Tests for L{socksproxy.dns._wirenames}.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from socksproxy.dns._wire import labelsAt
from socksproxy.dns._wirenames import nameOf, questionName, wireName

LABELS = st.lists(st.binary(min_size=1, max_size=30), max_size=7)


def written(labels: list[bytes]) -> bytes:
    """
    Write labels as they are on the wire.
    """
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


@pytest.mark.parametrize(
    ("labels", "text"),
    [
        ([], "."),
        ([b"com"], "com"),
        ([b"WWW", b"Example", b"COM"], "www.example.com"),
        ([b"_dns", b"x-1"], "_dns.x-1"),
        ([b"a.b", b"test"], "a\\046b.test"),
        ([b"a\\b", b"\0\xff c"], "a\\092b.\\000\\255\\032c"),
        ([b"*", b"test"], "*.test"),
        ([b"a|b#c"], "a\\124b\\035c"),
    ],
)
def test_text(labels: list[bytes], text: str) -> None:
    """
    A name is in lower case; what could be taken for something else is written
    as a number.
    """
    octets = bytes(12) + written(labels)
    assert nameOf(labels) == text
    assert questionName(octets, len(octets)) == text
    assert wireName(text) == written([label.lower() for label in labels])


@given(LABELS)
def test_splitting(labels: list[bytes]) -> None:
    """
    Each label of a name is between dots, whatever octets it has.
    """
    octets = bytes(12) + written(labels)
    text = questionName(octets, len(octets))
    assert text == nameOf(labels)
    assert text.isascii() and text.isprintable() and " " not in text
    assert (text == ".") if not labels else (len(text.split(".")) == len(labels))
    assert labelsAt(bytes(12) + wireName(text), 12) == [label.lower() for label in labels]


def test_dotAtTheEnd() -> None:
    """
    Whether a name has a dot at its end makes no difference.
    """
    assert wireName("www.test.") == wireName("www.test") == b"\x03www\x04test\0"
    assert wireName(".") == wireName("") == b"\0"


def test_longest() -> None:
    """
    A label has 63 octets at most, a name 255.
    """
    assert wireName("x" * 63) == b"\x3f" + b"x" * 63 + b"\0"
    longest = ".".join(["x" * 63] * 3 + ["y" * 61])
    assert len(wireName(longest)) == 255
    with pytest.raises(ValueError):
        wireName(longest + "y")


@pytest.mark.parametrize(
    "name", ["a..b", ".a", "x" * 64, ".".join(["x" * 60] * 5), "\u00fc.test", "\\256.test"]
)
def test_noName(name: str) -> None:
    """
    What cannot be a name is not written as one.
    """
    with pytest.raises(ValueError):
        wireName(name)
