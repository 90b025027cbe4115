"""
The floors of the house: who may import whom, and what nobody may.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

import pytest

from tests.daemon import ROOT, environment

FLOORS = [
    ("ground", ["errors", "address", "buffer"]),
    ("wire", ["*._wire*", "kcp._segment", "kcp._galois", "smux._frame"]),
    (
        "machines",
        [
            "negotiation",
            "socks._awaited",
            "socks._events",
            "socks._fragments",
            "socks._machine",
            "socks._negotiation*",
            "socks._protection",
            "socks._gssapi",
            "socks.gssapi",
            "socks.methods",
            "http._*",
            "http.pac",
            "auth.passwords",
            "auth.throttle",
            "policy.limits",
            "policy.services",
            "dns._*",
            "dns.answers",
            "dns.cache",
            "dns.fakefile",
            "dns.fakeip",
            "dns.hosts",
            "dns.message",
            "dns.names",
            "dns.reply",
            "dns.rules",
            "dns.strategy",
            "kcp._*",
            "kcp.config",
            "kcp.congestion",
            "kcp.control",
            "kcp.crypt",
            "kcp.fec",
            "kcp.pipeline",
            "kcp.statistics",
            "smux._*",
            "smux.config",
            "smux.parameters",
            "smux.session",
            "shadowsocks._*",
            "shadowsocks.passwords",
            "shadowsocks.url",
            "documents",
        ],
    ),
    (
        "protocols",
        [
            "relay.*",
            "interfaces",
            "events",
            "state",
            "auth.credentials",
            "auth.ident",
            "auth.principals",
            "auth.sharedkey",
            "inbound.*",
            "socks.protocol",
            "http.exchange",
            "http.login",
            "http.origin",
            "http.patience",
            "http.protocol",
            "http.responses",
            "policy.rules",
            "exposure",
            "http.otherproxies",
            "http.pages",
            "http.resources",
            "http.status",
            "client.*",
            "socks.bind",
            "socks.associate",
            "socks.datagrams",
            "socks.resolve",
            "socks.streamed",
            "tls.*",
            "kcp.datagram",
            "kcp.diagnosis",
            "kcp.ledger",
            "kcp.port",
            "kcp.transport",
            "smux.compression",
            "smux.protocol",
            "smux.transport",
            "shadowsocks.association",
            "shadowsocks.datagrams",
            "shadowsocks.diagnosis",
            "shadowsocks.protocol",
            "shadowsocks.silence",
        ],
    ),
    (
        "endpoints",
        [
            "listener",
            "shadowsocks.endpoints",
            "shadowsocks.conduit",
            "shadowsocks.servers",
            "socks.endpoints",
            "socks.eager",
            "socks.client",
            "socks.relayed",
            "socks.streamclient",
            "http.endpoints",
            "kcp.endpoints",
            "kcp.importing",
            "kcp.kcptun",
            "kcp.translation",
            "smux.endpoints",
            "shadowsocks.accounts",
            "shadowsocks.plugin",
            "shadowsocks.saltfile",
            "shadowsocks.translation",
            "dns.asking",
            "dns.datagrams",
            "dns.datagramserver",
            "dns.forwarder",
            "dns.group",
            "dns.https",
            "dns.link",
            "dns.links",
            "dns.nameresolver",
            "dns.ownsocket",
            "dns.resolver",
            "dns.settings",
            "dns.streams",
            "dns.streamserver",
            "dns.system",
            "dns.upstreams",
            "dns.upstreamurl",
            "dns.wildcard",
            "outbound.*",
            "auth.checkers",
        ],
    ),
    (
        "avatars",
        [
            "policy.avatar",
            "auth.realm",
            "forward.specification",
            "forward.target",
            "forward.streams",
            "forward.flow",
            "forward.datagrams",
        ],
    ),
    (
        "service",
        [
            "config",
            "log",
            "service",
            "signals",
            "process",
            "ports",
            "forward.ports",
            "dns.service",
            "shadowsocks.server",
            "testing.*",
            "check.*",
        ],
    ),
    ("tap", ["tap", "__main__", "dnsoptions", "endpointparsers"]),
]
"""
From the bottom up. A module imports from its own floor and from those below.
"""

PURE = ("ground", "wire", "machines")
"""
Floors that know neither Twisted nor zope.interface: bytes, time and randomness
come in as arguments there.
"""

PURE_MAY_IMPORT = {"cryptography", "h11", "idna", "socksproxy"}

MEETING_PLACES = {"client", "inbound", "relay", "policy", "auth", "dns", "outbound"}
"""
Packages that are not protocols, and that protocols may therefore import.
"""

JOINED = {("kcp.kcptun", "smux")}
"""
Modules that put two protocols together, and the other one.
"""


def modules() -> dict[str, Path]:
    """
    Find every module of the package, named without C{socksproxy.}; packages,
    whose C{__init__} only names what is public, are left out.
    """
    package = ROOT / "socksproxy"
    return {
        ".".join(path.relative_to(package).with_suffix("").parts): path
        for path in sorted(package.rglob("*.py"))
        if path.name != "__init__.py"
    }


def floorOf(module: str) -> int:
    """
    Give the number of a module's floor.
    """
    found = [
        number
        for number, (_, patterns) in enumerate(FLOORS)
        if any(fnmatch(module, pattern) for pattern in patterns)
    ]
    assert found, f"{module} is on no floor: say in FLOORS where it belongs"
    return found[0]


def importsOf(path: Path) -> Iterator[str]:
    """
    Give the full names of what a module imports at its top level, where it
    counts: a function's own imports happen when it is called.
    """
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def ownImports(path: Path) -> set[str]:
    """
    Give the modules of socksproxy that a module imports.
    """
    names = modules()
    imported = {
        name.removeprefix("socksproxy.")
        for name in importsOf(path)
        if name.startswith("socksproxy.")
    }
    return {name for name in imported if name in names}


@pytest.mark.parametrize("module", modules())
def test_importsDownwards(module: str) -> None:
    """
    A module imports nothing from a floor above its own.
    """
    upward = [
        imported
        for imported in ownImports(modules()[module])
        if floorOf(imported) > floorOf(module)
    ]
    assert upward == []


@pytest.mark.parametrize("module", [name for name in modules() if FLOORS[floorOf(name)][0] in PURE])
def test_lowerFloorsArePure(module: str) -> None:
    """
    Codecs and machines import the standard library and a few pure libraries
    only.
    """
    roots = {name.partition(".")[0] for name in importsOf(modules()[module])}
    assert roots - PURE_MAY_IMPORT - set(sys.stdlib_module_names) == set()


@pytest.mark.parametrize("module", [name for name in modules() if "." in name])
def test_protocolsDoNotImportOneAnother(module: str) -> None:
    """
    A protocol package imports no other protocol package.
    """
    package = module.partition(".")[0]
    others = {
        imported.partition(".")[0]
        for imported in ownImports(modules()[module])
        if "." in imported and (module, imported.partition(".")[0]) not in JOINED
    }
    # What has the whole below it may use the whole.
    top = [name for name, _ in FLOORS].index("avatars")
    if package not in MEETING_PLACES and floorOf(module) < top:
        assert others - MEETING_PLACES - {package} == set()


IMPORTS = """
import importlib, os, sys
for name in (line.strip() for line in sys.stdin):
    # What all of them need is there already, and nothing of ours.
    child = os.fork()
    if child == 0:
        status = 1
        try:
            importlib.import_module(name)
            status = 2 * ('twisted.internet.reactor' in sys.modules)
        finally:
            sys.stderr.flush()
            os._exit(status)
    print(name, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
"""
Imports modules, each in a process of its own.
"""


@cache
def statuses() -> dict[str, int]:
    """
    Import every module in a process where nothing of ours is loaded yet.

    @return: 0 for those with which all is well, 2 for those that import a
        reactor.
    """
    names = [f"socksproxy.{name}" for name in modules() if name != "__main__"]
    shared = "import twisted.internet.endpoints, twisted.internet.tcp, cryptography.x509, h11\n"
    ended = subprocess.run(
        [sys.executable, "-c", shared + IMPORTS],
        input="\n".join(names),
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
        check=True,
        timeout=100,
    )
    return {name: int(status) for name, status in map(str.split, ended.stdout.splitlines())}


@pytest.mark.parametrize("module", [name for name in modules() if name != "__main__"])
def test_importsNoReactor(module: str) -> None:
    """
    Importing a module installs no reactor: that is for the program to choose.
    """
    assert statuses()[f"socksproxy.{module}"] == 0


def test_pluginModuleIsLight() -> None:
    """
    Loading the plugin module, as every Twisted program does, loads nothing of
    socksproxy and no reactor.
    """
    code = (
        "import sys, twisted.plugins.socksproxy_plugins\n"
        "loaded = [name for name in sys.modules if name.startswith('socksproxy')]\n"
        "sys.exit(bool(loaded) or 'twisted.internet.reactor' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], env=environment(), check=True, timeout=60)


def test_pluginFolderIsNoPackage() -> None:
    """
    Our C{twisted} folders have no C{__init__}, which would hide Twisted or the
    plugin.
    """
    assert not (ROOT / "twisted" / "__init__.py").exists()
    assert not (ROOT / "twisted" / "plugins" / "__init__.py").exists()
