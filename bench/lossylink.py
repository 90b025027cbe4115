"""
A bad network between two network namespaces: two TUN devices, and one loop
that carries packets from one to the other, late or not at all.

The kernel's own C{netem} is not everywhere; this needs Linux, root,
C{/dev/net/tun}, C{ip} and C{nsenter}. The namespaces have no names, so that
they end with the last process in them, whatever becomes of this one::

    python -m bench.lossylink --loss 5 -- sh -c '$LEFT ping -c 9 10.77.0.2'

C{LEFT} and C{RIGHT} are what to put before a command to run it on one side.
Without a command it prints a line of JSON with both, answers every line that it
reads with its counters, and ends when there is nothing more to read.

A packet costs some ten microseconds here, so that about 500 Mbit/s are what
gets through with packets of 1500 octets; see L{Way} for how to tell.
"""

from __future__ import annotations

import argparse
import ctypes
import fcntl
import heapq
import json
import os
import random
import select
import struct
import subprocess
import sys
import time
from collections.abc import Sequence

LEFT_ADDRESS = "10.77.0.1"
RIGHT_ADDRESS = "10.77.0.2"
DEVICE = "tun0"
QUEUE_LENGTH = 5000
"""
Packets that a device keeps for the loop.
"""

READS = 64
"""
Packets that are taken from one side at a time.
"""

LATE = 0.005
"""
Seconds by which a packet is later than it should be, and counted.
"""

_CLONE_NEWNET = 0x40000000
_TUNSETIFF = 0x400454CA
_IFF_TUN = 0x0001
_IFF_NO_PI = 0x1000


class Losses:
    """
    Says which packets of one flow are lost: each for itself, or in bursts
    (E. N. Gilbert's model) which have so many packets on average.
    """

    def __init__(self, share: float, burst: float, chance: random.Random) -> None:
        """
        @param share: Packets lost, 0 to 1.
        @param burst: Packets lost in a row, on average; 1 or less is by chance.
        """
        self._draw = chance.random
        self._bursts = burst > 1
        self._enter = self._leave = share
        if self._bursts:
            self._leave = 1 / burst
            self._enter = share * self._leave / (1 - share)
        self._bad = False

    def isLost(self) -> bool:
        """
        Say it of the next packet.
        """
        if not self._bursts:
            return self._draw() < self._enter
        if self._bad:
            self._bad = self._draw() >= self._leave
        else:
            self._bad = self._draw() < self._enter
        return self._bad


class Way:
    """
    One direction of the link.

    Every flow has losses of its own, so that several at a time fare like
    several one after the other, and the same seed gives each the same.

    @ivar packets: Packets that came in.
    @ivar octets: Octets of theirs, with the heads of IP.
    @ivar lost: How many were lost as they should be.
    @ivar dropped: How many the queue before the bottleneck had no room for.
    @ivar late: How many left too late. Many mean that the loop is what limits
        the link, and not what it was told.
    """

    def __init__(self, name: str, descriptor: int, settings: argparse.Namespace) -> None:
        """
        @param descriptor: Where it leads to.
        """
        self.descriptor = descriptor
        self.packets = self.octets = self.lost = self.dropped = self.late = 0
        self._name = name
        self._settings = settings
        self._delay: float = settings.delay / 1000
        self._jitter: float = settings.jitter / 1000
        self._queue: float = settings.queue / 1000
        # Seconds that an octet takes.
        self._pace = 8e-6 / settings.rate if settings.rate else 0.0
        self._free = 0.0
        self._chance = random.Random(f"{settings.seed} {name}")
        self._flows: dict[bytes, Losses] = {}

    def arrival(self, packet: bytes, now: float) -> float | None:
        """
        Say when a packet leaves, or L{None} if it does not.
        """
        self.packets += 1
        self.octets += len(packet)
        if self._settings.loss:
            # Protocol, addresses and ports; nothing here has options of IP.
            flow = packet[9:10] + packet[12:24]
            losses = self._flows.get(flow) or self._newFlow(flow)
            if losses.isLost():
                self.lost += 1
                return None
        if self._pace:
            self._free = max(self._free, now)
            if self._free - now > self._queue:
                self.dropped += 1
                return None
            self._free += len(packet) * self._pace
            now = self._free
        if self._jitter:
            now += max(0.0, self._chance.gauss(0, self._jitter))
        return now + self._delay

    def _newFlow(self, flow: bytes) -> Losses:
        settings = self._settings
        chance = random.Random(f"{settings.seed} {self._name} {len(self._flows)}")
        losses = self._flows[flow] = Losses(settings.loss / 100, settings.burst, chance)
        return losses

    def counters(self) -> dict[str, int]:
        """
        Give what has been counted.
        """
        names = ("packets", "octets", "lost", "dropped", "late")
        return {name: getattr(self, name) for name in names}


class Side:
    """
    A namespace with a device in it.

    @ivar namespace: A descriptor of the namespace.
    @ivar device: A descriptor of the device.
    """

    def __init__(self, address: str) -> None:
        """
        @param address: The address of the device. This process stays in the
            namespace.
        """
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.unshare(_CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "no network namespace")
        self.namespace = os.open("/proc/self/ns/net", os.O_RDONLY)
        self.device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        request = struct.pack("16sH", DEVICE.encode(), _IFF_TUN | _IFF_NO_PI)
        fcntl.ioctl(self.device, _TUNSETIFF, request)
        for command in (
            f"link set {DEVICE} txqueuelen {QUEUE_LENGTH}",
            "link set lo up",
            f"addr add {address}/24 dev {DEVICE}",
            f"link set {DEVICE} up",
        ):
            subprocess.run(["ip", *command.split()], check=True)

    @property
    def prefix(self) -> list[str]:
        """
        What to put before a command to run it here.
        """
        return ["nsenter", f"--net=/proc/{os.getpid()}/fd/{self.namespace}"]

    def overflow(self) -> int:
        """
        Give the packets that the device has lost, since the loop did not come
        for them.
        """
        ctypes.CDLL(None).setns(self.namespace, 0)
        with open("/proc/thread-self/net/dev") as lines:
            for line in lines:
                name, _, figures = line.partition(":")
                if name.strip() == DEVICE:
                    return int(figures.split()[11])
        return 0


def carry(sides: tuple[Side, Side], ways: tuple[Way, Way], ends: Sequence[int]) -> int:
    """
    Carry packets until something else can be read.

    @param ways: Those that begin at each side.
    @param ends: The other descriptors.
    @return: One of those.
    """
    left, right = sides
    from_ = {left.device: ways[0], right.device: ways[1]}
    watched = [*from_, *ends]
    under: list[tuple[float, int, Way, bytes]] = []
    serial = 0
    clock, push, pop = time.monotonic, heapq.heappush, heapq.heappop
    while True:
        now = clock()
        while under and under[0][0] <= now:
            at, _, way, packet = pop(under)
            if now - at > LATE:
                way.late += 1
            try:
                os.write(way.descriptor, packet)
            except OSError:
                way.dropped += 1
        wait = max(under[0][0] - clock(), 0) if under else None
        for descriptor in select.select(watched, (), (), wait)[0]:
            begun = from_.get(descriptor)
            if begun is None:
                return int(descriptor)
            for _ in range(READS):
                try:
                    packet = os.read(descriptor, 65535)
                except BlockingIOError:
                    break
                arrives = begun.arrival(packet, clock())
                if arrives is not None:
                    serial += 1
                    push(under, (arrives, serial, begun, packet))


def main() -> None:
    """
    Be a link.
    """
    parser = argparse.ArgumentParser(prog="python -m bench.lossylink", description=main.__doc__)
    add = parser.add_argument
    add("--delay", type=float, default=25.0, help="milliseconds each way")
    add("--jitter", type=float, default=0.0, help="milliseconds, standard deviation")
    add("--loss", type=float, default=0.0, help="per cent each way")
    add("--burst", type=float, default=1.0, help="packets that are lost in a row, on average")
    add("--rate", type=float, default=0.0, help="Mbit/s of a bottleneck; 0 is without")
    add("--queue", type=float, default=100.0, help="milliseconds of the queue before it")
    add("--seed", type=int, default=1)
    add("command", nargs="*")
    settings = parser.parse_args()
    if not 0 <= settings.loss < 100:
        parser.error(f"--loss is {settings.loss:g} and has to be less than 100")
    sides = Side(LEFT_ADDRESS), Side(RIGHT_ADDRESS)
    left, right = sides
    ways = Way("right", right.device, settings), Way("left", left.device, settings)
    if settings.command:
        sys.exit(_runCommand(settings.command, sides, ways))
    print(json.dumps({"left": left.prefix, "right": right.prefix}), flush=True)
    while carry(sides, ways, [0]) == 0 and os.read(0, 4096):
        counters = [
            {**way.counters(), "overflow": side.overflow()}
            for way, side in zip(ways, sides, strict=True)
        ]
        print(json.dumps({"right": counters[0], "left": counters[1]}), flush=True)


def _runCommand(command: list[str], sides: tuple[Side, Side], ways: tuple[Way, Way]) -> int:
    """
    Be a link as long as a command runs.
    """
    left, right = sides
    environment = {"LEFT": " ".join(left.prefix), "RIGHT": " ".join(right.prefix)}
    process = subprocess.Popen(command, env={**os.environ, **environment})
    ended = os.pidfd_open(process.pid)
    try:
        carry(sides, ways, [ended])
    except KeyboardInterrupt:
        pass
    os.close(ended)
    return process.wait()


if __name__ == "__main__":
    main()
