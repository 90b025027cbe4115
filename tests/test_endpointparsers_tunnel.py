"""
Tests for C{tunnel:} in L{socksproxy.endpointparsers}, by the strings that
every program of Twisted's reads.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.endpoints import clientFromString, quoteStringArgument, serverFromString
from twisted.internet.interfaces import (
    IStreamClientEndpoint,
    IStreamClientEndpointStringParserWithReactor,
    IStreamServerEndpoint,
    IStreamServerEndpointStringParser,
)
from twisted.internet.protocol import Factory
from twisted.internet.testing import MemoryReactorClock
from twisted.plugin import IPlugin, getPlugins
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import Interface
from zope.interface.verify import verifyObject

from socksproxy.endpointparsers import TUNNEL
from socksproxy.errors import ConfigurationError, LocalProtocolError
from socksproxy.smux.config import DEFAULT_CONFIG, SmuxConfig
from tests.certificates import Authority
from tests.files import temporaryFolder

STREAMS = {
    "smuxver": "1",
    "smuxbuf": "200000",
    "streambuf": "100000",
    "framesize": "1000",
    "keepalive": "5",
    "nocomp": "no",
}
"""
What there is to say about streams.
"""

CONFIG = SmuxConfig(version=1, framesize=1000, smuxbuf=200000, streambuf=100000, keepalive=5)


class TunnelTestCase(SynchronousTestCase):
    """
    Tests with certificates.
    """

    def setUp(self) -> None:
        """
        Make them.
        """
        folder = temporaryFolder(self)
        authority = Authority(folder)
        self.authority = authority.path
        self.issued = authority.issue("proxy.test")
        self.reactor = MemoryReactorClock()

    def server(self, *arguments: str, **parameters: str) -> Any:
        """
        Read a server's string, with a certificate if none is given.
        """
        parameters.setdefault("certificate", self.issued.both)
        return serverFromString(self.reactor, described(arguments, parameters))

    def client(self, *arguments: str, **parameters: str) -> Any:
        """
        Read a client's string.
        """
        return clientFromString(self.reactor, described(arguments, parameters))

    def listen(self, *arguments: str, **parameters: str) -> tuple[int, int, str]:
        """
        Listen on a server's string.

        @return: Port, backlog and interface.
        """
        self.successResultOf(self.server(*arguments, **parameters).listen(Factory()))
        port, _, backlog, interface = self.reactor.tcpServers[-1]
        return port, backlog, interface

    def dial(self, *arguments: str, **parameters: str) -> tuple[str, int]:
        """
        Connect by a client's string.

        @return: Host and port.
        """
        self.client(*arguments, **parameters).connect(Factory())
        host, port, *_ = self.reactor.tcpClients[-1]
        return host, port


def described(arguments: tuple[str, ...], parameters: dict[str, str]) -> str:
    """
    Write an endpoint string.
    """
    named = [f"{name}={quoteStringArgument(value)}" for name, value in parameters.items()]
    return ":".join(["tunnel", *map(quoteStringArgument, arguments), *named])


class StringTests(TunnelTestCase):
    """
    Strings that mean something.
    """

    def test_found(self) -> None:
        """
        Twisted finds one parser for servers and one for clients.
        """
        interfaces: list[type[Interface]] = [
            IStreamServerEndpointStringParser,
            IStreamClientEndpointStringParserWithReactor,
        ]
        for interface in interfaces:
            parsers: list[Any] = list(getPlugins(interface))
            found = [parser for parser in parsers if parser.prefix.lower() == TUNNEL]
            self.assertEqual(len(found), 1)
            verifyObject(interface, found[0])
            verifyObject(IPlugin, found[0])

    def test_interfaces(self) -> None:
        """
        What they give are endpoints of Twisted's.
        """
        verifyObject(IStreamServerEndpoint, self.server("1443"))
        verifyObject(IStreamClientEndpoint, self.client("192.0.2.1", "1443"))

    def test_server(self) -> None:
        """
        A port and a certificate are enough for a server; it takes what other
        servers of TLS do.
        """
        self.assertEqual(self.listen("1443"), (1443, 50, ""))
        everything = {
            "port": "1443",
            "certificate": self.issued.certificate,
            "privateKey": self.issued.key,
            "clientCA": self.authority,
            "interface": "::1",
            "backlog": "7",
        }
        self.assertEqual(self.listen(**everything), (1443, 7, "::1"))

    def test_client(self) -> None:
        """
        A host and a port are enough for a client, of either family.
        """
        self.assertEqual(self.dial("192.0.2.1", "1443"), ("192.0.2.1", 1443))
        self.assertEqual(self.dial(host="2001:db8::1", port="1443"), ("2001:db8::1", 1443))
        for parameters in (
            {"ca": self.authority},
            {"pin": self.issued.fingerprint},
            {"certificate": self.issued.both},
            {"certificate": self.issued.certificate, "privateKey": self.issued.key},
        ):
            self.assertEqual(self.dial("192.0.2.1", "1443", **parameters), ("192.0.2.1", 1443))

    def test_streams(self) -> None:
        """
        What is said of streams gets to its place, on both sides. There is no
        compression if nothing is said.
        """
        pool = {"conn": "5", "autoexpire": "60", "scavengettl": "30"}
        client = self.client("192.0.2.1", "1443", **STREAMS, **pool)
        for endpoint in (client, self.server("1443", **STREAMS)):
            self.assertEqual((endpoint._config, endpoint._compress), (CONFIG, True))
        pooled = client._sessions, client._autoexpire, client._scavengettl
        self.assertEqual(pooled, (5, 60, 30))
        for endpoint in (self.client("192.0.2.1", "1443"), self.server("1443")):
            self.assertEqual((endpoint._config, endpoint._compress), (DEFAULT_CONFIG, False))


class WrongStringTests(TunnelTestCase):
    """
    Strings that mean nothing.
    """

    def test_names(self) -> None:
        """
        A parameter that there is not on a side is told, with this prefix.
        """
        for read, arguments, parameters in (
            (self.server, ("1443",), {"conn": "2"}),
            (self.server, ("1443",), {"key": "secret"}),
            (self.client, ("192.0.2.1", "1443"), {"clientCA": self.authority}),
            (self.client, ("192.0.2.1", "1443"), {"interface": "192.0.2.2"}),
        ):
            error = self.assertRaises(TypeError, read, *arguments, **parameters)
            self.assertEqual(str(error), f"{next(iter(parameters))} means nothing for tunnel:")

    def test_missing(self) -> None:
        """
        So is one that is missing, empty, or there twice.
        """
        for read, sentence, arguments, parameters in (
            (self.server, "tunnel: needs port=", (), {}),
            (self.server, "tunnel: needs certificate=", ("1443",), {"certificate": ""}),
            (self.server, "clientCA= is empty", ("1443",), {"clientCA": ""}),
            (self.server, "smuxver= is empty", ("1443",), {"smuxver": ""}),
            (self.server, "port is given twice", ("1443",), {"port": "1443"}),
            (self.server, "2 stands there without a name", ("1", "2"), {}),
            (self.client, "tunnel: needs host=", (), {}),
            (self.client, "tunnel: needs port=", ("192.0.2.1",), {}),
            (self.client, "pin= is empty", ("192.0.2.1", "1443"), {"pin": ""}),
            (self.client, "conn= is empty", ("192.0.2.1", "1443"), {"conn": ""}),
            (self.client, "host is given twice", ("192.0.2.1", "1"), {"host": "192.0.2.1"}),
        ):
            error = self.assertRaises(TypeError, read, *arguments, **parameters)
            self.assertEqual(str(error), sentence)

    def test_values(self) -> None:
        """
        What one cannot be is told with its name.
        """
        for name, value, allowed in (
            ("smuxver", "3", "1 to 2"),
            ("keepalive", "60", "1 to 30"),
            ("nocomp", "1", "yes or no"),
        ):
            for read, host in ((self.server, ()), (self.client, ("192.0.2.1",))):
                error = self.assertRaises(ConfigurationError, read, *host, "1443", **{name: value})
                self.assertEqual(str(error), f"{name} is {value} and has to be {allowed}")

    def test_places(self) -> None:
        """
        Host and port have to be some.
        """
        for host, port, kind in (
            ("192.0.2.1", "https", ValueError),
            ("192.0.2.1", "0", LocalProtocolError),
            ("192.0.2.1", "65536", LocalProtocolError),
            ("no host", "1443", LocalProtocolError),
        ):
            self.assertRaises(kind, self.client, host, port)
        self.assertRaises(ValueError, self.server, "https")

    def test_files(self) -> None:
        """
        A file that cannot be used is told when the string is read.
        """
        nowhere = "/no/where.pem"
        for read, arguments, name in (
            (self.server, ("1443",), "certificate"),
            (self.server, ("1443",), "clientCA"),
            (self.client, ("192.0.2.1", "1443"), "ca"),
            (self.client, ("192.0.2.1", "1443"), "certificate"),
        ):
            error = self.assertRaises(ConfigurationError, read, *arguments, **{name: nowhere})
            self.assertEqual(str(error), f"{nowhere}: No such file or directory")

    def test_trust(self) -> None:
        """
        A server is known by its fingerprint, which has to be one, or by an
        authority.
        """
        for parameters, words in (
            ({"pin": "abc"}, "abc"),
            ({"pin": self.issued.fingerprint, "ca": self.authority}, "give one of the two"),
            ({"privateKey": self.issued.key}, "of no use without a certificate"),
        ):
            error = self.assertRaises(
                ConfigurationError, self.client, "192.0.2.1", "1443", **parameters
            )
            self.assertIn(words, str(error))
