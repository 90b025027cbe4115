"""
A name resolver whose answers come when the test gives them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet.interfaces import (
    IAddress,
    IHostnameResolver,
    IHostResolution,
    IResolutionReceiver,
)
from zope.interface import implementer

from socksproxy.testing import tcpAddress


@implementer(IHostnameResolver)
class SlowNames:
    """
    Remembers what is asked until it is answered.

    @ivar asked: Every name asked for, in order.
    @ivar open: Names that are not answered yet, in order.
    """

    def __init__(self) -> None:
        self.asked: list[str] = []
        self._receivers: list[tuple[str, IResolutionReceiver]] = []

    @property
    def open(self) -> list[str]:
        """
        Give the names that are not answered yet.
        """
        return [name for name, _ in self._receivers]

    def resolveHostName(
        self,
        resolutionReceiver: IResolutionReceiver,
        hostName: str,
        portNumber: int = 0,
        addressTypes: Sequence[type[IAddress]] | None = None,
        transportSemantics: str = "TCP",
    ) -> IHostResolution:
        """
        See C{IHostnameResolver}.
        """
        self.asked.append(hostName)
        resolution: Any = _Resolution(hostName)
        resolutionReceiver.resolutionBegan(resolution)
        self._receivers.append((hostName, resolutionReceiver))
        return resolution

    def answer(self, name: str, *addresses: str) -> None:
        """
        Answer the oldest open question for a name.

        @param addresses: Its addresses; none if there is no such name.
        """
        index = self.open.index(name)
        _, receiver = self._receivers.pop(index)
        for address in addresses:
            receiver.addressResolved(tcpAddress(address, 0))
        receiver.resolutionComplete()


@implementer(IHostResolution)
class _Resolution:
    def __init__(self, name: str) -> None:
        self.name = name

    def cancel(self) -> None:
        raise NotImplementedError("threads cannot be called back")
