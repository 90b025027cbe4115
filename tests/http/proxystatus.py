"""
Proxy-Status, as RFC 8941 and RFC 9209 want it read.
"""

from __future__ import annotations

import re

TYPES = frozenset(
    (
        "dns_timeout",
        "dns_error",
        "destination_not_found",
        "destination_unavailable",
        "destination_ip_prohibited",
        "destination_ip_unroutable",
        "connection_refused",
        "connection_terminated",
        "connection_timeout",
        "connection_read_timeout",
        "connection_write_timeout",
        "connection_limit_reached",
        "tls_protocol_error",
        "tls_certificate_error",
        "tls_alert_received",
        "http_request_error",
        "http_request_denied",
        "http_response_incomplete",
        "http_response_header_section_size",
        "http_response_header_size",
        "http_response_body_size",
        "http_response_trailer_section_size",
        "http_response_trailer_size",
        "http_response_transfer_coding",
        "http_response_content_coding",
        "http_response_timeout",
        "http_upgrade_failed",
        "http_protocol_error",
        "proxy_internal_response",
        "proxy_internal_error",
        "proxy_configuration_error",
        "proxy_loop_detected",
    )
)
"""
The types of RFC 9209 section 2.3.
"""

_TOKEN = r"[A-Za-z*][A-Za-z0-9!#$%&'*+.^_`|~:/-]*"
_STRING = r'"(?:[ !#-\[\]-~]|\\["\\])*"'
_KEY = r"[a-z*][a-z0-9_.*-]*"

_ITEM = re.compile(f"({_TOKEN}|{_STRING})")
_PARAMETER = re.compile(f"; *({_KEY})=({_TOKEN}|{_STRING})")


def itemIn(value: bytes) -> tuple[str, dict[str, str]]:
    """
    Read a list with one member, a token or a string, whose parameters are such,
    too. Strings are told from tokens by a quotation mark before them.

    @raise ValueError: It is none.
    """
    text = value.decode("ascii")
    item = _ITEM.match(text)
    if item is None:
        raise ValueError(text)
    parameters = {}
    position = item.end()
    while position < len(text):
        parameter = _PARAMETER.match(text, position)
        if parameter is None or parameter[1] in parameters:
            raise ValueError(text)
        parameters[parameter[1]] = _valueOf(parameter[2])
        position = parameter.end()
    return _valueOf(item[1]), parameters


def _valueOf(text: str) -> str:
    if text.startswith('"'):
        return '"' + re.sub(r"\\(.)", r"\1", text[1:-1])
    return text
