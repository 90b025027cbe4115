"""
The tools beside the daemon: C{python -m socksproxy}, or C{socksproxy}.
"""

from __future__ import annotations

import argparse
import getpass
import os
import sys
from collections.abc import Sequence

from socksproxy import __version__
from socksproxy.auth.passwords import checkPassword, checkUser, updateFile
from socksproxy.errors import PasswordFileError

USAGE_ERROR = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run a tool.

    @param arguments: The command line without the program's name.
    @return: The exit status.
    """
    options = _parser().parse_args(arguments)
    try:
        _passwd(options)
    except PasswordFileError as e:
        print(f"socksproxy passwd: {options.path}: {e}", file=sys.stderr)
        return USAGE_ERROR
    except (KeyboardInterrupt, EOFError):
        print(file=sys.stderr)
        return USAGE_ERROR
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="socksproxy",
        description="Tools for the proxy. The proxy itself is started by: twistd socksproxy",
    )
    parser.add_argument("--version", action="version", version=f"socksproxy {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    passwd = commands.add_parser(
        "passwd",
        help="set a user's password in a password file",
        description="Set a user's password in a file for --auth passwords:PATH. The password is"
        " asked for on a terminal, and else read from the first line of standard input.",
    )
    passwd.add_argument("path", metavar="PATH", help="the password file, made if need be")
    passwd.add_argument("user", metavar="USER", help="the user's name")
    passwd.add_argument("--delete", action="store_true", help="remove the user instead")
    return parser


def _passwd(options: argparse.Namespace) -> None:
    user = os.fsencode(options.user)
    checkUser(user)
    updateFile(options.path, user, None if options.delete else _readPassword())


def _readPassword() -> bytes:
    if not sys.stdin.isatty():
        line = sys.stdin.buffer.readline()
        password = line.removesuffix(b"\n").removesuffix(b"\r")
        checkPassword(password)
        return password
    password = getpass.getpass("Password: ").encode()
    checkPassword(password)
    if getpass.getpass("Again: ").encode() != password:
        raise PasswordFileError("the two passwords differ")
    return password


if __name__ == "__main__":
    sys.exit(main())
