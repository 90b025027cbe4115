"""
Tests for L{socksproxy.auth.passwords}: hashes and records.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.auth import passwords
from socksproxy.auth.passwords import (
    ScryptHash,
    checkPassword,
    checkUser,
    decodeHash,
    decodeRecords,
)
from socksproxy.errors import PasswordFileError
from tests.auth.cheap import cheapHash

RFC7914 = (
    b"$scrypt$ln=10,r=8,p=16$TmFDbA"
    b"$/bq+HJ00cgB4VucZDQHp/nxq18vII3gw53N2Y0s3MWIurzDZLiKjiG/xCSedmDDaxyevuUqD7m2DYMvfoswGQA"
)
"""
The second vector of RFC 7914 section 12 as a record: password "password", salt
"NaCl".
"""

PASSLIB = b"$scrypt$ln=8,r=8,p=1$WKs1xljLudd6z9kbY0wpJQ$yCR4iDZYDKv+iEJj6yHY0lv/epnfB6f/w1EbXrsJOuQ"
"""
A hash from the tests of passlib: password "password".
"""

SALT = b"\x00" * 16
DIGEST = b"\x01" * 32


def record(
    logN: object = 1, r: object = 1, p: object = 1, salt: bytes = SALT, digest: bytes = DIGEST
) -> bytes:
    """
    Write a hash with whatever parameters.
    """
    shown = [b64encode(part).rstrip(b"=") for part in (salt, digest)]
    return f"$scrypt$ln={logN},r={r},p={p}$".encode() + b"$".join(shown)


def hmacKey(password: bytes) -> bytes:
    """
    Give the key that HMAC-SHA-256, and with it scrypt, makes of a password
    (RFC 2104 section 2): zeros at the end mean nothing to it.
    """
    return (hashlib.sha256(password).digest() if len(password) > 64 else password).ljust(64, b"\0")


def scryptLimits(
    password: bytes, *, salt: bytes, n: int, r: int, p: int, maxmem: int, dklen: int
) -> bytes:
    """
    Check what C{hashlib.scrypt} and OpenSSL check, and compute nothing.

    @raise ValueError: They would not compute it.
    """
    if not 0 <= maxmem <= 0x7FFFFFFF:
        raise ValueError("maxmem must be positive and smaller than 2147483647")
    blocks, table = p * 128 * r, 32 * r * (n + 2) * 4
    if (16 * r <= 64 and n >= 1 << (16 * r)) or p * r > 0x3FFFFFFF or blocks + table > maxmem:
        raise ValueError("Invalid parameter combination for n, r, p, maxmem.")
    return bytes(dklen)


class ScryptHashTests(SynchronousTestCase):
    """
    One hash.
    """

    def test_rfc7914(self) -> None:
        """
        It is the scrypt of RFC 7914.
        """
        self.assertTrue(decodeHash(RFC7914).matches(b"password"))
        self.assertFalse(decodeHash(RFC7914).matches(b"Password"))

    def test_hashlib(self) -> None:
        """
        It is what C{hashlib} computes with the same parameters.
        """
        expected = hashlib.scrypt(b"secret", salt=SALT, n=4, r=2, p=3, dklen=32)
        made = ScryptHash(SALT, b"", logN=2, r=2, p=3).withPassword(b"secret")
        self.assertEqual(made.digest, expected)
        self.assertEqual(made.encode(), record(2, 2, 3, digest=expected))

    def test_passlib(self) -> None:
        """
        A record that passlib made is understood, and stays what it is.
        """
        decoded = decodeHash(PASSLIB)
        self.assertEqual((decoded.logN, decoded.r, decoded.p), (8, 8, 1))
        self.assertTrue(decoded.matches(b"password"))
        self.assertEqual(decoded.encode(), PASSLIB)

    def test_dots(self) -> None:
        """
        The alphabet of passlib's other hashes, with dots for plus signs, is
        understood too.
        """
        decoded = decodeHash(record(salt=b"\xfb" * 3).replace(b"+", b"."))
        self.assertEqual(decoded.salt, b"\xfb" * 3)

    def test_defaults(self) -> None:
        """
        New hashes cost as much as OWASP asks for.
        """
        new = ScryptHash(SALT, DIGEST)
        self.assertEqual((new.logN, new.r, new.p), (14, 8, 5))

    @settings(deadline=None, max_examples=50)
    @given(st.binary(max_size=255), st.binary(max_size=255))
    def test_matches(self, password: bytes, other: bytes) -> None:
        """
        A hash fits its own password, whatever octets that has, and no other
        but one that is the same key to HMAC. To that, a NUL at the end makes
        no difference, so that nothing with one fits.
        """
        decoded = decodeHash(cheapHash(password).encode())
        self.assertEqual(decoded.matches(password), not password.endswith(b"\0"))
        same = hmacKey(other) == hmacKey(password) and not other.endswith(b"\0")
        self.assertEqual(decoded.matches(other), same)

    @settings(deadline=None, max_examples=50)
    @given(st.binary(min_size=1, max_size=64), st.binary(min_size=16, max_size=64))
    def test_roundTrip(self, salt: bytes, digest: bytes) -> None:
        """
        What is written is read again.
        """
        written = ScryptHash(salt, digest, 3, 4, 5)
        self.assertEqual(decodeHash(written.encode()), written)

    def test_secret(self) -> None:
        """
        The digest is not shown.
        """
        shown = repr(ScryptHash(SALT, b"digest" * 4))
        self.assertNotIn("digest" * 4, shown)


class DecodeHashTests(SynchronousTestCase):
    """
    What is no hash.
    """

    def test_malformed(self) -> None:
        """
        Anything that is not quite a hash is refused.
        """
        good = record()
        for text in (
            b"",
            b"secret",
            b"$2b$12$abcdefghijklmnopqrstuu",
            b"$argon2id$v=19$m=65536,t=3,p=4$c2FsdA$aGFzaA",
            good[1:],
            good + b"$",
            good + b"\n",
            b" " + good,
            good.replace(b"ln=", b"n="),
            good.replace(b"r=1", b"r="),
            good.replace(b"r=1", b"r=-1"),
            good.replace(b"p=1", b"p=1000"),
            good.replace(b"AA", b"A=", 1),
            good.replace(b"AA", b"A!", 1),
            record(salt=b""),
            record(digest=b""),
            record(digest=b"x" * 15),
            record() + b"AA",
        ):
            self.assertRaises(ValueError, decodeHash, text)

    def test_bounds(self) -> None:
        """
        Parameters that would cost minutes or gigabytes, or nothing, are
        refused.
        """
        for parameters in ((0, 1, 1), (1, 0, 1), (1, 1, 0), (21, 8, 1), (1, 33, 1), (1, 1, 65)):
            self.assertRaises(ValueError, decodeHash, record(*parameters))
        for parameters in ((1, 1, 1), (17, 8, 1), (1, 32, 1), (1, 1, 64)):
            decodeHash(record(*parameters))

    def test_possible(self) -> None:
        """
        A hash that is accepted can be checked: what scrypt or its
        implementation cannot take is refused when it is read, not when
        somebody logs in.
        """
        self.patch(passwords.hashlib, "scrypt", scryptLimits)
        for parameters in product(range(1, 21), (1, 2, 8, 16, 32), (1, 5, 64)):
            try:
                decoded = decodeHash(record(*parameters))
            except ValueError:
                continue
            try:
                decoded.matches(b"password")
            except ValueError as e:
                self.fail(f"ln, r, p = {parameters} are accepted, and then: {e}")

    @settings(deadline=None)
    @given(st.binary(max_size=120))
    def test_anything(self, text: bytes) -> None:
        """
        Whatever stands there, it is a hash or it is refused.
        """
        for candidate in (text, b"$scrypt$ln=1,r=1,p=1$" + text):
            try:
                decodeHash(candidate)
            except ValueError:
                continue


class DecodeRecordsTests(SynchronousTestCase):
    """
    The lines of a file.
    """

    def test_records(self) -> None:
        """
        A file has one user a line, in whatever order, with any line ends.
        """
        alice, bob = cheapHash(b"a"), cheapHash(b"b")
        data = b"alice:" + alice.encode() + b"\r\nbob:" + bob.encode()
        self.assertEqual(decodeRecords(data), {b"alice": alice, b"bob": bob})

    def test_comments(self) -> None:
        """
        Empty lines and comments are left out.
        """
        alice = cheapHash(b"a")
        data = b"# users: of the proxy\n\n   \nalice:" + alice.encode() + b"\n#bob:x\n"
        self.assertEqual(decodeRecords(data), {b"alice": alice})
        self.assertEqual(decodeRecords(b""), {})

    def test_octets(self) -> None:
        """
        A user name is octets, and none is like another.
        """
        one, two = cheapHash(b"a"), cheapHash(b"b")
        data = "Zoë:".encode() + one.encode() + b"\nzo\xeb:" + two.encode() + b"\n"
        self.assertEqual(decodeRecords(data), {"Zoë".encode(): one, b"zo\xeb": two})

    def test_malformed(self) -> None:
        """
        A line that is no record is refused by its number, and nothing of it is
        shown.
        """
        good = b"alice:" + record() + b"\n"
        for line in (b"bob:hunter2", b"hunter2", b":" + record(), b"bob:" + record() + b":hunter2"):
            error = self.assertRaises(PasswordFileError, decodeRecords, good + b"\n" + line)
            self.assertIn("line 3", str(error))
            for secret in ("hunter2", "bob", "$scrypt"):
                self.assertNotIn(secret, str(error))

    def test_twice(self) -> None:
        """
        A user who stands in the file twice is refused, since nobody could say
        which record is meant.
        """
        line = b"alice:" + record() + b"\n"
        error = self.assertRaises(PasswordFileError, decodeRecords, line + line)
        self.assertIn("line 2", str(error))


class CheckTests(SynchronousTestCase):
    """
    What can be stored.
    """

    def test_user(self) -> None:
        """
        A user name that a record or the protocol cannot hold is refused.
        """
        for user in (b"", b"a:b", b"#alice", b"a\nb", b"a\x00", b"\x7f", b"x" * 256):
            self.assertRaises(PasswordFileError, checkUser, user)
        for user in (b"alice", b"a b", b"a#", "Zoë".encode(), b"\xff", b"x" * 255):
            checkUser(user)

    def test_password(self) -> None:
        """
        A password that no client could send is refused, and no other.
        """
        for password in (b"", b"x" * 256, b"x\x00"):
            self.assertRaises(PasswordFileError, checkPassword, password)
        for password in (b"x", b"\x00x", b":", b" ", b"x" * 255):
            checkPassword(password)

    @settings(deadline=None, max_examples=50)
    @given(st.binary(min_size=1, max_size=40))
    def test_storable(self, user: bytes) -> None:
        """
        A user name that is let pass is read again as it was.
        """
        try:
            checkUser(user)
        except PasswordFileError:
            return
        stored = cheapHash(b"secret")
        self.assertEqual(decodeRecords(user + b":" + stored.encode() + b"\n"), {user: stored})
