"""
Hosts that exist only for a test: Linux network namespaces.
"""

import ctypes
import os
import secrets
import shutil
import subprocess
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import ParamSpec, TypeVar

from tests.daemon import Daemon
from tests.interop.peers import TIMEOUT, missing, requireProgram

Result = TypeVar("Result")
Parameters = ParamSpec("Parameters")

_CLONE_NEWNET = 0x40000000
_NAMESPACES = Path("/run/netns")
_CONFIGURATIONS = Path("/etc/netns")

PROXY_ADDRESS = "198.51.100.1"
PROXY_ADDRESS_6 = "2001:db8:1::1"
CLIENT_ADDRESS = "198.51.100.2"
CLIENT_ADDRESS_6 = "2001:db8:1::2"

_PROXY_LINK = "02:00:00:00:00:01"
_CLIENT_LINK = "02:00:00:00:00:02"


def requireNamespaces() -> None:
    """
    Make sure that network namespaces can be made here.
    """
    ip = requireProgram("ip")
    if os.geteuid() != 0:
        missing("network namespaces need root")
    probe = _uniqueName()
    made = subprocess.run([ip, "netns", "add", probe], capture_output=True, timeout=TIMEOUT)
    if made.returncode != 0:
        missing(f"network namespaces cannot be made: {made.stderr.decode().strip()}")
    subprocess.run([ip, "netns", "delete", probe], check=True, timeout=TIMEOUT)


def _uniqueName() -> str:
    return f"socksproxy-{os.getpid()}-{secrets.token_hex(4)}"


class Namespace:
    """
    A host with nothing but a loopback interface, as a context manager.

    @ivar name: Its name for C{ip}.
    """

    def __init__(self, hosts: Sequence[str] = ()) -> None:
        """
        @param hosts: Lines of C{/etc/hosts} for the programs in it. No name
            that is not there can be resolved.
        """
        self.name = _uniqueName()
        self._hosts = hosts
        self._ip = requireProgram("ip")

    def __enter__(self) -> "Namespace":
        with ExitStack() as undo:
            self._run("netns", "add", self.name)
            undo.callback(self._run, "netns", "delete", self.name)
            configuration = _CONFIGURATIONS / self.name
            undo.callback(_removeConfiguration, configuration)
            configuration.mkdir(parents=True)
            (configuration / "hosts").write_text("\n".join([*self._hosts, ""]))
            # Nobody listens there, so that an answer is quick.
            (configuration / "resolv.conf").write_text("nameserver 127.0.0.1\n")
            (configuration / "nsswitch.conf").write_text("hosts: files dns\n")
            self._thread = ThreadPoolExecutor(1, initializer=self._join)
            undo.callback(self._thread.shutdown)
            self.configure("link set lo up")
            self._undo = undo.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._undo.close()

    def configure(self, *commands: str) -> None:
        """
        Give C{ip} some commands in this namespace.
        """
        self._run("-n", self.name, "-batch", "-", commands=commands)

    def command(self, *command: str) -> list[str]:
        """
        Give the command line that runs a program in this namespace, as the
        same process.
        """
        return [self._ip, "netns", "exec", self.name, *command]

    def call(
        self,
        function: Callable[Parameters, Result],
        *args: Parameters.args,
        **kw: Parameters.kwargs,
    ) -> Result:
        """
        Call a function in this namespace. A socket that it makes stays there,
        whoever uses it afterwards.
        """
        return self._thread.submit(function, *args, **kw).result(TIMEOUT)

    def _run(self, *arguments: str, commands: Sequence[str] = ()) -> None:
        ended = subprocess.run(
            [self._ip, *arguments],
            input="\n".join([*commands, ""]),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=TIMEOUT,
        )
        if ended.returncode != 0:
            raise AssertionError(f"ip {' '.join(arguments)}: {ended.stdout}")

    def _join(self) -> None:
        """
        Move the calling thread, and no other, into the namespace.
        """
        descriptor = os.open(_NAMESPACES / self.name, os.O_RDONLY)
        try:
            if ctypes.CDLL(None, use_errno=True).setns(descriptor, _CLONE_NEWNET) != 0:
                number = ctypes.get_errno()
                raise OSError(number, os.strerror(number))
        finally:
            os.close(descriptor)


def _removeConfiguration(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    try:
        folder.parent.rmdir()
    except OSError:
        # It was there before us, or others use it.
        pass


class Network:
    """
    The proxy's host, and all the rest of the world behind one cable, as a
    context manager.

    @ivar host: Where the proxy runs: L{PROXY_ADDRESS}, L{PROXY_ADDRESS_6}.
    @ivar world: Where everything else is, a client's L{CLIENT_ADDRESS} first.
    """

    def __init__(self, hosts: Sequence[str], elsewhere: Sequence[str]) -> None:
        """
        @param hosts: Lines of the proxy's C{/etc/hosts}.
        @param elsewhere: Further addresses of the world. All the proxy's
            traffic that does not stay in its host goes there.
        """
        self.host = Namespace(hosts)
        self.world = Namespace()
        self._elsewhere = elsewhere

    def __enter__(self) -> "Network":
        with ExitStack() as undo:
            undo.enter_context(self.host)
            undo.enter_context(self.world)
            self.host.configure(
                f"link add cable address {_PROXY_LINK} type veth"
                f" peer name cable address {_CLIENT_LINK} netns {self.world.name}"
            )
            _plugIn(self.host, (PROXY_ADDRESS, PROXY_ADDRESS_6), CLIENT_ADDRESS_6, _CLIENT_LINK)
            _plugIn(self.world, (CLIENT_ADDRESS, CLIENT_ADDRESS_6), PROXY_ADDRESS_6, _PROXY_LINK)
            self.world.configure(*(f"address add {a} dev lo" for a in self._elsewhere))
            self.host.configure(
                f"route add 0.0.0.0/0 via {CLIENT_ADDRESS}",
                f"route add ::/0 via {CLIENT_ADDRESS_6}",
            )
            self._undo = undo.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._undo.close()


def _plugIn(
    namespace: Namespace, addresses: tuple[str, str], neighbour: str, neighbourLink: str
) -> None:
    """
    Put the cable into use at one end.

    @param addresses: Of IPv4 and of IPv6.
    @param neighbour: The IPv6 address of the other end. To ask for the
        Ethernet address that belongs to it would take the first a second.
    @param neighbourLink: That Ethernet address.
    """
    namespace.configure(
        f"address add {addresses[0]}/24 dev cable",
        f"address add {addresses[1]}/64 dev cable nodad",
        "link set cable up",
        f"neighbor add {neighbour} lladdr {neighbourLink} dev cable",
    )


class NamespaceDaemon(Daemon):
    """
    The daemon in a namespace.
    """

    def __init__(self, namespace: Namespace, listen: str, *arguments: str) -> None:
        """
        @param namespace: Where.
        @param listen: The listener.
        @param arguments: Options of C{socksproxy}.
        """
        super().__init__(*arguments, listen=listen)
        self._namespace = namespace

    def command(self, arguments: list[str]) -> list[str]:
        """
        See L{Daemon.command}.
        """
        return self._namespace.command(*super().command(arguments))
