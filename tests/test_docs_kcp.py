"""
The page on KCP: what it states is so, and its program runs.
"""

import inspect
import re
import subprocess
import sys
from dataclasses import fields

import pytest

from socksproxy.kcp import CIPHERS, KCPConfig, SessionTimers
from socksproxy.kcp._redundancy import REPEATED_FROM, RESIDUE
from socksproxy.kcp.config import CONGESTION_CONTROLS, MODES
from socksproxy.kcp.crypt import DEFAULT_SALT, cipherFor
from socksproxy.kcp.datagram import UNREADABLE, KCPServerProtocol
from socksproxy.kcp.endpoints import CLIENT_TIMERS, DEFAULT_CIPHER, SERVER_TIMERS
from socksproxy.kcp.pipeline import AMPLIFICATION
from tests.daemon import ROOT, TIMEOUT, environment
from tests.manual import page


def text() -> str:
    """
    Give the page in one line.
    """
    return " ".join(page("kcp").split())


def test_settings() -> None:
    """
    The table has all settings, in their order, with their defaults.
    """
    rows = re.findall(r"^``(\w+)``  +(\S+)  +\S", page("kcp"), re.M)
    table = [(field.name, str(field.default)) for field in fields(KCPConfig)]
    assert [row for row in rows if row[0] in dict(table)] == table


@pytest.mark.parametrize("mode", MODES)
def test_modes(mode: str) -> None:
    """
    The table has kcptun's presets.
    """
    preset = MODES[mode]
    assert re.search(rf"^{mode}  +{preset.nodelay}  +{preset.interval}$", page("kcp"), re.M)


def test_congestionControls() -> None:
    """
    All congestion controls are named where the setting is.
    """
    row = re.search(r"^``congestion``.*$", page("kcp"), re.M)
    assert row is not None
    assert re.findall(r"``(\w+)``", row[0])[1:] == list(CONGESTION_CONTROLS)


def test_ciphers() -> None:
    """
    The table has all ciphers with their overhead, and says of the slow ones
    that they are.
    """
    table = page("kcp").split("``crypt``", 1)[1].split("Only ``aes-128-gcm``")[0]
    rows = re.findall(r"^((?:``[\w-]+``,? ?)+) *(\d*) *(.*)$", table, re.M)
    named: dict[str, tuple[str, str]] = {}
    last = ("", "")
    for names, overhead, remark in rows:
        last = (overhead, remark) if overhead else last
        named.update(dict.fromkeys(re.findall(r"[\w-]+", names), last))
    assert named.keys() == CIPHERS.keys()
    for name, (overhead, remark) in named.items():
        assert cipherFor(name, bytes(32)).overhead == int(overhead)
        assert CIPHERS[name].slow == remark.startswith("slow")
        assert CIPHERS[name].authenticates == remark.startswith("authenticates")


def test_numbers() -> None:
    """
    What the text says of times, places and shares is so.
    """
    parameters = inspect.signature(KCPServerProtocol).parameters
    assert f"``SessionTimers.linger``, {SessionTimers().linger:g} seconds" in text()
    assert f"``SessionTimers.dead``, {CLIENT_TIMERS.dead:g} seconds" in text()
    assert f"``SessionTimers.idle``: {SERVER_TIMERS.idle:g} seconds for a server" in text()
    assert CLIENT_TIMERS.idle is None
    assert SERVER_TIMERS.dead == CLIENT_TIMERS.dead == SessionTimers().dead
    assert f"up to {parameters['maxSessions'].default} sessions" in text()
    assert f"and {parameters['maxSessionsPerHost'].default} with one address" in text()
    assert "three times as much" in text()
    assert AMPLIFICATION == 3
    assert f"the salt ``{DEFAULT_SALT.decode()}``" in text()
    assert DEFAULT_CIPHER == "aes"
    assert f"for {100 * (1 - RESIDUE):g} of 100 groups" in text()
    assert f"from {100 * REPEATED_FROM:g} % of loss on" in text()


def test_diagnosis() -> None:
    """
    The sample line says what the log says.
    """
    assert f"KCP: 12 datagrams from 192.0.2.7 port 40312: {UNREADABLE}" in page("kcp")


def test_example() -> None:
    """
    The program asks its server something and gets it back.
    """
    source = (ROOT / "docs" / "examples" / "kcp_echo.py").read_text()
    assert source.count("29900") == 2
    # The server's port is chosen by the kernel, and then asked for.
    source = source.replace("    await server.listen(", "    port = await server.listen(")
    source = source.replace("reactor, 29900, KEY", "reactor, 0, KEY", 1)
    source = source.replace('"127.0.0.1", 29900,', '"127.0.0.1", port.getHost().port,')
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", source],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
    )
    assert ended.returncode == 0, ended.stderr
    assert re.fullmatch(r"Is anybody there\? - \d+ ms\n", ended.stdout)
