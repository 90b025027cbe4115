"""
Tests for L{socksproxy.dns.settings}.
"""

import pytest

from socksproxy.dns.settings import listenerFromText
from socksproxy.errors import ConfigurationError

NONE = [
    "",
    "53",
    ":53",
    "localhost:53",
    "127.0.0.1",
    "127.0.0.1:",
    "127.0.0.1:x",
    "127.0.0.1:65536",
    "127.0.0.1:+5",
    "127.0.0.1:\u0665",
    "::1:53",
    "[127.0.0.1]:53",
    "[::1]",
    "[::1]53",
]


@pytest.mark.parametrize("text", ["127.0.0.1:5353", "0.0.0.0:0", "[::1]:53", "[::]:65535"])
def test_listener(text: str) -> None:
    """
    A listener is an address and a port.
    """
    assert str(listenerFromText(text)) == text


@pytest.mark.parametrize("text", NONE)
def test_noListener(text: str) -> None:
    """
    Anything else is refused, in one line that shows it.
    """
    with pytest.raises(ConfigurationError) as caught:
        listenerFromText(text)
    assert repr(text) in str(caught.value)
