"""
What socksproxy adds to Twisted: C{twistd socksproxy}, C{--auth passwords:},
C{--auth gssapi:}, C{--auth isolation:}, and the endpoint strings C{tcp+tls:},
C{proxied:}, C{kcp:} and C{tunnel:}.

This module is loaded by every program that looks for plugins, so it imports
nothing of socksproxy before that is asked for.
"""

from typing import Any

from twisted.application.service import ServiceMaker
from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.credentials import IAnonymous, IUsernamePassword
from twisted.cred.strcred import ICheckerFactory
from twisted.internet.interfaces import (
    IStreamClientEndpoint,
    IStreamClientEndpointStringParserWithReactor,
    IStreamServerEndpoint,
    IStreamServerEndpointStringParser,
)
from twisted.plugin import IPlugin
from zope.interface import Interface, implementer

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


@implementer(ICheckerFactory, IPlugin)
class GSSAPICheckerFactory:
    """
    Makes C{--auth gssapi:realm=EXAMPLE.ORG} a checker of tickets of Kerberos.
    """

    authType = "gssapi"
    authHelp = """
    Tickets of Kerberos, for SOCKS5 only. Needs the gssapi package:

        pip install twisted-socksproxy[gssapi]

    realm=REALM        users of this realm get in; several with commas
    service=NAME       our own name, such as rcmd@proxy.example.org; without
                       it, whatever there is a key for
    keytab=PATH        our keys; the system's without it
    level=LEVEL        the least protection for what is carried: integrity
                       (the default), confidentiality, or none
    nec=yes            let NEC's clients name their level in the clear
    """
    argStringFormat = "key=value, with colons between them; realm is needed."

    @property
    def credentialInterfaces(self) -> tuple[type[Interface], ...]:
        """
        See C{ICheckerFactory}. Ours are imported when somebody asks.
        """
        from socksproxy.auth.principals import IPrincipal

        return (IPrincipal,)

    def generateChecker(self, argstring: str) -> ICredentialsChecker:
        """
        See C{ICheckerFactory}. A missing package, keytab or key is told now
        and not when the first client comes.

        @param argstring: The pairs.
        """
        from socksproxy.auth.principals import principalsFromString
        from socksproxy.socks.gssapi import checkKeytab

        checker = principalsFromString(argstring)
        checkKeytab(checker.acceptor.service, checker.acceptor.keytab)
        return checker


gssapiCheckerFactory = GSSAPICheckerFactory()


@implementer(ICheckerFactory, IPlugin)
class IsolationCheckerFactory:
    """
    Makes C{--auth isolation:} a checker that lets everybody in.
    """

    authType = "isolation"
    authHelp = """
    Anybody, with any user name and password: for clients that put a label
    there by which Tor keeps their streams apart. It keeps nobody out.
    """
    argStringFormat = "No argument."
    credentialInterfaces = (IUsernamePassword, IAnonymous)

    def generateChecker(self, argstring: str) -> ICredentialsChecker:
        """
        See C{ICheckerFactory}.

        @param argstring: Nothing.
        """
        from socksproxy.auth.checkers import AnyPassword

        if argstring:
            raise ValueError("isolation: takes no argument")
        return AnyPassword()


isolationCheckerFactory = IsolationCheckerFactory()


@implementer(IStreamServerEndpointStringParser, IPlugin)
class TLSServerParser:
    """
    Makes C{tcp+tls:PORT:certificate=PATH} a TLS server endpoint.
    """

    prefix = "tcp+tls"

    def parseStreamServer(
        self, reactor: Any, *args: str, **parameters: str
    ) -> IStreamServerEndpoint:
        """
        See C{IStreamServerEndpointStringParser}.
        """
        from socksproxy.endpointparsers import tlsServer

        return tlsServer(reactor, *args, **parameters)


tlsServerParser = TLSServerParser()


@implementer(IStreamClientEndpointStringParserWithReactor, IPlugin)
class ProxiedClientParser:
    """
    Makes C{proxied:HOST:PORT:via=URL} a client endpoint.
    """

    prefix = "proxied"

    def parseStreamClient(
        self, reactor: Any, *args: str, **parameters: str
    ) -> IStreamClientEndpoint:
        """
        See C{IStreamClientEndpointStringParserWithReactor}.
        """
        from socksproxy.endpointparsers import proxiedClient

        return proxiedClient(reactor, *args, **parameters)


proxiedClientParser = ProxiedClientParser()


@implementer(
    IStreamServerEndpointStringParser, IStreamClientEndpointStringParserWithReactor, IPlugin
)
class KCPParser:
    """
    Makes C{kcp:PORT:keyFile=PATH} a server endpoint, and
    C{kcp:HOST:PORT:keyFile=PATH} a client endpoint.
    """

    prefix = "kcp"

    def parseStreamServer(
        self, reactor: Any, *args: str, **parameters: str
    ) -> IStreamServerEndpoint:
        """
        See C{IStreamServerEndpointStringParser}.
        """
        from socksproxy.endpointparsers import kcpServer

        return kcpServer(reactor, *args, **parameters)

    def parseStreamClient(
        self, reactor: Any, *args: str, **parameters: str
    ) -> IStreamClientEndpoint:
        """
        See C{IStreamClientEndpointStringParserWithReactor}.
        """
        from socksproxy.endpointparsers import kcpClient

        return kcpClient(reactor, *args, **parameters)


kcpParser = KCPParser()


@implementer(
    IStreamServerEndpointStringParser, IStreamClientEndpointStringParserWithReactor, IPlugin
)
class TunnelParser:
    """
    Makes C{tunnel:PORT:certificate=PATH} a server endpoint, and
    C{tunnel:HOST:PORT} a client endpoint.
    """

    prefix = "tunnel"

    def parseStreamServer(
        self, reactor: Any, *args: str, **parameters: str
    ) -> IStreamServerEndpoint:
        """
        See C{IStreamServerEndpointStringParser}.
        """
        from socksproxy.endpointparsers import tunnelServer

        return tunnelServer(reactor, *args, **parameters)

    def parseStreamClient(
        self, reactor: Any, *args: str, **parameters: str
    ) -> IStreamClientEndpoint:
        """
        See C{IStreamClientEndpointStringParserWithReactor}.
        """
        from socksproxy.endpointparsers import tunnelClient

        return tunnelClient(reactor, *args, **parameters)


tunnelParser = TunnelParser()
