"""
Tests for L{socksproxy.events}.
"""

import re
from dataclasses import fields, replace

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.logger import LogLevel, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.events import MAX_SHOWN, AccessRecord, Ration, authenticationFailed, printable
from tests.logs import captured


class PrintableTests(SynchronousTestCase):
    """
    Octets from the network, made fit for a line.
    """

    def test_plain(self) -> None:
        """
        Printable ASCII is shown as it is.
        """
        self.assertEqual(printable(b"alice@web.test:80/~_-+"), "alice@web.test:80/~_-+")
        self.assertEqual(printable(b""), "")

    def test_escaped(self) -> None:
        """
        Control characters, spaces, quotes, backslashes and everything that is
        not ASCII are escaped.
        """
        for octets, shown in (
            (b"a\nb\rc", r"a\x0ab\x0dc"),
            (b"\x00\x07\x1b[31m\x7f", r"\x00\x07\x1b[31m\x7f"),
            (b"a b\tc", r"a\x20b\x09c"),
            (b"\"'", r"\x22\x27"),
            (b"\\x41", r"\x5cx41"),
            ("Zoë".encode(), r"Zo\xc3\xab"),
            (b"\xff\x85", r"\xff\x85"),
        ):
            self.assertEqual(printable(octets), shown)

    def test_long(self) -> None:
        """
        What is too long is cut off, and it is seen that it was.
        """
        self.assertEqual(printable(b"x" * MAX_SHOWN), "x" * MAX_SHOWN)
        self.assertEqual(printable(b"x" * (MAX_SHOWN + 1)), "x" * MAX_SHOWN + "...")
        self.assertLess(len(printable(b"\x00" * 100000)), 300)

    @settings(deadline=None)
    @given(st.binary(max_size=2 * MAX_SHOWN))
    def test_safe(self, octets: bytes) -> None:
        """
        Whatever comes, the outcome is printable ASCII without spaces and
        quotes.
        """
        self.assertIsNotNone(re.fullmatch(r"[!#-&(-~]*", printable(octets)))

    @settings(deadline=None)
    @given(st.binary(max_size=MAX_SHOWN), st.binary(max_size=MAX_SHOWN))
    def test_unambiguous(self, one: bytes, other: bytes) -> None:
        """
        Different octets look different.
        """
        self.assertEqual(printable(one) == printable(other), one == other)


class AccessRecordTests(SynchronousTestCase):
    """
    What is logged at the end of a connection.
    """

    record = AccessRecord(
        protocol="SOCKS5",
        listener="tcp:1080",
        client="192.0.2.1:40000",
        user="alice",
        claimed="bob",
        command="CONNECT",
        destination="web.test:443",
        address="198.51.100.7:443",
        result="succeeded",
        sent=517,
        received=10240,
        duration=1.23456,
        reason="client closed",
    )

    def test_text(self) -> None:
        """
        The text tells who wanted what, what came of it, and how much.
        """
        self.assertEqual(
            str(self.record),
            "SOCKS5 192.0.2.1:40000 alice CONNECT web.test:443 [198.51.100.7:443]: succeeded;"
            " 517 sent, 10240 received, 1.235 s; client closed",
        )

    def test_datagrams(self) -> None:
        """
        Of an association the text tells how many datagrams went each way, and
        how many did not; of everything else it does not, so that those lines
        stay as they are.
        """
        record = replace(
            self.record,
            command="UDP",
            destination="0.0.0.0:0",
            address="-",
            datagramsSent=3,
            datagramsReceived=20,
            datagramsDropped=1,
        )
        self.assertEqual(
            str(record),
            "SOCKS5 192.0.2.1:40000 alice UDP 0.0.0.0:0 [-]: succeeded;"
            " 517 sent, 10240 received, 3 and 20 datagrams, 1 dropped, 1.235 s; client closed",
        )
        for command in ("CONNECT", "BIND", "RESOLVE", "RESOLVE_PTR", "-"):
            text = str(replace(record, command=command))
            self.assertNotIn("datagrams", text)
            self.assertIn(" 10240 received, 1.235 s; client closed", text)

    def test_datagramsOfEvent(self) -> None:
        """
        Programs have them by their names.
        """
        with captured() as events:
            replace(self.record, command="UDP", datagramsSent=3, datagramsDropped=1).emit()
        names = ("datagramsSent", "datagramsReceived", "datagramsDropped")
        self.assertEqual([events[0][name] for name in names], [3, 0, 1])

    def test_nothingKnown(self) -> None:
        """
        What is not known is a dash or a zero.
        """
        self.assertEqual(str(AccessRecord()), "- - - - - [-]: -; 0 sent, 0 received, 0.000 s; -")

    def test_event(self) -> None:
        """
        The event has the text and, for programs, every field by its name.
        """
        with captured() as events:
            self.record.emit()
        (event,) = events
        self.assertEqual(formatEvent(event), str(self.record))
        self.assertEqual((event["log_event"], event["log_level"]), ("access", LogLevel.info))
        for field in fields(AccessRecord):
            self.assertEqual(event[field.name], getattr(self.record, field.name))

    def test_fieldNames(self) -> None:
        """
        The fields have the names that people's queries use.
        """
        self.assertEqual(
            [field.name for field in fields(AccessRecord)],
            [
                "protocol",
                "listener",
                "client",
                "user",
                "claimed",
                "command",
                "destination",
                "address",
                "result",
                "sent",
                "received",
                "datagramsSent",
                "datagramsReceived",
                "datagramsDropped",
                "duration",
                "reason",
            ],
        )

    def test_braces(self) -> None:
        """
        Nothing in a field is taken for a field of the format.
        """
        with captured() as events:
            AccessRecord(user="{log_level}", reason="{0.__class__}").emit()
        text = formatEvent(events[0])
        self.assertIn("{log_level}", text)
        self.assertIn("{0.__class__}", text)


class AuthenticationFailedTests(SynchronousTestCase):
    """
    What is logged of a wrong password.
    """

    def test_text(self) -> None:
        """
        The line is what fail2ban's filter expects, to the letter.
        """
        with captured() as events:
            authenticationFailed("192.0.2.1", 40000, "SOCKS5", "tcp:1080", b"alice")
        self.assertEqual(
            formatEvent(events[0]),
            "Authentication failure from 192.0.2.1 port 40000: SOCKS5 on tcp:1080, user alice",
        )

    def test_event(self) -> None:
        """
        It is a warning, and has its fields by their names.
        """
        with captured() as events:
            authenticationFailed("2001:db8::1", 1, "HTTP", "tls:443", b"bob")
        (event,) = events
        self.assertEqual(
            {
                name: event[name]
                for name in (
                    "log_event",
                    "log_level",
                    "host",
                    "port",
                    "protocol",
                    "listener",
                    "user",
                )
            },
            {
                "log_event": "auth-failure",
                "log_level": LogLevel.warn,
                "host": "2001:db8::1",
                "port": 1,
                "protocol": "HTTP",
                "listener": "tls:443",
                "user": "bob",
            },
        )

    def test_forgedUser(self) -> None:
        """
        A user name cannot make a line that accuses somebody else.
        """
        name = b"x\nAuthentication failure from 198.51.100.7 port 1: SOCKS5 on tcp, user {host}"
        with captured() as events:
            authenticationFailed("192.0.2.1", 40000, "SOCKS5", "tcp:1080", name)
        text = formatEvent(events[0])
        self.assertNotIn("\n", text)
        self.assertEqual(text.count("Authentication failure from "), 1)


class RationTests(SynchronousTestCase):
    """
    Tests for L{Ration}.
    """

    def test_period(self) -> None:
        """
        In any period of this length no more are let through.
        """
        ration = Ration(most=2, period=1.0)
        taken = [ration.take(now) for now in (10.0, 10.5, 10.6, 10.9, 11.0, 11.1, 11.5, 11.6)]
        self.assertEqual(taken, [True, True, False, False, True, False, True, False])

    def test_clockSetBack(self) -> None:
        """
        A clock that is set back does not silence what comes then.
        """
        ration = Ration(most=1)
        self.assertTrue(ration.take(5000.0))
        self.assertTrue(ration.take(1000.0))
        self.assertFalse(ration.take(1000.5))
