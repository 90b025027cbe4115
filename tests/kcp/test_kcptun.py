"""
Tests for L{socksproxy.kcp.kcptun}: kcptun's parameters.
"""

from __future__ import annotations

import os
from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from socksproxy.errors import ConfigurationError
from socksproxy.kcp.config import MODES, KCPConfig
from socksproxy.kcp.kcptun import (
    MANUAL,
    MAX_KEY,
    MAX_PORTS,
    PARAMETERS,
    Tunnel,
    portsFrom,
    tunnelFrom,
)
from socksproxy.smux.config import DEFAULT_CONFIG
from tests.files import temporaryFolder
from tests.kcp.tunnels import KEY


class ParameterTests(SynchronousTestCase):
    """
    Parameters, as texts.
    """

    def read(self, **given: str) -> Tunnel:
        """
        Read parameters, with a key if none is given.
        """
        if "keyFile" not in given:
            given.setdefault("key", KEY)
        return tunnelFrom(given)

    def refused(self, **given: str) -> str:
        """
        See that parameters are refused, without a word about the key.

        @return: The sentence.
        """
        error = self.assertRaises(ConfigurationError, self.read, **given)
        self.assertNotIn(KEY, f"{error!r} {error}")
        return str(error)

    def test_defaults(self) -> None:
        """
        A key is enough. The rest is kcptun's.
        """
        tunnel = self.read()
        self.assertEqual(tunnel, Tunnel(KEY.encode()))
        self.assertEqual((tunnel.crypt, tunnel.salt), ("aes", b"kcp-go"))
        self.assertEqual((tunnel.config, tunnel.mux), (MODES["fast"], DEFAULT_CONFIG))
        config = tunnel.config
        self.assertEqual((config.mtu, config.datashard, config.parityshard), (1350, 10, 3))
        self.assertEqual((tunnel.compress, tunnel.interface, tunnel.pool), (True, "", {}))

    def test_names(self) -> None:
        """
        They are kcptun's, and some more.
        """
        kcptuns = """
            key crypt mode mtu sndwnd rcvwnd datashard parityshard dscp nocomp acknodelay nodelay
            interval resend nc sockbuf smuxver smuxbuf streambuf framesize keepalive ratelimit
            conn autoexpire scavengettl
        """
        ours = "keyFile salt interface congestion pacing adaptive acktwice"
        self.assertEqual(PARAMETERS, {*kcptuns.split(), *ours.split()})

    def test_config(self) -> None:
        """
        What is for KCP gets there.
        """
        tunnel = self.read(
            mode="fast3",
            mtu="1400",
            sndwnd="2048",
            rcvwnd="4096",
            datashard="20",
            parityshard="5",
            ratelimit="1000000",
            acknodelay="yes",
            pacing="yes",
            adaptive="yes",
            acktwice="yes",
            congestion="bbr",
        )
        expected = KCPConfig.forMode(
            "fast3",
            mtu=1400,
            sndwnd=2048,
            rcvwnd=4096,
            datashard=20,
            parityshard=5,
            ratelimit=1000000,
            acknodelay=True,
            pacing=True,
            adaptive=True,
            acktwice=True,
            congestion="bbr",
        )
        self.assertEqual(tunnel.config, expected)

    def test_modes(self) -> None:
        """
        Modes are presets, and what they settle cannot be given beside them.
        """
        for mode, preset in MODES.items():
            self.assertEqual(self.read(mode=mode).config, preset)
            for name in ("nodelay", "interval", "resend", "nc"):
                sentence = f"{name} counts with mode=manual only"
                self.assertEqual(
                    self.refused(mode=mode, **{name: "10"[: 1 + (name == "interval")]}), sentence
                )
        self.assertEqual(
            self.refused(mode="fast9"),
            "mode is 'fast9' and has to be of normal, fast, fast2, fast3, manual",
        )

    def test_manual(self) -> None:
        """
        In the mode C{manual} they count, and C{nc} stands for the congestion
        control, which can be named.
        """
        self.assertEqual(self.read(mode="manual").config, MANUAL)
        self.assertEqual((MANUAL.nodelay, MANUAL.interval, MANUAL.resend), (False, 50, 0))
        read = self.read(mode="manual", nodelay="1", interval="20", resend="2", nc="1").config
        self.assertEqual(
            read, replace(MANUAL, nodelay=True, interval=20, resend=2, congestion="none")
        )
        for nc, congestion in (("0", "window"), ("1", "none")):
            self.assertEqual(self.read(mode="manual", nc=nc).config.congestion, congestion)
            given = self.read(mode="manual", nc=nc, congestion="bbr")
            self.assertEqual(given.config.congestion, "bbr")

    def test_elsewhere(self) -> None:
        """
        So does what is for streams, for sessions, and for the socket.
        """
        tunnel = self.read(
            smuxver="1",
            streambuf="100000",
            nocomp="yes",
            conn="3",
            autoexpire="60",
            scavengettl="10",
            sockbuf="100000",
            dscp="46",
            crypt="aes-128-gcm",
            salt="ours",
            interface="192.0.2.1",
        )
        self.assertEqual((tunnel.mux.version, tunnel.mux.streambuf), (1, 100000))
        self.assertEqual(tunnel.pool, {"sessions": 3, "autoexpire": 60, "scavengettl": 10})
        self.assertEqual(tunnel.socket, {"bufferSize": 100000, "dscp": 46})
        self.assertEqual((tunnel.crypt, tunnel.salt), ("aes-128-gcm", b"ours"))
        self.assertEqual((tunnel.compress, tunnel.interface), (False, "192.0.2.1"))

    def test_wrong(self) -> None:
        """
        What cannot be is told with its name and what it is.
        """
        for name, text, allowed in (
            ("mtu", "49", "50 to 1500"),
            ("mtu", "1501", "50 to 1500"),
            ("sndwnd", "0", "1 to 65535"),
            ("rcvwnd", "65536", "1 to 65535"),
            ("datashard", "256", "0 to 255"),
            ("parityshard", "many", "0 to 255"),
            ("ratelimit", "-1", "0 to 1099511627776"),
            ("acknodelay", "true", "yes or no"),
            ("pacing", "1", "yes or no"),
            ("adaptive", "", "yes or no"),
            ("acktwice", "YES", "yes or no"),
            ("sockbuf", "4095", "4096 to 1073741824"),
            ("dscp", "64", "0 to 63"),
            ("smuxver", "3", "1 to 2"),
            ("conn", "0", "1 to 256"),
        ):
            sentence = f"{name} is {text or 'empty'} and has to be {allowed}"
            self.assertEqual(self.refused(**{name: text}), sentence)
        for name, text, allowed in (
            ("nodelay", "2", "0 to 1"),
            ("interval", "9", "10 to 5000"),
            ("resend", "65536", "0 to 65535"),
            ("nc", "yes", "0 to 1"),
        ):
            sentence = f"{name} is {text} and has to be {allowed}"
            self.assertEqual(self.refused(mode="manual", **{name: text}), sentence)
        self.assertEqual(
            self.refused(congestion="cubic"),
            "congestion is 'cubic' and has to be of none, window, bbr",
        )
        self.assertEqual(
            self.refused(datashard="200", parityshard="57"),
            "datashard and parityshard are more than 256 together",
        )

    def test_unknown(self) -> None:
        """
        What is no parameter is told, the first of several.
        """
        self.assertEqual(self.refused(quiet="yes", keyfile="k"), "keyfile means nothing for kcp:")

    def test_key(self) -> None:
        """
        There has to be one key, given or in a file.
        """
        sentence = "kcp: needs one of key and keyFile"
        for given in ({}, {"key": KEY, "keyFile": "/nowhere"}):
            error = self.assertRaises(ConfigurationError, tunnelFrom, given)
            self.assertEqual(str(error), sentence)
        self.assertEqual(self.read(key="k\u00e4\udcff").key, b"k\xc3\xa4\xff")
        self.assertNotIn(KEY, repr(self.read()))

    def keyFile(self, content: bytes) -> str:
        """
        Write a key file.
        """
        path = temporaryFolder(self) / "key"
        path.write_bytes(content)
        return str(path)

    def test_keyFile(self) -> None:
        """
        A key file has the key and perhaps an end of line.
        """
        for content, key in (
            (b"secret", b"secret"),
            (b"secret\n", b"secret"),
            (b"secret\r\n", b"secret"),
            (b" two\nlines \n", b" two\nlines "),
            (b"\x00\xff\n", b"\x00\xff"),
            (b"k" * MAX_KEY + b"\n", b"k" * MAX_KEY),
        ):
            self.assertEqual(self.read(keyFile=self.keyFile(content)).key, key)

    def test_keyFileWrong(self) -> None:
        """
        A file that cannot be read, is empty, or has too much in it is told by
        its path, and nothing that is in it.
        """
        for content in (b"", b"\n", b"\r\n", KEY.encode() * MAX_KEY):
            path = self.keyFile(content)
            self.assertEqual(self.refused(keyFile=path), f"key file {path}: it is empty, or no key")
        folder = str(temporaryFolder(self))
        for path, why in (
            (os.path.join(folder, "nothing"), "No such file or directory"),
            (folder, "Is a directory"),
            ("a\0b", "embedded null byte"),
        ):
            self.assertEqual(self.refused(keyFile=path), f"key file {path}: {why}")
        self.assertEqual(self.refused(keyFile=""), "keyFile is empty")

    def test_ports(self) -> None:
        """
        A port is one, or there are several one after the other.
        """
        self.assertEqual(list(portsFrom("29900", 1)), [29900])
        self.assertEqual(list(portsFrom("0", 0)), [0])
        self.assertEqual(list(portsFrom("29900-29902", 1)), [29900, 29901, 29902])
        self.assertEqual(list(portsFrom("29900-29900", 0)), [29900])
        self.assertEqual(len(portsFrom(f"1-{MAX_PORTS}", 0)), MAX_PORTS)

    def test_portsWrong(self) -> None:
        """
        Others are told. Any port, which 0 is, is no beginning of several.
        """
        for text, least, sentence in (
            ("", 0, "port is empty and has to be 0 to 65535"),
            ("http", 0, "port is http and has to be 0 to 65535"),
            ("0", 1, "port is 0 and has to be 1 to 65535"),
            ("65536", 1, "port is 65536 and has to be 1 to 65535"),
            ("0-2", 0, "port is 0 and has to be 1 to 65535"),
            ("5-", 0, "port is empty and has to be 1 to 65535"),
            ("-5", 0, "port is empty and has to be 1 to 65535"),
            ("1-2-3", 0, "port is 2-3 and has to be 1 to 65535"),
            ("5-4", 0, f"the ports 5-4 are not 1 to {MAX_PORTS}"),
            ("1-1025", 0, f"the ports 1-1025 are not 1 to {MAX_PORTS}"),
        ):
            error = self.assertRaises(ConfigurationError, portsFrom, text, least)
            self.assertEqual(str(error), sentence)
