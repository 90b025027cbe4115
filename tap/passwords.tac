"""
A proxy for other machines, whose users log in, as the command line makes it:

    twistd -n -y passwords.tac

Two environment variables save editing: SOCKSPROXY_LISTEN is an endpoint string,
and SOCKSPROXY_PASSWORDS a file made by "python -m socksproxy passwd".
"""

import os
import sys

from twisted.application.service import Application
from twisted.python.usage import UsageError

from socksproxy.tap import Options, makeService

listen = os.environ.get("SOCKSPROXY_LISTEN", "tcp:1080")
passwords = os.environ.get("SOCKSPROXY_PASSWORDS", "/etc/socksproxy/passwords")

options = Options()
try:
    options.parseOptions(["--listen", listen, "--auth", f"passwords:{passwords}", "--drain", "30"])
except UsageError as e:
    sys.exit(f"passwords.tac: {e}")

application = Application("socksproxy")
makeService(options).setServiceParent(application)
