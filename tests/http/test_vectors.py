"""
The cases of C{http_proxy_vectors.json}, as far as bytes alone decide them.
"""

from __future__ import annotations

import pytest

from socksproxy.address import Destination, hostFromName
from socksproxy.errors import MalformedMessage
from socksproxy.http._authorization import basicCredentials
from socksproxy.http._clientside import ClientSide
from socksproxy.http._events import Bad, Request
from socksproxy.http._fields import isLastHop, requestFields
from socksproxy.http._refusal import Refusal
from socksproxy.http._target import Form
from tests.codec import splitsOf
from tests.http.exchanges import FORWARDING, badIn, forwardAll, received
from tests.http.vectors import (
    CHUNK_ERRORS,
    FORWARDED,
    REFUSED,
    TUNNELS,
    VECTORS,
    octets,
    requestIn,
    sameRequest,
)
from tests.vectors import Vector, nameOf

# What policy, a password or the world decides, and not the octets.
DECIDED_ELSEWHERE = [
    vector
    for vector in REFUSED
    if vector["name"].startswith(("auth-", "dial-")) or "connect_ports" in vector.get("config", {})
]

# Refused by whoever answers, who is told all that is needed for it.
REFUSED_LATER = {"bad-origin-form": 400, "loop-via": 508, "max-forwards-0": 405}

REFUSED_HERE = [
    vector
    for vector in REFUSED
    if vector not in DECIDED_ELSEWHERE and vector["name"] not in REFUSED_LATER
]

CREDENTIALS = (b"alice", b"s3cret")


def only(events: list[object]) -> Request:
    """
    Give the request, which must be there.
    """
    request = events[0]
    assert isinstance(request, Request)
    return request


def waysToCut(vector: Vector) -> list[list[bytes]]:
    """
    Cut a request in all ways, or in some if it is a long one.
    """
    data = requestIn(vector)
    if len(data) < 2000:
        return list(splitsOf(data))
    return [[data], [data[:1000], data[1000:]], [data[i : i + 99] for i in range(0, len(data), 99)]]


def test_allVectors() -> None:
    """
    Every case is looked at.
    """
    assert len(FORWARDED) + len(TUNNELS) + len(REFUSED) == len(VECTORS) == 84
    assert len(REFUSED_HERE) == 43
    assert len(CHUNK_ERRORS) == 4


@pytest.mark.parametrize("vector", FORWARDED, ids=nameOf)
def test_forwarded(vector: Vector) -> None:
    """
    An origin is sent what it should be, and nothing else.
    """
    expected = octets(vector["expect"]["upstream_receives"])
    host, port = vector["expect"]["upstream_connect"]
    destination = Destination(hostFromName(host.encode()), port)
    for pieces in waysToCut(vector):
        sent, bad = forwardAll(pieces)
        assert bad is None and len(sent) == 1 and sent[0].whole, pieces
        assert sameRequest(sent[0].octets, expected), (pieces, sent[0].octets)
        assert only(received(pieces)[1]).target.destination == destination


@pytest.mark.parametrize("vector", TUNNELS, ids=nameOf)
def test_tunnels(vector: Vector) -> None:
    """
    A tunnel is opened to where it should go, with what came early.
    """
    host, port = vector["expect"]["upstream_connect"]
    for pieces in waysToCut(vector):
        client, events = received(pieces)
        request = only(events)
        assert len(events) == 1
        assert request.target.form is Form.AUTHORITY
        assert request.target.destination == Destination(hostFromName(host.encode()), port)
        granted = client.established()
        assert granted.startswith(vector["expect"]["client_receives_prefix"].encode())
        assert granted.endswith(b"\r\n\r\n")
        assert client.takeTunnelled() == octets(vector["expect"]["upstream_receives"])
        named = b"uthorization" in requestIn(vector)
        assert basicCredentials(request.fields) == (CREDENTIALS if named else None)


@pytest.mark.parametrize("vector", REFUSED_HERE, ids=nameOf)
def test_refused(vector: Vector) -> None:
    """
    What is to be refused is, before an origin would be dialled, and nothing is
    read after it.
    """
    for pieces in waysToCut(vector):
        sent, bad = forwardAll(pieces)
        assert bad is not None and bad.status == vector["expect"]["status"], pieces
        assert not any(forwarded.whole for forwarded in sent)
        if vector["name"] not in CHUNK_ERRORS:
            assert not sent
        client, events = received(pieces)
        assert isinstance(events[-1], Bad)
        answer = client.respond(bad.status, b"No", [], length=0)
        assert b"\r\nConnection: close\r\n" in answer


@pytest.mark.parametrize("vector", DECIDED_ELSEWHERE, ids=nameOf)
def test_decidedElsewhere(vector: Vector) -> None:
    """
    What is well formed is for others to refuse, and the connection is kept or
    closed as it should be.
    """
    expected = vector["expect"]
    for pieces in waysToCut(vector):
        client, events = received(pieces)
        assert badIn(events) is None
        only(events)
        # What we could not reach is answered with a connection that closes.
        close = expected["status"] != 407
        head = client.respond(expected["status"], b"No", [], length=0, close=close)
        client.end()
        assert client.persistent is not expected["close"], pieces
        assert (b"Connection: close" in head) is expected["close"]


def test_credentials() -> None:
    """
    Missing, wrong and unreadable credentials are told apart.
    """
    byName = {
        vector["name"]: only(received([requestIn(vector)])[1]) for vector in DECIDED_ELSEWHERE
    }
    assert basicCredentials(byName["auth-missing"].fields) is None
    assert basicCredentials(byName["auth-www-header-ignored"].fields) is None
    assert basicCredentials(byName["auth-wrong"].fields) == (b"alice", b"bad")
    with pytest.raises(MalformedMessage):
        basicCredentials(byName["auth-bad-base64"].fields)


def test_refusedLater() -> None:
    """
    Who answers is told what the request is.
    """
    byName = {vector["name"]: vector for vector in REFUSED if vector["name"] in REFUSED_LATER}
    requests = {name: only(received([requestIn(v)])[1]) for name, v in byName.items()}
    assert {name: v["expect"]["status"] for name, v in byName.items()} == REFUSED_LATER
    assert requests["bad-origin-form"].target.form is Form.ORIGIN
    assert isLastHop(requests["max-forwards-0"])
    with pytest.raises(Refusal) as raised:
        requestFields(requests["loop-via"], FORWARDING)
    assert raised.value.status == 508


def test_keptOpen() -> None:
    """
    After a request for credentials the same connection carries the next one.
    """
    vector = next(vector for vector in REFUSED if vector["name"] == "auth-missing")
    client = ClientSide()
    client.receive(requestIn(vector))
    client.respond(407, b"Proxy Authentication Required", [], length=0)
    client.end()
    assert client.nextRequest() == []
    assert only(client.receive(requestIn(TUNNELS[0]))).method == b"CONNECT"
