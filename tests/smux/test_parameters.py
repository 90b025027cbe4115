"""
Tests for L{socksproxy.smux.parameters}.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from socksproxy.errors import ConfigurationError
from socksproxy.smux.config import DEFAULT_CONFIG, SmuxConfig
from socksproxy.smux.parameters import (
    MUX,
    POOL,
    muxFrom,
    number,
    poolFrom,
    readAll,
    yesOrNo,
)


class ParametersTestCase(SynchronousTestCase):
    """
    Tests with what cannot be read.
    """

    def refused(self, expected: str, read: Callable[..., Any], *arguments: Any) -> None:
        """
        See that something is refused, with a sentence.
        """
        error = self.assertRaises(ConfigurationError, read, *arguments)
        self.assertEqual(str(error), expected)


class ReaderTests(ParametersTestCase):
    """
    Single values.
    """

    def test_number(self) -> None:
        """
        Numbers are digits, from the least to the greatest that there may be.
        """
        read = number(3, 12)
        self.assertEqual([read("n", text) for text in ("3", "12", "007")], [3, 12, 7])
        for text in ("2", "13", "-4", "+4", " 4", "4.0", "0x4", "four", "4_0", "\u0664", "\u00b2"):
            self.refused(f"n is {text} and has to be 3 to 12", read, "n", text)
        self.refused("n is empty and has to be 3 to 12", read, "n", "")

    def test_zero(self) -> None:
        """
        0 can be one of them, and what is no number is not 0.
        """
        read = number(0, 5)
        self.assertEqual(read("n", "0"), 0)
        self.refused("n is none and has to be 0 to 5", read, "n", "none")

    def test_hugeNumber(self) -> None:
        """
        More digits than Python reads are too large a number, and nothing else.
        """
        text = "9" * 10000
        self.refused(f"n is {text} and has to be 0 to 5", number(0, 5), "n", text)

    def test_yesOrNo(self) -> None:
        """
        Booleans are C{yes} and C{no}.
        """
        self.assertIs(yesOrNo("b", "yes"), True)
        self.assertIs(yesOrNo("b", "no"), False)
        for text in ("true", "1", "Yes", "y"):
            self.refused(f"b is {text} and has to be yes or no", yesOrNo, "b", text)
        self.refused("b is empty and has to be yes or no", yesOrNo, "b", "")

    def test_readAll(self) -> None:
        """
        Only what is given is read, and only what is known.
        """
        readers = {"one": number(0, 9), "two": number(0, 9)}
        self.assertEqual(readAll(readers, {"two": "2", "three": "many"}), {"two": 2})


class MuxTests(ParametersTestCase):
    """
    What is said about streams.
    """

    def test_nothing(self) -> None:
        """
        Without anything it is what kcptun does, and compression is what the
        caller says.
        """
        for compress in (False, True):
            self.assertEqual(muxFrom({"key": "other"}, compress), (DEFAULT_CONFIG, compress))

    def test_everything(self) -> None:
        """
        Each parameter gets to its place.
        """
        given = {
            "smuxver": "1",
            "smuxbuf": "1048576",
            "framesize": "4096",
            "streambuf": "65536",
            "keepalive": "5",
            "nocomp": "yes",
        }
        self.assertEqual(set(given), set(MUX))
        expected = SmuxConfig(
            version=1, smuxbuf=1048576, framesize=4096, streambuf=65536, keepalive=5
        )
        self.assertEqual(muxFrom(given, compress=True), (expected, False))

    def test_compression(self) -> None:
        """
        C{nocomp} says the opposite of it.
        """
        for compress in (False, True):
            self.assertIs(muxFrom({"nocomp": "yes"}, compress)[1], False)
            self.assertIs(muxFrom({"nocomp": "no"}, compress)[1], True)

    def test_patience(self) -> None:
        """
        A peer that gives signs of life as rarely as we do is not taken for
        dead, and none is sooner than kcptun does it.
        """
        for keepalive, timeout in (("1", 30), ("10", 30), ("20", 60), ("30", 90)):
            config, _ = muxFrom({"keepalive": keepalive}, False)
            self.assertEqual((config.keepalive, config.keepaliveTimeout), (int(keepalive), timeout))

    def test_wrong(self) -> None:
        """
        What cannot be is told with its name and what it is.
        """
        for name, text, allowed in (
            ("smuxver", "3", "1 to 2"),
            ("smuxbuf", "65535", "65536 to 1073741824"),
            ("framesize", "65536", "1 to 65535"),
            ("streambuf", "4095", "4096 to 1073741824"),
            ("keepalive", "31", "1 to 30"),
            ("keepalive", "0", "1 to 30"),
            ("nocomp", "true", "yes or no"),
        ):
            self.refused(f"{name} is {text} and has to be {allowed}", muxFrom, {name: text}, False)

    def test_together(self) -> None:
        """
        A stream has no more room than all together.
        """
        self.refused(
            "streambuf is 200000 and has to be at most smuxbuf, 100000",
            muxFrom,
            {"smuxbuf": "100000", "streambuf": "200000"},
            False,
        )


class PoolTests(ParametersTestCase):
    """
    What is said about a client's sessions.
    """

    def test_everything(self) -> None:
        """
        Each parameter gets to its place, and nothing is said that was not.
        """
        self.assertEqual(poolFrom({"key": "other"}), {})
        given = {"conn": "4", "autoexpire": "600", "scavengettl": "0"}
        self.assertEqual(set(given), set(POOL))
        self.assertEqual(poolFrom(given), {"sessions": 4, "autoexpire": 600, "scavengettl": 0})

    def test_wrong(self) -> None:
        """
        What cannot be is told with its name and what it is.
        """
        for name, text, allowed in (
            ("conn", "0", "1 to 256"),
            ("conn", "257", "1 to 256"),
            ("autoexpire", "-1", "0 to 1073741824"),
            ("scavengettl", "1073741825", "0 to 1073741824"),
        ):
            self.refused(f"{name} is {text} and has to be {allowed}", poolFrom, {name: text})
