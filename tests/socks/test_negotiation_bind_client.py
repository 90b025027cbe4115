"""
Tests for L{socksproxy.socks._negotiation4} and
L{socksproxy.socks._negotiation5}: a client that asks for a BIND gets two
replies.
"""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest

from socksproxy.address import Destination
from socksproxy.errors import (
    ConnectTimedOut,
    GeneralFailure,
    LocalProtocolError,
    NotAllowed,
    RequestFailed,
    TruncatedStream,
)
from socksproxy.socks import _negotiation4, _negotiation5, _wire4, _wire5
from socksproxy.socks._events import ReplyReceived
from socksproxy.socks.methods import NoAuthentication
from tests.codec import splitsOf
from tests.socks.conversation import Client, Server, failureIn

PEER = Destination(IPv4Address("192.0.2.7"), 0)
LISTENER = Destination(IPv4Address("192.0.2.200"), 50000)
CALLER = Destination(IPv4Address("192.0.2.7"), 40000)

VERSIONS = (4, 5)


def client(version: int, command: int = _wire5.Command.BIND) -> Client:
    """
    Make a client that has asked for a BIND, or for something else.
    """
    if version == 4:
        machine = _negotiation4.ClientNegotiation(PEER, command=_wire4.Command(command))
        machine.start()
        return machine
    machine5 = _negotiation5.ClientNegotiation(PEER, [NoAuthentication()], command)
    machine5.receive(b"\5\0")
    return machine5


def server(version: int) -> Server:
    """
    Make a server, for the replies that it gives.
    """
    if version == 4:
        return _negotiation4.ServerNegotiation()
    return _negotiation5.ServerNegotiation([NoAuthentication()])


def granted(version: int, bound: Destination) -> bytes:
    """
    Give a reply of success.
    """
    assert isinstance(bound.host, IPv4Address)
    return server(version).granted(bound.host, bound.port)


@pytest.mark.parametrize("version", VERSIONS)
def test_twoReplies(version: int) -> None:
    """
    The client learns where the server listens, and then who has connected;
    what follows that is the caller's. All of it may be cut in any way.
    """
    data = granted(version, LISTENER) + granted(version, CALLER) + b"220 hello"
    for pieces in splitsOf(data):
        machine = client(version)
        events = [event for piece in pieces for event in machine.receive(piece)]
        assert events == [ReplyReceived(LISTENER), ReplyReceived(CALLER)], pieces
        assert machine.takeEarlyData() == b"220 hello"
        assert machine.endOfStream() == []


@pytest.mark.parametrize("version", VERSIONS)
def test_notOverAfterTheFirst(version: int) -> None:
    """
    Between the replies nothing is data, and the end of the stream is a
    failure.
    """
    machine = client(version)
    assert machine.receive(granted(version, LISTENER)) == [ReplyReceived(LISTENER)]
    with pytest.raises(LocalProtocolError):
        machine.takeEarlyData()
    assert isinstance(failureIn(machine.endOfStream()), TruncatedStream)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("before", [0, 1])
@pytest.mark.parametrize("error", [NotAllowed(), ConnectTimedOut()])
def test_refused(version: int, before: int, error: RequestFailed) -> None:
    """
    A refusal in the place of either reply is the end, with its code where the
    version has one.
    """
    machine = client(version)
    for _ in range(before):
        machine.receive(granted(version, LISTENER))
    failure = failureIn(machine.receive(server(version).refused(error)))
    assert type(failure) is (GeneralFailure if version == 4 else type(error))
    assert machine.receive(granted(version, CALLER)) == []


@pytest.mark.parametrize(
    ("version", "command"),
    [
        (4, _wire5.Command.CONNECT),
        (5, _wire5.Command.CONNECT),
        (5, _wire5.Command.UDP_ASSOCIATE),
        (5, _wire5.Command.RESOLVE),
    ],
)
def test_otherCommands(version: int, command: int) -> None:
    """
    Any other request is answered once.
    """
    machine = client(version, command)
    data = granted(version, LISTENER)
    assert machine.receive(data + data) == [ReplyReceived(LISTENER)]
    assert machine.takeEarlyData() == data
