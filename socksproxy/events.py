"""
What socksproxy logs, as structured events with stable fields.

Every connection ends with one access event (C{log_event="access"}), and every
wrong password makes one authentication failure (C{log_event="auth-failure"}),
whose text stays as it is, so that fail2ban and the like can rely on it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from dataclasses import fields as dataclass_fields

from twisted.logger import Logger

log = Logger(namespace="socksproxy")

MAX_SHOWN = 64


def printable(octets: bytes) -> str:
    """
    Show octets from the network in a log: printable ASCII as it is, anything
    else escaped, and not more than a line can bear.

    @return: Text without control characters, spaces or quotes.
    """
    shown = "".join(
        chr(octet) if 0x21 <= octet <= 0x7E and octet not in b"\"'\\" else f"\\x{octet:02x}"
        for octet in octets[:MAX_SHOWN]
    )
    return shown + "..." if len(octets) > MAX_SHOWN else shown


class Ration:
    """
    Lets through so many lines in a period, of those that strangers can cause
    as often as they like.
    """

    def __init__(self, most: int = 16, period: float = 1.0) -> None:
        """
        @param most: How many.
        @param period: Seconds.
        """
        self._period = period
        self._taken: deque[float] = deque(maxlen=most)

    def take(self, now: float) -> bool:
        """
        Take a line, if there is one left.

        @param now: Seconds.
        """
        taken = self._taken
        # A clock may have been set back.
        if len(taken) == taken.maxlen and 0 <= now - taken[0] < self._period:
            return False
        taken.append(now)
        return True


@dataclass(slots=True)
class AccessRecord:
    """
    What is known of a connection when it ends.

    @ivar protocol: SOCKS4, SOCKS4a, SOCKS5, HTTP, or C{-} when the client
        never said.
    @ivar listener: The listener's description.
    @ivar client: The client's address and port.
    @ivar user: The name of the logged-in user, or C{-}.
    @ivar claimed: The USERID of SOCKS4, which proves nothing, or C{-}.
    @ivar command: CONNECT, BIND, UDP, RESOLVE, RESOLVE_PTR, a method of HTTP,
        or C{-}.
    @ivar destination: What the client asked for, or C{-}.
    @ivar address: The address that was dialled in the end, or C{-}.
    @ivar result: C{succeeded}, or why not.
    @ivar sent: Octets from the client to the target.
    @ivar received: Octets from the target to the client.
    @ivar datagramsSent: Datagrams of an association on their way to targets.
    @ivar datagramsReceived: Datagrams on their way to the client.
    @ivar datagramsDropped: Datagrams that had to be dropped, either way.
    @ivar duration: Seconds from accept, or from the beginning of a later request
        on the same connection, to the end.
    @ivar reason: Why the connection ended.
    """

    protocol: str = "-"
    listener: str = "-"
    client: str = "-"
    user: str = "-"
    claimed: str = "-"
    command: str = "-"
    destination: str = "-"
    address: str = "-"
    result: str = "-"
    sent: int = 0
    received: int = 0
    datagramsSent: int = 0
    datagramsReceived: int = 0
    datagramsDropped: int = 0
    duration: float = 0.0
    reason: str = "-"

    def __str__(self) -> str:
        return (
            f"{self.protocol} {self.client} {self.user} {self.command} {self.destination}"
            f" [{self.address}]: {self.result}; {self.sent} sent, {self.received} received,"
            f"{self._datagrams()} {self.duration:.3f} s; {self.reason}"
        )

    def _datagrams(self) -> str:
        if self.command != "UDP":
            return ""
        return (
            f" {self.datagramsSent} and {self.datagramsReceived} datagrams,"
            f" {self.datagramsDropped} dropped,"
        )

    def emit(self) -> None:
        """
        Log it: as text, and field by field.
        """
        # One field to format instead of many, since Twisted's formatter is
        # slow enough to be felt with thousands of connections a second.
        fields = {name: getattr(self, name) for name in _fieldNames}
        log.info("{access}", log_event="access", access=self, **fields)


_fieldNames = tuple(field.name for field in dataclass_fields(AccessRecord))


def authenticationFailed(host: str, port: int, protocol: str, listener: str, user: bytes) -> None:
    """
    Log a wrong user name or password.

    @param host: The client's address.
    @param port: The client's port.
    @param user: The user name as sent.
    """
    log.warn(
        "Authentication failure from {host} port {port}: {protocol} on {listener}, user {user}",
        log_event="auth-failure",
        host=host,
        port=port,
        protocol=protocol,
        listener=listener,
        user=printable(user),
    )
