"""
Proxy auto-configuration: the script from which browsers learn to use us.

@see: U{https://developer.mozilla.org/docs/Web/HTTP/Proxy_servers_and_tunneling/Proxy_Auto-Configuration_PAC_file}
"""

from __future__ import annotations

import json

from socksproxy.address import Destination
from socksproxy.http._refusal import Refusal
from socksproxy.http._target import checkHostField, targetOf

CONTENT_TYPE = b"application/x-ns-proxy-autoconfig"

# A name without a dot, those that mean this host or its own network wherever
# they are asked for, and this host's addresses. An IPv6 address has no dot
# either. The script is for engines as old as the format.
LOCAL = r"^([^.:]+|(.+\.)?(local|localhost)|127\.[0-9]+\.[0-9]+\.[0-9]+|\[?::1\]?)\.?$"
"""
A regular expression, of JavaScript and of Python alike, for the hosts that a
browser reaches better by itself, in lower case.
"""

_SCRIPT = """\
function FindProxyForURL(url, host) {
    if (/%s/.test(host.toLowerCase())) {
        return "DIRECT";
    }
    return %s;
}
"""


def findProxyScript(address: Destination, *, tls: bool, socks: bool) -> bytes:
    """
    Write the script. It leads past the proxy for local hosts only: where the
    proxy does not work, nothing does.

    @param address: Where the proxy is for the browser.
    @param tls: It is spoken to in TLS, in which no browser speaks SOCKS.
    @param socks: It speaks SOCKS there, too.
    """
    kinds = ["HTTPS" if tls else "PROXY"]
    if socks and not tls:
        # Who knows passwords knows the first, and old engines only the last.
        kinds += ["SOCKS5", "SOCKS"]
    proxies = "; ".join(f"{kind} {address}" for kind in kinds)
    return (_SCRIPT % (LOCAL, json.dumps(proxies))).encode("ascii")


def addressFrom(host: bytes, own: Destination | None, *, tls: bool) -> Destination | None:
    """
    Find out where a proxy is for a client: where it says that it has found it,
    if that makes sense.

    @param host: The value of Host, or nothing.
    @param own: Where the proxy has been reached, as far as it knows.
    @param tls: It is spoken to in TLS.
    """
    scheme = b"https" if tls else b"http"
    try:
        checkHostField(host)
        target = targetOf(b"GET", b"%b://%b/" % (scheme, host), originatesTLS=True)
    except Refusal:
        return own
    return target.destination
