"""
An echo server over KCP, and a client that asks it something.
"""

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import react

from socksproxy.kcp import KCPClientEndpoint, KCPConfig, KCPServerEndpoint

CONFIG = KCPConfig.forMode("fast3")
KEY = "replace this by a secret of your own"


class Echo(Protocol):
    def dataReceived(self, data):
        self.transport.write(data)


class Question(Protocol):
    def connectionMade(self):
        self.transport.write(b"Is anybody there?")

    def dataReceived(self, data):
        print(data.decode(), "-", self.transport.srtt, "ms")
        self.transport.loseConnection()

    def connectionLost(self, reason):
        self.factory.done()


async def main(reactor):
    server = KCPServerEndpoint(reactor, 29900, KEY, crypt="aes-128-gcm", config=CONFIG)
    await server.listen(Factory.forProtocol(Echo))

    finished = Deferred()
    factory = Factory.forProtocol(Question)
    factory.done = lambda: finished.callback(None)
    client = KCPClientEndpoint(reactor, "127.0.0.1", 29900, KEY, crypt="aes-128-gcm", config=CONFIG)
    await client.connect(factory)
    await finished


react(lambda reactor: ensureDeferred(main(reactor)))
