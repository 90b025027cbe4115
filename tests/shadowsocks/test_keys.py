"""
Tests for L{socksproxy.shadowsocks._keys}.
"""

from __future__ import annotations

from base64 import b64decode, b64encode, urlsafe_b64encode
from dataclasses import replace
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.errors import ConfigurationError
from socksproxy.shadowsocks import _keys as keys
from socksproxy.shadowsocks._keys import Account, accountFor, keyFromBase64, presharedKeys
from socksproxy.shadowsocks._methods import METHODS
from tests.shadowsocks.streams import VECTORS

AES128 = METHODS["aes-128-gcm"]
AES256 = METHODS["aes-256-gcm"]
NEW128 = METHODS["2022-blake3-aes-128-gcm"]
NEW256 = METHODS["2022-blake3-aes-256-gcm"]
NEWCHACHA = METHODS["2022-blake3-chacha20-poly1305"]

KDF = VECTORS["kdf"]


class TestVectors(SynchronousTestCase):
    """
    Every derivation gives what the vectors say.
    """

    def test_masterKey(self) -> None:
        """
        The key of a classic method is made of the password.
        """
        self.assertTrue(KDF["evp_bytes_to_key"])
        for vector in KDF["evp_bytes_to_key"]:
            # There are vectors for keys of 24 octets, which no method has.
            method = replace(AES128, keyLength=vector["key_len"])
            key = keys.masterKey(method, vector["password_utf8"].encode())
            self.assertEqual(key.hex(), vector["key"])

    def test_classicSubkey(self) -> None:
        """
        The key of a classic stream is made of key and salt.
        """
        self.assertTrue(KDF["hkdf_sha1_ss_subkey"])
        for vector in KDF["hkdf_sha1_ss_subkey"]:
            key, salt = bytes.fromhex(vector["key"]), bytes.fromhex(vector["salt"])
            method = {16: AES128, 32: AES256}[len(key)]
            self.assertEqual(keys.sessionSubkey(method, key, salt).hex(), vector["subkey"])

    def test_sessionSubkey(self) -> None:
        """
        So is that of a stream of 2022, and that of a session of datagrams of
        key and identifier.
        """
        streams, sessions = KDF["blake3_session_subkey"], KDF["blake3_session_subkey_udp"]
        self.assertTrue(streams and sessions)
        for vector in [*streams, *sessions]:
            salt = bytes.fromhex(vector["salt" if "salt" in vector else "session_id"])
            method = METHODS[vector["method"]]
            subkey = keys.sessionSubkey(method, b64decode(vector["psk_base64"]), salt)
            self.assertEqual(subkey.hex(), vector["subkey"])

    def test_identitySubkey(self) -> None:
        """
        The key of an identity header is made of a server's key and the salt.
        """
        self.assertTrue(KDF["blake3_identity_subkey"])
        for vector in KDF["blake3_identity_subkey"]:
            key = b64decode(vector["ipsk_base64"])
            subkey = keys.identitySubkey(key, bytes.fromhex(vector["salt"]))
            self.assertEqual(subkey.hex(), vector["subkey"])

    def test_keyHash(self) -> None:
        """
        The name of a key is the beginning of its hash.
        """
        self.assertTrue(KDF["blake3_psk_hash16"])
        for vector in KDF["blake3_psk_hash16"]:
            self.assertEqual(keys.keyHash(b64decode(vector["psk_base64"])).hex(), vector["hash16"])

    def test_identityHeaders(self) -> None:
        """
        There is one identity header for each key that another follows, and a
        server finds the hash of that one in its own.
        """
        vectors = [v for v in VECTORS["tcp_request_2022"] if v["identity_psks_base64"]]
        self.assertEqual(len(vectors), 6)
        for vector in vectors:
            salt = bytes.fromhex(vector["salt"])
            chain = [
                b64decode(text) for text in (*vector["identity_psks_base64"], vector["psk_base64"])
            ]
            headers = keys.identityHeaders(chain, salt)
            self.assertEqual(headers.hex(), vector["identity_headers"])
            for at, (own, named) in enumerate(pairwise(chain)):
                header = headers[16 * at : 16 * at + 16]
                self.assertEqual(keys.openIdentity(own, salt, header), keys.keyHash(named))

    def test_noIdentityHeader(self) -> None:
        """
        One key needs no header.
        """
        self.assertEqual(keys.identityHeaders([bytes(16)], bytes(16)), b"")


class TestKeyFromBase64(SynchronousTestCase):
    """
    Tests for the option C{key} of shadowsocks-libev.
    """

    def test_urlSafe(self) -> None:
        """
        It is URL-safe base64, with or without padding.
        """
        key = bytes(range(240, 256))
        text = urlsafe_b64encode(key).decode()
        self.assertIn("-", text)
        self.assertEqual(keyFromBase64(AES128, text), key)
        self.assertEqual(keyFromBase64(AES128, text.rstrip("=")), key)

    def test_long(self) -> None:
        """
        What is too long is cut.
        """
        self.assertEqual(
            keyFromBase64(AES128, urlsafe_b64encode(bytes(range(32))).decode()), bytes(range(16))
        )

    def test_short(self) -> None:
        """
        What is too short is refused, with both lengths.
        """
        text = urlsafe_b64encode(b"0123456789").decode()
        error = self.assertRaises(ConfigurationError, keyFromBase64, AES128, text)
        self.assertIn("10 octets", str(error))
        self.assertIn("needs 16", str(error))


class TestPresharedKeys(SynchronousTestCase):
    """
    Tests for L{presharedKeys}.
    """

    key = bytes(range(200, 216))
    text = b64encode(key).decode()

    def test_padding(self) -> None:
        """
        The padding may be missing.
        """
        self.assertEqual(presharedKeys(NEW128, self.text), [self.key])
        self.assertEqual(presharedKeys(NEW128, self.text.rstrip("=")), [self.key])

    def test_several(self) -> None:
        """
        Several keys have colons between them.
        """
        other = b64encode(bytes(16)).decode().rstrip("=")
        self.assertEqual(
            presharedKeys(NEW128, f"{other}:{self.text}"),
            [bytes(16), self.key],
        )

    def test_wrongLength(self) -> None:
        """
        A key of another length is refused, with both lengths, its place, and
        nothing of the key.
        """
        text = b64encode(b"topsecret").decode()
        error = self.assertRaises(ConfigurationError, presharedKeys, NEW256, text)
        self.assertIn("9 octets", str(error))
        self.assertIn("exactly 32", str(error))
        error = self.assertRaises(
            ConfigurationError, presharedKeys, NEW128, f"{self.text}:{text}:{self.text}"
        )
        self.assertIn("key 2 of 3", str(error))
        for secret in (text, self.text, "topsecret"):
            self.assertNotIn(secret, str(error))

    def test_notBase64(self) -> None:
        """
        A password is no key, and is not repeated; nor is the exception that it
        caused kept.
        """
        for text in ("hunter2 hunter2!", self.text + "=", "ümlaut", self.text.replace("z", "-")):
            error = self.assertRaises(ConfigurationError, presharedKeys, NEW128, text)
            self.assertEqual(str(error), "the key is not base64")
            self.assertIsNone(error.__cause__)
            self.assertTrue(error.__suppress_context__)

    def test_oneOnly(self) -> None:
        """
        A method without a block cipher has no identity headers, and takes one
        key only.
        """
        text = b64encode(bytes(32)).decode()
        self.assertEqual(presharedKeys(NEWCHACHA, text), [bytes(32)])
        error = self.assertRaises(
            ConfigurationError, presharedKeys, NEWCHACHA, ":".join([text] * 2)
        )
        self.assertIn("one key only", str(error))

    def test_tooMany(self) -> None:
        """
        There is a bound on how many there are.
        """
        most = keys.MAX_KEYS
        self.assertEqual(len(presharedKeys(NEW128, ":".join([self.text] * most))), most)
        text = ":".join([self.text] * (most + 1))
        self.assertRaises(ConfigurationError, presharedKeys, NEW128, text)


class TestAccount(SynchronousTestCase):
    """
    Tests for L{Account} and L{accountFor}.
    """

    def test_secret(self) -> None:
        """
        Nothing of the keys is shown.
        """
        account = accountFor(AES128, "correct horse battery staple", "alice")
        self.assertEqual(repr(account), "<Account 'alice' aes-128-gcm>")
        self.assertEqual(str(account), repr(account))

    def test_password(self) -> None:
        """
        A classic method takes a password, in UTF-8.
        """
        account = accountFor(AES256, "pässwörd", "alice")
        self.assertEqual(account.keys, (keys.masterKey(AES256, "pässwörd".encode()),))
        self.assertEqual(account.name, "alice")

    def test_preshared(self) -> None:
        """
        One of 2022 takes keys, of which the last is the user's.
        """
        texts = [b64encode(bytes([number] * 16)).decode() for number in (1, 2)]
        account = accountFor(NEW128, ":".join(texts))
        self.assertEqual(account.keys, (bytes([1] * 16), bytes([2] * 16)))
        self.assertEqual(account.userKey, bytes([2] * 16))

    def test_empty(self) -> None:
        """
        No password is refused.
        """
        for method in (AES128, NEW128):
            self.assertRaises(ConfigurationError, accountFor, method, "")

    def test_checked(self) -> None:
        """
        Keys have to be as many, and as long, as the method takes.
        """
        self.assertRaises(ConfigurationError, Account, NEW128, [])
        self.assertRaises(ConfigurationError, Account, NEW128, [bytes(16), bytes(32)])
        self.assertRaises(ConfigurationError, Account, AES128, [bytes(16)] * 2)
        self.assertRaises(ConfigurationError, Account, NEWCHACHA, [bytes(32)] * 2)


@given(st.text(max_size=80))
def test_anyText(text: str) -> None:
    """
    Whatever stands for keys gives keys of the right length, or an error that
    is for the administrator.
    """
    for method in (NEW128, NEWCHACHA):
        try:
            found = presharedKeys(method, text)
        except ConfigurationError:
            continue
        assert all(len(key) == method.keyLength for key in found)
    try:
        assert len(keyFromBase64(AES128, text)) == 16
    except ConfigurationError:
        pass
