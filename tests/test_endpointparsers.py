"""
Tests for L{socksproxy.endpointparsers}, by the strings that every program of
Twisted's reads.
"""

from __future__ import annotations

import subprocess
import sys

from twisted.internet.endpoints import quoteStringArgument, serverFromString
from twisted.internet.interfaces import IStreamServerEndpoint, IStreamServerEndpointStringParser
from twisted.internet.protocol import Factory
from twisted.internet.testing import MemoryReactorClock
from twisted.plugin import IPlugin, getPlugins
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from socksproxy.endpointparsers import TLS_SERVER
from socksproxy.errors import ConfigurationError
from tests.certificates import Authority
from tests.daemon import environment
from tests.files import temporaryFolder


class LightTests(SynchronousTestCase):
    """
    What every program of Twisted's loads with this module.
    """

    def test_importsLittle(self) -> None:
        """
        It is nothing else of ours, and no TLS.
        """
        code = (
            "import sys, socksproxy.endpointparsers\n"
            "ours = {name for name in sys.modules if name.startswith('socksproxy')}\n"
            "ours -= {'socksproxy', 'socksproxy.endpointparsers'}\n"
            "sys.exit(str(ours) if ours or 'OpenSSL' in sys.modules else 0)"
        )
        subprocess.run([sys.executable, "-c", code], env=environment(), check=True, timeout=60)


class TLSServerTests(SynchronousTestCase):
    """
    C{tcp+tls:} among the servers.
    """

    def setUp(self) -> None:
        """
        Make certificates.
        """
        self.folder = temporaryFolder(self)
        authority = Authority(self.folder)
        self.authority = authority.path
        self.issued = authority.issue("proxy.test")
        self.reactor = MemoryReactorClock()

    def parse(self, *arguments: str, **parameters: str) -> IStreamServerEndpoint:
        """
        Read an endpoint string.
        """
        named = [f"{name}={quoteStringArgument(value)}" for name, value in parameters.items()]
        description = ":".join(["tcp+tls", *arguments, *named])
        endpoint: IStreamServerEndpoint = serverFromString(self.reactor, description)
        return endpoint

    def listen(self, *arguments: str, **parameters: str) -> tuple[int, int, str]:
        """
        Listen on an endpoint string.

        @return: Port, backlog and interface.
        """
        endpoint = self.parse(*arguments, **parameters)
        self.successResultOf(endpoint.listen(Factory()))
        port, _, backlog, interface = self.reactor.tcpServers[-1]
        return port, backlog, interface

    def test_found(self) -> None:
        """
        Twisted finds the parser, and no other one for its prefix.
        """
        found = [
            parser
            for parser in getPlugins(IStreamServerEndpointStringParser)
            if parser.prefix.lower() == TLS_SERVER
        ]
        self.assertEqual(len(found), 1)
        verifyObject(IStreamServerEndpointStringParser, found[0])
        verifyObject(IPlugin, found[0])

    def test_interface(self) -> None:
        """
        What it gives is an endpoint of Twisted's.
        """
        verifyObject(IStreamServerEndpoint, self.parse("1443", certificate=self.issued.both))

    def test_defaults(self) -> None:
        """
        Port and certificate are enough.
        """
        self.assertEqual(self.listen("1443", certificate=self.issued.both), (1443, 50, ""))

    def test_everything(self) -> None:
        """
        All the rest can be said, and the port by its name.
        """
        parameters = {
            "port": "1443",
            "certificate": self.issued.certificate,
            "privateKey": self.issued.key,
            "clientCA": self.authority,
            "interface": "127.0.0.1",
            "backlog": "7",
        }
        self.assertEqual(self.listen(**parameters), (1443, 7, "127.0.0.1"))

    def test_ipv6(self) -> None:
        """
        An interface may be one of IPv6.
        """
        listened = self.listen("0", certificate=self.issued.both, interface="::1")
        self.assertEqual(listened, (0, 50, "::1"))

    def test_unknownParameter(self) -> None:
        """
        A parameter that means nothing is an error, and named.
        """
        error = self.assertRaises(
            TypeError, self.parse, "0", certificate=self.issued.both, clientCa=self.authority
        )
        self.assertEqual(str(error), "clientCa means nothing for tcp+tls:")

    def test_missingParameter(self) -> None:
        """
        So is one that is missing, or empty.
        """
        for arguments, parameters, name in (
            ((), {"certificate": self.issued.both}, "port"),
            (("0",), {}, "certificate"),
            (("0",), {"certificate": ""}, "certificate"),
            (("0",), {"certificate": self.issued.both, "clientCA": ""}, "clientCA"),
            (("0",), {"certificate": self.issued.both, "privateKey": ""}, "privateKey"),
        ):
            error = self.assertRaises(TypeError, self.parse, *arguments, **parameters)
            self.assertIn(f"{name}=", str(error))

    def test_tooMuch(self) -> None:
        """
        So are arguments without a name, and parameters that are there twice.
        """
        both = {"certificate": self.issued.both}
        error = self.assertRaises(TypeError, self.parse, "0", "127.0.0.1", **both)
        self.assertIn("127.0.0.1", str(error))
        error = self.assertRaises(TypeError, self.parse, "0", port="1", **both)
        self.assertIn("port is given twice", str(error))

    def test_numbers(self) -> None:
        """
        Port and backlog are numbers.
        """
        both = self.issued.both
        for port, backlog in (("https", "5"), ("-1", "5"), ("", "5"), ("0", "many"), ("²", "5")):
            self.assertRaises(
                (ValueError, TypeError), self.parse, port, certificate=both, backlog=backlog
            )

    def test_files(self) -> None:
        """
        A file that cannot be used is told when the string is read, in one
        line with its path.
        """
        nowhere = str(self.folder / "no:where.pem")
        for parameters in (
            {"certificate": nowhere},
            {"certificate": self.issued.certificate, "privateKey": nowhere},
            {"certificate": self.issued.both, "clientCA": nowhere},
        ):
            error = self.assertRaises(ConfigurationError, self.parse, "0", **parameters)
            self.assertEqual(str(error), f"{nowhere}: No such file or directory")

    def test_showsNoKey(self) -> None:
        """
        The C{repr} of an endpoint has nothing of the key.
        """
        endpoint = self.parse("0", certificate=self.issued.both)
        self.assertNotIn("PRIVATE", repr(endpoint) + repr(vars(endpoint)))
