"""
The answers of a SOCKS5 server that nobody has waited for: the client has sent
all that it has to say at once, and its application's octets right behind.
"""

from __future__ import annotations

from socksproxy.address import Destination
from socksproxy.errors import (
    AuthenticationFailed,
    LocalProtocolError,
    MessageTooLong,
    TruncatedStream,
    UnofferedMethod,
    requestFailedFor,
)
from socksproxy.socks import _wire5 as wire

MAX_ANSWERS = 1024
"""
Octets of all answers together, and more than they can have.
"""

_LONGEST = 255


def everything(
    destination: Destination,
    username: bytes | None = None,
    password: bytes | None = None,
    command: int = wire.Command.CONNECT,
) -> bytes:
    """
    Give all that a client sends: one method, its login, and its request.

    @param destination: The target.
    @param username: Who we are, up to 255 octets; without it there is no
        login.
    @param password: What goes with it, likewise.
    @param command: CMD.
    @raise LocalProtocolError: Something is too long to be sent.
    """
    request = wire.encodeRequest(wire.requestFor(command, destination))
    if max(len(username or b""), len(password or b"")) > _LONGEST:
        raise LocalProtocolError("the user name or the password is longer than 255 octets")
    if username is None:
        return wire.encodeGreeting(wire.Greeting(bytes((wire.Method.NO_AUTHENTICATION,)))) + request
    login = wire.encodeAuthRequest(wire.AuthRequest(username, password or b""))
    greeting = wire.encodeGreeting(wire.Greeting(bytes((wire.Method.USERNAME_PASSWORD,))))
    return greeting + login + request


class AwaitedAnswers:
    """
    Takes the answers off the front of what comes. It is used as a protection
    that protects nothing.
    """

    def __init__(self, withLogin: bool) -> None:
        """
        @param withLogin: There is an answer to a login.
        """
        self._method = wire.Method.USERNAME_PASSWORD if withLogin else wire.Method.NO_AUTHENTICATION
        self._data = b""
        self._left = ["method", "login", "reply"] if withLogin else ["method", "reply"]

    def wrap(self, data: bytes) -> bytes:
        """
        Give what is to be written: the same.
        """
        return data

    def unwrap(self, data: bytes) -> bytes:
        """
        Give what came after the answers.

        @raise UnofferedMethod: The server wants another login.
        @raise RequestFailed: The server has refused.
        @raise RemoteProtocolError: It does not speak SOCKS5.
        """
        if not self._left:
            return data
        self._data += data
        while self._left and self._take(self._left[0]):
            del self._left[0]
        if self._left:
            if len(self._data) > MAX_ANSWERS:
                raise MessageTooLong("the proxy's answers do not end")
            return b""
        rest, self._data = self._data, b""
        return rest

    def endOfStream(self) -> None:
        """
        Learn that nothing more comes.

        @raise TruncatedStream: There should have been answers.
        """
        if self._left:
            raise TruncatedStream("the proxy ended before it had answered")

    def _take(self, which: str) -> bool:
        """
        Take an answer off, if it is complete.
        """
        if which == "method":
            chosen = wire.decodeMethod(self._data)
            if chosen is None:
                return False
            if chosen[0] != self._method:
                raise UnofferedMethod("the proxy does not take this login")
            consumed = chosen[1]
        elif which == "login":
            answer = wire.decodeAuthReply(self._data)
            if answer is None:
                return False
            if answer[0].status != 0:
                raise AuthenticationFailed("the proxy does not know this user and password")
            consumed = answer[1]
        else:
            code = wire.decodeReplyCode(self._data)
            if code is not None and code[0] != wire.ReplyCode.SUCCEEDED:
                raise requestFailedFor(code[0])
            reply = wire.decodeReply(self._data)
            if reply is None:
                return False
            consumed = reply[1]
        self._data = self._data[consumed:]
        return True
