"""
The documents name options that exist, and all of them.
"""

import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.daemon import ROOT, TIMEOUT, environment, run
from tests.manual import divided

PAGES = [
    ROOT / "README.rst",
    ROOT / "CONTRIBUTING.rst",
    *sorted((ROOT / "docs").glob("*.rst")),
]
OTHER_PROGRAMS = {"--proxy", "--proxy-user"}
"""
Options of curl that the text names.
"""


@cache
def help(*arguments: str) -> str:  # noqa: A001
    """
    Read what twistd says of its options.
    """
    return run(*arguments, "--help").stdout.decode()


def optionsIn(text: str) -> set[str]:
    """
    Find the options that a help describes.
    """
    names = re.findall(r"^ +(?:-\w, )?--([\w-]+)", text, re.M)
    return {f"--{name}" for name in names} | set(re.findall(r"^ +(-\w), ", text, re.M))


@cache
def shownOptions(*command: str) -> frozenset[str]:
    """
    Find the options that a command of Python's shows with C{--help}.
    """
    shown = subprocess.run(
        [sys.executable, "-m", *command, "--help"],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
    )
    return frozenset(re.findall(r"^  (?:-\w, )?(--[\w-]+)", shown.stdout, re.M))


def toolOptions(tool: str) -> frozenset[str]:
    """
    Find the options of a tool of C{python -m socksproxy}.
    """
    return shownOptions("socksproxy", tool)


def documented(program: str) -> dict[str, str]:
    """
    Give what the manual says of each option of a program.
    """
    _, _, text = (ROOT / "docs" / "options.rst").read_text().partition(f".. program:: {program}\n")
    text, _, _ = text.partition(".. program::")
    found: dict[str, str] = {}
    for block in text.split(".. option:: ")[1:]:
        name = re.split(r"\s", block, maxsplit=1)[0]
        assert name not in found
        found[name] = block
    return found


def commandsOf(path: Path) -> Iterator[str]:
    """
    Give the commands in a page's literal blocks that start twistd.
    """
    for line in re.findall(r"^    (\S.*)", path.read_text(), re.M):
        for command in line.split(" && "):
            if re.match(r"\S*\btwistd (?!socksproxy:)", command):
                yield command


class TestOptions:
    """
    Options, in the manual and elsewhere.
    """

    def test_allAreDocumented(self) -> None:
        """
        The manual has exactly the options of C{twistd socksproxy --help}.
        """
        assert set(documented("twistd socksproxy")) == optionsIn(help("socksproxy"))

    def test_defaults(self) -> None:
        """
        The manual and the help give the same defaults.
        """
        entries = re.split(r"^ +(?=--)", help("socksproxy"), flags=re.M)
        defaults = {
            entry.partition("=")[0]: match[1]
            for entry in entries
            if (match := re.search(r"\[default:\s+(\S+)\]", entry))
        }
        assert defaults
        stated = {
            name: match[1]
            for name, text in documented("twistd socksproxy").items()
            if (match := re.search(r"Default: ``(.*?)``", text))
        }
        assert stated == defaults

    @pytest.mark.parametrize(
        ("program", "tool"),
        [
            ("socksproxy", "passwd"),
            ("socksproxy check", "check"),
            ("socksproxy import", "import"),
        ],
    )
    def test_tools(self, program: str, tool: str) -> None:
        """
        The manual has exactly the options of the tools beside the daemon.
        """
        assert set(documented(program)) == toolOptions(tool) - {"--help"}

    @pytest.mark.parametrize("command", [command for path in PAGES for command in commandsOf(path)])
    def test_commandsUseOptionsThatExist(self, command: str) -> None:
        """
        Every command of the documents gives twistd and the proxy options that
        they have.
        """
        _, *words = shlex.split(command)
        forTwistd, own = divided(words)
        for given, known in (
            (forTwistd, optionsIn(help())),
            (own, optionsIn(help("socksproxy"))),
        ):
            names = {word.partition("=")[0] for word in given if word.startswith("-")}
            assert names <= known

    @pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
    def test_textNamesOptionsThatExist(self, path: Path) -> None:
        """
        The text names no option that nobody has.
        """
        named = set(re.findall(r"``(--[a-z0-9-]+)", path.read_text()))
        known = optionsIn(help()) | optionsIn(help("socksproxy")) | OTHER_PROGRAMS
        known |= toolOptions("passwd") | toolOptions("check") | toolOptions("import")
        for table in ("http", "kcp", "tunnel", "shadowsocks"):
            known |= shownOptions("bench", table)
        assert named <= known


@pytest.mark.parametrize("name", ["run", "try", "test"])
def test_readmeMarksItsCommands(name: str) -> None:
    """
    The README has one command of one line for each thing that the gate tries.
    """
    blocks = re.findall(
        rf"^\.\. command: {name}\n\n::\n\n((?:    .*\n)+)", (ROOT / "README.rst").read_text(), re.M
    )
    assert len(blocks) == 1
    assert len(blocks[0].splitlines()) == 1


def test_extrasExist() -> None:
    """
    What the documents tell to install are extras of the distribution.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = {
        extra
        for path in PAGES
        for extras in re.findall(r"'\.\[([\w,]+)\]'", path.read_text())
        for extra in extras.split(",")
    }
    assert named == set(project["optional-dependencies"])
