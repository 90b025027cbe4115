"""
HTTP/1 proxies: clients' CONNECT, and servers.
"""

from socksproxy.http._fields import Forwarding
from socksproxy.http.endpoints import HTTPConnectClientEndpoint
from socksproxy.http.protocol import HTTPFactory

__all__ = ["Forwarding", "HTTPConnectClientEndpoint", "HTTPFactory"]
