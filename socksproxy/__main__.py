"""
The tools beside the daemon: C{python -m socksproxy}, or C{socksproxy}.
"""

from __future__ import annotations

import argparse
import getpass
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from socksproxy import __version__
from socksproxy.auth.passwords import checkPassword, checkUser, updateFile
from socksproxy.errors import ConfigurationError, PasswordFileError

USAGE_ERROR = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run a tool.

    @param arguments: The command line without the program's name.
    @return: The exit status.
    """
    options = _parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = options.command
    try:
        return command(options)
    except PasswordFileError as e:
        print(f"socksproxy passwd: {options.path}: {e}", file=sys.stderr)
    except ConfigurationError as e:
        print(f"socksproxy: {e}", file=sys.stderr)
    except (KeyboardInterrupt, EOFError):
        print(file=sys.stderr)
    return USAGE_ERROR


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
    passwd.set_defaults(command=_passwd)
    check = commands.add_parser(
        "check",
        help="tell whether a proxy works",
        description="Ask a proxy for everything it may do, and tell what came of it. The proxy is"
        " asked to connect back to this host, unless a target is given. The exit status is 0 if"
        " it works.",
    )
    check.add_argument("url", metavar="URL", help="such as socks5h://user:password@host:1080")
    check.add_argument("--target", metavar="HOST:PORT", help="what it is to connect to instead")
    check.add_argument("--udp-target", metavar="HOST:PORT", help="where datagrams are echoed")
    check.add_argument(
        "--timeout", metavar="SECONDS", type=float, default=10.0, help="for each question"
    )
    check.add_argument("--json", action="store_true", help="print JSON")
    check.set_defaults(command=_check)
    importing = commands.add_parser(
        "import",
        help="tell what to type in place of kcptun or a program of Shadowsocks",
        description="Read the configuration that kcptun or a program of Shadowsocks takes with -c,"
        " or a list of servers (SIP008), and print the command that does the same. What is"
        " different is said on standard error. Keys and passwords are not printed.",
    )
    importing.add_argument("path", metavar="PATH", help="the JSON file")
    importing.add_argument(
        "--role", choices=("client", "server"), help="whose it is, if it has no address to tell"
    )
    importing.add_argument(
        "--key-file", metavar="PATH", help="write the key to this new file, for you alone to read"
    )
    importing.set_defaults(command=_import)
    genkey = commands.add_parser(
        "genkey",
        help="make a key for Shadowsocks",
        description="Print a new key, or password, for a method of Shadowsocks.",
    )
    genkey.add_argument("method", metavar="METHOD", help="such as 2022-blake3-aes-256-gcm")
    genkey.set_defaults(command=_genkey)
    return parser


def _check(options: argparse.Namespace) -> int:
    # The reactor is only for this one.
    from socksproxy.check.report import check

    return check(options.url, options.target, options.udp_target, options.timeout, options.json)


def _import(options: argparse.Namespace) -> int:
    # Each is only for its own files.
    from socksproxy.documents import readObject
    from socksproxy.shadowsocks.translation import isConfiguration

    document = readObject(options.path)
    if isConfiguration(document):
        remarks, command = _importShadowsocks(document, options)
    else:
        remarks, command = _importKcptun(document, options)
    for remark in remarks:
        print(remark, file=sys.stderr)
    print(command)
    return 0


def _importKcptun(document: dict[str, Any], options: argparse.Namespace) -> tuple[list[str], str]:
    from socksproxy.kcp.importing import settingsIn, writeKey
    from socksproxy.kcp.translation import KEY_FILE, importConfiguration

    keyFile = options.key_file or KEY_FILE
    imported = importConfiguration(settingsIn(document), options.role, keyFile)
    remarks = list(imported.remarks)
    if options.key_file:
        writeKey(keyFile, imported.key)
    elif imported.key is not None:
        remarks.insert(0, f"key: write it to {keyFile}, or have it written with --key-file")
    return remarks, imported.command


def _importShadowsocks(
    document: dict[str, Any], options: argparse.Namespace
) -> tuple[list[str], str]:
    from socksproxy.documents import writeSecret
    from socksproxy.shadowsocks.translation import PASSWORD_FILE, importConfiguration

    imported = importConfiguration(document, options.role, options.key_file or PASSWORD_FILE)
    remarks = list(imported.remarks)
    for path, secret in imported.secrets.items():
        if options.key_file:
            writeSecret(path, secret.encode())
        else:
            remarks.append(f"password: write it to {path}, or have it written with --key-file")
    return remarks, imported.command


def _genkey(options: argparse.Namespace) -> int:
    from socksproxy.shadowsocks._methods import methodNamed
    from socksproxy.shadowsocks.passwords import generateKey

    print(generateKey(methodNamed(options.method)))
    return 0


def _passwd(options: argparse.Namespace) -> int:
    user = os.fsencode(options.user)
    checkUser(user)
    updateFile(options.path, user, None if options.delete else _readPassword())
    return 0


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
