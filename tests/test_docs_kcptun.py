"""
The page on coming from kcptun: what it states is so.
"""

from __future__ import annotations

import inspect
import re
import shlex
from pathlib import Path

import pytest
from twisted.internet.endpoints import clientFromString, serverFromString

from socksproxy.__main__ import main
from socksproxy.forward.specification import forwardFromText
from socksproxy.kcp.kcptun import MANUAL, MAX_PORTS, PARAMETERS, TIMERS, Tunnel, tunnelFrom
from socksproxy.kcp.port import BUFFER_SIZE
from socksproxy.kcp.translation import IGNORED, KEY_FILE, KEYS, UNSUPPORTED
from socksproxy.smux.endpoints import STALLED_AFTER, MuxClientEndpoint
from tests.interop.peers import requirePackage
from tests.manual import commandsIn, divided, page
from tests.memoryreactor import MemoryReactor

ROWS = re.findall(r"^``(\w+)``  +(\S+)(?:  +(\S+))?  +\S", page("kcptun"), re.M)
COMMANDS = [shlex.split(command) for command in commandsIn(page("kcptun"))]


def text() -> str:
    """
    Give the page in one line.
    """
    return " ".join(page("kcptun").split())


def test_parameters() -> None:
    """
    The table has all parameters, and each once.
    """
    names = [name for name, *_ in ROWS]
    assert sorted(names) == sorted(PARAMETERS)


def defaultsOf(tunnel: Tunnel) -> dict[str, object]:
    """
    Give the defaults that a tunnel without parameters shows.
    """
    config, mux = tunnel.config, tunnel.mux
    booleans = {
        "pacing": config.pacing,
        "adaptive": config.adaptive,
        "acktwice": config.acktwice,
        "acknodelay": config.acknodelay,
        "nocomp": not tunnel.compress,
    }
    names = ("mtu", "sndwnd", "rcvwnd", "ratelimit", "datashard", "parityshard", "congestion")
    return {
        **{name: "yes" if value else "no" for name, value in booleans.items()},
        **{name: getattr(config, name) for name in names},
        **{name: getattr(mux, name) for name in ("smuxbuf", "streambuf", "framesize")},
        "keepalive": f"{mux.keepalive:g}",
        "smuxver": mux.version,
        "salt": tunnel.salt.decode(),
        "crypt": tunnel.crypt,
        "nodelay": int(MANUAL.nodelay),
        "interval": MANUAL.interval,
        "resend": MANUAL.resend,
        "sockbuf": BUFFER_SIZE,
    }


def test_defaults() -> None:
    """
    Its defaults are those that count.
    """
    defaults = {name: str(value) for name, value in defaultsOf(tunnelFrom({"key": "-"})).items()}
    shown = {name: here for name, here, _ in ROWS}
    assert {name: shown[name] for name in defaults} == defaults
    assert tunnelFrom({"key": "-", "mode": shown["mode"]}) == tunnelFrom({"key": "-"})
    pool = inspect.signature(MuxClientEndpoint).parameters
    assert shown["conn"] == str(pool["sessions"].default)
    for name in ("autoexpire", "scavengettl"):
        assert shown[name] == f"{pool[name].default:g}"


def test_kcptuns() -> None:
    """
    It has a default of kcptun's for what kcptun has.
    """
    assert {name for name, _, theirs in ROWS if theirs} == KEYS & PARAMETERS


def test_numbers() -> None:
    """
    What the text says of times and ports is so.
    """
    assert f"acknowledged for {TIMERS.dead:g} seconds" in text()
    assert f"new streams elsewhere after {STALLED_AFTER:g};" in text()
    mux = tunnelFrom({"key": "-"}).mux
    assert f"otherwise it takes {mux.keepaliveTimeout:g} seconds" in text()
    assert f"up to {MAX_PORTS}, and each session" in text()


def test_leftOut() -> None:
    """
    All keys are named that have no counterpart.
    """
    assert {name for name in (*IGNORED, *UNSUPPORTED) if f"``{name}``" not in text()} == {
        "qpp-count"
    }
    assert f"the command names ``{KEY_FILE}``" in text()


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_commands(command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """
    The commands are such.
    """
    requirePackage("cramjam")
    key = tmp_path / "key"
    words = [word.replace("/etc/socksproxy/key", str(key)) for word in command]
    reactor = MemoryReactor()
    if words[:3] == ["python", "-m", "socksproxy"]:
        configuration = tmp_path / "kcptun.json"
        configuration.write_text('{"target": "127.0.0.1:80", "key": "secret"}')
        assert main([*words[3:-1], str(configuration)]) == 0
        words = shlex.split(capsys.readouterr().out)
        assert str(key) in words[-1]
    key.write_text("secret")
    if words[0] == "twistd":
        option, value = divided(words)[1]
        assert option == "--forward"
        forward = forwardFromText(value)
        assert isinstance(forward.server, str)
        serverFromString(reactor, forward.server)
        clientFromString(reactor, forward.client)
    else:
        assert words[:2] == ["twist", "web"]
        serverFromString(reactor, words[2].removeprefix("--listen="))


def test_allCommands() -> None:
    """
    There is one for each end, one for others, and one to import.
    """
    assert len(COMMANDS) == 4
