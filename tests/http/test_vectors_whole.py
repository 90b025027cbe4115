"""
All cases of C{http_proxy_vectors.json}, end to end over memory transports.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from twisted.cred.checkers import AllowAnonymousAccess

from socksproxy.http import HTTPFactory
from socksproxy.listener import ProxyFactory
from socksproxy.testing import MemoryTransport
from tests.http.proxying import FORWARDING, answersIn
from tests.http.vectors import CHUNK_ERRORS, VECTORS, octets, requestIn, sameRequest
from tests.memoryproxy import DenyNetworks, MemoryProxy, passwords
from tests.socksclient import USERS
from tests.vectors import Vector, nameOf

ADDRESS = "192.0.2.80"

NAMES = ("example.test", "a.test", "b.test", "internal.test")

OWN_RESOURCES = ("bad-origin-form",)
"""
What is asked for in them the proxy serves itself.
"""

CASES = [vector for vector in VECTORS if vector["name"] not in OWN_RESOURCES]


def worldOf(vector: Vector) -> dict[str, str | Sequence[str]]:
    """
    Give the world that a case happens in.
    """
    kind = vector.get("config", {}).get("world", "accept")
    outcome = kind if kind == "timeout" or kind.startswith("E") else "accept"
    world: dict[str, str | Sequence[str]] = {}
    if kind != "NXDOMAIN":
        world.update({name: [ADDRESS] for name in NAMES})
    for host in (ADDRESS, "192.0.2.10", "[2001:db8::5]"):
        world.update({f"{host}:{port}": outcome for port in (25, 80, 443, 8001, 8080)})
    return world


def proxyFor(vector: Vector) -> MemoryProxy:
    """
    Make the proxy that a case is about.
    """
    config = vector.get("config", {})
    checkers: list[Any] = []
    if config.get("auth", "").startswith("basic"):
        checkers.append(passwords(USERS))
    if config.get("auth") != "basic":
        checkers.append(AllowAnonymousAccess())
    denied = config.get("world") == "policy" or "connect_ports" in config
    policy = DenyNetworks([f"{ADDRESS}/32"] if denied else [])
    proxy = MemoryProxy(world=worldOf(vector), checkers=checkers, policy=policy)
    if config.get("sniff", True):
        proxy.factory = ProxyFactory(proxy.inbound, forwarding=FORWARDING)
    else:
        proxy.factory = HTTPFactory(proxy.inbound, FORWARDING)  # type: ignore[assignment]
    return proxy


def piecesOf(data: bytes) -> Iterator[list[bytes]]:
    """
    Cut a request: not at all, everywhere if it is not long, and in two at
    places all over it.
    """
    yield [data]
    if len(data) <= 1000:
        yield [data[i : i + 1] for i in range(len(data))]
    for cut in range(1, len(data), max(1, len(data) // 40)):
        yield [data[:cut], data[cut:]]


def ask(proxy: MemoryProxy, pieces: Sequence[bytes]) -> tuple[MemoryTransport, bytes]:
    """
    Have a client make a request, piece by piece, and give what it is answered
    in the time that the longest dial takes.
    """
    client = proxy.connect()
    answered = b""
    for piece in pieces:
        client.peerSends(piece)
        proxy.settle()
        answered += client.take()
    proxy.network.advance(1)
    answered += client.take()
    if not answered:
        proxy.network.advance(29)
    return client, answered + client.take()


def checkForwarded(vector: Vector, proxy: MemoryProxy, answered: bytes) -> None:
    """
    Require that the right thing has gone to the right place.
    """
    expected = vector["expect"]
    host, port = expected["upstream_connect"]
    shown = f"[{host}]" if ":" in host else host
    assert proxy.protocol().record.destination == f"{shown}:{port}"
    received = octets(expected["upstream_receives"])
    prefix = expected.get("client_receives_prefix", "HTTP/1.1 200 " if received[:1] < b" " else "")
    assert answered.startswith(prefix.encode())
    if prefix:
        assert proxy.target().take() == received
    else:
        assert answered == b""
        assert sameRequest(proxy.target().take(), received)


def checkRefused(
    vector: Vector, proxy: MemoryProxy, client: MemoryTransport, answered: bytes
) -> None:
    """
    Require that the client is told the right thing, and nobody else anything.
    """
    expected = vector["expect"]
    method = vector["request"].split(" ")[0]
    (answer,) = answersIn(answered, method if method.isalpha() else "GET", ended=client.ended)
    assert (answer.status, answer.complete) == (expected["status"], True)
    assert client.ended is expected["close"]
    assert (answer.fields.get(b"connection") == b"close") is expected["close"]
    for name, value in expected.get("headers", {}).items():
        field = answer.fields[name.lower().encode()]
        assert value == "*" or field == octets(value)
    if "upstream_connect" not in expected:
        return
    attempts = proxy.network.attempts
    if vector["name"] in CHUNK_ERRORS:
        sent = b"".join(each.transport.take() for each in attempts if each.transport is not None)
        assert b"XX" not in sent and not sent.endswith(b"0\r\n\r\n")
    else:
        assert attempts == []


@pytest.mark.parametrize("vector", CASES, ids=nameOf)
def test_vector(vector: Vector) -> None:
    """
    What a client is answered, what goes where, and whether the connection is
    kept, is as the case says, however the request is cut.
    """
    for pieces in piecesOf(requestIn(vector)):
        proxy = proxyFor(vector)
        client, answered = ask(proxy, pieces)
        if "status" in vector["expect"]:
            checkRefused(vector, proxy, client, answered)
        else:
            checkForwarded(vector, proxy, answered)


def test_all() -> None:
    """
    None of the cases is left out without a reason.
    """
    assert len(CASES) == 84 - len(OWN_RESOURCES)
