"""
Tests for L{socksproxy.kcp.importing}, and for C{python -m socksproxy import}.
"""

from __future__ import annotations

import json
import shlex
import stat
from pathlib import Path
from typing import Any

import pytest

from socksproxy.__main__ import main
from socksproxy.errors import ConfigurationError
from socksproxy.forward.specification import argumentsOf, forwardFromText
from socksproxy.kcp.importing import readConfiguration, writeKey
from socksproxy.kcp.kcptun import tunnelFrom
from socksproxy.kcp.translation import importConfiguration

CLIENT: dict[str, Any] = {
    "localaddr": "127.0.0.1:12948",
    "remoteaddr": "vps.example:29900",
    "key": "hunter2",
}


class TestFiles:
    """
    Reading and writing.
    """

    def test_caseAndRest(self, tmp_path: Path) -> None:
        """
        Keys are read in any case, C{null} is nothing, and what follows the
        object does not matter.
        """
        path = tmp_path / "c.json"
        path.write_text(' {"Key": "a", "MTU": 1200, "crypt": null} ]')
        assert readConfiguration(str(path)) == {"key": "a", "mtu": 1200}

    @pytest.mark.parametrize(
        "content", [b"", b"{", b"[]", b"1", b'{"key": }', b"[" * 100_000, b" " * (1 << 21), b"\xff"]
    )
    def test_noConfiguration(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes
    ) -> None:
        """
        A file that is none ends it with status 2 and a line that names it.
        """
        path = tmp_path / "c.json"
        path.write_bytes(content)
        assert main(["import", str(path)]) == 2
        out, error = capsys.readouterr()
        assert out == ""
        assert error.startswith(f"socksproxy: {path}: ")
        assert error.count("\n") == 1

    def test_unreadable(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """
        So does a file that is not there.
        """
        assert main(["import", str(tmp_path / "none")]) == 2
        assert "No such file or directory" in capsys.readouterr().err

    def test_printed(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """
        The command alone is on standard output, and nothing is written unless
        it is asked for.
        """
        path = tmp_path / "c.json"
        settings = {**CLIENT, "quiet": True}
        imported = importConfiguration(settings)
        path.write_text(json.dumps(settings))
        assert main(["import", str(path)]) == 0
        out, error = capsys.readouterr()
        assert out == f"{imported.command}\n"
        assert error.splitlines() == [
            "key: write it to kcptun.key, or have it written with --key-file",
            *imported.remarks,
        ]
        assert "hunter2" not in out + error
        assert list(tmp_path.iterdir()) == [path]

    def test_keyWritten(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """
        The key is written for its owner only, never over anything, and is read
        as it was.
        """
        path, key = tmp_path / "c.json", tmp_path / "the key"
        path.write_text(json.dumps({**CLIENT, "key": " schl\u00fcssel\ud800 "}))
        command = ["import", "--key-file", str(key), str(path)]
        assert main(command) == 0
        out, _ = capsys.readouterr()
        assert key.read_bytes() == " schl\u00fcssel\ufffd ".encode()
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
        forward = forwardFromText(shlex.split(out)[-1])
        assert isinstance(forward.client, str)
        tunnel = tunnelFrom(argumentsOf(forward.client)[1])
        assert tunnel.key == key.read_bytes()
        assert main(command) == 2
        out, error = capsys.readouterr()
        assert (out, error) == ("", f"socksproxy: key file {key}: File exists\n")

    @pytest.mark.parametrize("key", [None, b"secret\n", b"secret\r", b"x" * 65537])
    def test_keyNotWritten(self, tmp_path: Path, key: bytes | None) -> None:
        """
        A key that such a file cannot hold is not written.
        """
        with pytest.raises(ConfigurationError, match="key"):
            writeKey(str(tmp_path / "key"), key)
        assert list(tmp_path.iterdir()) == []
