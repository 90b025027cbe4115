"""
What the proxy itself has to offer: a page that proves that it works, for whom
it works for; one that says what it is, for whom it does not; and the script
that browsers are configured by.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from socksproxy import __version__
from socksproxy.address import Destination
from socksproxy.http._connect import HeaderField
from socksproxy.http.otherproxies import proxyName
from socksproxy.http.pac import CONTENT_TYPE, addressFrom, findProxyScript
from socksproxy.http.pages import Page
from socksproxy.http.status import reasonFor
from socksproxy.interfaces import WayOut

NAME = "socksproxy.test"
"""
The host that the proxy itself plays. Nobody else can have such a name.

@see: U{https://www.rfc-editor.org/rfc/rfc6761#section-6.2}
"""

SCRIPTS = (b"/proxy.pac", b"/wpad.dat")

METHODS = (b"GET", b"HEAD")

_OWN = "This page is the proxy's own: socksproxy."


@dataclass(frozen=True, slots=True)
class ProofOf:
    """
    What a client that uses the proxy is told of it.

    @ivar user: Who the client is; C{-} for anybody.
    @ivar client: The client's address, as it is seen here.
    @ivar listener: Where it came in.
    @ivar protocol: What it speaks.
    @ivar version: The version of this program.
    @ivar way: How its connections leave, if that is known.
    @ivar local: It comes from this very host, and may see addresses of
        networks behind it.
    """

    user: str
    client: str
    listener: str
    protocol: str
    version: str = __version__
    way: WayOut | None = None
    local: bool = False


@dataclass(frozen=True, slots=True)
class ResourceContext:
    """
    What a resource depends on besides its name.

    @ivar html: The client is a browser.
    @ivar address: Where it has reached the proxy; L{None} where that is not
        TCP.
    @ivar host: What it calls the proxy, as in Host; nothing if it asked for
        L{NAME}.
    @ivar tls: It speaks TLS to the proxy.
    @ivar socks: SOCKS is spoken there, too.
    @ivar password: A password is asked for.
    @ivar proof: What to tell it, if it came through the proxy.
    """

    html: bool
    address: Destination | None
    host: bytes = b""
    tls: bool = False
    socks: bool = True
    password: bool = False
    proof: ProofOf | None = None


class Resource(NamedTuple):
    """
    An answer.

    @ivar status: The status code.
    @ivar reason: The phrase that goes with it.
    @ivar fields: Header fields, except for those about the connection and the
        length.
    @ivar body: The body, which HEAD has only the length of.
    """

    status: int
    reason: bytes
    fields: list[HeaderField]
    body: bytes


def resourceFor(method: bytes, path: bytes, context: ResourceContext) -> Resource:
    """
    Answer a request for the proxy itself.

    @param path: The path, perhaps with a query, which means nothing.
    """
    path = path.partition(b"?")[0]
    known = path == b"/" or path in SCRIPTS
    if known and method not in METHODS:
        page = Page("405 Method Not Allowed", ("Only GET and HEAD are for this.",), footer=_OWN)
        return _shown(page, context, 405, (b"Allow", b", ".join(METHODS)))
    address = addressFrom(context.host, context.address, tls=context.tls)
    if address is not None and address.host == NAME:
        # Outside there is no such name.
        address = context.address
    if path in SCRIPTS and address is not None:
        return _script(address, context)
    if path == b"/":
        page = _welcome(address, context) if context.proof is None else _proof(context.proof)
        return _shown(page, context)
    return _shown(_notFound(path in SCRIPTS), context, 404)


def _script(address: Destination, context: ResourceContext) -> Resource:
    fields = [
        (b"Content-Type", CONTENT_TYPE),
        (b"Cache-Control", b"max-age=300"),
        (b"X-Content-Type-Options", b"nosniff"),
    ]
    script = findProxyScript(address, tls=context.tls, socks=context.socks)
    return Resource(200, reasonFor(200), fields, script)


def _shown(page: Page, context: ResourceContext, status: int = 200, *more: HeaderField) -> Resource:
    fields = [*page.fields(context.html), *more]
    return Resource(status, reasonFor(status), fields, page.body(context.html))


def _welcome(address: Destination | None, context: ResourceContext) -> Page:
    """
    Say what this is to somebody who takes it for a web site.
    """
    scheme = "https" if context.tls else "http"
    user = "--proxy-user USER " if context.password else ""
    example, configuration = "", ""
    if address is not None:
        example = f"curl {user}--proxy {scheme}://{address} http://{NAME}/"
        configuration = f" Browsers can be configured by {scheme}://{address}/proxy.pac."
    return Page(
        "This is a proxy",
        (
            "It is no web site, and there is nothing to see here. It is used by telling a"
            f" program that it is the proxy to go through.{configuration}",
        ),
        example=example,
        footer=_OWN,
    )


def _proof(proof: ProofOf) -> Page:
    """
    Say that it works, and how.
    """
    facts = [
        ("You are", "anybody: no password is asked for" if proof.user == "-" else proof.user),
        ("Your address", proof.client),
        ("You came in by", proof.listener),
        ("You speak", proof.protocol),
    ]
    if proof.way is not None:
        facts += _wayFacts(proof.way, proof.local)
    facts.append(("Version", proof.version))
    return Page(
        "The proxy works",
        ("This page has come through it: without it, there is no such site.",),
        tuple(facts),
        footer=_OWN,
    )


def _wayFacts(way: WayOut, local: bool) -> list[tuple[str, str]]:
    hops = [
        " or ".join(proxyName(proxy, whole=local) or "a proxy" for proxy in hop.split("|"))
        for hop in way.hops
    ]
    return [
        ("Way out", "through " + ", then ".join(hops) if hops else "direct"),
        ("Names", "resolved here" if way.resolvesHere else "resolved by the last proxy"),
        ("UDP", "available, by SOCKS5" if way.udp else "not available"),
    ]


def _notFound(script: bool) -> Page:
    why = (
        "This proxy is not reached by an address that could be written into it."
        if script
        else "This is a proxy, and it has no such page. A program that is to go through it asks"
        " it for whole URLs, or for tunnels."
    )
    return Page("404 Not Found", (why,), footer=_OWN)
