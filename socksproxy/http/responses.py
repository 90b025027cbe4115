"""
What the proxy itself answers on one connection.
"""

from __future__ import annotations

from twisted.cred.credentials import IAnonymous
from twisted.internet.interfaces import ISSLTransport

from socksproxy.address import Destination
from socksproxy.errors import AuthenticationFailed, SOCKSProxyError
from socksproxy.http import resources
from socksproxy.http._connect import HeaderField
from socksproxy.http._events import Request
from socksproxy.http._fields import Forwarding
from socksproxy.http._target import Form
from socksproxy.http.login import CHALLENGE
from socksproxy.http.pages import errorPage, wantsHTML
from socksproxy.http.resources import ProofOf, Resource, ResourceContext, resourceFor
from socksproxy.http.status import answerFor, answerWith
from socksproxy.inbound import InboundProtocol, shownAddress
from socksproxy.inbound.address import hostAndPort
from socksproxy.relay.leg import addressAndPort

ALLOWED: HeaderField = (b"Allow", b"CONNECT, DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT")
"""
What can be asked of a proxy, and of others through it.
"""

_OWN = Destination(resources.NAME, 80)


class Responses:
    """
    Makes the answers.
    """

    def __init__(self, connection: InboundProtocol, forwarding: Forwarding, socks: bool) -> None:
        """
        @param connection: Whose they are.
        @param forwarding: Who we are.
        @param socks: Clients can speak SOCKS on the same port.
        """
        self._connection = connection
        self._pseudonym = (forwarding.pseudonym or b"socksproxy").decode("ascii")
        self._socks = socks

    @property
    def client(self) -> bytes:
        """
        Give the client's address, for origins that are to know it.
        """
        return hostAndPort(self._connection.peer)[0].encode("ascii")

    def isOurs(self, destination: Destination) -> bool:
        """
        Tell whether that is no place on the network but this proxy.
        """
        return destination == _OWN

    def options(self) -> Resource:
        """
        Say what can be asked of the proxy.
        """
        return Resource(200, b"OK", [ALLOWED], b"")

    def notTraced(self, request: Request) -> Resource:
        """
        Refuse to show a request to whoever made it: others may have put
        secrets into it.
        """
        answer = answerWith(405, "nobody is shown a request")
        fields, body = errorPage(
            answer,
            destination=_destinationOf(request),
            html=wantsHTML(request.fields),
            pseudonym=self._pseudonym,
        )
        return Resource(answer.status, answer.reason, [*fields, ALLOWED], body)

    def error(self, error: SOCKSProxyError, request: Request | None) -> Resource:
        """
        Say what went wrong.

        @param request: With which, if it could be understood.
        """
        answer = answerFor(error)
        fields, body = errorPage(
            answer,
            destination=None if request is None else _destinationOf(request),
            html=request is not None and wantsHTML(request.fields),
            pseudonym=self._pseudonym,
        )
        if isinstance(error, AuthenticationFailed) and answer.status == 407:
            fields = [*fields, CHALLENGE]
        return Resource(answer.status, answer.reason, fields, body)

    def resource(self, request: Request) -> Resource:
        """
        Give what is asked of the proxy itself.
        """
        connection = self._connection
        host, port = addressAndPort(connection.transport.getHost())
        address = None if host is None else Destination(host, port)
        proof = None
        named = b""
        if request.target.form is Form.ABSOLUTE:
            record = connection.record
            proof = ProofOf(
                record.user,
                shownAddress(connection.peer),
                record.listener,
                record.protocol,
                # Avatars of other people's may not say.
                way=getattr(connection.avatar, "way", None),
                local=connection.inbound.local,
            )
        else:
            named = b"".join(value for name, value in request.fields if name.lower() == b"host")
        context = ResourceContext(
            html=wantsHTML(request.fields),
            address=address,
            host=named,
            tls=ISSLTransport.providedBy(connection.transport),
            socks=self._socks,
            password=IAnonymous not in connection.inbound.portal.listCredentialsInterfaces(),
            proof=proof,
        )
        return resourceFor(request.method, request.target.path, context)


def _destinationOf(request: Request) -> str | None:
    destination = request.target.destination
    return None if destination is None else str(destination)
