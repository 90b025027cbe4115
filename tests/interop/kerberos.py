"""
A realm of Kerberos in a folder: a KDC of MIT's on loopback, and what is needed
to be a user or a service of it. Nothing of the system's own is touched.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from unittest import mock

from tests.interop.peers import requireProgram, runPeer
from tests.interop.processes import freePort, isOpen, until

_CLIENT_CONFIGURATION = """
[libdefaults]
    default_realm = {realm}
    dns_lookup_kdc = false
    dns_lookup_realm = false
    dns_canonicalize_hostname = false
    rdns = false
    udp_preference_limit = 1
    forwardable = false
[realms]
    {realm} = {{
        kdc = 127.0.0.1:{port}
    }}
[domain_realm]
    localhost = {realm}
"""

_KDC_CONFIGURATION = """
[kdcdefaults]
    kdc_listen = ""
    kdc_tcp_listen = 127.0.0.1:{port}
[realms]
    {realm} = {{
        database_name = {folder}/principal
        key_stash_file = {folder}/stash
        acl_file = {folder}/acl
        supported_enctypes = aes256-cts-hmac-sha1-96:normal
    }}
[logging]
    kdc = FILE:{folder}/kdc.log
"""


class Realm:
    """
    A realm with its KDC, as a context manager. Meanwhile the environment of
    this process and of its children leads to it.

    @ivar name: The realm.
    @ivar folder: Where everything of it is.
    """

    def __init__(self, name: str = "SOCKS.TEST") -> None:
        self.name = name
        self._programs = {
            program: requireProgram(program)
            for program in ("krb5kdc", "kdb5_util", "kadmin.local", "kinit")
        }

    def __enter__(self) -> Realm:
        self._temporary = tempfile.TemporaryDirectory()
        self.folder = Path(self._temporary.name)
        self._environment = mock.patch.dict(
            os.environ,
            KRB5_CONFIG=str(self.folder / "krb5.conf"),
            KRB5_KDC_PROFILE=str(self.folder / "kdc.conf"),
            KRB5_KTNAME=f"FILE:{self.folder}/no-keytab",
            KRB5CCNAME=f"FILE:{self.folder}/no-tickets",
            KRB5RCACHEDIR=str(self.folder),
        )
        self._environment.start()
        port = freePort()
        for name, text in (
            ("krb5.conf", _CLIENT_CONFIGURATION),
            ("kdc.conf", _KDC_CONFIGURATION),
        ):
            (self.folder / name).write_text(
                text.format(realm=self.name, port=port, folder=self.folder)
            )
        self._run("kdb5_util", "create", "-r", self.name, "-s", "-P", "master")
        self._kdc = subprocess.Popen(
            [self._programs["krb5kdc"], "-n", "-r", self.name],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            until(lambda: isOpen(port) or self._kdc.poll() is not None, "a KDC")
            if self._kdc.poll() is not None:
                raise AssertionError((self.folder / "kdc.log").read_text())
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._kdc.terminate()
        self._kdc.wait()
        self._environment.stop()
        self._temporary.cleanup()

    def addService(self, name: str) -> str:
        """
        Make a service.

        @param name: Its principal without the realm, C{rcmd/localhost}.
        @return: The path of a keytab with its key and no other.
        """
        keytab = self.folder / (name.replace("/", "-") + ".keytab")
        self._administer(f"addprinc -randkey {name}", f"ktadd -k {keytab} {name}")
        return str(keytab)

    def changeKey(self, name: str) -> None:
        """
        Give a service another key than its keytab has.

        @param name: Its principal without the realm.
        """
        self._administer(f"cpw -randkey {name}")

    def addUser(self, name: str) -> str:
        """
        Make a user who has just logged in.

        @param name: The principal without the realm, C{alice}.
        @return: The path of a credentials cache with a ticket.
        """
        cache = self.folder / (name.replace("/", "-") + ".cache")
        self._administer(f"addprinc -pw password-of-{name} {name}")
        self._run("kinit", "-c", f"FILE:{cache}", name, input=f"password-of-{name}\n".encode())
        return str(cache)

    def _administer(self, *commands: str) -> None:
        for command in commands:
            self._run("kadmin.local", "-r", self.name, "-q", command)

    def _run(self, program: str, *arguments: str, input: bytes = b"") -> None:  # noqa: A002
        done = runPeer(self._programs[program], *arguments, input=input)
        if done.returncode:
            raise AssertionError((program, arguments, done.stderr.decode()))
