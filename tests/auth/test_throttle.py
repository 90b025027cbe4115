"""
Tests for L{socksproxy.auth.throttle}.
"""

from twisted.trial.unittest import SynchronousTestCase

from socksproxy.auth.throttle import FORGET_AFTER, MAX_SOURCES, FailureThrottle


class FailureThrottleTests(SynchronousTestCase):
    """
    The delays of those who guess.
    """

    def setUp(self) -> None:
        """
        Make a throttle that knows nobody.
        """
        self.throttle = FailureThrottle()

    def delays(self, count: int, source: str = "192.0.2.1", now: float = 0.0) -> list[float]:
        """
        Give the delays of that many failures in a row.
        """
        return [self.throttle.failed(source, now) for _ in range(count)]

    def test_doubles(self) -> None:
        """
        The first failure waits a second and each one after it twice as long,
        up to eight seconds.
        """
        self.assertEqual(self.delays(6), [1, 2, 4, 8, 8, 8])

    def test_never_overflows(self) -> None:
        """
        However many there are, the delay stays what it is.
        """
        self.assertEqual(self.delays(5000)[-1], 8)

    def test_perSource(self) -> None:
        """
        Each source has its own delay.
        """
        self.delays(3)
        self.assertEqual(self.delays(1, "192.0.2.2"), [1])

    def test_success(self) -> None:
        """
        A success makes the failures before it forgotten, of that source only.
        """
        self.delays(3)
        self.delays(3, "192.0.2.2")
        self.throttle.succeeded("192.0.2.1")
        self.throttle.succeeded("192.0.2.3")
        self.assertEqual(self.delays(1), [1])
        self.assertEqual(self.delays(1, "192.0.2.2"), [8])

    def test_forgets(self) -> None:
        """
        Failures are forgotten ten minutes after the last of them, and not
        earlier.
        """
        self.delays(2)
        self.assertEqual(self.delays(1, now=FORGET_AFTER), [4])
        self.assertEqual(self.delays(1, now=2 * FORGET_AFTER), [8])
        self.assertEqual(self.delays(1, now=3 * FORGET_AFTER + 1), [1])

    def test_bounded(self) -> None:
        """
        A flood of sources pushes out those that have been quiet the longest,
        and not the one that goes on guessing.
        """
        self.delays(2, "quiet")
        self.delays(2, "persistent")
        for number in range(MAX_SOURCES - 1):
            self.throttle.failed(str(number), 0.0)
            if number == 10:
                self.delays(1, "persistent")
        self.assertLessEqual(len(self.throttle._failures), MAX_SOURCES)
        self.assertEqual(self.delays(1, "persistent"), [8])
        self.assertEqual(self.delays(1, "quiet"), [1])
