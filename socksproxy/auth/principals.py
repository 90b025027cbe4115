"""
Users who come with a ticket of Kerberos, and which realms they may be of.

The checker is made from the command line by::

    --auth gssapi:realm=EXAMPLE.ORG:service=rcmd@proxy.example.org

It carries what a server needs to take tickets at all, so that one setting
switches all of it on.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass

from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.credentials import ICredentials
from twisted.cred.error import UnauthorizedLogin
from twisted.internet.defer import Deferred, fail, succeed
from zope.interface import Attribute, implementer

from socksproxy.errors import ConfigurationError

AvatarId = bytes | tuple[()]

LEVELS = {"none": 0, "integrity": 1, "confidentiality": 2}
"""
The protection levels of RFC 1961 that can be asked for, by name.
"""

_KEYS = ("realm", "service", "keytab", "level", "nec")


class IPrincipal(ICredentials):
    """
    A principal of Kerberos, whose ticket has been found to be good.
    """

    principal: bytes = Attribute("""The principal with its realm.""")


@implementer(IPrincipal)
class TicketedPrincipal:
    """
    A principal who came with a ticket.

    @ivar principal: The principal with its realm, as Kerberos writes it: a
        backslash stands before an C{@} or C{/} that is part of a name.
    @ivar username: The same, for logs.
    """

    def __init__(self, principal: bytes) -> None:
        self.principal = principal
        self.username = principal

    def __repr__(self) -> str:
        return f"<TicketedPrincipal {self.principal!r}>"


@dataclass(frozen=True, slots=True)
class AcceptorSettings:
    """
    How a server takes tickets.

    @ivar service: Its own principal, as C{service@host} or as
        C{service/host@REALM}; without it, whatever the keytab has a key for.
    @ivar keytab: The path of its keys; the system's without it.
    @ivar minimum: The least protection, as in L{LEVELS}.
    @ivar nec: Clients like NEC's, which name their level in the clear, are
        served.
    """

    service: str | None = None
    keytab: str | None = None
    minimum: int = LEVELS["integrity"]
    nec: bool = False


@implementer(ICredentialsChecker)
class PrincipalChecker:
    """
    Lets principals of certain realms in, under their full names. Those of
    other realms may have good tickets too, where realms trust one another.

    @ivar realms: The realms, exactly as they are written.
    @ivar acceptor: How tickets are taken.
    """

    credentialInterfaces = (IPrincipal,)

    def __init__(
        self, realms: Iterable[str], acceptor: AcceptorSettings = AcceptorSettings()
    ) -> None:
        """
        @param realms: The realms whose principals are let in.
        @param acceptor: How tickets are taken.
        @raise ConfigurationError: No realm is given, or an empty one.
        """
        self.realms = frozenset(realm.encode() for realm in realms)
        if not self.realms or b"" in self.realms:
            raise ConfigurationError("gssapi: needs a realm")
        self.acceptor = acceptor

    def requestAvatarId(self, credentials: IPrincipal) -> Deferred[AvatarId]:
        """
        See C{ICredentialsChecker}.

        @return: The principal with its realm; fails with C{UnauthorizedLogin}
            if that is none of ours, or if the principal is nobody: a KDC may
            give tickets to those who do not say who they are.
        """
        principal = credentials.principal
        name, realm = _split(principal)
        if not name or realm not in self.realms or name.startswith(b"WELLKNOWN/"):
            return fail(UnauthorizedLogin())
        return succeed(principal)


def _split(principal: bytes) -> tuple[bytes, bytes]:
    """
    Cut a principal in two at its last C{@} that has no backslash before it.

    @return: The name and the realm; both are empty where there is no such
        C{@}.
    """
    end = len(principal)
    while (position := principal.rfind(b"@", 0, end)) >= 0:
        before = principal[:position]
        if (len(before) - len(before.rstrip(b"\\"))) % 2 == 0:
            return before, principal[position + 1 :]
        end = position
    return b"", b""


def principalsFromString(description: str) -> PrincipalChecker:
    """
    Make a checker of what stands behind C{gssapi:} on the command line:
    C{key=value} pairs with colons between them. A backslash takes a colon's
    meaning away.

    @param description: C{realm} (several with commas between them, or
        repeated), and, as they are needed, C{service}, C{keytab}, C{level}
        (one of L{LEVELS}) and C{nec} (C{yes} or C{no}).
    @raise ConfigurationError: It makes no sense.
    """
    values: dict[str, list[str]] = {}
    for part in _partsOf(description):
        key, equals, value = part.partition("=")
        if key not in _KEYS or not equals or not value:
            raise ConfigurationError(f"gssapi: {part!r} is not one of {', '.join(_KEYS)} with =")
        values.setdefault(key, []).append(value)
    realms = [realm for value in values.pop("realm", []) for realm in value.split(",")]
    for key, several in values.items():
        if len(several) > 1:
            raise ConfigurationError(f"gssapi: {key} is given twice")
    single = {key: several[0] for key, several in values.items()}
    keytab = single.get("keytab")
    return PrincipalChecker(
        realms,
        AcceptorSettings(
            single.get("service"),
            # The process may change its directory later.
            None if keytab is None else os.path.abspath(keytab),
            _chosen("level", LEVELS, single.get("level", "integrity")),
            bool(_chosen("nec", {"no": 0, "yes": 1}, single.get("nec", "no"))),
        ),
    )


def _chosen(key: str, choices: dict[str, int], value: str) -> int:
    if value not in choices:
        raise ConfigurationError(f"gssapi: {key}={value} is not one of {', '.join(choices)}")
    return choices[value]


def _partsOf(description: str) -> list[str]:
    """
    Cut a text at its colons, save those that a backslash stands before.
    """
    parts = [""]
    characters = iter(description)
    for character in characters:
        if character == ":":
            parts.append("")
        elif character == "\\":
            parts[-1] += next(characters, "")
        else:
            parts[-1] += character
    return parts if description else []
