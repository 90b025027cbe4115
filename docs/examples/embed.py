"""
A program with a proxy in it.
"""

import sys

from twisted.internet import reactor
from twisted.python import log

from socksproxy.config import Configuration
from socksproxy.service import ProxyService

log.startLogging(sys.stdout)
proxy = ProxyService(reactor, Configuration(listen=["tcp:1080:interface=127.0.0.1"]))
proxy.startService()
reactor.addSystemEventTrigger("before", "shutdown", proxy.stopService)
reactor.run()
