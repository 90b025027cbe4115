"""
With what a request logs in.
"""

from __future__ import annotations

from collections.abc import Iterable

from twisted.cred.credentials import Anonymous, IAnonymous, ICredentials, IUsernamePassword
from twisted.cred.portal import Portal

from socksproxy.auth.credentials import OctetPassword
from socksproxy.errors import AuthenticationFailed, MalformedMessage, NotAllowed
from socksproxy.http._authorization import basicCredentials
from socksproxy.http._connect import HeaderField

CHALLENGE: HeaderField = (b"Proxy-Authenticate", b'Basic realm="socksproxy", charset="UTF-8"')
"""
How clients are asked who they are.

@see: U{https://www.rfc-editor.org/rfc/rfc7617#section-2}
"""


def credentialsOf(fields: Iterable[HeaderField], portal: Portal) -> ICredentials:
    """
    Turn what a request says of its user into what a Portal takes. A password
    that nobody asks for does no harm.

    @param fields: The request's.
    @raise AuthenticationFailed: It has to say something else, which has been
        no wrong guess.
    @raise NotAllowed: Whatever it says, nobody gets in so.
    """
    interfaces = portal.listCredentialsInterfaces()
    if IUsernamePassword in interfaces:
        try:
            password = basicCredentials(fields)
        except MalformedMessage:
            raise AuthenticationFailed from None
        if password is not None:
            return OctetPassword(*password)
    if IAnonymous in interfaces:
        return Anonymous()
    if IUsernamePassword in interfaces:
        raise AuthenticationFailed
    raise NotAllowed("nobody gets in by HTTP")


def usernameOf(fields: Iterable[HeaderField]) -> bytes | None:
    """
    Give the user name in a request that has logged in.
    """
    try:
        password = basicCredentials(fields)
    except MalformedMessage:
        return None
    return None if password is None else password[0]
