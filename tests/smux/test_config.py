"""
Tests for L{socksproxy.smux.config}.
"""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from socksproxy.errors import ConfigurationError
from socksproxy.smux.config import DEFAULT_CONFIG, MAX_OCTETS, SmuxConfig


class SmuxConfigTests(SynchronousTestCase):
    """
    The settings of a session.
    """

    def test_defaults(self) -> None:
        """
        They are those of kcptun.
        """
        config = DEFAULT_CONFIG
        self.assertEqual(config, SmuxConfig())
        self.assertEqual((config.version, config.framesize), (2, 8192))
        self.assertEqual((config.smuxbuf, config.streambuf), (4 << 20, 2 << 20))
        self.assertEqual((config.keepalive, config.keepaliveTimeout), (10, 30))

    def test_ranges(self) -> None:
        """
        The first and the last value of each setting are taken, and those
        beyond are refused by name.
        """
        ranges: dict[str, tuple[Any, Any, Any, Any]] = {
            "framesize": (0, 1, 65535, 65536),
            "smuxbuf": (0, 1, MAX_OCTETS, MAX_OCTETS + 1),
            "streams": (-1, 0, MAX_OCTETS, MAX_OCTETS + 1),
            "keepalive": (0, 0.001, 86400, 86401),
            "linger": (0, 0.001, 86400, 86401),
        }
        for name, (below, first, last, beyond) in ranges.items():
            rest: dict[str, Any] = {"streambuf": 1, "keepaliveTimeout": 86400}
            for good in (first, last):
                self.assertEqual(getattr(SmuxConfig(**{**rest, name: good}), name), good)
            for bad in (below, beyond):
                with self.assertRaises(ConfigurationError) as caught:
                    SmuxConfig(**{**rest, name: bad})
                self.assertIn(name, str(caught.exception))

    def test_version(self) -> None:
        """
        There are versions 1 and 2.
        """
        self.assertEqual(SmuxConfig(version=1).version, 1)
        for version in (0, 3):
            with self.assertRaises(ConfigurationError) as caught:
                SmuxConfig(version=version)
            self.assertIn("smuxver", str(caught.exception))

    def test_together(self) -> None:
        """
        A stream's buffer is not larger than that of all, and there is at least
        one sign of life before a peer is taken for dead.
        """
        SmuxConfig(smuxbuf=10, streambuf=10)
        with self.assertRaises(ConfigurationError) as caught:
            SmuxConfig(smuxbuf=10, streambuf=11)
        self.assertIn("streambuf", str(caught.exception))
        SmuxConfig(keepalive=30, keepaliveTimeout=30)
        with self.assertRaises(ConfigurationError) as caught:
            SmuxConfig(keepalive=31)
        self.assertIn("keepalive", str(caught.exception))
