"""
The proxy with timers so short that a test can wait for them.
"""

from twisted.application.service import Application
from twisted.internet import reactor

from socksproxy.config import Configuration
from socksproxy.inbound import InboundTimers
from socksproxy.relay import RelayTimers
from socksproxy.service import ProxyService

application = Application("impatient proxy")
proxy = ProxyService(
    reactor,
    Configuration(
        listen=["tcp:0:interface=127.0.0.1"],
        timers=InboundTimers(handshake=2.0, relay=RelayTimers(drain=3.0)),
    ),
)
proxy.setServiceParent(application)
