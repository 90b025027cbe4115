"""
Other people's programs and packages: having them, and running them.

Where a peer is missing its tests are skipped, with the reason in pytest's
report; with C{SOCKSPROXY_REQUIRE_PEERS=1} in the environment they fail.
"""

import importlib
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NoReturn
from unittest import SkipTest

TIMEOUT = 20
"""
Seconds that a program gets for what takes a few milliseconds.
"""

_SYSTEM_FOLDERS = ("/usr/local/sbin", "/usr/sbin", "/sbin")


def missing(reason: str) -> NoReturn:
    """
    Say that a test cannot be run here.

    @param reason: What is missing.
    @raise SkipTest: That is all right.
    @raise AssertionError: It is not, since peers are required.
    """
    if os.environ.get("SOCKSPROXY_REQUIRE_PEERS") == "1":
        raise AssertionError(f"required, but {reason}")
    raise SkipTest(reason)


def requireProgram(name: str) -> str:
    """
    Give the path of a program.
    """
    folders = os.pathsep.join((os.environ.get("PATH", os.defpath), *_SYSTEM_FOLDERS))
    path = shutil.which(name, path=folders)
    return missing(f"the program {name} is not installed") if path is None else path


def requirePackage(name: str) -> Any:
    """
    Import a module of an optional package.
    """
    try:
        return importlib.import_module(name)
    except ImportError:
        missing(f"the Python package with the module {name} is not installed")


def requireIPv6() -> None:
    """
    Make sure that C{::1} is there.
    """
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError as e:
        missing(f"IPv6 loopback is not there: {e.strerror}")


def peerEnvironment(**variables: str) -> dict[str, str]:
    """
    Give an environment in which a program speaks English and uses no other
    proxy, and no proxy less, than its command line says.

    @param variables: What to add.
    """
    kept = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    return {**kept, "LC_ALL": "C.UTF-8", **variables}


def runPeer(
    *command: str,
    input: bytes = b"",  # noqa: A002
    environment: Mapping[str, str] | None = None,
    timeout: float = TIMEOUT,
) -> subprocess.CompletedProcess[bytes]:
    """
    Run a program to its end.

    @param environment: As from L{peerEnvironment}.
    """
    return subprocess.run(
        command,
        env=peerEnvironment() if environment is None else environment,
        input=input,
        capture_output=True,
        timeout=timeout,
    )


@contextmanager
def closedPort(host: str = "127.0.0.1") -> Iterator[int]:
    """
    Hold a port on which connections are refused.
    """
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as holder:
        holder.bind((host, 0))
        yield holder.getsockname()[1]
