"""
A file of user names and hashed passwords.

One record a line, C{user:$scrypt$ln=14,r=8,p=5$SALT$HASH}; empty lines and
lines that begin with C{#} are left alone. The format of the hash is the one
that passlib and others call I{scrypt}, so that records can be brought along.

scrypt and not argon2: C{hashlib} has it in every Python that has an OpenSSL,
while the argon2 of C{cryptography} needs an OpenSSL 3.2 that distributions of
today do not all ship; a password file must not stop working when a package
comes from elsewhere. The parameters are those that OWASP lists for the least
memory (16 MiB), because a proxy checks passwords while it serves.

@see: U{https://www.rfc-editor.org/rfc/rfc7914}
@see: U{https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html}
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
import os
import re
import tempfile
from base64 import b64decode, b64encode
from dataclasses import dataclass, field, replace

from socksproxy.errors import PasswordFileError

SALT_LENGTH = 16
HASH_LENGTH = 32
MAX_MEMORY = 1 << 28
MAX_OCTETS = 255
"""
What RFC 1929 can carry of a user name or a password.
"""

_RECORD = re.compile(
    rb"\$scrypt\$ln=(\d{1,2}),r=(\d{1,3}),p=(\d{1,3})\$([A-Za-z0-9+/.]+)\$([A-Za-z0-9+/.]+)"
)


@dataclass(frozen=True, slots=True)
class ScryptHash:
    """
    A password's hash and how it was made.

    @ivar salt: Random octets.
    @ivar digest: What scrypt gave.
    @ivar logN: Binary logarithm of the cost parameter N.
    @ivar r: Block size.
    @ivar p: Parallelism, which multiplies the time and not the memory.
    """

    salt: bytes
    digest: bytes = field(repr=False)
    logN: int = 14
    r: int = 8
    p: int = 5

    def matches(self, password: bytes) -> bool:
        """
        Tell whether a password is the one. This takes a good part of a second.
        """
        matches = hmac.compare_digest(self._derive(password, len(self.digest)), self.digest)
        # scrypt's HMAC fills its key up with zeros, so that a password and the
        # same with a NUL behind it have one hash.
        return matches and not password.endswith(b"\0")

    def withPassword(self, password: bytes) -> ScryptHash:
        """
        Make the hash of a password with the same salt and parameters.
        """
        return replace(self, digest=self._derive(password, HASH_LENGTH))

    def encode(self) -> bytes:
        """
        Write it as it stands in a file.
        """
        return b"$scrypt$ln=%d,r=%d,p=%d$%b$%b" % (
            self.logN,
            self.r,
            self.p,
            b64encode(self.salt).rstrip(b"="),
            b64encode(self.digest).rstrip(b"="),
        )

    def _derive(self, password: bytes, length: int) -> bytes:
        n = 1 << self.logN
        # 128 * N * r for the table and 128 * r * p for the blocks, and as
        # much again for what OpenSSL needs besides.
        memory = 2 * 128 * self.r * (n + self.p)
        return hashlib.scrypt(
            password, salt=self.salt, n=n, r=self.r, p=self.p, dklen=length, maxmem=memory
        )


def decodeHash(text: bytes) -> ScryptHash:
    """
    Read a hash.

    @raise ValueError: It is not one, or its parameters are out of reason.
    """
    match = _RECORD.fullmatch(text)
    if match is None:
        raise ValueError("not a scrypt hash")
    logN, r, p = (int(number) for number in match.group(1, 2, 3))
    # N has to be below 2^(16 r), and what a file asks for has to be bearable.
    bearable = 128 * r * 2**logN <= MAX_MEMORY and r <= 32 and p <= 64
    if not (1 <= logN < 16 * r and p >= 1 and bearable):
        raise ValueError("scrypt parameters out of range")
    salt, digest = (_fromBase64(part) for part in match.group(4, 5))
    if not salt or len(digest) < 16:
        raise ValueError("salt or hash too short")
    return ScryptHash(salt, digest, logN, r, p)


def _fromBase64(text: bytes) -> bytes:
    # passlib writes "." for "+".
    padded = text.replace(b".", b"+") + b"=" * (-len(text) % 4)
    try:
        return b64decode(padded, validate=True)
    except binascii.Error as e:
        raise ValueError("not base64") from e


def decodeRecords(data: bytes) -> dict[bytes, ScryptHash]:
    """
    Read a password file.

    @return: User name to hash.
    @raise PasswordFileError: A line is no record, or a user stands twice; the
        text says which line and shows nothing of it.
    """
    records: dict[bytes, ScryptHash] = {}
    for number, line in enumerate(data.splitlines(), 1):
        if not line.strip() or line.startswith(b"#"):
            continue
        user, colon, text = line.partition(b":")
        try:
            if not colon or not user:
                raise ValueError("not user:hash")
            if user in records:
                raise ValueError("the user stands in the file twice")
            records[user] = decodeHash(text.strip())
        except ValueError as e:
            raise PasswordFileError(f"line {number}: {e}") from e
    return records


def checkUser(user: bytes) -> None:
    """
    Refuse a user name that a record cannot hold.

    @raise PasswordFileError: It is empty or too long, or holds a colon or a
        control character, or begins with C{#}.
    """
    if not 0 < len(user) <= MAX_OCTETS:
        raise PasswordFileError(f"a user name has 1 to {MAX_OCTETS} octets")
    if user.startswith(b"#") or b":" in user or any(o < 0x20 or o == 0x7F for o in user):
        raise PasswordFileError("a user name has no colon, no control character and no # first")


def checkPassword(password: bytes) -> None:
    """
    Refuse a password that no client could send.

    @raise PasswordFileError: It is empty or too long, or ends with a NUL.
    """
    if not 0 < len(password) <= MAX_OCTETS:
        raise PasswordFileError(f"a password has 1 to {MAX_OCTETS} octets")
    if password.endswith(b"\0"):
        raise PasswordFileError("a password does not end with a NUL")


def updateFile(path: str, user: bytes, password: bytes | None) -> None:
    """
    Set or remove a user's password. Other lines stay as they are. The file is
    replaced as a whole, so that a reader sees the old or the new one, and
    only its owner can read it.

    @param path: The file, made if it is not there.
    @param password: The new password, or L{None} to remove the user.
    @raise PasswordFileError: The file cannot be read or written, or is not a
        password file; the user name or password cannot be stored; or the
        user to be removed is not there.
    """
    checkUser(user)
    if password is not None:
        checkPassword(password)
    path = os.path.realpath(path)
    try:
        lines = _linesOf(path)
        prefix = user + b":"
        kept = [line for line in lines if not line.startswith(prefix)]
        if password is None:
            if len(kept) == len(lines):
                raise PasswordFileError("there is no such user")
        else:
            record = ScryptHash(os.urandom(SALT_LENGTH), b"").withPassword(password)
            kept.append(prefix + record.encode())
        _replaceFile(path, b"".join(line + b"\n" for line in kept))
    except OSError as e:
        raise PasswordFileError(e.strerror or "cannot be written") from e


def _linesOf(path: str) -> list[bytes]:
    try:
        with open(path, "rb") as file:
            data = file.read()
    except FileNotFoundError:
        return []
    decodeRecords(data)
    return data.splitlines()


def _replaceFile(path: str, data: bytes) -> None:
    descriptor, temporary = tempfile.mkstemp(prefix=".passwords-", dir=os.path.dirname(path))
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if os.path.exists(path):
            _copyOwner(path, temporary)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def _copyOwner(source: str, target: str) -> None:
    """
    Keep owner, group and mode of a file that gets replaced: the proxy may run
    as another user than the one who sets passwords.
    """
    status = os.stat(source)
    os.chmod(target, status.st_mode & 0o7777)
    if (status.st_uid, status.st_gid) != (os.geteuid(), os.getegid()):
        os.chown(target, status.st_uid, status.st_gid)
