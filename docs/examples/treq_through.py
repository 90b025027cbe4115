"""
Fetch a page through proxies::

    python treq_through.py socks5h://127.0.0.1:1080 https://example.com/

Several proxies in a row are joined with commas. The certificate of the page's
server is checked here, whatever is on the way.
"""

import sys

import treq
from twisted.internet.task import react
from twisted.web.client import Agent

from socksproxy.outbound.agent import ProxyAgentEndpoints


async def main(reactor, proxies, url):
    agent = Agent.usingEndpointFactory(reactor, ProxyAgentEndpoints(reactor, proxies))
    response = await treq.get(url, agent=agent)
    print(await response.text())


react(main, sys.argv[1:])
