"""
SOCKS5 with tickets of Kerberos: our server and our client with a KDC of MIT's,
first in memory and then on real sockets.
"""

from __future__ import annotations

import os
import random
from typing import ClassVar
from unittest import TestCase

from socksproxy.address import Destination
from socksproxy.auth.principals import PrincipalChecker, TicketedPrincipal
from socksproxy.errors import (
    AuthenticationFailed,
    ConfigurationError,
    MalformedMessage,
    MessageTooLong,
    NotAllowed,
    RemoteProtocolError,
    TruncatedStream,
)
from socksproxy.negotiation import Protection
from socksproxy.socks import GSSAPI, Principal, ProtectionLevel
from socksproxy.socks._negotiation5 import ClientNegotiation, ServerNegotiation
from socksproxy.socks._protection import ContextProtection
from socksproxy.socks.gssapi import checkKeytab
from tests.interop.kerberos import Realm
from tests.interop.peers import requirePackage
from tests.interop.processes import residentKiB
from tests.socks.driven import DrivenClient, DrivenServer, converse

WEB = Destination("web.test", 80)
SERVICE = "rcmd@localhost"
LEVELS = (
    ProtectionLevel.INTEGRITY,
    ProtectionLevel.CONFIDENTIALITY,
    ProtectionLevel.SELECTIVE,
)


class RealmTestCase(TestCase):
    """
    Tests with a realm.

    @cvar realm: The realm.
    @cvar tickets: Where Alice has hers.
    @cvar keytab: The service's key.
    """

    realm: ClassVar[Realm]
    tickets: ClassVar[str]
    keytab: ClassVar[str]

    @classmethod
    def setUpClass(cls) -> None:
        """
        Set up a realm with a user and a service.
        """
        requirePackage("gssapi")
        cls.realm = cls.enterClassContext(Realm())
        cls.tickets = cls.realm.addUser("alice")
        cls.keytab = cls.realm.addService("rcmd/localhost")

    def server(self, minimum: int | None = None, keytab: str | None = None) -> GSSAPI:
        """
        Give the server's method.
        """
        return GSSAPI(SERVICE, keytab=keytab or self.keytab, minimum=minimum)

    def client(
        self,
        level: int = ProtectionLevel.CONFIDENTIALITY,
        service: str = SERVICE,
        cache: str | None = None,
        datagrams: bool = False,
        minimum: int | None = None,
    ) -> GSSAPI:
        """
        Give the client's method.
        """
        return GSSAPI(
            service,
            level=level,
            minimum=minimum,
            cache=cache or self.tickets,
            datagrams=datagrams,
        )

    def talk(
        self, server: GSSAPI, client: GSSAPI, realm: str = "SOCKS.TEST", segment: int = 65536
    ) -> tuple[DrivenServer, DrivenClient]:
        """
        Let a server and a client negotiate.

        @param realm: Whose principals are let in.
        """
        checker = PrincipalChecker([realm])
        refused: list[object] = []

        def admits(credentials: object) -> bool:
            assert isinstance(credentials, Principal)
            refused.clear()
            login = checker.requestAvatarId(TicketedPrincipal(credentials.name))
            login.addErrback(refused.append)
            return not refused

        driven = (
            DrivenServer(ServerNegotiation([server]), admits),
            DrivenClient(ClientNegotiation(WEB, [client])),
        )
        converse(driven[1], driven[0], segment)
        return driven

    def protections(
        self, level: int = ProtectionLevel.CONFIDENTIALITY, datagrams: bool = False
    ) -> tuple[Protection, Protection]:
        """
        Give the protections of a server and a client that have negotiated.
        """
        server, client = self.talk(self.server(), self.client(level, datagrams=datagrams))
        assert server.protection is not None
        assert client.protection is not None
        return server.protection, client.protection


class NegotiationTests(RealmTestCase):
    """
    A server and a client in memory.
    """

    def test_levels(self) -> None:
        """
        On every level the server learns who it is and the request is granted,
        and data of any size passes both ways.
        """
        data = random.Random(1).randbytes(200_000)
        for level in LEVELS:
            for segment in (1, 65536):
                with self.subTest(level=level, segment=segment):
                    server, client = self.talk(self.server(), self.client(level), segment=segment)
                    self.assertEqual(server.credentials, [Principal(b"alice@SOCKS.TEST")])
                    self.assertEqual((len(server.requests), len(client.replies)), (1, 1))
                    assert server.protection is not None
                    assert client.protection is not None
                    for one, other in (
                        (server.protection, client.protection),
                        (client.protection, server.protection),
                    ):
                        wrapped = one.wrap(data)
                        self.assertEqual(wrapped.find(data[:100]) >= 0, level == 1)
                        self.assertEqual(other.unwrap(wrapped), data)

    def test_noProtection(self) -> None:
        """
        Where both sides agree on it nothing is protected.
        """
        server, client = self.talk(
            self.server(minimum=ProtectionLevel.NONE), self.client(ProtectionLevel.NONE)
        )
        self.assertEqual((server.protection, client.protection), (None, None))
        self.assertEqual(len(client.replies), 1)

    def test_anyName(self) -> None:
        """
        A server that does not say who it is takes tickets for whatever it has
        a key for; a service may be named by its principal.
        """
        server = GSSAPI(keytab=self.keytab)
        for name in (SERVICE, "rcmd/localhost@SOCKS.TEST"):
            _, client = self.talk(server, self.client(service=name))
            self.assertEqual(len(client.replies), 1, name)

    def test_wrongRealm(self) -> None:
        """
        A good ticket of a realm that may not use the proxy is refused.
        """
        server, client = self.talk(self.server(), self.client(), realm="OTHER.TEST")
        self.assertIsInstance(server.failure, AuthenticationFailed)
        self.assertIsInstance(client.failure, AuthenticationFailed)
        self.assertEqual(server.requests, [])

    def test_wrongServiceKey(self) -> None:
        """
        A ticket for another service is refused, and so is one for a key that
        the server does not have yet; the server's log says what is missing.
        """
        keytab = self.realm.addService("http/localhost")
        server, client = self.talk(GSSAPI(keytab=keytab), self.client())
        self.assertIn("rcmd/localhost", str(server.failure))
        self.realm.changeKey("http/localhost")
        again, another = self.talk(GSSAPI(keytab=keytab), self.client(service="http@localhost"))
        self.assertIn("http/localhost", str(again.failure))
        for end in (server, client, again, another):
            self.assertIsInstance(end.failure, AuthenticationFailed)
            self.assertIsNone(end.protection)

    def test_tooLow(self) -> None:
        """
        A level below the server's minimum is refused.
        """
        for level, minimum in ((1, 2), (0, 1)):
            server, client = self.talk(self.server(minimum), self.client(level))
            self.assertIsInstance(server.failure, NotAllowed)
            self.assertIsInstance(client.failure, AuthenticationFailed)
            self.assertEqual(server.requests, [])

    def test_raised(self) -> None:
        """
        A client that leaves the choice to the server gets what that wants.
        """
        server, client = self.talk(
            self.server(minimum=ProtectionLevel.CONFIDENTIALITY),
            self.client(ProtectionLevel.SELECTIVE),
        )
        assert server.protection is not None
        assert client.protection is not None
        secret = client.protection.wrap(b"a secret")
        self.assertNotIn(b"a secret", secret)
        self.assertEqual(server.protection.unwrap(secret), b"a secret")

    def test_noTicket(self) -> None:
        """
        A client that has no ticket, or gets none for the service, fails and
        says why.
        """
        for method, why in (
            (self.client(cache="/nowhere"), "cache"),
            (self.client(service="none@localhost"), "none/localhost"),
        ):
            server, client = self.talk(self.server(), method)
            self.assertIsInstance(client.failure, AuthenticationFailed)
            self.assertIn(why, str(client.failure))
            self.assertEqual(server.credentials, [])

    def test_flags(self) -> None:
        """
        A client asks for everything that protects it, for order only where
        there are no datagrams, and never hands its identity over.
        """
        gssapi = requirePackage("gssapi")
        flag = gssapi.RequirementFlag
        for datagrams in (False, True):
            client = DrivenClient(ClientNegotiation(WEB, [self.client(datagrams=datagrams)]))
            client.receive(b"\5\1")
            keys = gssapi.Credentials(usage="accept", store={"keytab": self.keytab})
            context = gssapi.SecurityContext(creds=keys, usage="accept")
            context.step(client.computeAll()[4:])
            asked = set(context.actual_flags)
            self.assertLessEqual(
                {
                    flag.mutual_authentication,
                    flag.integrity,
                    flag.confidentiality,
                    flag.replay_detection,
                },
                asked,
            )
            self.assertEqual(flag.out_of_sequence_detection in asked, not datagrams)
            self.assertNotIn(flag.delegate_to_peer, asked)

    def test_replayedTicket(self) -> None:
        """
        A client's token that somebody has recorded is good only once.
        """
        client = DrivenClient(ClientNegotiation(WEB, [self.client()]))
        client.receive(b"\5\1")
        token = client.computeAll()
        answers = []
        for _ in range(2):
            server = DrivenServer(ServerNegotiation([self.server()]))
            server.receive(b"\5\1\1")
            server.receive(token)
            answers.append(server.computeAll())
        self.assertEqual((answers[0][:2], answers[1]), (b"\1\1", b"\1\xff"))
        self.assertIn("replay", str(server.failure))

    def test_otherMechanism(self) -> None:
        """
        Only Kerberos itself is taken: with another mechanism around or instead
        of it, names might mean something else.
        """
        gssapi = requirePackage("gssapi")
        spnego = gssapi.OID.from_int_seq("1.3.6.1.5.5.2")
        context = gssapi.SecurityContext(
            name=gssapi.Name(SERVICE, gssapi.NameType.hostbased_service),
            creds=gssapi.Credentials(
                usage="initiate", store={"ccache": self.tickets}, mechs=[spnego]
            ),
            mech=spnego,
            usage="initiate",
        )
        token = context.step()
        server = DrivenServer(ServerNegotiation([self.server()]))
        server.receive(b"\5\1\1\1\1" + len(token).to_bytes(2, "big") + token)
        self.assertEqual(server.computeAll(), b"\1\xff")
        self.assertIsInstance(server.failure, AuthenticationFailed)

    def test_noKeytab(self) -> None:
        """
        Without a keytab nobody gets in, and the log says what is missing.
        """
        server, _ = self.talk(self.server(keytab="/nowhere"), self.client())
        self.assertIn("/nowhere", str(server.failure))
        self.assertEqual(server.credentials, [])


class ProtectionTests(RealmTestCase):
    """
    What goes through a real context.
    """

    def test_tampered(self) -> None:
        """
        A frame that has been changed anywhere is an error, on every level.
        """
        for level in LEVELS:
            server, client = self.protections(level)
            data = client.wrap(b"pay 10")
            for position in (0, 3, 4, 6, 7, 12, 19, 20, len(data) - 1):
                server, client = self.protections(level)
                changed = bytearray(client.wrap(b"pay 10"))
                changed[position] ^= 1
                with self.subTest(level=level, position=position):
                    try:
                        self.assertEqual(server.unwrap(bytes(changed)), b"")
                        self.assertRaises(TruncatedStream, server.endOfStream)
                    except RemoteProtocolError:
                        self.assertRaises(RemoteProtocolError, server.unwrap, client.wrap(b"x"))

    def test_order(self) -> None:
        """
        A frame that comes twice, or without the one before it, is an error,
        also in a context that does not watch the order.
        """
        for datagrams in (False, True):
            server, client = self.protections(datagrams=datagrams)
            data = client.wrap(b"x")
            server.unwrap(data)
            self.assertRaises(MalformedMessage, server.unwrap, data)
            server, client = self.protections(datagrams=datagrams)
            client.wrap(b"lost")
            self.assertRaises(MalformedMessage, server.unwrap, client.wrap(b"x"))

    def test_otherContext(self) -> None:
        """
        What belongs to another connection, or comes back from the other side,
        is an error.
        """
        server, client = self.protections()
        _, stranger = self.protections()
        self.assertRaises(MalformedMessage, server.unwrap, stranger.wrap(b"x"))
        self.assertRaises(MalformedMessage, client.unwrap, client.wrap(b"x"))

    def test_clear(self) -> None:
        """
        On level 2 nothing is taken that was not encrypted.
        """
        server, client = self.talk(self.server(), self.client(ProtectionLevel.CONFIDENTIALITY))
        assert server.protection is not None
        assert isinstance(client.protection, ContextProtection)
        client.protection._encrypts = False
        data = client.protection.wrap(b"open")
        self.assertIn(b"open", data)
        self.assertRaises(MalformedMessage, server.protection.unwrap, data)

    def test_longestFrame(self) -> None:
        """
        A frame is as long as it may be and no longer.
        """
        for level in LEVELS:
            server, client = self.protections(level, datagrams=True)
            longest = 65475 if level is not ProtectionLevel.INTEGRITY else 65507
            data = client.wrapDatagram(bytes(longest))
            self.assertEqual(server.unwrapDatagram(data), bytes(longest))
            self.assertRaises(MessageTooLong, client.wrapDatagram, bytes(longest + 1))

    def test_datagrams(self) -> None:
        """
        Datagrams may be lost and come in any order, and none twice.
        """
        for level in LEVELS:
            server, client = self.protections(level, datagrams=True)
            self.assertTrue(server.carriesDatagrams and client.carriesDatagrams)
            for one, other in ((server, client), (client, server)):
                sent = [one.wrapDatagram(b"%d" % number) for number in range(300)]
                for number in (1, 0, 5, 3, 66, 4, 129, 128, 299):
                    self.assertEqual(other.unwrapDatagram(sent[number]), b"%d" % number)
                for number in (0, 1, 65, 66, 129, 298, 299):
                    self.assertRaises(MalformedMessage, other.unwrapDatagram, sent[number])

    def test_jump(self) -> None:
        """
        After so many lost datagrams that Kerberos itself loses count of those
        before, they are refused, and those after it are not.
        """
        for lost in (62, 63, 64, 65, 130):
            server, client = self.protections(datagrams=True)
            sent = [client.wrapDatagram(b"%d" % number) for number in range(lost + 3)]
            server.unwrapDatagram(sent[0])
            server.unwrapDatagram(sent[lost + 1])
            for number in range(1, lost + 1):
                if lost == 62:
                    self.assertEqual(server.unwrapDatagram(sent[number]), b"%d" % number)
                else:
                    self.assertRaises(MalformedMessage, server.unwrapDatagram, sent[number])
            self.assertEqual(server.unwrapDatagram(sent[lost + 2]), b"%d" % (lost + 2))

    def test_noDatagrams(self) -> None:
        """
        A context that watches the order of tokens has no datagrams.
        """
        for protection in self.protections():
            self.assertFalse(protection.carriesDatagrams)

    def test_memory(self) -> None:
        """
        Datagrams that come twice cost nothing, however many they are.
        """
        server, client = self.protections(ProtectionLevel.INTEGRITY, datagrams=True)
        data = client.wrapDatagram(bytes(60000))
        server.unwrapDatagram(data)
        before = residentKiB(os.getpid())
        for _ in range(1000):
            self.assertRaises(MalformedMessage, server.unwrapDatagram, data)
        self.assertLess(residentKiB(os.getpid()) - before, 10_000)

    def test_octetsLeftAlone(self) -> None:
        """
        Octets that have been unwrapped are what they were: Kerberos works in
        place.
        """
        server, client = self.protections(ProtectionLevel.INTEGRITY, datagrams=True)
        for wrap, unwrap in (
            (client.wrap, server.unwrap),
            (client.wrapDatagram, server.unwrapDatagram),
        ):
            data = wrap(b"some octets")
            copy = bytes(bytearray(data))
            unwrap(data)
            self.assertEqual(data, copy)


class KeytabTests(RealmTestCase):
    """
    Looking at the keys before anybody comes.
    """

    def test_good(self) -> None:
        """
        A keytab with the right key is good, and with any where none is asked
        for.
        """
        checkKeytab(SERVICE, self.keytab)
        checkKeytab(None, self.keytab)

    def checkError(self, service: str | None, keytab: str | None, names: str) -> None:
        """
        Require an error of one line that names what is wrong.
        """
        with self.assertRaises(ConfigurationError) as caught:
            checkKeytab(service, keytab)
        self.assertIn(names, str(caught.exception))
        self.assertNotIn("\n", str(caught.exception))

    def test_missing(self) -> None:
        """
        A keytab that is not there, or is none, is named.
        """
        self.checkError(SERVICE, "/nowhere/keytab", "/nowhere/keytab")
        empty = self.realm.folder / "text"
        empty.write_text("not a keytab")
        self.checkError(None, str(empty), "text")

    def test_system(self) -> None:
        """
        Without a keytab it is the system's that counts.
        """
        self.checkError(SERVICE, None, "no-keytab")

    def test_otherService(self) -> None:
        """
        A keytab without a key for the service is no good.
        """
        self.checkError("http@localhost", self.keytab, "http/localhost")
