"""
Tests for C{kcp:} in L{socksproxy.endpointparsers}, by the strings that every
program of Twisted's reads.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.endpoints import clientFromString, quoteStringArgument, serverFromString
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import (
    IStreamClientEndpoint,
    IStreamClientEndpointStringParserWithReactor,
    IStreamServerEndpoint,
    IStreamServerEndpointStringParser,
)
from twisted.internet.protocol import DatagramProtocol
from twisted.plugin import IPlugin, getPlugins
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import Interface
from zope.interface.verify import verifyObject

from socksproxy.endpointparsers import KCP
from socksproxy.errors import ConfigurationError
from socksproxy.kcp.config import KCPConfig
from socksproxy.smux.config import SmuxConfig
from socksproxy.testing import DatagramNetwork
from tests.files import temporaryFolder
from tests.smux.muxes import Applications, HalfCloseable

KEY = "a secret: that is found in no text"

EVERYTHING = {
    "crypt": "aes-128-gcm",
    "salt": "ours",
    "mode": "manual",
    "nodelay": "1",
    "interval": "20",
    "resend": "3",
    "nc": "1",
    "mtu": "1200",
    "sndwnd": "100",
    "rcvwnd": "200",
    "datashard": "4",
    "parityshard": "2",
    "ratelimit": "1000000",
    "acknodelay": "yes",
    "pacing": "yes",
    "adaptive": "yes",
    "acktwice": "yes",
    "congestion": "bbr",
    "dscp": "46",
    "sockbuf": "100000",
    "nocomp": "yes",
    "smuxver": "1",
    "smuxbuf": "200000",
    "streambuf": "100000",
    "framesize": "1000",
    "keepalive": "5",
    "interface": "10.0.0.1",
}
"""
What both sides can be told, other than the key.
"""


class Echo(HalfCloseable):
    """
    An application that sends back what it gets.
    """

    def dataReceived(self, data: bytes) -> None:
        super().dataReceived(data)
        self.transport.write(data)


class Network(DatagramNetwork):
    """
    A network that remembers on which interfaces somebody listened.
    """

    def __init__(self) -> None:
        super().__init__(world={"vps.test": ["10.0.0.1"]})
        self.interfaces: list[str] = []

    def listenUDP(
        self, port: int, protocol: DatagramProtocol, interface: str = "", maxPacketSize: int = 8192
    ) -> Any:
        """
        See C{IReactorUDP}.
        """
        self.interfaces.append(interface)
        return super().listenUDP(port, protocol, interface, maxPacketSize)


def described(arguments: tuple[str, ...], parameters: dict[str, str]) -> str:
    """
    Write an endpoint string.
    """
    named = [f"{name}={quoteStringArgument(value)}" for name, value in parameters.items()]
    return ":".join(["kcp", *map(quoteStringArgument, arguments), *named])


class KCPTestCase(SynchronousTestCase):
    """
    Tests with a network.
    """

    def setUp(self) -> None:
        """
        Make it.
        """
        self.network = Network()

    def server(self, *arguments: str, **parameters: str) -> Any:
        """
        Read a server's string, with a key if none is given.
        """
        if "keyFile" not in parameters:
            parameters.setdefault("key", KEY)
        return serverFromString(self.network, described(arguments, parameters))

    def client(self, *arguments: str, **parameters: str) -> Any:
        """
        Read a client's string, with a key if none is given.
        """
        if "keyFile" not in parameters:
            parameters.setdefault("key", KEY)
        return clientFromString(self.network, described(arguments, parameters))

    def listen(self, *arguments: str, **parameters: str) -> Any:
        """
        Listen on a server's string.

        @return: The port.
        """
        self.accepted = Applications(Echo)
        endpoint = self.server(*arguments, **parameters)
        return self.successResultOf(endpoint.listen(self.accepted))

    def exchange(self, *arguments: str, **parameters: str) -> bytes:
        """
        Send something by a client's string.

        @return: What came back.
        """
        connecting = self.client(*arguments, **parameters).connect(Applications(HalfCloseable))
        application: Any = self.successResultOf(connecting)
        application.transport.write(b"hello")
        self.network.advance(2)
        data: bytes = application.data
        return data


class FoundTests(SynchronousTestCase):
    """
    What Twisted finds.
    """

    def test_found(self) -> None:
        """
        It finds one parser for servers and one for clients.
        """
        interfaces: list[type[Interface]] = [
            IStreamServerEndpointStringParser,
            IStreamClientEndpointStringParserWithReactor,
        ]
        for interface in interfaces:
            parsers: list[Any] = list(getPlugins(interface))
            found = [parser for parser in parsers if parser.prefix.lower() == KCP]
            self.assertEqual(len(found), 1)
            verifyObject(interface, found[0])
            verifyObject(IPlugin, found[0])


class StringTests(KCPTestCase):
    """
    Strings that mean something.
    """

    def test_interfaces(self) -> None:
        """
        What they give are endpoints of Twisted's.
        """
        verifyObject(IStreamServerEndpoint, self.server("29900"))
        verifyObject(IStreamClientEndpoint, self.client("10.0.0.1", "29900"))

    def test_defaults(self) -> None:
        """
        A port and a key are enough for a server, which listens on all
        addresses as C{tcp:} does; and a client needs a host besides.
        """
        port = self.listen("29900")
        self.assertEqual(self.network.interfaces, [""])
        self.assertEqual(port.getHost().port, 29900)
        self.assertEqual(self.exchange("127.0.0.1", "29900"), b"hello")

    def test_names(self) -> None:
        """
        Host and port can have their names.
        """
        self.listen(port="29900", interface="10.0.0.1")
        for arguments, parameters in (
            (("10.0.0.1",), {"port": "29900"}),
            ((), {"host": "10.0.0.1", "port": "29900"}),
        ):
            self.assertEqual(
                self.exchange(*arguments, interface="10.0.0.2", **parameters), b"hello"
            )

    def test_hostName(self) -> None:
        """
        A host's name is looked up.
        """
        self.listen("29900", interface="10.0.0.1")
        self.assertEqual(self.exchange("vps.test", "29900", interface="10.0.0.2"), b"hello")
        self.assertEqual(self.network.queries, ["vps.test"])

    def test_ipv6(self) -> None:
        """
        Host and interface may be of IPv6.
        """
        port = self.listen("29900", interface="2001:db8::1")
        self.assertEqual(port.getHost(), IPv6Address("UDP", "2001:db8::1", 29900))
        self.assertEqual(self.exchange("2001:db8::1", "29900", interface="2001:db8::2"), b"hello")

    def test_interface(self) -> None:
        """
        An interface is where a server listens, and where a client sends from.
        """
        port = self.listen("29900", interface="10.0.0.1")
        self.assertEqual(port.getHost(), IPv4Address("UDP", "10.0.0.1", 29900))
        self.assertEqual(self.exchange("10.0.0.1", "29900", interface="10.0.0.7"), b"hello")
        self.assertEqual(self.network.interfaces, ["10.0.0.1", "10.0.0.7"])

    def test_anyPort(self) -> None:
        """
        A server's port may be any.
        """
        port = self.listen("0").getHost().port
        self.assertEqual(self.exchange("127.0.0.1", str(port)), b"hello")

    def test_ports(self) -> None:
        """
        There may be several.
        """
        self.listen("29900-29902")
        self.assertEqual([each.port for each in self.network.datagrams], [29900, 29901, 29902])
        self.assertEqual(self.exchange("127.0.0.1", "29900-29902"), b"hello")
        taken = self.server("29902-29904").listen(Applications(Echo))
        self.failureResultOf(taken, CannotListenError)
        self.assertEqual(len([each for each in self.network.datagrams[:3] if each.open]), 3)

    def test_keyFile(self) -> None:
        """
        The key may be in a file, with an end of line.
        """
        path = temporaryFolder(self) / "the:key"
        path.write_bytes(KEY.encode() + b"\n")
        self.listen("29900", keyFile=str(path))
        self.assertEqual(self.exchange("127.0.0.1", "29900"), b"hello")
        self.assertEqual(self.exchange("127.0.0.1", "29900", keyFile=str(path)), b"hello")
        path.write_bytes(b"another")
        self.assertEqual(self.exchange("127.0.0.1", "29900", keyFile=str(path)), b"")

    def test_salt(self) -> None:
        """
        Salt and cipher have to be alike.
        """
        self.listen("29900", salt="ours", crypt="aes-192")
        for salt, crypt, answer in (
            ("ours", "aes-192", b"hello"),
            ("theirs", "aes-192", b""),
            ("ours", "aes", b""),
        ):
            self.assertEqual(self.exchange("127.0.0.1", "29900", salt=salt, crypt=crypt), answer)

    def test_everything(self) -> None:
        """
        Every parameter gets to its place, on both sides.
        """
        config = KCPConfig(
            mtu=1200,
            sndwnd=100,
            rcvwnd=200,
            nodelay=True,
            interval=20,
            resend=3,
            congestion="bbr",
            pacing=True,
            ratelimit=1000000,
            acknodelay=True,
            acktwice=True,
            datashard=4,
            parityshard=2,
            adaptive=True,
        )
        mux = SmuxConfig(version=1, framesize=1000, smuxbuf=200000, streambuf=100000, keepalive=5)
        pool = {"conn": "5", "autoexpire": "60", "scavengettl": "30"}
        client = self.client("10.0.0.2", "29900", **EVERYTHING, **pool)
        for endpoint in (client, self.server("29900", **EVERYTHING)):
            carrier = endpoint._carrier
            self.assertEqual((carrier._config, endpoint._config), (config, mux))
            self.assertEqual((carrier._dscp, carrier._bufferSize), (46, 100000))
            self.assertEqual(carrier._interface, "10.0.0.1")
            self.assertFalse(endpoint._compress)
        pooled = client._sessions, client._autoexpire, client._scavengettl
        self.assertEqual(pooled, (5, 60, 30))

    def test_everythingWorks(self) -> None:
        """
        With all that they understand one another.
        """
        self.listen("29900", **EVERYTHING)
        rest = {**EVERYTHING, "interface": "10.0.0.2"}
        self.assertEqual(self.exchange("10.0.0.1", "29900", **rest), b"hello")


class WrongStringTests(KCPTestCase):
    """
    Strings that mean nothing.
    """

    def refused(
        self, kind: type[Exception], sentence: str, *arguments: str, **parameters: str
    ) -> None:
        """
        See that both sides refuse something in the same words, and show no key.

        @param arguments: A server's; a client's are those after a host.
        """
        for read, host in ((self.server, ()), (self.client, ("10.0.0.1",))):
            error = self.assertRaises(kind, read, *host, *arguments, **parameters)
            self.assertEqual(str(error), sentence)
            self.assertNotIn(KEY, repr(error))

    def test_values(self) -> None:
        """
        What a parameter cannot be is told with its name.
        """
        for name, value, allowed in (
            ("mtu", "9000", "50 to 1500"),
            ("sndwnd", "x", "1 to 65535"),
            ("nocomp", "true", "yes or no"),
            ("conn", "0", "1 to 256"),
            ("keepalive", "60", "1 to 30"),
            ("dscp", "", "0 to 63"),
        ):
            sentence = f"{name} is {value or 'empty'} and has to be {allowed}"
            self.refused(ConfigurationError, sentence, "29900", **{name: value})
        self.refused(
            ConfigurationError,
            "mode is 'turbo' and has to be of normal, fast, fast2, fast3, manual",
            "29900",
            mode="turbo",
        )

    def test_unknown(self) -> None:
        """
        So is a parameter that there is not.
        """
        self.refused(ConfigurationError, "parity means nothing for kcp:", "29900", parity="3")

    def test_key(self) -> None:
        """
        There has to be one key, and not an empty one.
        """
        sentence = "kcp: needs one of key and keyFile"
        for read, text in (
            (serverFromString, "kcp:29900"),
            (clientFromString, "kcp:10.0.0.1:29900"),
            (serverFromString, "kcp:29900:key=secret:keyFile=/nowhere"),
        ):
            error = self.assertRaises(ConfigurationError, read, self.network, text)
            self.assertEqual(str(error), sentence)
        self.refused(ConfigurationError, "key is empty", "29900", key="")
        self.refused(ConfigurationError, "keyFile is empty", "29900", keyFile="")
        self.refused(
            ConfigurationError,
            "key file /no/where: No such file or directory",
            "29900",
            keyFile="/no/where",
        )

    def test_keyShown(self) -> None:
        """
        Nothing that is made shows the key.
        """
        for endpoint in (self.server("29900"), self.client("10.0.0.1", "29900")):
            shown = [endpoint, vars(endpoint), vars(endpoint._carrier)]
            self.assertNotIn(KEY, repr(shown))

    def test_ports(self) -> None:
        """
        Ports have to be some.
        """
        for text, allowed in (("http", "port is http"), ("70000", "port is 70000")):
            for read, least in (
                (lambda text=text: self.server(text), 0),
                (lambda text=text: self.client("10.0.0.1", text), 1),
            ):
                error = self.assertRaises(ConfigurationError, read)
                self.assertEqual(str(error), f"{allowed} and has to be {least} to 65535")
        self.refused(ConfigurationError, "the ports 9-8 are not 1 to 1024", "9-8")
        self.assertRaises(ConfigurationError, self.client, "10.0.0.1", "0")

    def test_arguments(self) -> None:
        """
        Nothing may be missing, stand there twice, or without a name.
        """
        for read, sentence, arguments, parameters in (
            (self.server, "kcp: needs port=", (), {}),
            (self.server, "kcp: needs port=", ("",), {}),
            (self.client, "kcp: needs host=", (), {}),
            (self.client, "kcp: needs port=", ("10.0.0.1",), {}),
            (self.server, "port is given twice", ("1",), {"port": "1"}),
            (self.client, "host is given twice", ("10.0.0.1", "1"), {"host": "10.0.0.1"}),
            (self.server, "2 stands there without a name", ("1", "2"), {}),
            (self.client, "3 stands there without a name", ("1", "2", "3"), {}),
        ):
            error = self.assertRaises(TypeError, read, *arguments, **parameters)
            self.assertEqual(str(error), sentence)

    def test_hosts(self) -> None:
        """
        The host has to be one.
        """
        error = self.assertRaises(ConfigurationError, self.client, "no host", "29900")
        self.assertIn("host is 'no host', which is no host", str(error))
