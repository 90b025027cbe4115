"""
Tests for L{socksproxy.log}: lines.
"""

from __future__ import annotations

import atexit
import json
import math
import re
from datetime import datetime
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.logger import ILogObserver, LogEvent, Logger, LogLevel
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from socksproxy import log
from socksproxy.events import AccessRecord
from socksproxy.log import LineObserver, LogFile, jsonLine, textLine
from tests.files import temporaryFolder
from tests.logs import captured
from tests.memoryreactor import MemoryReactor, installReactor

TIME = 1795000000.25


def event(logFormat: str, logLevel: LogLevel = LogLevel.info, **fields: Any) -> LogEvent:
    """
    Make an event as a Logger does.
    """
    events: list[LogEvent] = []
    Logger(namespace="socksproxy", observer=events.append).emit(logLevel, logFormat, **fields)
    events[0]["log_time"] = TIME
    return events[0]


def failureEvent(message: str) -> LogEvent:
    """
    Make the event of a failure.
    """
    try:
        raise ValueError(message)
    except ValueError:
        return event("It failed", LogLevel.critical, log_failure=Failure())


def parsed(line: str | None) -> dict[str, Any]:
    """
    Read a line of JSON, as strictly as others do.
    """

    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is no JSON")

    assert line is not None
    assert line.endswith("\n")
    assert line.count("\n") == 1
    fields: dict[str, Any] = json.loads(line, parse_constant=refuse)
    return fields


class TextLineTests(SynchronousTestCase):
    """
    Lines for people.
    """

    def test_line(self) -> None:
        """
        A line has the time, where it comes from, its level, and the text.
        """
        line = textLine(event("Hello {name}", name="world")) or ""
        time, _, rest = line.partition(" ")
        self.assertEqual(rest, "[socksproxy#info] Hello world\n")
        self.assertEqual(datetime.strptime(time, "%Y-%m-%dT%H:%M:%S%z").timestamp(), int(TIME))

    def test_newlines(self) -> None:
        """
        What goes over several lines is indented, so that nothing in an event
        can pass for another one.
        """
        line = textLine(event("{text}", text="one\n2026-01-01T00:00:00+0000 [x#info] two")) or ""
        first, second = line.splitlines()
        self.assertTrue(first.endswith("one"))
        self.assertTrue(second.startswith("\t"))

    def test_traceback(self) -> None:
        """
        A failure has its traceback, indented.
        """
        lines = (textLine(failureEvent("boom")) or "").splitlines()
        self.assertIn("[socksproxy#critical] It failed", lines[0])
        self.assertIn("ValueError: boom", "\n".join(lines[1:]))
        self.assertTrue(all(line.startswith("\t") for line in lines[1:]))

    def test_nothing(self) -> None:
        """
        An event without a text is no line.
        """
        self.assertIsNone(textLine({"log_time": TIME}))

    @settings(deadline=None)
    @given(st.text(st.characters(exclude_categories=["Cs"])))
    def test_control(self, text: str) -> None:
        """
        Whatever an event holds, its line has no control character but a tab
        after a newline: nothing that moves the cursor of who reads it, and
        nothing that some programs take for the end of a line.
        """
        line = textLine(event("{text}", text=f"x{text}x")) or ""
        self.assertTrue(line.endswith("\n"))
        rest = line[:-1].replace("\n\t", "")
        self.assertIsNone(re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]", rest), ascii(line))


class JSONLineTests(SynchronousTestCase):
    """
    Lines for programs.
    """

    def test_line(self) -> None:
        """
        A line is an object with the time, the level, where it comes from, the
        text, and the event's own fields.
        """
        fields = parsed(jsonLine(event("Hello {name}", LogLevel.warn, name="world", count=3)))
        self.assertEqual(datetime.fromisoformat(fields.pop("time")).timestamp(), TIME)
        self.assertEqual(
            fields,
            {
                "level": "warn",
                "namespace": "socksproxy",
                "message": "Hello world",
                "name": "world",
                "count": 3,
            },
        )

    def test_access(self) -> None:
        """
        An access event has its fields and its name.
        """
        with captured() as events:
            AccessRecord(protocol="SOCKS5", user="alice", sent=5, duration=0.5).emit()
        fields = parsed(jsonLine(events[0]))
        self.assertEqual(
            {name: fields[name] for name in ("event", "protocol", "user", "sent", "duration")},
            {"event": "access", "protocol": "SOCKS5", "user": "alice", "sent": 5, "duration": 0.5},
        )
        self.assertTrue(fields["message"].startswith("SOCKS5 "))
        self.assertNotIn("access", fields)

    def test_traceback(self) -> None:
        """
        A failure has its traceback in a field of its own.
        """
        fields = parsed(jsonLine(failureEvent("boom")))
        self.assertEqual((fields["message"], fields["level"]), ("It failed", "critical"))
        self.assertIn("Traceback", fields["traceback"])
        self.assertIn("ValueError: boom", fields["traceback"])

    def test_ownNamesDoNotHideOurs(self) -> None:
        """
        A field of an event never takes the place of one that every line has.
        """
        fields = parsed(
            jsonLine(event("Hello", time="never", message="forged", namespace="x", traceback="y"))
        )
        self.assertEqual((fields["message"], fields["namespace"]), ("Hello", "socksproxy"))
        self.assertNotEqual(fields["time"], "never")

    def test_otherValues(self) -> None:
        """
        What JSON has no word for is left out.
        """
        fields = parsed(jsonLine(event("Hello", what=object(), octets=b"x", some=[1], yes=True)))
        self.assertEqual({"what", "octets", "some"} & fields.keys(), set())
        self.assertIs(fields["yes"], True)

    def test_noNumber(self) -> None:
        """
        A number that JSON does not know makes the line no less valid.
        """
        for number in (math.nan, math.inf, -math.inf):
            parsed(jsonLine(event("Hello", number=number)))

    def test_legacy(self) -> None:
        """
        An event of somebody who logs in the old way is a line too.
        """
        fields = parsed(jsonLine({"log_time": TIME, "log_format": "Hello", "isError": 0}))
        self.assertEqual(
            (fields["level"], fields["namespace"], fields["message"]), ("info", "-", "Hello")
        )

    @settings(deadline=None)
    @given(
        st.text(),
        st.dictionaries(
            st.text(min_size=1).filter(lambda name: not name.startswith("log_")),
            st.none()
            | st.booleans()
            | st.integers()
            | st.floats(allow_nan=False, allow_infinity=False)
            | st.text(),
        ),
    )
    def test_anything(self, text: str, own: dict[str, Any]) -> None:
        """
        Whatever an event holds, its line is one line of printable ASCII and
        one object.
        """
        line = jsonLine({"log_time": TIME, "log_format": "{t}", "t": text, **own}) or ""
        parsed(line)
        self.assertIsNone(re.search(r"[^ -~]", line[:-1]), ascii(line))


class ObserverTests(SynchronousTestCase):
    """
    What writes the lines.
    """

    def setUp(self) -> None:
        """
        Give the process a reactor that does nothing.
        """
        self.reactor = MemoryReactor()
        installReactor(self, self.reactor)
        self.path = temporaryFolder(self) / "proxy.log"

    def written(self, observer: ILogObserver, *texts: str) -> list[str]:
        """
        Log before and after the reactor starts.

        @return: The lines in the file.
        """
        verifyObject(ILogObserver, observer)
        output: LogFile = observer._output  # type: ignore[attr-defined]
        self.addCleanup(atexit.unregister, output._openAtExit)
        self.addCleanup(output.close)
        observer(event(texts[0]))
        self.assertFalse(self.path.exists())
        self.reactor.run()
        for text in texts[1:]:
            observer(event(text))
        return self.path.read_text().splitlines()

    def test_text(self) -> None:
        """
        The file is opened when the reactor starts, and then gets a line for
        each event, those before included.
        """
        lines = self.written(log.observerFor(str(self.path), "text"), "one", "two")
        self.assertEqual([line.rpartition("] ")[2] for line in lines], ["one", "two"])

    def test_json(self) -> None:
        """
        The same as JSON.
        """
        lines = self.written(log.observerFor(str(self.path), "json"), "one", "two")
        self.assertEqual([json.loads(line)["message"] for line in lines], ["one", "two"])

    def test_sizeAndCount(self) -> None:
        """
        The size and the count are those asked for.
        """
        self.written(log.observerFor(str(self.path), "text", 60, 1), "x" * 40, "y" * 40, "z" * 40)
        found = sorted(path.name for path in self.path.parent.glob(f"{self.path.name}*"))
        self.assertEqual(found, [self.path.name, f"{self.path.name}.1"])

    def test_environment(self) -> None:
        """
        For C{twistd --logger} the environment says what, where and how much.
        """
        self.patch(
            log.os,
            "environ",
            {
                "SOCKSPROXY_LOG": str(self.path),
                "SOCKSPROXY_LOG_SIZE": "60",
                "SOCKSPROXY_LOG_COUNT": "0",
            },
        )
        self.written(log.text(), "x" * 40, "y" * 40)
        self.assertIn("y" * 40, self.path.read_text())
        self.assertNotIn("x" * 40, self.path.read_text())
        self.path.unlink()
        self.reactor.running = False
        self.assertEqual(json.loads(self.written(log.json(), "one")[0])["message"], "one")

    def test_environmentIsWrong(self) -> None:
        """
        A size that is no number ends the process with a line that says so.
        """
        self.patch(log.os, "environ", {"SOCKSPROXY_LOG_SIZE": "10M"})
        error = self.assertRaises(SystemExit, log.text)
        self.assertIn("SOCKSPROXY_LOG_SIZE", str(error.code))

    def test_noLine(self) -> None:
        """
        An event that is not worth a line makes none.
        """
        output = LogFile(str(self.path))
        self.addCleanup(atexit.unregister, output._openAtExit)
        LineObserver(lambda event: None, output)({})
        output.open()
        self.addCleanup(output.close)
        self.assertEqual(self.path.read_text(), "")
