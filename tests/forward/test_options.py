"""
Tests for L{socksproxy.tap}: C{--forward}.
"""

from __future__ import annotations

import pytest
from twisted.python import usage

from socksproxy.config import DEFAULT_LISTENER, Configuration
from socksproxy.forward import forwardFromText
from socksproxy.policy.limits import ConnectionLimits
from socksproxy.tap import Options

WEB = "tcp:8080:interface=127.0.0.1,tcp:web.test:80"
DNS = "udp:53:interface=127.0.0.1,udp:192.0.2.53:53"


def configured(*arguments: str) -> Configuration:
    """
    Give what a command line asks for.
    """
    options = Options()
    options.parseOptions(arguments)
    return options.configuration(ConnectionLimits())


def test_repeatable() -> None:
    """
    It may be given several times, and the order is kept.
    """
    configuration = configured("--forward", WEB, f"--forward={DNS}")
    assert configuration.forward == (forwardFromText(WEB), forwardFromText(DNS))


def test_none() -> None:
    """
    Without it nothing is forwarded.
    """
    assert configured().forward == ()


def test_listeners() -> None:
    """
    Whoever only wants to forward gets no proxy as well, unless a listener is
    given.
    """
    assert configured().listen == (DEFAULT_LISTENER,)
    assert configured("--forward", WEB).listen == ()
    assert configured("--forward", WEB, "--listen", "tcp:1").listen == ("tcp:1",)


@pytest.mark.parametrize("text", ["", "tcp:1", "udp:1,tcp:web.test:80", "tcp:1:key=horse"])
def test_wrong(text: str) -> None:
    """
    What is wrong is said in one line that names the option and shows no
    secret.
    """
    with pytest.raises(usage.UsageError) as caught:
        configured("--forward", text)
    error = str(caught.value)
    assert error.startswith("--forward ")
    assert "\n" not in error
    assert "horse" not in error
