"""
Plays the dialogues of the test vectors with a proxy: the client's and the
target's side of a conversation, step by step.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from ipaddress import ip_network
from typing import Any

from twisted.cred.checkers import AllowAnonymousAccess, ICredentialsChecker
from twisted.logger import LogLevel

from socksproxy.auth.checkers import AnyPassword
from socksproxy.auth.ident import IdentChecker, UserIDChecker
from socksproxy.auth.throttle import FIRST_DELAY
from socksproxy.inbound import InboundTimers
from socksproxy.outbound.bound import BIND_TIMEOUT
from socksproxy.outbound.direct import CONNECT_TIMEOUT, DirectSettings
from socksproxy.policy.services import Services
from socksproxy.socks.methods import Method
from socksproxy.testing import MemoryTransport, ScriptedNetwork
from tests.codec import piecesOf
from tests.logs import captured
from tests.memoryproxy import LINGER, DenyNetworks, MemoryProxy, passwords

Step = dict[str, Any]

TIMERS = {
    "handshake_timeout": InboundTimers().handshake,
    "connect_timeout": CONNECT_TIMEOUT,
    "bind_timeout": BIND_TIMEOUT,
}
"""
The names that vectors have for timers, in seconds.
"""

CLIENT = "127.0.0.1"
UDP_PORT = 41000
"""
Where clients send datagrams from.
"""

DELAYED = ("0101", "005b000000000000")
"""
The answers that a client has to wait for who has said a wrong name or password.
"""


def proxyFor(
    config: Mapping[str, Any],
    methods: Sequence[Method] = (),
    checkers: Sequence[ICredentialsChecker] = (),
) -> MemoryProxy:
    """
    Set a proxy up as a vector wants it.

    @param config: The vector's C{config}.
    @param methods: What C{auth} being C{custom} means.
    @param checkers: Likewise.
    """
    auth = config["auth"]
    accepted: dict[str, Sequence[ICredentialsChecker]] = {
        "none": [AllowAnonymousAccess()],
        "required": [passwords(config.get("users", {}))],
        "optional": [passwords(config.get("users", {})), AllowAnonymousAccess()],
        "isolation": [AnyPassword()],
        "ident": [AllowAnonymousAccess()],
        "custom": checkers,
    }
    network = ScriptedNetwork(config["world"])
    taken = list(accepted[auth])
    if auth == "ident":
        # The answer is the script's, so that somebody has to listen there.
        network.world[f"{CLIENT}:113"] = "accept"
        taken.append(IdentChecker(network, [ip_network(f"{CLIENT}/32")]))
    elif "socks4_users" in config:
        taken.append(UserIDChecker([user.encode() for user in config["socks4_users"]]))
    commands = config.get("commands", ())
    return MemoryProxy(
        config["world"],
        taken,
        methods if auth == "custom" else None,
        DenyNetworks(config.get("deny", ())),
        network,
        settings=DirectSettings(strangersFail=config.get("bind_mismatch") == "fail"),
        services=Services("bind" in commands, "udp" in commands, "resolve" in commands),
        names=config.get("ptr"),
    )


def variantsOf(steps: Sequence[Step]) -> Iterator[Sequence[Step]]:
    """
    Give a dialogue as it is, and with each of its C{send} steps cut in two at
    each position: once with a turn of the clock between the two segments, and
    once without.
    """
    yield steps
    for number, step in enumerate(steps):
        data = step.get("send", "")
        for position in range(2, len(data), 2):
            segments = [data[:position], data[position:]]
            for kind in ("send_slowly", "send_quickly"):
                yield [*steps[:number], {kind: segments}, *steps[number + 1 :]]


class Dialogue:
    """
    One conversation of a client with a proxy.

    @ivar client: The client's connection, as the proxy has it.
    """

    def __init__(self, proxy: MemoryProxy) -> None:
        self._proxy = proxy
        self._network = proxy.network
        self.client = proxy.connect()
        self._answers = b""
        self._received = b""
        self._peer: MemoryTransport | None = None
        self._actions: dict[str, Callable[[Any], None]] = {
            "send": lambda data: self._send([bytes.fromhex(data)]),
            "send_bytewise": lambda data: self._send(piecesOf(bytes.fromhex(data), 1)),
            "send_quickly": lambda segments: self._send(map(bytes.fromhex, segments)),
            "send_slowly": self._sendSlowly,
            "client_eof": lambda _: self.client.peerEnds(),
            "client_reset": lambda _: self.client.peerResets(),
            "client_sees_eof": lambda _: self._require(self.client.ended, not self.client.lost),
            "client_sees_reset": lambda _: self._require(self.client.aborted),
            "expect": self._expect,
            "expect_close": lambda _: self._expectClose(),
            "upstream_connect": self._upstreamConnect,
            "upstream_receives": self._upstreamReceives,
            "upstream_sends": lambda data: proxy.target().peerSends(bytes.fromhex(data)),
            "upstream_eof": lambda _: proxy.target().peerEnds(),
            "upstream_reset": lambda _: proxy.target().peerResets(),
            "upstream_eof_seen": lambda _: self._require(
                proxy.target().ended, not proxy.target().lost
            ),
            "upstream_attempt_cancelled": lambda _: self._require(self._network.cancelled == 1),
            "advance": self._advance,
            "ident": self._ident,
            "peer_connects": self._peerConnects,
            "peer_rejected": lambda _: self._require(self._peer is None),
            "peer_sends": self._peerSends,
            "udp_from_client": lambda data: self._toRelay(CLIENT, UDP_PORT, data),
            "udp_from_other": lambda datagram: self._toRelay(*datagram),
            "udp_upstream_receives": self._upstreamReceivesDatagram,
            "udp_upstream_sends": lambda datagram: self._network.datagrams[1].peerSends(
                bytes.fromhex(datagram[2]), datagram[0], datagram[1]
            ),
            "udp_client_receives": self._clientReceivesDatagram,
            "client_tcp_close": lambda _: self.client.peerEnds(),
            "relay_closed": lambda _: self._require(
                not any(datagrams.open for datagrams in self._network.datagrams)
            ),
            "expect_open": lambda _: self._require(not self.client.ended, not self.client.lost),
        }

    def play(self, steps: Sequence[Step]) -> None:
        """
        Go through the steps, and require that nothing else is said, that
        nothing goes wrong unseen, and that nothing is left over in the end.
        """
        with captured() as events:
            for step in steps:
                ((name, value),) = step.items()
                self._step = step
                self._actions[name](value)
                self._proxy.settle()
            self._step = {"after the last step": steps}
            self._read()
            self._require(not self._answers)
            self._hangUp()
        errors = [event for event in events if event["log_level"] >= LogLevel.error]
        assert not errors, errors

    def _require(self, *conditions: bool) -> None:
        assert all(conditions), (self._step, conditions, self._answers.hex())

    def _send(self, segments: Iterator[bytes] | Sequence[bytes]) -> None:
        for segment in segments:
            self.client.peerSends(segment)

    def _sendSlowly(self, segments: Sequence[str]) -> None:
        for segment in segments:
            self._send([bytes.fromhex(segment)])
            self._proxy.settle()

    def _read(self) -> None:
        self._answers += self.client.take()

    def _expect(self, pattern: str) -> None:
        self._read()
        if pattern in DELAYED and not self._answers:
            self._network.advance(FIRST_DELAY)
            self._read()
        length = len(pattern) // 2
        answer, self._answers = self._answers[:length].hex(), self._answers[length:]
        shown = "".join(
            wanted if wanted == "??" else got
            for wanted, got in zip(_pairs(pattern), _pairs(answer), strict=False)
        )
        assert shown == pattern, (self._step, answer)

    def _expectClose(self) -> None:
        """
        The proxy has ended its stream, and gives the client only a while to
        read that.
        """
        self._read()
        self._require(self.client.ended, not self._answers)
        self._network.advance(LINGER)
        self._require(self.client.lost)

    def _upstreamConnect(self, expected: Sequence[object]) -> None:
        attempt = self._proxy.attempt()
        self._require([attempt.host, attempt.port] == expected, attempt.transport is not None)

    def _upstreamReceives(self, data: str) -> None:
        self._received += self._proxy.target().take()
        expected = bytes.fromhex(data)
        self._require(self._received == expected)
        self._received = b""

    def _ident(self, answer: str) -> None:
        """
        Answer the question about the client's user as its host would.
        """
        attempt = self._proxy.attempt()
        self._require([attempt.host, attempt.port] == [CLIENT, 113])
        identd = self._proxy.target()
        if answer == "refused":
            identd.peerResets()
            return
        ports = identd.take().decode().strip()
        identd.peerSends(answer.replace("@ports", ports).encode() + b"\r\n")

    def _peerConnects(self, peer: tuple[str, int]) -> None:
        listener = self._network.listeners[-1]
        self._peer = listener.peerConnects(*peer)

    def _peerSends(self, data: str) -> None:
        self._require(self._peer is not None)
        if self._peer is not None:
            self._peer.peerSends(bytes.fromhex(data))

    def _toRelay(self, host: str, port: int, data: str) -> None:
        self._network.datagrams[0].peerSends(bytes.fromhex(data), host, port)

    def _upstreamReceivesDatagram(self, expected: tuple[str, int, str] | None) -> None:
        sent = [datagrams.take() for datagrams in self._network.datagrams[1:]]
        if expected is None:
            self._require(sent == [])
        else:
            host, port, data = expected
            self._require(sent == [[(bytes.fromhex(data), (host, port))]])

    def _clientReceivesDatagram(self, data: str) -> None:
        sent = self._network.datagrams[0].take()
        self._require(sent == [(bytes.fromhex(data), (CLIENT, UDP_PORT))])

    def _advance(self, timer: str) -> None:
        """
        Let a timer expire, and require that nothing happens before.
        """
        self._network.advance(TIMERS[timer] - 0.5)
        self._read()
        self._require(not self._answers, not self.client.ended)
        self._network.advance(0.5)

    def _hangUp(self) -> None:
        self.client.peerResets()
        self._proxy.settle()
        assert self._proxy.traces() == [], self._proxy.traces()
        for attempt in self._network.attempts:
            assert attempt.transport is None or attempt.transport.lost


def _pairs(digits: str) -> list[str]:
    return [digits[start : start + 2] for start in range(0, len(digits), 2)]
