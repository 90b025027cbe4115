"""
Tests for L{socksproxy.dns._framing}.
"""

from hypothesis import given
from hypothesis import strategies as st

from socksproxy.dns._framing import Messages, framed


def taken(messages: Messages) -> list[bytes]:
    """
    Take all that there is.
    """
    found = []
    while (message := messages.take()) is not None:
        found.append(message)
    return found


class TestMessages:
    """
    Streams and what is in them.
    """

    def test_octets(self) -> None:
        """
        A message has its length before it, in network byte order.
        """
        assert framed(b"abc") == b"\x00\x03abc"
        assert framed(b"x" * 0x1234)[:2] == b"\x12\x34"

    def test_byteByByte(self) -> None:
        """
        However a stream is cut, a message is given when its last octet is
        there, and not before.
        """
        messages = Messages()
        stream = framed(b"abc") + framed(b"") + framed(b"de")
        ends = {5: [b"abc"], 7: [b""], 11: [b"de"]}
        for number, octet in enumerate(stream, 1):
            messages.feed(bytes([octet]))
            assert taken(messages) == ends.get(number, [])
        assert len(messages) == 0

    @given(st.lists(st.binary(max_size=300)), st.data())
    def test_anyCuts(self, contents: list[bytes], data: st.DataObject) -> None:
        """
        What is put into a stream comes out of it, wherever it is cut.
        """
        stream = b"".join(map(framed, contents))
        cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
        messages, found, start = Messages(), [], 0
        for end in [*cuts, len(stream)]:
            messages.feed(stream[start:end])
            found += taken(messages)
            start = end
        assert found == contents

    def test_kept(self) -> None:
        """
        What has not been taken is kept, and counted.
        """
        messages = Messages()
        messages.feed(framed(b"abc") + framed(b"d") + b"\x00")
        assert messages.take() == b"abc"
        assert len(messages) == 4
        messages.feed(b"\x01e")
        assert taken(messages) == [b"d", b"e"]

    def test_longest(self) -> None:
        """
        A message may have 65535 octets.
        """
        messages = Messages()
        messages.feed(framed(bytes(65535))[:-1])
        assert messages.take() is None
        messages.feed(b"\0")
        assert messages.take() == bytes(65535)
