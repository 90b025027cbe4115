"""
SOCKS5 with tickets of Kerberos: method 0x01, RFC 1961.

It needs the C{gssapi} package, which comes with
C{pip install twisted-socksproxy[gssapi]} and is imported when a L{GSSAPI} is
made. A server that takes tickets for C{rcmd/proxy.example.org}, the name that
clients look for, and carries nothing in the clear::

    from socksproxy.socks import GSSAPI, ProtectionLevel, SOCKS5Factory

    kerberos = GSSAPI(
        "rcmd@proxy.example.org",
        keytab="/etc/socksproxy.keytab",
        minimum=ProtectionLevel.CONFIDENTIALITY,
    )
    factory = SOCKS5Factory(Inbound(portal, reactor), [kerberos])

where C{portal} has a L{PrincipalChecker
<socksproxy.auth.principals.PrincipalChecker>}. A client that has done
C{kinit} offers C{GSSAPI("rcmd@proxy.example.org")}.

Only Kerberos is spoken, whatever else the system's GSSAPI may know: principals
would not mean the same with another mechanism.

@see: U{https://www.rfc-editor.org/rfc/rfc1961}
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import partial
from typing import Any

from socksproxy.errors import (
    AuthenticationFailed,
    ConfigurationError,
    LocalProtocolError,
    MalformedMessage,
)
from socksproxy.socks import _wire5 as wire
from socksproxy.socks import _wire1961
from socksproxy.socks._gssapi import GSSAPIClient, GSSAPIServer
from socksproxy.socks._wire1961 import Level as ProtectionLevel

__all__ = ["GSSAPI", "ProtectionLevel", "checkKeytab"]


class GSSAPI:
    """
    Method 0x01.
    """

    code = wire.Method.GSSAPI

    def __init__(
        self,
        service: str | None = None,
        *,
        level: int = ProtectionLevel.CONFIDENTIALITY,
        minimum: int | None = None,
        keytab: str | None = None,
        nec: bool = False,
        cache: str | None = None,
        datagrams: bool = False,
    ) -> None:
        """
        @param service: The server's principal, as C{service@host} or as
            C{service/host@REALM}. A client has to say whom it wants to talk
            to; a server that does not say who it is takes tickets for
            whatever it has a key for.
        @param level: What a client asks for.
        @param minimum: The least protection to be content with: NONE,
            INTEGRITY or CONFIDENTIALITY. A server's default is INTEGRITY, a
            client's is what it asks for.
        @param keytab: The path of a server's keys; the system's without it.
        @param nec: Whether a server lets clients like NEC's name their level
            in the clear, where anybody on the way can change it.
        @param cache: Where a client's tickets are, as a path or as Kerberos
            writes it; the system's default without it.
        @param datagrams: Whether a client asks for a context that lets
            datagrams be lost, for UDP ASSOCIATE. The order of a stream is
            watched with it as without it.
        @raise ConfigurationError: The C{gssapi} package is missing, or there
            is no such level.
        """
        self._library = _import()
        try:
            self._level = ProtectionLevel(level)
            self._minimum = None if minimum is None else ProtectionLevel(minimum)
        except ValueError as e:
            raise ConfigurationError(f"GSSAPI: no protection level: {e}") from e
        self._service = service
        self._keytab = keytab
        self._nec = nec
        self._cache = cache
        self._datagrams = datagrams

    def __repr__(self) -> str:
        return f"<GSSAPI {self._service}>"

    def serverNegotiation(self) -> GSSAPIServer:
        """
        See L{Method<socksproxy.socks.methods.Method>}.
        """
        minimum = ProtectionLevel.INTEGRITY if self._minimum is None else self._minimum
        accept = partial(_acceptor, self._library, self._service, self._keytab)
        return GSSAPIServer(_Context(self._library, accept), minimum, self._nec)

    def clientNegotiation(self) -> GSSAPIClient:
        """
        See L{Method<socksproxy.socks.methods.Method>}.

        @raise ConfigurationError: It has not been said whom to talk to.
        """
        if self._service is None:
            raise ConfigurationError("GSSAPI: a client needs the name of the service")
        minimum = self._level if self._minimum is None else self._minimum
        initiate = partial(self._initiator, self._service)
        return GSSAPIClient(_Context(self._library, initiate), self._level, minimum)

    def _initiator(self, service: str) -> Any:
        library = self._library
        flag = library.RequirementFlag
        flags = {
            flag.mutual_authentication,
            flag.integrity,
            flag.confidentiality,
            flag.replay_detection,
        }
        if not self._datagrams:
            flags.add(flag.out_of_sequence_detection)
        credentials = None
        if self._cache is not None:
            credentials = library.Credentials(usage="initiate", store={"ccache": self._cache})
        return library.SecurityContext(
            name=_nameOf(library, service),
            creds=credentials,
            mech=library.MechType.kerberos,
            flags=flags,
            usage="initiate",
        )


def checkKeytab(service: str | None = None, keytab: str | None = None) -> None:
    """
    Make sure that a server with these settings could take tickets. This may
    ask the name service.

    @param service: As for L{GSSAPI}.
    @param keytab: Likewise.
    @raise ConfigurationError: The C{gssapi} package is missing, the keytab
        cannot be read, or there is no key for the service in it.
    """
    library = _import()
    try:
        _acceptorCredentials(library, service, keytab)
    except library.exceptions.GSSError as e:
        raise ConfigurationError(f"GSSAPI: {_reasonOf(e)}") from e


class _Context:
    """
    The L{SecurityContext<socksproxy.socks._protection.SecurityContext>} that
    is one of the C{gssapi} package.
    """

    def __init__(self, library: Any, make: Callable[[], Any]) -> None:
        """
        @param library: The package.
        @param make: Makes the context. It may block, and is called as part of
            the first step.
        """
        self._library = library
        self._make = make
        self._context: Any = None

    @property
    def complete(self) -> bool:
        return self._context is not None and bool(self._context.complete)

    @property
    def peer(self) -> bytes:
        return bytes(self._context.initiator_name)

    @property
    def integrity(self) -> bool:
        return self._has("integrity")

    @property
    def confidentiality(self) -> bool:
        return self._has("confidentiality")

    @property
    def sequenced(self) -> bool:
        return self._has("out_of_sequence_detection")

    def step(self, token: bytes) -> bytes:
        try:
            if self._context is None:
                self._context = self._make()
                # Else it would give a token that tells the peer of an error,
                # which the method has no place for, and hide the error.
                self._context.__DEFER_STEP_ERRORS__ = False
            return self._context.step(token or None) or b""
        except self._library.exceptions.GSSError as e:
            raise AuthenticationFailed(f"GSSAPI: {_reasonOf(e)}") from e

    def wrap(self, message: bytes, confidential: bool) -> bytes:
        try:
            wrapped = self._context.wrap(message, confidential)
        except self._library.exceptions.GSSError as e:
            raise LocalProtocolError(f"GSSAPI: {_reasonOf(e)}") from e
        if confidential and not wrapped.encrypted:
            raise LocalProtocolError("GSSAPI: a message was not encrypted")
        token: bytes = wrapped.message
        return token

    def unwrap(self, token: bytes) -> tuple[bytes, bool]:
        try:
            # The library may change the token in its place: the octets must
            # be nobody else's.
            unwrapped = self._context.unwrap(token)
        except self._library.raw.exceptions.SupplementaryError as e:
            raise LocalProtocolError(f"GSSAPI: {_reasonOf(e)}") from e
        except self._library.exceptions.GSSError as e:
            raise MalformedMessage(f"GSSAPI: {_reasonOf(e)}") from e
        return unwrapped.message, unwrapped.encrypted

    def wrapLimit(self, confidential: bool) -> int:
        try:
            limit: int = self._context.get_wrap_size_limit(_wire1961.MAX_TOKEN, confidential)
        except self._library.exceptions.GSSError as e:
            raise LocalProtocolError(f"GSSAPI: {_reasonOf(e)}") from e
        return limit

    def _has(self, flag: str) -> bool:
        return getattr(self._library.RequirementFlag, flag) in self._context.actual_flags


def _import() -> Any:
    """
    Import the C{gssapi} package.

    @raise ConfigurationError: It is not there, or cannot be loaded.
    """
    try:
        return importlib.import_module("gssapi")
    except ImportError as e:
        raise ConfigurationError(
            f"GSSAPI needs the gssapi package: pip install twisted-socksproxy[gssapi] ({e})"
        ) from e


def _nameOf(library: Any, service: str) -> Any:
    kind = (
        library.NameType.kerberos_principal
        if "/" in service
        else (library.NameType.hostbased_service)
    )
    return library.Name(service, kind)


def _acceptorCredentials(library: Any, service: str | None, keytab: str | None) -> Any:
    """
    Get what a server takes tickets with. The keytab is read anew each time, so
    that changed keys are found.
    """
    return library.Credentials(
        name=None if service is None else _nameOf(library, service),
        usage="accept",
        mechs=[library.MechType.kerberos],
        store=None if keytab is None else {"keytab": keytab},
    )


def _acceptor(library: Any, service: str | None, keytab: str | None) -> Any:
    credentials = _acceptorCredentials(library, service, keytab)
    return library.SecurityContext(creds=credentials, usage="accept")


def _reasonOf(error: Any) -> str:
    """
    Say in one line what GSSAPI complains of, by the mechanism's own words if
    it has some.
    """
    minor = error.get_all_statuses(error.min_code, False) if error.min_code else []
    words = [text for text in minor if text not in ("Success", "Unknown error")]
    return "; ".join(words or error.get_all_statuses(error.maj_code, True))
