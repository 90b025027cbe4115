"""
HTTP CONNECT.
"""

from socksproxy.http.endpoints import HTTPConnectClientEndpoint

__all__ = ["HTTPConnectClientEndpoint"]
