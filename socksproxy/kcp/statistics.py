"""
What a session counts, under names that kcptun's users know from its SNMP
lines where it has such a name.
"""

from dataclasses import dataclass


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
