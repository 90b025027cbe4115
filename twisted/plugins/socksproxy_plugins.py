"""
What socksproxy adds to Twisted: C{twistd socksproxy} and C{--auth passwords:}.

This module is loaded by every program that looks for plugins, so it imports
nothing of socksproxy before that is asked for.
"""

from twisted.application.service import ServiceMaker
from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.credentials import IUsernamePassword
from twisted.cred.strcred import ICheckerFactory
from twisted.plugin import IPlugin
from zope.interface import implementer

socksproxy = ServiceMaker(
    "socksproxy",
    "socksproxy.tap",
    "A SOCKS4, SOCKS4a and SOCKS5 proxy.",
    "socksproxy",
)


@implementer(ICheckerFactory, IPlugin)
class PasswordsCheckerFactory:
    """
    Makes C{--auth passwords:PATH} a checker of hashed passwords.
    """

    authType = "passwords"
    authHelp = """
    A file of users and hashed passwords, written by:

        python -m socksproxy passwd PATH USER
    """
    argStringFormat = "Path of the password file."
    credentialInterfaces = (IUsernamePassword,)

    def generateChecker(self, argstring: str) -> ICredentialsChecker:
        """
        See C{ICheckerFactory}.

        @param argstring: The path.
        """
        from socksproxy.auth.checkers import PasswordFileChecker

        if not argstring:
            raise ValueError("passwords: needs a path")
        return PasswordFileChecker(argstring)


passwordsCheckerFactory = PasswordsCheckerFactory()
