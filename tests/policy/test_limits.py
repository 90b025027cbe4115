"""
Tests for L{socksproxy.policy.limits}.
"""

from twisted.trial.unittest import SynchronousTestCase

from socksproxy.errors import TooManyConnections
from socksproxy.policy.limits import ConnectionLimits


class ConnectionLimitsTests(SynchronousTestCase):
    """
    Places for connections.
    """

    def test_total(self) -> None:
        """
        No more connections than allowed are let in; one that is gone makes
        room for another.
        """
        limits = ConnectionLimits(total=2)
        first = limits.admit()
        limits.admit()
        self.assertRaises(TooManyConnections, limits.admit)
        first.release()
        limits.admit()
        self.assertRaises(TooManyConnections, limits.admit)

    def test_handshakes(self) -> None:
        """
        No more connections than allowed may be without a request; one that
        has made it makes room for another, and is still counted in all.
        """
        limits = ConnectionLimits(total=3, handshakes=2)
        first = limits.admit()
        limits.admit()
        self.assertRaises(TooManyConnections, limits.admit)
        first.handshakeDone()
        third = limits.admit()
        third.handshakeDone()
        self.assertRaises(TooManyConnections, limits.admit)

    def test_goneDuringHandshake(self) -> None:
        """
        A connection that is gone before its request makes room in both.
        """
        limits = ConnectionLimits(total=1, handshakes=1)
        for _ in range(3):
            limits.admit().release()
        limits.admit()

    def test_perSource(self) -> None:
        """
        No source has more connections than allowed, whatever others have.
        """
        limits = ConnectionLimits(perSource=2)
        first = limits.admit()
        first.attribute("192.0.2.1")
        limits.admit().attribute("192.0.2.1")
        self.assertRaises(TooManyConnections, limits.admit().attribute, "192.0.2.1")
        limits.admit().attribute("192.0.2.2")
        first.release()
        limits.admit().attribute("192.0.2.1")

    def test_refusedSource(self) -> None:
        """
        A connection refused for its source gives back its own place and no
        one else's.
        """
        limits = ConnectionLimits(perSource=1)
        limits.admit().attribute("192.0.2.1")
        refused = limits.admit()
        self.assertRaises(TooManyConnections, refused.attribute, "192.0.2.1")
        refused.release()
        self.assertRaises(TooManyConnections, limits.admit().attribute, "192.0.2.1")

    def test_withoutSource(self) -> None:
        """
        A connection that is never attributed to a source, as a local one, is
        counted in all only.
        """
        limits = ConnectionLimits(total=3, perSource=1)
        for _ in range(3):
            limits.admit()
        self.assertRaises(TooManyConnections, limits.admit)

    def test_moreThanOnce(self) -> None:
        """
        A place is given back once, however often that is said.
        """
        limits = ConnectionLimits(total=2, perSource=2, handshakes=2)
        slots = [limits.admit(), limits.admit()]
        for slot in slots:
            slot.attribute("192.0.2.1")
        for _ in range(3):
            slots[0].handshakeDone()
            slots[0].release()
        again = limits.admit()
        again.attribute("192.0.2.1")
        self.assertRaises(TooManyConnections, limits.admit)
        again.handshakeDone()
        self.assertRaises(TooManyConnections, limits.admit)

    def test_sourcesAreForgotten(self) -> None:
        """
        What is kept does not grow with the sources that have been.
        """
        limits = ConnectionLimits()
        for number in range(1000):
            slot = limits.admit()
            slot.attribute(f"192.0.2.{number}")
            slot.release()
        self.assertEqual(len(limits._sources), 0)

    def test_defaults(self) -> None:
        """
        By default thousands are let in, and no single source can take all
        places.
        """
        limits = ConnectionLimits()
        self.assertGreaterEqual(limits.total, 1000)
        self.assertLess(limits.perSource, limits.total)
        self.assertLess(limits.handshakes, limits.total)


class WidenTests(SynchronousTestCase):
    """
    Connections that take more than one place.
    """

    def test_places(self) -> None:
        """
        They do so in all, and give all of their places back when they are
        gone, once.
        """
        limits = ConnectionLimits(total=4)
        slot = limits.admit()
        slot.widen(2)
        limits.admit()
        self.assertRaises(TooManyConnections, limits.admit)
        for _ in range(2):
            slot.release()
        again = [limits.admit() for _ in range(3)]
        self.assertRaises(TooManyConnections, limits.admit)
        for each in again:
            each.release()
        self.assertEqual(limits._open, 1)

    def test_noRoom(self) -> None:
        """
        Where there is no room for all of them none is taken, and the
        connection keeps the place that it has.
        """
        limits = ConnectionLimits(total=3)
        slot = limits.admit()
        limits.admit()
        self.assertRaises(TooManyConnections, slot.widen, 2)
        slot.widen(1)
        self.assertRaises(TooManyConnections, slot.widen, 1)
        self.assertRaises(TooManyConnections, limits.admit)
        slot.release()
        self.assertEqual(limits._open, 1)

    def test_source(self) -> None:
        """
        For its source it is one connection, whether it was widened before or
        after that was known.
        """
        limits = ConnectionLimits(perSource=2)
        first, second = limits.admit(), limits.admit()
        first.attribute("192.0.2.1")
        first.widen(1)
        second.widen(1)
        second.attribute("192.0.2.1")
        self.assertRaises(TooManyConnections, limits.admit().attribute, "192.0.2.1")
        first.release()
        second.release()
        self.assertEqual(len(limits._sources), 0)

    def test_handshake(self) -> None:
        """
        It is one handshake.
        """
        limits = ConnectionLimits(handshakes=1)
        slot = limits.admit()
        slot.widen(3)
        slot.handshakeDone()
        limits.admit()
        self.assertRaises(TooManyConnections, limits.admit)
