"""
A user name and password as the wire carries them.
"""

import hmac

from twisted.cred.credentials import IUsernamePassword
from zope.interface import implementer


@implementer(IUsernamePassword)
class OctetPassword:
    """
    Octets, compared as octets: nothing is decoded, normalised or cut off at a
    NUL, and how long a comparison takes does not depend on what is right.

    @ivar username: The user name.
    @ivar password: The password; C{repr} does not show it.
    """

    def __init__(self, username: bytes, password: bytes) -> None:
        self.username = username
        self.password = password

    def __repr__(self) -> str:
        return f"<OctetPassword for {self.username!r}>"

    def checkPassword(self, password: bytes) -> bool:
        """
        See C{IUsernamePassword}.
        """
        return hmac.compare_digest(self.password, password)
