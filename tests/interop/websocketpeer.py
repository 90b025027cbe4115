"""
A program that is one end of WebSocket, with Debian's C{websockets}, to be run
by Debian's Python::

    python3 websocketpeer.py serve
    python3 websocketpeer.py talk forward|tunnel PROXY PORT

The server sends back what comes, on a port which it prints. The client checks
that, with messages of several kinds, and ends with a close on both sides; it
prints what it has of the answer.
"""

import asyncio
import os
import socket
import sys
from http.client import HTTPConnection
from typing import Any

MESSAGES = ["words", b"octets", "", os.urandom(125), os.urandom(70_000), "x" * 3_000_000]

FAREWELL = "enough"


async def serve() -> None:
    """
    Be the server, until nobody holds our input any more.
    """
    from websockets.server import serve

    async def echo(connection: Any, path: str = "") -> None:
        async for message in connection:
            await connection.send(message)

    async with serve(echo, "127.0.0.1", 0, max_size=None) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


async def talk(proxy: int, port: int) -> None:
    """
    Be the client, through a tunnel.
    """
    from websockets.client import connect

    dialling = HTTPConnection("127.0.0.1", proxy, timeout=10)
    dialling.set_tunnel("localhost", port)
    dialling.connect()
    dialling.sock.settimeout(None)
    uri = f"ws://localhost:{port}/"
    async with connect(uri, sock=dialling.sock, max_size=None) as connection:
        for message in MESSAGES:
            await connection.send(message)
            assert await connection.recv() == message
        await connection.close(1000, FAREWELL)
        print(connection.close_code, connection.close_reason)


class Forwarded:
    """
    A client that asks a proxy for the server by its URL, and speaks WebSocket
    on what comes of that.
    """

    def __init__(self, proxy: int, port: int) -> None:
        """
        @param proxy: The proxy's port.
        @param port: The server's port.
        """
        from websockets.client import ClientConnection
        from websockets.uri import parse_uri

        self._machine: Any = ClientConnection(parse_uri(f"ws://localhost:{port}/"), max_size=None)
        self._socket = socket.create_connection(("127.0.0.1", proxy), 10)
        request = self._machine.connect()
        request.path = f"http://localhost:{port}/"
        self._machine.send_request(request)
        self.response = self._next()

    def send(self, message: Any) -> None:
        """
        Send a message.
        """
        if isinstance(message, str):
            self._machine.send_text(message.encode())
        else:
            self._machine.send_binary(message)

    def receive(self) -> Any:
        """
        Receive a message.
        """
        frame = self._next()
        return frame.data.decode() if frame.opcode == 1 else frame.data

    def close(self) -> tuple[int, str]:
        """
        Close.

        @return: What the server says to that.
        """
        self._machine.send_close(1000, FAREWELL)
        while self._machine.state.name != "CLOSED":
            self._step()
        return self._machine.close_code, self._machine.close_reason

    def _next(self) -> Any:
        while True:
            for event in self._machine.events_received():
                return event
            self._step()

    def _step(self) -> None:
        for data in self._machine.data_to_send():
            if data:
                self._socket.sendall(data)
            else:
                self._socket.shutdown(socket.SHUT_WR)
        data = self._socket.recv(65536)
        if data:
            self._machine.receive_data(data)
        else:
            self._machine.receive_eof()


def talkForwarded(proxy: int, port: int) -> None:
    """
    Be the client, by a request that is forwarded.
    """
    client = Forwarded(proxy, port)
    assert client.response.status_code == 101, client.response
    for message in MESSAGES:
        client.send(message)
        assert client.receive() == message
    print(*client.close())


def main() -> None:
    """
    Be what the command line says.
    """
    if sys.argv[1] == "serve":
        asyncio.run(serve())
        return
    proxy, port = map(int, sys.argv[3:])
    if sys.argv[2] == "tunnel":
        asyncio.run(talk(proxy, port))
    else:
        talkForwarded(proxy, port)


if __name__ == "__main__":
    main()
