"""
KCP: a reliable stream over datagrams, with encryption and forward error
correction, as kcp-go and kcptun speak it.
"""

from socksproxy.kcp.config import KCPConfig
from socksproxy.kcp.control import ControlBlock
from socksproxy.kcp.crypt import CIPHERS, DEFAULT_SALT, cipherFor, deriveKey
from socksproxy.kcp.datagram import KCPClientProtocol, KCPProtocol, KCPServerProtocol
from socksproxy.kcp.endpoints import KCPClientEndpoint, KCPListeningPort, KCPServerEndpoint
from socksproxy.kcp.fec import FECDecoder, FECEncoder
from socksproxy.kcp.pipeline import Pipeline
from socksproxy.kcp.port import BatchPort, BatchProtocol, IBatchTransport, listenBatches
from socksproxy.kcp.statistics import SessionStatistics
from socksproxy.kcp.transport import KCPTransport, SessionTimers

__all__ = [
    "CIPHERS",
    "DEFAULT_SALT",
    "BatchPort",
    "BatchProtocol",
    "ControlBlock",
    "FECDecoder",
    "FECEncoder",
    "IBatchTransport",
    "KCPClientEndpoint",
    "KCPClientProtocol",
    "KCPConfig",
    "KCPListeningPort",
    "KCPProtocol",
    "KCPServerEndpoint",
    "KCPServerProtocol",
    "KCPTransport",
    "Pipeline",
    "SessionStatistics",
    "SessionTimers",
    "cipherFor",
    "deriveKey",
    "listenBatches",
]
