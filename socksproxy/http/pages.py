"""
Pages of the proxy's own, in HTML for browsers and as text for everything else.

A page that says why a request failed is shown in the place of somebody else's,
so it says whose it is, loads nothing and runs nothing.

@see: U{https://www.rfc-editor.org/rfc/rfc9209}
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape

from socksproxy.http._connect import HeaderField
from socksproxy.http.status import Answer

OURS = "This is an answer of the proxy, socksproxy, and not of the site."

NO_STORE: HeaderField = (b"Cache-Control", b"no-store")

_FIELDS: list[HeaderField] = [NO_STORE, (b"X-Content-Type-Options", b"nosniff")]

_STYLE = (
    ":root{color-scheme:light dark}"
    "body{margin:0 auto;padding:2rem 1.25rem;max-width:40rem;overflow-wrap:anywhere;"
    "font:1rem/1.5 system-ui,sans-serif;background:#fff;color:#1c1c1c}"
    "h1{margin-top:0;font-size:1.5rem;line-height:1.2}"
    "dl{display:grid;grid-template-columns:minmax(6rem,auto) 1fr;gap:.25rem 1.25rem}"
    "dt,footer{color:#5c5c5c}"
    "dd{margin:0}"
    "pre{padding:.75rem;overflow-x:auto;background:#f0f0f0}"
    "footer{margin-top:2rem;border-top:1px solid;padding-top:.75rem;font-size:.875rem}"
    "@media(prefers-color-scheme:dark){"
    "body{background:#161616;color:#e6e6e6}pre{background:#262626}dt,footer{color:#a6a6a6}}"
)

_SECURITY: HeaderField = (
    b"Content-Security-Policy",
    b"default-src 'none'; style-src 'unsafe-inline'",
)

# What RFC 8941 can write without quotes: more than a token of HTTP in some
# letters, and less in the first.
_TOKEN = re.compile(r"[A-Za-z*][!#$%&'*+\-.^_`|~0-9A-Za-z:/]*")

_NO_WEIGHT = re.compile(rb"0(?:\.0{0,3})?")


@dataclass(frozen=True, slots=True)
class Page:
    """
    A page. Whatever is in it can have come from anywhere.

    @ivar title: What it says above all.
    @ivar paragraphs: What else it says.
    @ivar facts: Names and values.
    @ivar example: A command to paste.
    @ivar footer: Whose it is.
    """

    title: str
    paragraphs: tuple[str, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()
    example: str = ""
    footer: str = ""

    def fields(self, html: bool) -> list[HeaderField]:
        """
        Give the fields to send it with.
        """
        kind = b"html" if html else b"plain"
        fields = [(b"Content-Type", b"text/%b; charset=utf-8" % kind), *_FIELDS]
        return [*fields, _SECURITY] if html else fields

    def body(self, html: bool) -> bytes:
        """
        Give it as it is sent.
        """
        return (self._html() if html else self._text()).encode()

    def _html(self) -> str:
        title = _quoted(self.title)
        parts = [f"<h1>{title}</h1>"]
        parts += [f"<p>{_quoted(paragraph)}</p>" for paragraph in self.paragraphs]
        if self.facts:
            rows = [f"<dt>{_quoted(n)}</dt><dd>{_quoted(v)}</dd>" for n, v in self.facts]
            parts += ["<dl>", *rows, "</dl>"]
        if self.example:
            parts.append(f"<pre>{_quoted(self.example)}</pre>")
        if self.footer:
            parts.append(f"<footer>{_quoted(self.footer)}</footer>")
        return "\n".join(
            (
                "<!DOCTYPE html>",
                '<html lang="en">',
                "<head>",
                '<meta charset="utf-8">',
                '<meta name="viewport" content="width=device-width, initial-scale=1">',
                f"<title>{title}</title>",
                f"<style>{_STYLE}</style>",
                "</head>",
                "<body>",
                *parts,
                "</body>",
                "</html>\n",
            )
        )

    def _text(self) -> str:
        width = max((len(name) for name, _ in self.facts), default=0) + 1
        facts = [f"{_plain(name + ':'):{width}} {_plain(value)}" for name, value in self.facts]
        parts = [
            _plain(self.title),
            *map(_plain, self.paragraphs),
            "\n".join(facts),
            f"    {_plain(self.example)}" if self.example else "",
            _plain(self.footer),
        ]
        return "\n\n".join(filter(None, parts)) + "\n"


def wantsHTML(fields: Iterable[HeaderField]) -> bool:
    """
    Tell whether a client asks for HTML by name. Browsers do, and programs that
    take anything do not.

    @param fields: The request's.
    """
    return any(
        _isHTML(member)
        for name, value in fields
        if name.lower() == b"accept"
        for member in value.split(b",")
    )


def errorPage(
    answer: Answer, *, destination: str | None, html: bool, pseudonym: str
) -> tuple[list[HeaderField], bytes]:
    """
    Make what is sent where a request has failed.

    @param answer: What is to be said.
    @param destination: What was asked for, if that is known.
    @param html: Make it for a browser.
    @param pseudonym: What this proxy calls itself.
    @return: Header fields, except for those about the connection and the
        length, and the body.
    """
    page = Page(
        f"{answer.status} {answer.reason.decode('ascii')}",
        tuple(filter(None, (answer.text, answer.advice))),
        (("Asked for", destination),) if destination else (),
        footer=OURS,
    )
    fields = [*page.fields(html), (b"Proxy-Status", proxyStatus(answer, pseudonym))]
    if answer.retryAfter is not None:
        fields.append((b"Retry-After", b"%d" % answer.retryAfter))
    return fields, page.body(html)


def proxyStatus(answer: Answer, pseudonym: str) -> bytes:
    """
    Write the value of Proxy-Status.

    @param pseudonym: What this proxy calls itself.
    @see: U{https://www.rfc-editor.org/rfc/rfc9209#section-2}
    """
    name = pseudonym if _TOKEN.fullmatch(pseudonym) else _string(pseudonym)
    return f"{name}; error={answer.error}; details={_string(answer.text)}".encode("ascii")


def _string(text: str) -> str:
    """
    Write a String of RFC 8941, which is ASCII.
    """
    shown = "".join(letter if " " <= letter <= "~" else "?" for letter in text)
    return '"' + shown.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _isHTML(member: bytes) -> bool:
    """
    Tell whether a member of Accept is HTML, and not there to rule it out.
    """
    kind, *parameters = (part.strip(b" \t").lower() for part in member.split(b";"))
    weights = [part[2:] for part in parameters if part.startswith(b"q=")]
    return kind == b"text/html" and not any(map(_NO_WEIGHT.fullmatch, weights))


def _plain(text: str) -> str:
    """
    Keep a text to its line, and a terminal as it is.
    """
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _quoted(text: str) -> str:
    return escape(_plain(text))
