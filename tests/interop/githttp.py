"""
Git repositories over HTTP: C{git http-backend} behind a very small server.
"""

import os
import subprocess
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingTCPServer
from types import TracebackType
from typing import ClassVar

from tests.interop.peers import TIMEOUT, peerEnvironment


class GitServer:
    """
    An HTTP server on 127.0.0.1, as a context manager.

    @ivar port: Its port.
    @ivar requests: The requests so far.
    """

    def __init__(self, git: str, root: Path) -> None:
        """
        @param git: The path of git.
        @param root: The folder of the repositories, which may all be read
            and written.
        """
        self.requests: list[str] = []

        class Handler(_Handler):
            requests = self.requests
            program = (git, "http-backend")
            environment = peerEnvironment(
                GIT_PROJECT_ROOT=str(root),
                GIT_HTTP_EXPORT_ALL="1",
                GIT_CONFIG_GLOBAL=os.devnull,
                GIT_CONFIG_SYSTEM=os.devnull,
                # So it takes a push.
                REMOTE_USER="somebody",
            )

        self._server = ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    def __enter__(self) -> "GitServer":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    """
    Calls git's CGI program (RFC 3875).
    """

    protocol_version = "HTTP/1.0"
    requests: ClassVar[list[str]]
    program: ClassVar[tuple[str, ...]]
    environment: ClassVar[dict[str, str]]

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
        self.requests.append(format % arguments)

    def _answer(self) -> None:
        path, _, query = self.path.partition("?")
        length = self.headers.get("Content-Length", "0")
        variables = {
            "REQUEST_METHOD": self.command,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "CONTENT_LENGTH": length,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
        }
        ended = subprocess.run(
            self.program,
            env=self.environment | variables,
            input=self.rfile.read(int(length)),
            capture_output=True,
            timeout=TIMEOUT,
        )
        head, _, body = ended.stdout.partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode("ascii").split("\r\n") if line)
        self.send_response(int(fields.pop("Status", "200").split()[0]))
        for name, value in fields.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
