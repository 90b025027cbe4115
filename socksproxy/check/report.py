"""
The findings about a proxy, for people and for programs.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import react

from socksproxy.address import Destination, hostFromName
from socksproxy.check.probes import Examination, Finding, works
from socksproxy.dns.resolver import BoundedResolver
from socksproxy.errors import BadName, ConfigurationError
from socksproxy.outbound.hops import Chain
from socksproxy.outbound.proxyurl import chainFromURLs


def line(finding: Finding) -> str:
    """
    Write a finding for a person.
    """
    took = f"{finding.seconds * 1e3:.0f} ms" if finding.outcome in ("ok", "failed") else ""
    return f"{finding.name:<14}{finding.outcome:<15}{took:>8}  {finding.detail}"


def document(proxy: str, findings: Sequence[Finding]) -> str:
    """
    Write all findings for a program.

    @param proxy: The proxies, without their passwords.
    """
    return json.dumps(
        {
            "proxy": proxy,
            "works": works(findings),
            "findings": [asdict(finding) for finding in findings],
        },
        indent=2,
    )


def destinationFromText(text: str) -> Destination:
    """
    Read C{HOST:PORT}.

    @raise ConfigurationError: It is none.
    """
    host, _, port = text.rpartition(":")
    try:
        number = int(port)
        if not 0 < number <= 65535:
            raise ValueError
        return Destination(hostFromName(host.encode()), number)
    except (BadName, ValueError):
        raise ConfigurationError(f"{text} is not HOST:PORT") from None


def _optional(text: str | None) -> Destination | None:
    return None if text is None else destinationFromText(text)


def check(
    urls: str,
    target: str | None = None,
    datagramTarget: str | None = None,
    timeout: float = 10.0,
    asJSON: bool = False,
) -> int:
    """
    Examine a proxy and print what was found.

    @param urls: The proxy's URL, or those of a chain.
    @param target: C{HOST:PORT} to connect to.
    @param datagramTarget: C{HOST:PORT} where datagrams are echoed.
    @param timeout: Seconds for each probe.
    @param asJSON: Print JSON.
    @return: The exit status: 0 if it works.
    @raise ConfigurationError: The URL or a target is none.
    """
    # What the proxy answers is what is to be known.
    hops = [[replace(proxy, eager=False) for proxy in hop] for hop in chainFromURLs(urls)]
    destination = _optional(target)
    datagramDestination = _optional(datagramTarget)
    status = 1

    async def examine(reactor: Any) -> None:
        nonlocal status
        chain = Chain(reactor, hops, BoundedResolver(reactor, reactor.nameResolver))
        examination = Examination(reactor, chain, destination, datagramDestination, timeout)
        if not asJSON:
            print(f"Asking {chain}")
        findings = await examination.run(lambda f: None if asJSON else print(line(f), flush=True))
        if asJSON:
            print(document(str(chain), findings))
        status = 0 if works(findings) else 1

    try:
        react(lambda reactor: Deferred.fromCoroutine(examine(reactor)))
    except SystemExit as e:
        if e.code:
            return 1
    return status
