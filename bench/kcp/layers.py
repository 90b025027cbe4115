"""
Where the time of an end of ours goes: samples of what it is doing, taken after
equal amounts of processor time, and put together by the parts that a datagram
goes through.

cProfile would make many short functions look long, and takes the time during
which somebody else had the processor for theirs.
"""

from __future__ import annotations

import signal
import time
from collections import Counter
from pathlib import PurePath
from types import FrameType
from typing import Any

LAYERS = (
    "control block",
    "FEC",
    "cipher",
    "port",
    "sessions",
    "smux",
    "reactor",
    "application",
)
"""
The port's is also what its system calls take.
"""

PERIOD = 0.002
"""
Seconds of processor time between two samples; Linux makes whole ticks of it.
"""

TOP = 12
"""
Functions that are named.
"""

_FILES = {
    "control block": "control config congestion statistics _deliveryrate _flight _pacing"
    " _receiving _rtt _segment _sending",
    "FEC": "fec _fecdecoder _galois _shard _autotune _redundancy",
    "cipher": "crypt _cfb _gcm _packets _lanes _salsa20 _tea _twofish _xor",
    "port": "port _offload",
}
_LAYER_OF = {file: layer for layer, files in _FILES.items() for file in files.split()}


class Sampler:
    """
    Takes samples of the main thread.
    """

    def __init__(self) -> None:
        self._layers: Counter[str] = Counter()
        self._functions: Counter[str] = Counter()
        self._began = 0.0

    def start(self) -> None:
        """
        Begin.
        """
        signal.signal(signal.SIGPROF, self._sample)
        signal.siginterrupt(signal.SIGPROF, False)
        self._began = time.process_time()
        signal.setitimer(signal.ITIMER_PROF, PERIOD, PERIOD)

    def stop(self) -> dict[str, Any]:
        """
        End.

        @return: C{cpu}, the seconds of processor time; C{samples}; C{layers},
            the share of each; C{top}: the functions with the most, and their
            shares.
        """
        signal.setitimer(signal.ITIMER_PROF, 0)
        count = max(self._layers.total(), 1)
        return {
            "cpu": time.process_time() - self._began,
            "samples": self._layers.total(),
            "layers": {layer: self._layers[layer] / count for layer in LAYERS},
            "top": [[name, hits / count] for name, hits in self._functions.most_common(TOP)],
        }

    def _sample(self, number: int, frame: FrameType | None) -> None:
        # What Python brings along is for whoever uses it.
        while frame is not None:
            layer = layerOf(frame.f_code.co_filename)
            if layer is not None:
                self._layers[layer] += 1
                stem = PurePath(frame.f_code.co_filename).stem
                self._functions[f"{stem}: {frame.f_code.co_qualname}"] += 1
                return
            frame = frame.f_back


def layerOf(file: str) -> str | None:
    """
    Say which part a file belongs to, or L{None} if that is its caller's.
    """
    path = PurePath(file)
    if "socksproxy" in path.parts and path.parent.name == "kcp":
        return _LAYER_OF.get(path.stem, "sessions")
    if "socksproxy" in path.parts and path.parent.name == "smux":
        return "smux"
    if "bench" in path.parts or path.parent.name == "relay":
        return "application"
    return "reactor" if "twisted" in path.parts else None
