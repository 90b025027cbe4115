"""
Say something to an endpoint and print the answer::

    python through.py 'proxied:example.com:80:via=socks5h\\://127.0.0.1\\:1080'
"""

import sys

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import clientFromString, connectProtocol
from twisted.internet.protocol import Protocol
from twisted.internet.task import react


class Asking(Protocol):
    def connectionMade(self):
        self.answer = Deferred()
        self.transport.write(b"HEAD / HTTP/1.0\r\n\r\n")

    def dataReceived(self, data):
        if not self.answer.called:
            self.answer.callback(data)


async def main(reactor, description):
    asking = await connectProtocol(clientFromString(reactor, description), Asking())
    print((await asking.answer).decode("ascii", "replace").splitlines()[0])


react(main, sys.argv[1:])
