"""
Reading the manual: its pages, its commands and what is in them.
"""

import re
import shlex

from tests.daemon import ROOT


def page(name: str) -> str:
    """
    Read a page of the manual.
    """
    return (ROOT / "docs" / f"{name}.rst").read_text()


def commandsIn(text: str) -> list[str]:
    """
    Give the lines of a page's literal blocks.
    """
    return [
        line.strip()
        for block in re.findall(r"::\n\n((?:    .*\n|\n)+)", text)
        for line in block.splitlines()
        if line.strip()
    ]


def programOf(command: str) -> str:
    """
    Tell what a command is about: its program, or the one that it is put under.
    """
    words = [word for word in shlex.split(command) if "=" not in word]
    return words[1] if words[0] == "socksify" else words[0]


def divided(words: list[str]) -> tuple[list[str], list[str]]:
    """
    Tell twistd's options from the proxy's.
    """
    # The last such word: an option of twistd may have it as its value.
    for index in reversed(range(len(words))):
        if words[index] == "socksproxy":
            return words[:index], words[index + 1 :]
    return words, []


def optionsWith(name: str, *words: str) -> list[str]:
    """
    Give the proxy's options in the one command of a page that starts it and
    has certain words.

    @param name: The page.
    """
    found = [
        shlex.split(command)
        for command in commandsIn(page(name))
        if programOf(command) == "twistd" and set(words) <= set(shlex.split(command))
    ]
    if len(found) != 1:
        raise AssertionError(f"{len(found)} commands have {words} on {name}")
    return divided(found[0])[1]
