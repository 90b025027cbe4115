"""
The accounts that a link stands for, with what it has left to files.

A server's file of users has one in each line, a name and after a colon the
password, or the key for a method of 2022::

    # comments and empty lines do not count
    alice:3fW5sJHkWpRrSoDF0iE2b0m5LxzDQvKn

With a classic method the users are found by trying their keys, and there may be
L{MAX_TRIED<socksproxy.shadowsocks.accounts.MAX_TRIED>} of them. With a method of
2022 a client has the server's key and its own, with a colon between them, and the
number does not matter.
"""

from __future__ import annotations

from socksproxy.errors import ConfigurationError
from socksproxy.events import printable
from socksproxy.shadowsocks._keys import Account, accountFor, presharedKeys
from socksproxy.shadowsocks._methods import methodNamed
from socksproxy.shadowsocks.passwords import isWeak
from socksproxy.shadowsocks.url import ShadowsocksURL

MAX_FILE = 1 << 22
"""
Octets of the longest file that is read.
"""

MAX_TRIED = 500
"""
The most users of a classic method.
"""

_LONGEST_NAME = 255


def accountFrom(url: ShadowsocksURL) -> Account:
    """
    Give the account of a client.

    @raise ConfigurationError: There is no such method, or the password is
        missing or none for it.
    """
    return accountFor(methodNamed(url.method), passwordOf(url))


def accountsFrom(url: ShadowsocksURL) -> list[Account]:
    """
    Give the accounts of a server: one without a name, or that of each user.

    @raise ConfigurationError: As L{accountFrom}, or the file of users is none.
    """
    if not url.users:
        return [accountFrom(url)]
    method = methodNamed(url.method)
    users = _usersIn(url.users)
    if method.edition2022:
        if not method.identityHeaders:
            raise ConfigurationError(f"{method.name} has no users; the other methods of 2022 do")
        server = presharedKeys(method, passwordOf(url))
        if len(server) > 1:
            raise ConfigurationError("a server has one key, and the others stand with the users")
    elif url.password or url.passwordFile:
        raise ConfigurationError(f"{method.name} with users has no password beside theirs")
    elif len(users) > MAX_TRIED:
        raise ConfigurationError(
            f"{url.users}: {method.name} can have {MAX_TRIED} users, and those of 2022 as many"
            " as you like"
        )
    accounts = []
    for name, secret in users.items():
        try:
            account = accountFor(method, secret, name)
        except ConfigurationError as e:
            raise ConfigurationError(f"{url.users}: {name}: {e}") from None
        keys = [*server, *account.keys] if method.edition2022 else account.keys
        accounts.append(Account(method, keys, name))
    if len({account.userKey for account in accounts}) < len(accounts):
        raise ConfigurationError(f"{url.users}: two users have the same password")
    return accounts


def weakIn(url: ShadowsocksURL) -> str:
    """
    Name what of a server's passwords could be found by trying.

    @return: Who has it, or nothing where none is weak.
    """
    method = methodNamed(url.method)
    if not url.users:
        return "the password" if isWeak(method, passwordOf(url)) else ""
    weak = [name for name, secret in _usersIn(url.users).items() if isWeak(method, secret)]
    return f"the password of {weak[0]}" if weak else ""


def passwordOf(url: ShadowsocksURL) -> str:
    """
    Give the password of a link, or of the file that it names.

    @raise ConfigurationError: It has both or none, or the file cannot be read.
    """
    if not url.passwordFile:
        if not url.password:
            raise ConfigurationError("an ss:// link needs a password, or passwordFile=PATH")
        return url.password
    if url.password:
        raise ConfigurationError("an ss:// link has a password or a passwordFile, and not both")
    password = _read(url.passwordFile).rstrip("\r\n")
    if not password or "\n" in password:
        raise ConfigurationError(f"{url.passwordFile}: it has to hold one line with the password")
    return password


def _usersIn(path: str) -> dict[str, str]:
    """
    Read a file of users.

    @raise ConfigurationError: It is none. A line is named by its number, since
        it may be a password.
    """
    users: dict[str, str] = {}
    for number, line in enumerate(_read(path).splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, colon, secret = line.partition(":")
        if not colon or not name or not secret or len(name) > _LONGEST_NAME:
            raise ConfigurationError(f"{path}: line {number} is not NAME:PASSWORD")
        shown = printable(name.encode())
        if shown in users:
            raise ConfigurationError(f"{path}: {shown} is there twice")
        users[shown] = secret
    if not users:
        raise ConfigurationError(f"{path}: no users are in it")
    return users


def _read(path: str) -> str:
    try:
        with open(path, "rb") as file:
            octets = file.read(MAX_FILE + 1)
        if len(octets) > MAX_FILE:
            raise ConfigurationError(f"{path}: it is too long")
        return octets.decode()
    except OSError as e:
        raise ConfigurationError(f"{path}: {e.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"{path}: it is not UTF-8") from None
