"""
Tests for L{socksproxy.http.pages}.
"""

from __future__ import annotations

from collections.abc import Sequence
from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.errors import ConnectionRefused
from socksproxy.http._connect import HeaderField
from socksproxy.http._writing import responseHead
from socksproxy.http.pages import OURS, Page, errorPage, proxyStatus, wantsHTML
from socksproxy.http.status import Answer, answerFor, answerWith
from tests.http.proxystatus import itemIn

REFUSED = answerFor(ConnectionRefused())

BROWSER = b"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"

ATTACKS = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'-alert(1)-'",
    "</title></style><h1>",
    "&lt;script&gt;",
)

VOID = {"meta"}


class Document(HTMLParser):
    """
    A page as a browser sees it.

    @ivar tags: The tags that have been opened.
    @ivar attributes: All attributes.
    @ivar open: The tags that are open.
    @ivar texts: The texts, each with the tag it is in.
    """

    def __init__(self, body: bytes) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.open: list[str] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(body.decode("utf-8"))
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """
        Remember a tag.
        """
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """
        Require that it is the last one that was opened.
        """
        assert self.open.pop() == tag, tag

    def handle_data(self, data: str) -> None:
        """
        Remember a text.
        """
        if data.strip():
            self.texts.append((self.open[-1], data))

    @property
    def text(self) -> str:
        """
        Give what there is to read.
        """
        return "\n".join(text for tag, text in self.texts if tag != "style")


def pageOf(
    answer: Answer = REFUSED, destination: str | None = "web.test:80", html: bool = True
) -> tuple[dict[bytes, bytes], bytes]:
    """
    Make a page, and its fields by name, of which each is there once.
    """
    fields, body = errorPage(answer, destination=destination, html=html, pseudonym="proxy-1")
    named = dict(fields)
    assert len(named) == len(fields)
    return named, body


class WantsHTMLTests(SynchronousTestCase):
    """
    Tests for L{wantsHTML}.
    """

    def assertWants(self, wanted: bool, *values: bytes, name: bytes = b"Accept") -> None:
        """
        Require what is made of Accept.
        """
        fields: Sequence[HeaderField] = [(b"Host", b"text/html"), *((name, v) for v in values)]
        self.assertIs(wantsHTML(fields), wanted, values)

    def test_browser(self) -> None:
        """
        Browsers ask for HTML, in one field or several, however it is written.
        """
        self.assertWants(True, BROWSER)
        self.assertWants(True, b"image/png", b"text/plain , TEXT/HTML;level=1; q=0.1")
        self.assertWants(True, b"text/html", name=b"aCCEPT")
        self.assertWants(True, b"text/html;q=1.000")
        self.assertWants(True, b"text/html;q=0.001")
        self.assertWants(True, b"text/html;q=nonsense")

    def test_tools(self) -> None:
        """
        Programs that say nothing or take anything get text.
        """
        self.assertWants(False)
        self.assertWants(False, b"*/*")
        self.assertWants(False, b"text/*")
        self.assertWants(False, b"application/json, text/plain")
        self.assertWants(False, b"")
        self.assertWants(False, b",;,q=1")

    def test_ruledOut(self) -> None:
        """
        So do those who want anything but HTML.
        """
        for weight in (b"0", b"0.", b"0.0", b"0.000"):
            self.assertWants(False, b"text/html;q=%b, */*" % weight)
            self.assertWants(False, b"text/html; level=1 ; Q=%b" % weight)

    def test_nearMisses(self) -> None:
        """
        What only looks like HTML is not.
        """
        self.assertWants(False, b"text/html5")
        self.assertWants(False, b"xtext/html")
        self.assertWants(False, b"text/html", name=b"Accept-Language")

    @given(st.binary(max_size=40))
    def test_anything(self, value: bytes) -> None:
        """
        No value breaks it.
        """
        wantsHTML([(b"Accept", value)])


class ErrorPageTests(SynchronousTestCase):
    """
    Tests for L{errorPage}.
    """

    def test_text(self) -> None:
        """
        Programs get plain text, the most important first, and whose it is
        last.
        """
        fields, body = pageOf(html=False)
        self.assertEqual(fields[b"Content-Type"], b"text/plain; charset=utf-8")
        self.assertEqual(
            body.decode(),
            f"502 Bad Gateway\n\n{REFUSED.text}\n\n{REFUSED.advice}\n\n"
            f"Asked for: web.test:80\n\n{OURS}\n",
        )

    def test_html(self) -> None:
        """
        Browsers get a page that says the same.
        """
        fields, body = pageOf()
        self.assertEqual(fields[b"Content-Type"], b"text/html; charset=utf-8")
        self.assertTrue(body.startswith(b"<!DOCTYPE html>\n"))
        document = Document(body)
        self.assertEqual(document.open, [])
        for text in (
            ("title", "502 Bad Gateway"),
            ("h1", "502 Bad Gateway"),
            ("p", REFUSED.text),
            ("p", REFUSED.advice),
            ("dd", "web.test:80"),
            ("footer", OURS),
        ):
            self.assertIn(text, document.texts)

    def test_fields(self) -> None:
        """
        Neither is to be kept, guessed at, or able to load anything; and nothing
        is said of what others say.
        """
        for html in (True, False):
            fields, _ = pageOf(html=html)
            self.assertEqual(fields[b"Cache-Control"], b"no-store")
            self.assertEqual(fields[b"X-Content-Type-Options"], b"nosniff")
            self.assertNotIn(b"Retry-After", fields)
            policy = fields.get(b"Content-Security-Policy")
            expected = b"default-src 'none'; style-src 'unsafe-inline'"
            self.assertEqual(policy, expected if html else None)
            names = {name.lower() for name in fields}
            made = {b"content-length", b"connection", b"transfer-encoding", b"date"}
            self.assertEqual(names & made, set())

    def test_selfContained(self) -> None:
        """
        A page runs nothing, loads nothing and leads nowhere; it suits dark
        rooms and small screens.
        """
        _, body = pageOf()
        document = Document(body)
        loading = {"script", "link", "img", "iframe", "a", "form", "object", "base", "svg"}
        self.assertEqual(set(document.tags) & loading, set())
        names = {name for name, _ in document.attributes}
        self.assertEqual(names, {"lang", "charset", "name", "content"})
        self.assertIn(("content", "width=device-width, initial-scale=1"), document.attributes)
        style = "".join(text for tag, text in document.texts if tag == "style")
        self.assertIn("color-scheme:light dark", style)
        self.assertIn("prefers-color-scheme:dark", style)
        for loads in ("url(", "@import", "http:", "https:", "//"):
            self.assertNotIn(loads, style)
        self.assertEqual(style.count("{"), style.count("}"))

    def test_retryAfter(self) -> None:
        """
        When to try again is told.
        """
        fields, _ = pageOf(answerWith(503, "it is being stopped"))
        self.assertEqual(fields[b"Retry-After"], b"10")

    def test_noDestination(self) -> None:
        """
        Where nobody knows what was asked for, nothing is said of it.
        """
        for html in (True, False):
            _, body = pageOf(destination=None, html=html)
            self.assertNotIn(b"Asked for", body)
            self.assertNotIn(b"<dl>", body)

    def test_noAdvice(self) -> None:
        """
        Where there is no advice, there is no empty paragraph.
        """
        answer = answerWith(405, "nobody is shown a request")
        self.assertNotIn(b"<p></p>", pageOf(answer)[1])
        self.assertNotIn(b"\n\n\n", pageOf(answer, html=False)[1])

    def test_escaped(self) -> None:
        """
        Whatever was asked for is text in the page, and nothing else.
        """
        plain = Document(pageOf()[1])
        for attack in ATTACKS:
            document = Document(pageOf(destination=attack)[1])
            self.assertEqual((document.tags, document.open), (plain.tags, []))
            self.assertEqual(document.attributes, plain.attributes)
            self.assertIn(attack, document.text)

    def test_controls(self) -> None:
        """
        What moves a cursor, turns the direction of writing or is half a
        character is shown as a question mark.
        """
        for html in (True, False):
            _, body = pageOf(destination="a\x1b[2J\u202eb\r\nc\ud800", html=html)
            self.assertIn("a?[2J?b??c?", body.decode())

    @given(st.text(min_size=1))
    def test_anyDestination(self, destination: str) -> None:
        """
        No text makes another page of it, or lines and controls in a terminal.
        """
        self.assertEqual(Document(pageOf(destination=destination)[1]).tags, PLAIN_TAGS)
        _, body = pageOf(destination=destination, html=False)
        lines = body.decode("utf-8").split("\n")
        self.assertEqual(len(lines), 10)
        self.assertTrue(all(line.isprintable() for line in lines))

    def test_sendable(self) -> None:
        """
        All of it can be sent, whatever the names are.
        """
        for pseudonym in ("proxy-1", "1proxy", 'a"b\\c', "ü\r\nX: y"):
            for html in (True, False):
                fields, _ = errorPage(REFUSED, destination="x", html=html, pseudonym=pseudonym)
                responseHead(REFUSED.status, REFUSED.reason, fields)


PLAIN_TAGS = Document(pageOf()[1]).tags


class ProxyStatusTests(SynchronousTestCase):
    """
    Tests for L{proxyStatus}.
    """

    def test_syntax(self) -> None:
        """
        It names the proxy, the type of the error, and says what has failed.
        """
        self.assertEqual(
            proxyStatus(REFUSED, "socksproxy-1a2b"),
            b"socksproxy-1a2b; error=connection_refused;"
            b' details="The host refused the connection: nothing serves that port."',
        )
        self.assertEqual(pageOf()[0][b"Proxy-Status"], proxyStatus(REFUSED, "proxy-1"))

    def test_names(self) -> None:
        """
        A name that is no token there is quoted.
        """
        for name, read in {
            "proxy-1": "proxy-1",
            "*a:/b": "*a:/b",
            "1proxy": '"1proxy',
            "-proxy": '"-proxy',
            "": '"',
            'a"b\\c': '"a"b\\c',
            "a b": '"a b',
            "ü\r\n": '"???',
        }.items():
            item, parameters = itemIn(proxyStatus(REFUSED, name))
            self.assertEqual(item, read)
            self.assertEqual(parameters["error"], "connection_refused")
            self.assertEqual(parameters["details"], '"' + REFUSED.text)

    @given(st.text(), st.text())
    def test_anything(self, name: str, text: str) -> None:
        """
        No name and no text makes anything else of it.
        """
        answer = Answer(502, b"Bad Gateway", "dns_error", text)
        item, parameters = itemIn(proxyStatus(answer, name))
        self.assertEqual(set(parameters), {"error", "details"})
        self.assertEqual(len(item.removeprefix('"')), len(name))
        self.assertEqual(len(parameters["details"]), len(text) + 1)


class PageTests(SynchronousTestCase):
    """
    Tests for L{Page}.
    """

    page = Page("A", ("b & c",), (("d", "1"), ("long", "2")), "e <f>", "g")

    def test_text(self) -> None:
        """
        Values stand below one another, and an example apart.
        """
        self.assertEqual(
            self.page.body(False), b"A\n\nb & c\n\nd:    1\nlong: 2\n\n    e <f>\n\ng\n"
        )

    def test_html(self) -> None:
        """
        Each part has its element.
        """
        document = Document(self.page.body(True))
        self.assertEqual(
            [(tag, text) for tag, text in document.texts if tag not in ("title", "style")],
            [
                ("h1", "A"),
                ("p", "b & c"),
                ("dt", "d"),
                ("dd", "1"),
                ("dt", "long"),
                ("dd", "2"),
                ("pre", "e <f>"),
                ("footer", "g"),
            ],
        )

    def test_bare(self) -> None:
        """
        A page needs no more than a title.
        """
        self.assertEqual(Page("A").body(False), b"A\n")
        self.assertEqual(Document(Page("A").body(True)).tags[-2:], ["body", "h1"])
