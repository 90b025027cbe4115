"""
Tests for L{socksproxy.socks._awaited}.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from socksproxy.address import Destination, hostFromText
from socksproxy.errors import (
    AuthenticationFailed,
    BadAddressType,
    BadVersion,
    LocalProtocolError,
    RemoteProtocolError,
    RequestFailed,
    SOCKSProxyError,
    TruncatedStream,
    UnofferedMethod,
    requestFailedFor,
)
from socksproxy.socks._awaited import MAX_ANSWERS, AwaitedAnswers, everything
from tests.codec import piecesOf, splitsOf
from tests.socksclient import (
    ACCEPTED,
    ALICE,
    NO_AUTHENTICATION,
    REJECTED,
    WITH_PASSWORD,
    password,
    refused,
    request,
)
from tests.socksrequests import UDP_ASSOCIATE, command, granted

EARLY = b"220 target.test\r\n"

REPLIES = (
    granted("192.0.2.200", 50000),
    granted("2001:db8::200", 50000),
    granted("proxy.test", 50000),
    granted("", 0),
    granted("x" * 255, 0),
)
"""
Replies of success with all kinds of addresses.
"""

TO_TARGET = Destination("target.test", 25)


def unwrapped(answers: AwaitedAnswers, pieces: Sequence[bytes]) -> bytes:
    """
    Give what comes of pieces.
    """
    return b"".join(answers.unwrap(piece) for piece in pieces)


class TestEverything:
    """
    What a client says.
    """

    @pytest.mark.parametrize("host", ["target.test", "192.0.2.1", "2001:db8::1"])
    def test_withoutLogin(self, host: str) -> None:
        """
        Without a user name only "no authentication" is offered.
        """
        destination = Destination(hostFromText(host) or host, 25)
        assert everything(destination) == NO_AUTHENTICATION + request(host, 25)

    def test_withLogin(self) -> None:
        """
        With one, only the login is, so that nobody is let in without it.
        """
        said = everything(TO_TARGET, b"alice", b"s3cret")
        assert said == WITH_PASSWORD + ALICE + request("target.test", 25)
        assert everything(TO_TARGET, b"", None) == (
            WITH_PASSWORD + password(b"", b"") + request("target.test", 25)
        )

    def test_otherCommand(self) -> None:
        """
        The request may be another one.
        """
        said = everything(Destination(hostFromText("0.0.0.0") or "", 0), command=UDP_ASSOCIATE)
        assert said == NO_AUTHENTICATION + command(UDP_ASSOCIATE)

    def test_longest(self) -> None:
        """
        User name and password have up to 255 octets; what is longer is refused,
        and not repeated.
        """
        long = b"x" * 255
        assert password(long, long) in everything(TO_TARGET, long, long)
        for user, word in ((long + b"y", b""), (b"", long + b"y"), (None, long + b"y")):
            with pytest.raises(LocalProtocolError) as caught:
                everything(TO_TARGET, user, word)
            assert "xxx" not in str(caught.value)


class TestAwaitedAnswers:
    """
    The answers, taken off the front.
    """

    @pytest.mark.parametrize("reply", REPLIES)
    @pytest.mark.parametrize("withLogin", [False, True])
    def test_everySplit(self, withLogin: bool, reply: bytes) -> None:
        """
        What is behind the answers comes out as it is, however the stream is
        cut, and nothing comes out before.
        """
        front = b"\5\2" + ACCEPTED + reply if withLogin else b"\5\0" + reply
        for pieces in splitsOf(front + EARLY):
            assert unwrapped(AwaitedAnswers(withLogin), pieces) == EARLY, pieces
        answers = AwaitedAnswers(withLogin)
        for octet in piecesOf(front, 1):
            assert answers.unwrap(octet) == b""
        answers.endOfStream()
        for data in (EARLY, b"", front):
            assert answers.unwrap(data) == data
        answers.endOfStream()

    def test_wrap(self) -> None:
        """
        What is written is left alone, before and after.
        """
        answers = AwaitedAnswers(False)
        assert answers.wrap(EARLY) == EARLY
        answers.unwrap(b"\5\0" + REPLIES[0])
        assert answers.wrap(EARLY) == EARLY

    def test_loginAnswerOfAnyVersion(self) -> None:
        """
        The version of the answer to a login is not looked at, since some
        servers send 5.
        """
        assert AwaitedAnswers(True).unwrap(b"\5\2\5\0" + REPLIES[0] + EARLY) == EARLY

    @pytest.mark.parametrize("withLogin", [False, True])
    def test_ends(self, withLogin: bool) -> None:
        """
        A stream that ends before the last answer is truncated.
        """
        front = b"\5\2" + ACCEPTED + REPLIES[0] if withLogin else b"\5\0" + REPLIES[0]
        for length in range(len(front)):
            answers = AwaitedAnswers(withLogin)
            answers.unwrap(front[:length])
            with pytest.raises(TruncatedStream):
                answers.endOfStream()

    @pytest.mark.parametrize("code", [*range(1, 9), 9, 0x5B, 255])
    @pytest.mark.parametrize("front", [b"\5\0", b"\5\2" + ACCEPTED])
    def test_refused(self, front: bytes, code: int) -> None:
        """
        A refusal is raised with its code as soon as that is there, whatever
        comes with it.
        """
        for data in (front + refused(code)[:2], front + refused(code) + EARLY):
            for pieces in splitsOf(data):
                answers = AwaitedAnswers(len(front) == 4)
                with pytest.raises(RequestFailed) as caught:
                    unwrapped(answers, pieces)
                assert type(caught.value) is type(requestFailedFor(code))

    @pytest.mark.parametrize(
        ("withLogin", "data", "error"),
        [
            (False, b"\5\xff", UnofferedMethod),
            (False, b"\5\2", UnofferedMethod),
            (False, b"\5\1", UnofferedMethod),
            (True, b"\5\0", UnofferedMethod),
            (True, b"\5\xff", UnofferedMethod),
            (True, b"\5\2" + REJECTED, AuthenticationFailed),
            (True, b"\5\2\1\xff", AuthenticationFailed),
            (False, b"\4", BadVersion),
            (False, b"HTTP/1.1 400 Bad Request\r\n\r\n", BadVersion),
            (True, b"SSH-2.0\r\n", BadVersion),
            (False, b"\5\0\4\0", BadVersion),
            (False, b"\5\0\5\0\0\2", BadAddressType),
            (True, b"\5\2" + ACCEPTED + b"\5\0\0\xff", BadAddressType),
        ],
    )
    def test_hostile(self, withLogin: bool, data: bytes, error: type[SOCKSProxyError]) -> None:
        """
        What is no answer, or not the one that was asked for, is refused at
        once, however the stream is cut, and nothing of it is passed on.
        """
        for pieces in splitsOf(data):
            with pytest.raises(error) as caught:
                unwrapped(AwaitedAnswers(withLogin), pieces)
            assert type(caught.value) is error
            passed = AwaitedAnswers(withLogin)
            with pytest.raises(SOCKSProxyError):
                assert unwrapped(passed, pieces[:-1]) == b""
                passed.unwrap(pieces[-1])

    def test_bounded(self) -> None:
        """
        The longest answers are shorter than what is kept.
        """
        answers = AwaitedAnswers(True)
        longest = b"\5\2" + ACCEPTED + granted("x" * 255)
        assert len(longest) < MAX_ANSWERS
        assert answers.unwrap(longest + bytes(100_000)) == bytes(100_000)

    @given(
        data=st.binary(max_size=40),
        front=st.sampled_from([b"", b"\5\0", b"\5\2\1\0", b"\5\0\5\0\0\1"]),
        withLogin=st.booleans(),
    )
    @settings(deadline=None)
    def test_arbitraryOctets(self, data: bytes, front: bytes, withLogin: bool) -> None:
        """
        Whatever comes, it is an answer, or the rest, or an error of ours, and
        the same octet by octet.
        """

        def outcome(pieces: Sequence[bytes]) -> bytes | type[SOCKSProxyError]:
            try:
                return unwrapped(AwaitedAnswers(withLogin), pieces)
            except (RemoteProtocolError, RequestFailed) as e:
                return type(e)

        whole = front + data
        assert outcome([whole]) == outcome(piecesOf(whole, 1))
