"""
Tests for L{socksproxy.forward.specification}.
"""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet import endpoints

from socksproxy.address import Destination
from socksproxy.errors import ConfigurationError
from socksproxy.forward import DatagramForward, StreamForward, forwardFromText
from socksproxy.forward.specification import argumentsOf

WEB = Destination("web.test", 80)
LOOPBACK = Destination(ip_address("127.0.0.1"), 80)
SIX = Destination(ip_address("::1"), 80)

# The client endpoint, and what it says if it is nothing but host and port.
CLIENTS: dict[str, Destination | None] = {
    "tcp:web.test:80": WEB,
    "TCP:web.test:80": WEB,
    "tcp:host=web.test:port=80": WEB,
    "tcp:port=80:host=web.test": WEB,
    "tcp:web.test:port=80": WEB,
    "tcp:host=web.test:80": WEB,
    "tcp:WEB.test.:80": WEB,
    "tcp:127.0.0.1:80": LOOPBACK,
    r"tcp:\:\:1:80": SIX,
    r"tcp:host=\:\:1:port=80": SIX,
    r"t\cp:web\.test:80": WEB,
    "tcp:web.test:80:timeout=5": None,
    "tcp:web.test:80:bindAddress=127.0.0.1": None,
    "tcp:web.test": None,
    "tcp:web.test:80:90": None,
    "tcp:127.1:80": None,
    r"tcp:fe80\:\:1%eth0:80": None,
    "tls:web.test:443": None,
    "ssl:web.test:443:caCertsDir=/etc/ssl/certs": None,
    "unix:/run/web.sock": None,
    "unix:path=/run/web.sock": None,
    "proxied:web.test:80": None,
    "carrier=pigeon:web.test": None,
}

# What is wrong, and a part of what is said about it.
WRONG = {
    "": "one comma",
    "tcp:8080": "one comma",
    ",": "one comma",
    "tcp:8080,": "one comma",
    ",tcp:web.test:80": "one comma",
    "tcp:8080, ": "one comma",
    "tcp:8080,tcp:web.test:80,tcp:web.test:81": "one comma",
    r"tcp:8080\,tcp:web.test:80": "one comma",
    r"tcp:8080\\\,tcp:web.test:80": "one comma",
    "tcp:8080,tcp:web.test:0": "0 is no port",
    "tcp:8080,tcp:web.test:65536": "65536 is no port",
    "tcp:8080,tcp:web.test:http": "http is no port",
    "tcp:8080,tcp:web.test:-1": "-1 is no port",
    "tcp:8080,tcp:web.test:٣": "٣ is no port",
    "tcp:8080,tcp:web.test:": "nothing is no port",
    "tcp:53,udp:192.0.2.53:53": "both sides",
    "udp:53,tcp:192.0.2.53:53": "both sides",
    "UDP:53,tcp:192.0.2.53:53": "both sides",
    "udp,udp:192.0.2.53:53": "udp:PORT",
    "udp:53:192.0.2.1:5,udp:192.0.2.53:53": "udp:PORT",
    "udp:53:backlog=5,udp:192.0.2.53:53": "udp:PORT",
    "udp:interface=127.0.0.1,udp:192.0.2.53:53": "udp:PORT",
    "udp:dns,udp:192.0.2.53:53": "dns is no port",
    "udp:65536,udp:192.0.2.53:53": "65536 is no port",
    "udp:53:interface=lo,udp:192.0.2.53:53": "lo is no address",
    "udp:53,udp:192.0.2.53": "udp:HOST:PORT",
    "udp:53,udp": "udp:HOST:PORT",
    "udp:53,udp:192.0.2.53:53:timeout=3": "udp:HOST:PORT",
    "udp:53,udp:192.0.2.53:0": "0 is no port",
    "udp:53,udp::53": "nothing is no host",
    "udp:53,udp:a b:53": "a b is no host",
    "udp:53,udp:127.1:53": "127.1 is no host",
    "udp:53,udp:224.0.0.251:5353": "not the address of a host",
    "udp:53,udp:255.255.255.255:53": "not the address of a host",
    "udp:53,udp:0.0.0.0:53": "not the address of a host",
    r"udp:53,udp:\:\::53": "not the address of a host",
    r"haproxy:tcp\:8080,tcp:web.test:80": "--listen",
}


class TestStreams:
    """
    Connections.
    """

    @pytest.mark.parametrize("client", CLIENTS)
    def test_target(self, client: str) -> None:
        """
        A host and a port of TCP are known as such in whatever form Twisted
        takes them, and anything else is left to it.
        """
        forward = forwardFromText(f"tcp:8080:interface=127.0.0.1,{client}")
        assert isinstance(forward, StreamForward)
        assert (forward.server, forward.client) == ("tcp:8080:interface=127.0.0.1", client)
        assert forward.target == CLIENTS[client]

    @pytest.mark.parametrize(
        ("text", "server", "client"),
        [
            ("tcp:8080,tcp:web.test:80", "tcp:8080", "tcp:web.test:80"),
            ("tcp:8080, tcp:web.test:80", "tcp:8080", "tcp:web.test:80"),
            (r"unix:/a\,b,unix:/c\,d", r"unix:/a\,b", r"unix:/c\,d"),
            (r"unix:/a\\,unix:/b", r"unix:/a\\", "unix:/b"),
            (
                r"ssl:443:privateKey=/etc/a\,b.pem,tcp:web.test:80",
                r"ssl:443:privateKey=/etc/a\,b.pem",
                "tcp:web.test:80",
            ),
            ("systemd:domain=INET:index=0,unix:/b", "systemd:domain=INET:index=0", "unix:/b"),
        ],
    )
    def test_comma(self, text: str, server: str, client: str) -> None:
        """
        The comma without a backslash is the one that counts, and what is
        escaped stays so for Twisted to read.
        """
        forward = forwardFromText(text)
        assert (forward.server, forward.client) == (server, client)

    @pytest.mark.parametrize(
        ("client", "timeout"),
        [
            ("tls:web.test:443:timeout=5", 5.0),
            ("tls:web.test:443:timeout=0", None),
            ("tls:web.test:443:timeout=soon", None),
            ("tls:web.test:443", None),
        ],
    )
    def test_timeout(self, client: str, timeout: float | None) -> None:
        """
        A time-out that the client endpoint has is known.
        """
        forward = forwardFromText(f"tcp:8080,{client}")
        assert isinstance(forward, StreamForward)
        assert forward.timeout == timeout


class TestDatagrams:
    """
    Datagrams.
    """

    @pytest.mark.parametrize(
        ("server", "interface", "port"),
        [
            ("udp:53", "", 53),
            ("UDP:53", "", 53),
            ("udp:0", "", 0),
            ("udp:65535", "", 65535),
            ("udp:53:interface=127.0.0.1", "127.0.0.1", 53),
            ("udp:53:127.0.0.1", "127.0.0.1", 53),
            ("udp:port=53:interface=127.0.0.1", "127.0.0.1", 53),
            (r"udp:53:interface=\:\:1", "::1", 53),
        ],
    )
    def test_server(self, server: str, interface: str, port: int) -> None:
        """
        A port to listen on, and perhaps an address.
        """
        forward = forwardFromText(f"{server},udp:ns.test:53")
        assert isinstance(forward, DatagramForward)
        assert (forward.server, forward.interface, forward.port) == (server, interface, port)

    @pytest.mark.parametrize(
        ("client", "target"),
        [
            ("udp:web.test:80", WEB),
            ("udp:host=web.test:port=80", WEB),
            ("udp:127.0.0.1:80", LOOPBACK),
            (r"udp:\:\:1:80", SIX),
            (r"udp:\:\:ffff\:127.0.0.1:80", LOOPBACK),
        ],
    )
    def test_client(self, client: str, target: Destination) -> None:
        """
        A name or an address to send to.
        """
        forward = forwardFromText(f"udp:53,{client}")
        assert isinstance(forward, DatagramForward)
        assert (forward.client, forward.target) == (client, target)


@pytest.mark.parametrize("text", WRONG)
def test_wrong(text: str) -> None:
    """
    What is no specification is refused in one line that says why.
    """
    with pytest.raises(ConfigurationError) as caught:
        forwardFromText(text)
    assert WRONG[text] in str(caught.value)
    assert "\n" not in str(caught.value)


class TestArguments:
    """
    Endpoint strings.
    """

    @settings(deadline=None)
    @given(st.text(alphabet=":=\\,aB1 /\n", max_size=20))
    def test_asTwisted(self, description: str) -> None:
        """
        They are taken apart as Twisted does it.
        """
        ends = description.removesuffix("\\")
        if (len(description) - len(description.rstrip("\\"))) % 2:
            # A lone backslash at the end is more than Twisted can take.
            description = ends
        assert argumentsOf(description) == endpoints._parse(description)

    def test_loneBackslash(self) -> None:
        """
        A backslash with nothing after it stands for itself.
        """
        assert argumentsOf("a:b\\") == (["a", "b\\"], {})


@settings(deadline=None)
@given(st.text(alphabet=":=\\,udpTC1.~ \n", max_size=24))
def test_anyText(text: str) -> None:
    """
    Any text is read or refused, and never anything else.
    """
    try:
        forwardFromText(text)
    except ConfigurationError:
        pass
