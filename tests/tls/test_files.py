"""
Tests for L{socksproxy.tls.files}.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from OpenSSL.crypto import X509
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.errors import ConfigurationError
from socksproxy.tls.files import loadAuthorities, loadIdentity
from tests.certificates import Authority
from tests.files import temporaryFolder

PARAMETERS = b"""\
-----BEGIN EC PARAMETERS-----
BggqhkjOPQMBBw==
-----END EC PARAMETERS-----
"""


def names(certificates: Sequence[X509]) -> list[str]:
    """
    Give the subjects of certificates.
    """
    return [each.to_cryptography().subject.rfc4514_string() for each in certificates]


class IdentityTests(SynchronousTestCase):
    """
    A certificate, its chain and its key.
    """

    def setUp(self) -> None:
        """
        Make some files.
        """
        self.folder = temporaryFolder(self)
        self.authority = Authority(self.folder)
        self.issued = self.authority.issue("proxy.test")

    def file(self, data: bytes) -> str:
        """
        Write a file.
        """
        path = self.folder / "file.pem"
        path.write_bytes(data)
        return str(path)

    def refused(self, certificate: str, privateKey: str | None = None) -> str:
        """
        Fail unless there is one line about what is wrong.
        """
        error = self.assertRaises(ConfigurationError, loadIdentity, certificate, privateKey)
        self.assertNotIn("\n", str(error))
        return str(error)

    def test_oneFile(self) -> None:
        """
        Certificate and key may be in one file.
        """
        identity = loadIdentity(self.issued.both)
        digest = identity.certificate.digest("sha256").decode().replace(":", "").lower()
        self.assertEqual(digest, self.issued.fingerprint)
        self.assertEqual(identity.chain, ())

    def test_twoFiles(self) -> None:
        """
        They may be in two.
        """
        identity = loadIdentity(self.issued.certificate, self.issued.key)
        self.assertEqual(identity.key.to_cryptography_key().key_size, 256)

    def test_chain(self) -> None:
        """
        What follows the certificate leads to its authority.
        """
        between = Authority(self.folder, "between", above=self.authority)
        issued = between.issue("proxy.test", name="below")
        for identity in (
            loadIdentity(issued.both),
            loadIdentity(issued.certificate, issued.key),
        ):
            self.assertEqual(names(identity.chain), ["CN=between"])

    def test_otherBlocksBeforeTheKey(self) -> None:
        """
        The parameters of a curve, which C{openssl} writes before a key, are
        passed over.
        """
        path = self.file(PARAMETERS + Path(self.issued.key).read_bytes())
        self.assertTrue(loadIdentity(self.issued.certificate, path))

    def test_formatsOfKeys(self) -> None:
        """
        A key may be in any of PEM's formats.
        """
        data = Path(self.issued.key).read_bytes()
        self.assertIn(b"BEGIN PRIVATE KEY", data)
        key = loadIdentity(self.issued.both).key.to_cryptography_key()
        path = self.file(
            key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
        )
        self.assertIn(b"BEGIN EC PRIVATE KEY", Path(path).read_bytes())
        self.assertTrue(loadIdentity(self.issued.certificate, path))

    def test_missingFile(self) -> None:
        """
        A file that is not there is named.
        """
        nowhere = str(self.folder / "nowhere.pem")
        said = f"{nowhere}: No such file or directory"
        self.assertEqual(self.refused(nowhere), said)
        self.assertEqual(self.refused(self.issued.certificate, nowhere), said)

    def test_unreadableFile(self) -> None:
        """
        A file that cannot be read is named, with the reason.
        """
        self.assertEqual(self.refused(str(self.folder)), f"{self.folder}: Is a directory")

    def test_noCertificate(self) -> None:
        """
        A file without a certificate is told.
        """
        for data in (b"", b"certificate\n", Path(self.issued.key).read_bytes()):
            self.assertIn("no certificate in it", self.refused(self.file(data), self.issued.key))

    def test_brokenCertificate(self) -> None:
        """
        So is one whose certificate has been cut.
        """
        data = Path(self.issued.certificate).read_bytes()
        lines = data.splitlines(keepends=True)
        for broken in (b"".join(lines[:-2]), b"".join([*lines[:3], lines[-1]])):
            self.assertIn("a broken one", self.refused(self.file(broken), self.issued.key))

    def test_noKey(self) -> None:
        """
        A file without a key is told.
        """
        said = f"{self.issued.certificate}: there is no private key in it"
        self.assertEqual(self.refused(self.issued.certificate), said)

    def test_encryptedKey(self) -> None:
        """
        Nobody is there to ask for a password, so an encrypted key is refused.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        path = self.file(
            key.private_bytes(
                Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"passphrase")
            )
        )
        error = self.refused(self.issued.certificate, path)
        self.assertIn("encrypted", error)
        self.assertIn(path, error)

    def test_brokenKey(self) -> None:
        """
        What is wrong with a key is told without any of it.
        """
        lines = Path(self.issued.key).read_bytes().splitlines(keepends=True)
        path = self.file(lines[0] + lines[1] + lines[-1])
        error = self.assertRaises(ConfigurationError, loadIdentity, self.issued.certificate, path)
        self.assertEqual(str(error), f"{path}: the private key is broken")
        self.assertNotIn(lines[1].strip().decode(), repr(error) + repr(error.__cause__))

    def test_foreignKey(self) -> None:
        """
        A key of another certificate is told, with both files.
        """
        other = rsa.generate_private_key(65537, 2048)
        path = self.file(
            other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        )
        error = self.refused(self.issued.certificate, path)
        self.assertIn("does not belong", error)
        self.assertIn(path, error)
        self.assertIn(self.issued.certificate, error)

    def test_showsNoKey(self) -> None:
        """
        Its C{repr} has nothing of the key.
        """
        self.assertNotIn("key", repr(loadIdentity(self.issued.both)))


class AuthoritiesTests(SynchronousTestCase):
    """
    Certificates to trust.
    """

    def test_several(self) -> None:
        """
        A file may hold several.
        """
        folder = temporaryFolder(self)
        authorities = [Authority(folder, name) for name in ("one", "two")]
        path = folder / "all.pem"
        path.write_bytes(b"".join(Path(each.path).read_bytes() for each in authorities))
        self.assertEqual(names(loadAuthorities(str(path))), ["CN=one", "CN=two"])

    def test_none(self) -> None:
        """
        A file without any would be trust in nobody.
        """
        path = temporaryFolder(self) / "none.pem"
        path.write_bytes(b"")
        error = self.assertRaises(ConfigurationError, loadAuthorities, str(path))
        self.assertIn(str(path), str(error))
