"""
Users of protocols in which nobody is understood who does not have a key, such
as Shadowsocks: who has got so far has already proved who it is.
"""

from __future__ import annotations

from twisted.cred.checkers import ANONYMOUS, ICredentialsChecker
from twisted.cred.credentials import ICredentials
from twisted.internet.defer import Deferred, succeed
from zope.interface import Attribute, implementer

AvatarId = bytes | tuple[()]


class ISharedKey(ICredentials):
    """
    A client whose messages could be read with one of our keys.
    """

    username: bytes = Attribute("""Whose key that is, or nothing where there is one for all.""")


@implementer(ISharedKey)
class SharedKey:
    """
    What the reader of such a message says of its client. Nobody else may make
    one: it is the proof.
    """

    def __init__(self, username: bytes) -> None:
        """
        @param username: Whose key it was, or nothing where there is one for
            all.
        """
        self.username = username

    def __repr__(self) -> str:
        return f"<SharedKey of {self.username!r}>"


@implementer(ICredentialsChecker)
class SharedKeyChecker:
    """
    Lets everybody in who has a key.
    """

    credentialInterfaces = (ISharedKey,)

    def requestAvatarId(self, credentials: ISharedKey) -> Deferred[AvatarId]:
        """
        See C{ICredentialsChecker}.

        @return: The user's name, or nobody in particular where the key is for
            all.
        """
        return succeed(credentials.username or ANONYMOUS)
