"""
A SOCKS5 server with rules of its own: guests reach web servers only.
"""

import sys

from twisted.cred.checkers import InMemoryUsernamePasswordDatabaseDontUse
from twisted.cred.portal import IRealm, Portal
from twisted.internet.defer import Deferred, fail
from twisted.internet.endpoints import serverFromString
from twisted.internet.task import react
from twisted.python import log
from zope.interface import implementer

from socksproxy.dns.resolver import BoundedResolver
from socksproxy.errors import NotAllowed
from socksproxy.inbound import Inbound
from socksproxy.interfaces import IProxyAvatar
from socksproxy.outbound.direct import DirectOutbound
from socksproxy.policy.avatar import ProxyAvatar
from socksproxy.policy.rules import AnyAddress, PublicAddresses
from socksproxy.socks import SOCKS5Factory

# For the example's sake; socksproxy.auth.checkers.PasswordFileChecker is for use.
users = InMemoryUsernamePasswordDatabaseDontUse(guest=b"guest", staff=b"open sesame")


class WebOnly(ProxyAvatar):
    """
    A user for whom there are only web servers.
    """

    def connect(self, destination):
        if destination.port not in (80, 443):
            return fail(NotAllowed("guests reach web servers only"))
        return super().connect(destination)


@implementer(IRealm)
class Realm:
    """
    Tells guests and staff apart.
    """

    def __init__(self, reactor):
        self._reactor = reactor
        self._resolver = BoundedResolver(reactor, reactor.nameResolver)

    def requestAvatar(self, avatarId, mind, *interfaces):
        if IProxyAvatar not in interfaces:
            raise NotImplementedError
        # The mind says where the client came in.
        policy = AnyAddress() if mind.local else PublicAddresses()
        outbound = DirectOutbound(self._reactor, self._reactor, self._resolver, policy, mind.source)
        kind = WebOnly if avatarId == b"guest" else ProxyAvatar
        return IProxyAvatar, kind(avatarId.decode("ascii"), outbound), lambda: None


async def main(reactor):
    log.startLogging(sys.stdout)
    inbound = Inbound(Portal(Realm(reactor), [users]), reactor, listener="guests", local=True)
    endpoint = serverFromString(reactor, "tcp:1080:interface=127.0.0.1")
    address = (await endpoint.listen(SOCKS5Factory(inbound))).getHost()
    proxy = f"socks5h://{address.host}:{address.port}"
    log.msg(f"Try: curl --proxy-user guest:guest --proxy {proxy} https://example.com/")
    await Deferred()


if __name__ == "__main__":
    react(main)
