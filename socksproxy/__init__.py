"""
A proxy and tunnel toolkit for Twisted.

Run it as a daemon::

    twistd -n socksproxy

or put a SOCKS server into a program of your own; see L{socksproxy.listener}.
"""

__version__ = "0.1.0.dev0"
