"""
The proxy with timers of HTTP so short that a test can wait for them.
"""

from twisted.application.service import Application
from twisted.internet import reactor

from socksproxy.config import Configuration
from socksproxy.inbound import InboundTimers
from socksproxy.relay import RelayTimers
from socksproxy.service import ProxyService

application = Application("impatient HTTP proxy")
proxy = ProxyService(
    reactor,
    Configuration(
        listen=["tcp:0:interface=127.0.0.1"],
        timers=InboundTimers(
            handshake=2.0,
            head=2.0,
            kept=2.0,
            response=2.0,
            relay=RelayTimers(drain=2.0, idle=8.0, halfClosed=8.0),
        ),
    ),
)
proxy.setServiceParent(application)
