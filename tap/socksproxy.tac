"""
The proxy as an application of twistd's, made of its parts:

    twistd -n -y socksproxy.tac

Two environment variables save editing: SOCKSPROXY_LISTEN holds endpoint
strings with blanks between them, and SOCKSPROXY_LOG names a file for a log in
JSON. Without the latter, twistd's own options say where the log goes.
"""

import os
import sys

from twisted.application.service import Application
from twisted.internet import reactor
from twisted.logger import ILogObserver

from socksproxy.config import DEFAULT_LISTENER, Configuration
from socksproxy.errors import ConfigurationError
from socksproxy.inbound import InboundTimers
from socksproxy.log import observerFor
from socksproxy.policy.limits import ConnectionLimits
from socksproxy.process import takeProcess
from socksproxy.relay import RelayTimers
from socksproxy.service import ProxyService
from socksproxy.signals import SignalService

# As many connections as the system's limit on file descriptors allows.
connections = takeProcess(reactor)

proxy = ProxyService(
    reactor,
    Configuration(
        listen=os.environ.get("SOCKSPROXY_LISTEN", DEFAULT_LISTENER).split(),
        drain=30,
        limits=ConnectionLimits(total=connections, perSource=500),
        timers=InboundTimers(handshake=10, relay=RelayTimers(idle=3600)),
    ),
)
try:
    # Now, so that a port in use is told before twistd goes into the background.
    proxy.openPorts()
except ConfigurationError as e:
    sys.exit(f"socksproxy.tac: {e}")

application = Application("socksproxy")
SignalService(reactor, proxy).setServiceParent(application)
proxy.setServiceParent(application)
if "SOCKSPROXY_LOG" in os.environ:
    application.setComponent(ILogObserver, observerFor(os.environ["SOCKSPROXY_LOG"], "json"))
