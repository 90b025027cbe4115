"""
Tests for L{socksproxy.kcp._admission}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from socksproxy.kcp._admission import REMEMBERED, REMEMBERED_FOR, Admission, Key


def key(host: str = "192.0.2.1", port: int = 4000, conversation: int = 7) -> Key:
    """
    Make the key of a session.
    """
    return (host, port), conversation.to_bytes(4, "little")


class AdmissionTests(SynchronousTestCase):
    """
    Who may begin a session.
    """

    def began(self, admission: Admission[str], *names: str, host: str = "192.0.2.1") -> None:
        """
        Begin sessions.
        """
        for name in names:
            admission.began(key(host), name)

    def test_perHost(self) -> None:
        """
        A host has so many sessions at a time; another one's do not count, nor
        do those that have ended.
        """
        admission: Admission[str] = Admission(10, 2)
        self.began(admission, "a", "b")
        self.assertFalse(admission.hasRoom("192.0.2.1"))
        self.assertTrue(admission.hasRoom("192.0.2.2"))
        admission.ended(key(), "a", 0)
        self.assertTrue(admission.hasRoom("192.0.2.1"))

    def test_roomForAll(self) -> None:
        """
        Nobody is in the way while there is room.
        """
        admission: Admission[str] = Admission(3, 3)
        self.began(admission, "a", "b")
        self.assertTrue(admission.hasRoom("192.0.2.2"))
        self.assertIsNone(admission.inTheWay())

    def test_silentOnesFirst(self) -> None:
        """
        With no room left, the unproven session has to go from which nothing
        has come for longest.
        """
        admission: Admission[str] = Admission(3, 3)
        self.began(admission, "a", "b", "c")
        self.assertEqual((admission.hasRoom("192.0.2.2"), admission.inTheWay()), (True, "a"))
        admission.heard("a", False)
        self.assertEqual(admission.inTheWay(), "b")

    def test_provenOnesStay(self) -> None:
        """
        Sessions that are proven never go; with only those nobody is let in.
        """
        admission: Admission[str] = Admission(2, 2)
        self.began(admission, "a", "b")
        admission.heard("a", True)
        self.assertEqual(admission.inTheWay(), "b")
        admission.heard("b", True)
        self.assertEqual((admission.hasRoom("192.0.2.2"), admission.inTheWay()), (False, None))

    def test_endedOnesAreNotInTheWay(self) -> None:
        """
        A session that has ended is not asked to go.
        """
        admission: Admission[str] = Admission(1, 2)
        self.began(admission, "a")
        admission.ended(key(), "a", 0)
        self.began(admission, "b")
        self.assertEqual(admission.inTheWay(), "b")

    def test_past(self) -> None:
        """
        What comes late of a session that has ended is known for a minute since
        the last of it came.
        """
        admission: Admission[str] = Admission(1, 1)
        self.assertFalse(admission.isPast(key(), 0))
        self.began(admission, "a")
        admission.ended(key(), "a", 1000)
        self.assertTrue(admission.isPast(key(), 1000 + REMEMBERED_FOR - 1))
        self.assertTrue(admission.isPast(key(), 1000 + 2 * REMEMBERED_FOR - 2))
        self.assertFalse(admission.isPast(key(), 1000 + 3 * REMEMBERED_FOR))
        self.assertFalse(admission._past)

    def test_pastIsExact(self) -> None:
        """
        Another conversation of the same address, or the same conversation of
        another one, is not of the past.
        """
        admission: Admission[str] = Admission(1, 1)
        admission.refuse(key(), 0)
        self.assertTrue(admission.isPast(key(), 0))
        for other in (key(conversation=8), key(port=4001), key("192.0.2.2")):
            self.assertFalse(admission.isPast(other, 0))

    def test_bounded(self) -> None:
        """
        What has ended leaves a bounded trace, of what came last.
        """
        admission: Admission[int] = Admission(10, 10)
        for number in range(REMEMBERED + 100):
            session = key(f"10.0.{number >> 8}.{number & 255}", 4000, number)
            admission.began(session, number)
            admission.heard(number, number % 2 == 0)
            admission.ended(session, number, 0)
        self.assertEqual(len(admission._past), REMEMBERED)
        self.assertEqual((len(admission._perHost), len(admission._unproven)), (0, 0))
        self.assertTrue(admission.isPast(key("10.0.0.100", 4000, 100), 0))
        self.assertFalse(admission.isPast(key("10.0.0.99", 4000, 99), 0))
