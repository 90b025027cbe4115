"""
Tests for L{socksproxy.dns._wire}.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from socksproxy.dns import _wire
from socksproxy.errors import MalformedMessage
from tests.dns.messages import decoded, message, names, opt, question, record, replies, wire

HEAD = bytes(12)


class TestSkipName:
    """
    Tests for L{_wire.skipName}.
    """

    @pytest.mark.parametrize(
        "name", [b"\0", wire("www.example.com"), b"\xc0\x0c", b"\x03www\xc0\x0c"]
    )
    def test_ends(self, name: bytes) -> None:
        """
        A name ends behind its empty label, or behind its pointer.
        """
        assert _wire.skipName(HEAD + name + b"rest", 12) == 12 + len(name)

    @pytest.mark.parametrize("name", [wire("www.test"), b"\x03www\xc0\x0c"])
    def test_everyTruncation(self, name: bytes) -> None:
        """
        A message that ends inside a name is refused.
        """
        for length in range(len(name)):
            with pytest.raises(MalformedMessage):
                _wire.skipName(HEAD + name[:length], 12)

    @pytest.mark.parametrize("length", [0x40, 0x7F, 0x80, 0xBF])
    def test_unknownForms(self, length: int) -> None:
        """
        A label that begins with bits that are not in use is refused.
        """
        with pytest.raises(MalformedMessage):
            _wire.skipName(bytes([length]) + bytes(300), 0)


class TestLabelsAt:
    """
    Tests for L{_wire.labelsAt}.
    """

    def test_plain(self) -> None:
        """
        Labels are given as they are written, letter by letter.
        """
        assert _wire.labelsAt(HEAD + wire("WWW.example"), 12) == [b"WWW", b"example"]
        assert _wire.labelsAt(HEAD + b"\0", 12) == []

    def test_pointers(self) -> None:
        """
        A name goes on where its pointer leads, and from there again.
        """
        octets = HEAD + wire("example.com") + b"\x03www\xc0\x0c" + b"\x01a\xc0\x19"
        assert _wire.labelsAt(octets, 12 + 13 + 6) == [b"a", b"www", b"example", b"com"]

    @pytest.mark.parametrize(
        "octets",
        [
            HEAD + b"\xc0\x0c",
            HEAD + b"\x01a\xc0\x0c",
            HEAD + b"\xc0\x0e\xc0\x0c",
            HEAD + b"\xc0\x0f\x00\x00",
            HEAD + b"\xc0\x00",
            HEAD + b"\xc0\x0b",
        ],
        ids=["itself", "around", "forward", "ahead", "number", "header"],
    )
    def test_badPointers(self, octets: bytes) -> None:
        """
        A pointer that does not lead further back, or leads into the header,
        is refused.
        """
        with pytest.raises(MalformedMessage, match="pointer"):
            _wire.labelsAt(octets, 12)

    def test_longChains(self) -> None:
        """
        A name may be in many parts, but not in any number of them.
        """
        octets = HEAD + b"\0"
        for number in range(40):
            octets += (0xC000 | (12 if not number else 11 + 2 * number)).to_bytes(2)
        assert _wire.labelsAt(octets, 13 + 2 * 31) == []
        with pytest.raises(MalformedMessage, match="pointer"):
            _wire.labelsAt(octets, 13 + 2 * 32)

    def test_length(self) -> None:
        """
        A name of 255 octets is read, and none that is longer, wherever its
        parts are.
        """
        longest = [b"x" * 63] * 3 + [b"y" * 61]
        octets = HEAD + b"".join(bytes([len(label)]) + label for label in longest) + b"\0"
        assert len(octets) == 12 + 255
        assert _wire.labelsAt(octets, 12) == longest
        with pytest.raises(MalformedMessage, match="too long"):
            _wire.labelsAt(octets + b"\x01a\xc0\x0c", 12 + 255)

    @pytest.mark.parametrize("name", [wire("www.test"), b"\xc0"])
    def test_truncation(self, name: bytes) -> None:
        """
        A message that ends inside a name is refused.
        """
        for length in range(len(name)):
            with pytest.raises(MalformedMessage):
                _wire.labelsAt(HEAD + name[:length], 12)

    @given(octets=st.binary(max_size=300), offset=st.integers(0, 310))
    def test_arbitraryOctets(self, octets: bytes, offset: int) -> None:
        """
        Whatever is there is a name that is short enough, or is refused.
        """
        try:
            labels = _wire.labelsAt(octets, offset)
        except MalformedMessage:
            return
        assert sum(map(len, labels)) + len(labels) + 1 <= 255


class TestRecordsAt:
    """
    Tests for L{_wire.recordsAt}.
    """

    def test_parts(self) -> None:
        """
        Of each record it is said where its parts are.
        """
        octets = HEAD + record(wire("a.test"), 16, 300, b"text") + opt(4096)
        first, second = _wire.recordsAt(octets, 12, 2)
        assert first == _wire.Record(12, 16, 1, 300, 30, 34)
        assert second == _wire.Record(34, 41, 4096, 0, 45, 45)

    def test_everyTruncation(self) -> None:
        """
        A message that ends inside a record is refused.
        """
        octets = record(wire("a.test"), 16, 300, b"text")
        for length in range(len(octets)):
            with pytest.raises(MalformedMessage):
                list(_wire.recordsAt(octets[:length], 0, 1))

    @given(replies())
    def test_likeTwisted(self, octets: bytes) -> None:
        """
        Messages have the records that Twisted reads in them.
        """
        theirs = decoded(octets)
        start = _wire.questionEnd(octets) + 4
        expected = theirs.answers + theirs.authority + theirs.additional
        ours = list(_wire.recordsAt(octets, start, len(expected)))
        assert [(r.type, r.recordClass, r.ttl) for r in ours] == [
            (r.type, r.cls, r.ttl) for r in expected
        ]
        assert [b".".join(_wire.labelsAt(octets, r.start)) for r in ours] == [
            r.name.name for r in expected
        ]
        assert not ours or ours[-1].end == len(octets)


class TestQuestionEnd:
    """
    Tests for L{_wire.questionEnd}.
    """

    @given(names())
    def test_end(self, name: str) -> None:
        """
        A question's name ends before its type.
        """
        assert _wire.questionEnd(message(question(name))) == 12 + len(wire(name))

    def test_pointer(self) -> None:
        """
        The first name of a message has nothing to point to.
        """
        with pytest.raises(MalformedMessage, match="pointer"):
            _wire.questionEnd(HEAD + b"\x01a\xc0\x0c" + bytes(4))

    def test_length(self) -> None:
        """
        It is 255 octets long at most.
        """
        longest = ".".join(["x" * 63] * 3 + ["y" * 61])
        assert _wire.questionEnd(HEAD + question(longest)) == 12 + 255
        with pytest.raises(MalformedMessage, match="too long"):
            _wire.questionEnd(HEAD + question("z." + longest))

    def test_everyTruncation(self) -> None:
        """
        A message that ends inside its question is refused.
        """
        octets = message(question("www.test"))
        for length in range(12, len(octets)):
            with pytest.raises(MalformedMessage):
                _wire.questionEnd(octets[:length])


class TestOptionsAt:
    """
    Tests for L{_wire.optionsAt}.
    """

    def test_options(self) -> None:
        """
        Options are found one after another, also those without a value.
        """
        octets = b"\x00\x0a\x00\x02ab\x00\x0c\x00\x00"
        assert list(_wire.optionsAt(octets, 0, 10)) == [(10, 4, 6), (12, 10, 10)]
        assert list(_wire.optionsAt(octets, 0, 0)) == []

    def test_everyTruncation(self) -> None:
        """
        An option that goes beyond the end is refused, also where the message
        goes on.
        """
        octets = b"\x00\x0a\x00\x02ab"
        for end in range(1, 6):
            with pytest.raises(MalformedMessage):
                list(_wire.optionsAt(octets, 0, end))
