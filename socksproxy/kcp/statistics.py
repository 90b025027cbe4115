"""
What a session counts, under names that kcptun's users know from its SNMP
lines where it has such a name.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, fields, replace


@dataclass(slots=True)
class SessionStatistics:
    """
    Counters of one session, each since its beginning.

    @ivar bytesSent: Octets that the application has sent.
    @ivar bytesReceived: Octets that the application has been given.
    @ivar inPkts: Datagrams that came and could be decrypted.
    @ivar outPkts: Datagrams that were sent.
    @ivar inBytes: Octets of the datagrams that came.
    @ivar outBytes: Octets of the datagrams that were sent.
    @ivar inSegs: Segments that came.
    @ivar outSegs: Segments with data that were sent, repetitions included.
    @ivar kcpInErrors: Payloads that were malformed, or lied.
    @ivar repeatSegs: Segments with data that came more than once.
    @ivar fastRetransSegs: Segments sent again since others had arrived.
    @ivar earlyRetransSegs: Likewise, while there was nothing else to send.
    @ivar lostSegs: Segments sent again since their time was out.
    @ivar fecRecovered: Datagrams that were rebuilt.
    @ivar fecParityShards: Parity that came.
    @ivar fecParityUseless: Parity that came and was not needed.
    @ivar fecParitySent: Parity that was sent.
    @ivar sendErrors: Datagrams that the system would not send.
    @ivar windowLimited: Milliseconds for which data waited for the window.
    """

    bytesSent: int = 0
    bytesReceived: int = 0
    inPkts: int = 0
    outPkts: int = 0
    inBytes: int = 0
    outBytes: int = 0
    inSegs: int = 0
    outSegs: int = 0
    kcpInErrors: int = 0
    repeatSegs: int = 0
    fastRetransSegs: int = 0
    earlyRetransSegs: int = 0
    lostSegs: int = 0
    fecRecovered: int = 0
    fecParityShards: int = 0
    fecParityUseless: int = 0
    fecParitySent: int = 0
    sendErrors: int = 0
    windowLimited: int = 0

    @property
    def retransSegs(self) -> int:
        """
        Segments that were sent again, for whatever reason.
        """
        return self.fastRetransSegs + self.earlyRetransSegs + self.lostSegs

    @property
    def loss(self) -> float:
        """
        The share of the segments sent that had to be sent again, 0 to 1.
        """
        return self.retransSegs / self.outSegs if self.outSegs else 0.0

    def add(self, other: "SessionStatistics") -> None:
        """
        Count another session's counters here, too.
        """
        for name in NAMES:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def snmp(self) -> dict[str, int]:
        """
        Give all of it under kcptun's names, or in their manner.
        """
        found = {shown: getattr(self, name) for name, shown in NAMES.items()}
        found["RetransSegs"] = self.retransSegs
        return found


@dataclass(slots=True)
class PortStatistics:
    """
    What comes to a port and to no session.

    @ivar unreadable: Datagrams that could not be decrypted.
    @ivar strange: Datagrams that were not KCP, or for no session that there is.
    @ivar refused: Sessions that there was no room for, or the factory did not want.
    @ivar evicted: Sessions that had to make room for others.
    @ivar unproven: Sessions that ended before their peers had acknowledged
        anything.
    """

    unreadable: int = 0
    strange: int = 0
    refused: int = 0
    evicted: int = 0
    unproven: int = 0


def _snmpName(name: str) -> str:
    """
    Write a counter's name as kcptun does.
    """
    for word in ("kcp", "fec"):
        if name.startswith(word):
            return word.upper() + name.removeprefix(word)
    return name[0].upper() + name[1:]


NAMES = {counter.name: _snmpName(counter.name) for counter in fields(SessionStatistics)}
"""
kcptun's names of counters, by ours.
"""


@dataclass(slots=True)
class Totals:
    """
    What all sessions of a port, or of a client, come to.

    @ivar activeOpens: Sessions that this side has begun.
    @ivar passiveOpens: Sessions that the other side has begun.
    @ivar currEstab: Sessions that there are.
    @ivar maxConn: The most that there have been at a time.
    @ivar ended: The counters of those that are over, in all.
    """

    activeOpens: int = 0
    passiveOpens: int = 0
    currEstab: int = 0
    maxConn: int = 0
    ended: SessionStatistics = field(default_factory=SessionStatistics)

    def began(self, active: bool) -> None:
        """
        Count a session that begins.

        @param active: This side has begun it.
        """
        self.activeOpens += active
        self.passiveOpens += not active
        self.currEstab += 1
        self.maxConn = max(self.maxConn, self.currEstab)

    def over(self, statistics: SessionStatistics) -> None:
        """
        Count a session that has ended.
        """
        self.currEstab -= 1
        self.ended.add(statistics)

    def snmp(self, live: Iterable[SessionStatistics]) -> dict[str, int]:
        """
        Give all of it under kcptun's names.

        @param live: The counters of the sessions that there are.
        """
        counted = replace(self.ended)
        for statistics in live:
            counted.add(statistics)
        return {
            "ActiveOpens": self.activeOpens,
            "PassiveOpens": self.passiveOpens,
            "CurrEstab": self.currEstab,
            "MaxConn": self.maxConn,
            **counted.snmp(),
        }
