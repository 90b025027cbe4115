"""
The parts of the tunnels' benchmark that need no programs.
"""

import math
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from bench.tunnel import page
from bench.tunnel.bulk import CONTENDERS, Contender, differences
from bench.tunnel.bulk import row as bulkRow
from bench.tunnel.bulk import show as showBulk
from bench.tunnel.command import chosen, main, parse
from bench.tunnel.daemons import parameters
from bench.tunnel.figures import DOWN, UP, FirstBytes, Transfer, cases, load, save, spreads
from bench.tunnel.firstbyte import row as firstRow
from bench.tunnel.firstbyte import show as showFirst
from bench.tunnel.firstbyte import taken
from bench.tunnel.traffic import End, Flow, head
from bench.tunnel.ways import WAYS, Way
from socksproxy.kcp.kcptun import tunnelFrom


def transfer(
    name: str = "ours",
    direction: str = UP,
    perStream: Sequence[int] = (100_000_000,),
    **more: float,
) -> Transfer:
    """
    Make a transfer of two seconds.
    """
    given = {"seconds": 2.0, "clientCPU": 1.0, "serverCPU": 3.0, **more}
    return Transfer(
        contender=name,
        direction=direction,
        perStream=perStream,
        octets=sum(perStream),
        **given,
    )


class TestFigures:
    """
    What several measurements come to.
    """

    def test_fairness(self) -> None:
        """
        The slowest stream is compared with the fastest, and one alone with
        none. Where nothing came nobody was treated well.
        """
        assert transfer(perStream=[60, 30, 40]).fairness == 0.5
        assert transfer(perStream=[40, 0]).fairness == 0
        assert transfer(perStream=[0, 0]).fairness == 0
        assert math.isnan(transfer(perStream=[7]).fairness)

    def test_cases(self) -> None:
        """
        Only transfers of the same contender, direction and number of streams
        belong together, and medians count, each for itself.
        """
        found = cases(
            [
                transfer(perStream=[50_000_000, 150_000_000]),
                transfer(perStream=[80_000_000, 100_000_000], clientCPU=9.0),
                transfer(perStream=[10_000_000, 10_000_000], others=1.0),
                transfer(direction=DOWN, perStream=[1, 1]),
                transfer(perStream=[1]),
                transfer("theirs", perStream=[1, 1]),
            ]
        )
        assert list(found) == [
            ("ours", 2, UP),
            ("ours", 2, DOWN),
            ("ours", 1, UP),
            ("theirs", 2, UP),
        ]
        case = found["ours", 2, UP]
        assert case.megabytes == 90
        assert case.cost == pytest.approx((50.0, 3e9 / 180e6))
        assert case.fairness == 0.8
        assert case.others == 0.0

    def test_spreads(self) -> None:
        """
        All later times of a way are put together; of first times the median
        counts, as far as there are any.
        """
        several = [
            FirstBytes("way", 0.3, [0.1, 0.2]),
            FirstBytes("way", math.nan, [0.1] * 7, 2),
            FirstBytes("way", 0.5, [0.9], 1),
            FirstBytes("other", math.nan, [], 3),
        ]
        found = spreads(several)
        spread = found["way"]
        assert spread.fresh == pytest.approx(400)
        assert (spread.p10, spread.p50, spread.p90) == pytest.approx((100, 100, 200))
        assert (spread.count, spread.failed) == (10, 3)
        assert math.isnan(found["other"].fresh)
        assert math.isnan(found["other"].p50)

    def test_file(self, tmp_path: Path) -> None:
        """
        Figures are read as they were written, and what a later version has
        added does not hurt.
        """
        transfers = [transfer(perStream=[3, 4]), transfer(direction=DOWN)]
        firstBytes = [FirstBytes("way", 0.25, [0.1], 1)]
        path = tmp_path / "figures.json"
        save(str(path), transfers, firstBytes, {"rounds": 1})
        path.write_text(re.sub('"(contender|way)":', r'"new": 1, "\1":', path.read_text()))
        found = load(str(path))
        assert [list(one.perStream) for one in found[0]] == [[3, 4], [100_000_000]]
        assert cases(found[0]) == cases(transfers)
        assert found[1] == firstBytes

    @pytest.mark.parametrize(
        "text",
        ["no JSON", "[]", "{}", '{"transfers": [], "firstBytes": []}', '{"transfers": [{}]}'],
    )
    def test_noFigures(self, text: str, tmp_path: Path) -> None:
        """
        A file without figures is named.
        """
        path = tmp_path / "other.json"
        path.write_text(text)
        with pytest.raises(ValueError, match=r"other\.json has no figures of tunnels"):
            load(str(path))


class TestBulk:
    """
    Transfers.
    """

    def test_differences(self) -> None:
        """
        What came between two looks is known by the streams' numbers, whether
        anything had come before, or ever came.
        """
        before, after = {"0": 5, "10": 1}, {"10": 4, "2": 9, "0": 5}
        assert differences(before, after, 11) == [0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 3]

    def test_parameters(self) -> None:
        """
        Our own daemon takes the parameters that kcptun is given, and what is
        set replaces them.
        """
        for name, contender in CONTENDERS.items():
            given = contender.parameters({"smuxver": 1})
            assert given["smuxver"] == 1
            assert (given["parityshard"] > 0) == name.endswith("+fec")
            written = dict(one.split("=") for one in parameters(given))
            assert written["nocomp"] == "yes"
            tunnelFrom({**written, "key": "k"})

    def test_table(self, capsys: pytest.CaptureFixture[str]) -> None:
        """
        Rows that are to be compared stand together, up before down and few
        streams before many. That a single stream is fair is not said.
        """
        showBulk(
            [
                transfer(name, direction, streams)
                for streams in ([9, 10], [100_000_000])
                for direction in (DOWN, UP)
                for name in ("ours", "theirs")
            ]
        )
        lines = [line.split() for line in capsys.readouterr().out.splitlines()[2:]]
        assert [line[:3] for line in lines] == [
            [name, number, direction]
            for number in ("1", "2")
            for direction in (UP, DOWN)
            for name in ("ours", "theirs")
        ]
        assert lines[0][3:] == ["50.0", "10.00", "30.00", "40.0", "-", "0"]
        assert lines[-1][-2] == "0.90"

    def test_row(self) -> None:
        """
        What others took is in per cent of a processor.
        """
        (case,) = cases([transfer(others=0.5)]).values()
        assert bulkRow(case)[-1] == "25"


class TestFirstBytes:
    """
    First octets.
    """

    def test_taken(self) -> None:
        """
        The first time is kept apart, and a page that did not come is counted.
        """
        assert taken("way", [0.3, 0.1, None, 0.2]) == FirstBytes("way", 0.3, [0.1, 0.2], 1)
        assert math.isnan(taken("way", [None, 0.1]).fresh)

    def test_table(self, capsys: pytest.CaptureFixture[str]) -> None:
        """
        Times are in milliseconds, and a way on which nothing came has a row.
        """
        showFirst([FirstBytes("some way", 0.3004, [0.1, 0.2, 0.15]), taken("none", [None])])
        _, _, some, none = capsys.readouterr().out.splitlines()
        assert some.split() == ["some", "way", "300.4", "150.0", "100.0", "200.0", "3", "0"]
        assert none.split() == ["none", *["nan"] * 4, "0", "1"]

    def test_row(self) -> None:
        """
        The median stands before what it lies between.
        """
        (spread,) = spreads([FirstBytes("way", 1.0, [0.01 * n for n in range(1, 11)])]).values()
        assert firstRow(spread) == ["1000.0", "50.0", "10.0", "90.0", "10", "0"]


@contextmanager
def opposite(role: Callable[[socket.socket], None]) -> Iterator[socket.socket]:
    """
    Have a connection to somebody.

    @param role: Is called with the other end.
    """
    here, there = socket.socketpair()
    thread = threading.Thread(target=role, args=(there,))
    thread.start()
    with here:
        here.settimeout(10)
        yield here
    thread.join(10)


class Proxy:
    """
    A SOCKS5 server, and the target behind it.

    @ivar asked: What it has been asked.
    """

    def __init__(self, reply: bytes) -> None:
        self._reply = reply
        self.asked: list[bytes] = []

    def __call__(self, connection: socket.socket) -> None:
        # Who is refused has no use for what is left of the reply.
        with connection, suppress(ConnectionError):
            self.asked.append(connection.recv(3))
            connection.sendall(b"\x05\x00")
            self.asked.append(connection.recv(100))
            for octet in self._reply:
                connection.sendall(bytes([octet]))
            page.answer(connection)


class TestPage:
    """
    The page, and who asks for it.
    """

    @pytest.mark.parametrize(
        "address", [b"\x01" + bytes(4), b"\x04" + bytes(16), b"\x03\x09localhost"]
    )
    def test_proxy(self, address: bytes) -> None:
        """
        A proxy is asked for a name, its whole reply is read whatever its
        address is, and the page's first octet is not taken from it.
        """
        proxy = Proxy(b"\x05\x00\x00" + address + b"\x48\x49")
        with opposite(proxy) as connection:
            assert page.get(connection, 8080) == b"H"
            assert connection.recv(100, socket.MSG_WAITALL).startswith(b"TTP/1.1 200 OK\r\n")
        assert proxy.asked == [b"\x05\x01\x00", b"\x05\x01\x00\x03\x09localhost\x1f\x90"]

    def test_refused(self) -> None:
        """
        A proxy that refuses leads to no page.
        """
        refusing = Proxy(b"\x05\x05\x00\x01" + bytes(6))
        with opposite(refusing) as connection, pytest.raises(EOFError):
            page.get(connection, 8080)

    def test_direct(self) -> None:
        """
        Without a proxy the server is asked right away.
        """
        with opposite(page.answer) as connection:
            assert page.get(connection, 0) == b"H"


class TestTraffic:
    """
    Both ends of connections.
    """

    @pytest.mark.parametrize("direction", [UP, DOWN])
    def test_direction(self, direction: str) -> None:
        """
        Data goes in the direction that a connection's head says, comes in
        pieces or not, and is counted where it arrives, by the number of the
        connection.
        """
        asking, serving = End(), End()
        for number in (7, 258):
            here, there = socket.socketpair()
            begun = head(direction, number)
            serving.add(Flow(there))
            for octet in begun:
                here.sendall(bytes([octet]))
            asking.add(Flow(here, begun, direction == UP))
        receiver, sender = (serving, asking) if direction == UP else (asking, serving)
        deadline = time.monotonic() + 10
        while (
            len(moving := [n for n, octets in receiver.received()["octets"].items() if octets]) < 2
        ):
            assert time.monotonic() < deadline
        assert sorted(moving) == [7, 258]
        assert sender.received()["octets"] == {}
        asking.stop()


class TestCommand:
    """
    Options.
    """

    def test_tables(self) -> None:
        """
        Without a table there are both.
        """
        assert parse([]).tables == ["bulk", "first"]
        assert parse(["first"]).tables == ["first"]

    def test_quick(self) -> None:
        """
        A quick table asks for less, but for what was said all the same.
        """
        full, quick = parse([]), parse(["--quick", "--seconds", "9", "--streams", "2,30"])
        assert quick.rounds < full.rounds
        assert quick.requests < full.requests
        assert (quick.seconds, quick.streams) == (9, [2, 30])

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["third"], "third is not one of bulk, first"),
            (["--streams", "0"], "invalid counts value"),
            (["--rounds", "0"], "--rounds has to be more than 0"),
            (["--delay", "-1"], "--delay has to be more than 0"),
            (["--set", "smuxver"], "invalid setting value"),
        ],
    )
    def test_wrong(
        self, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """
        Options that make no sense are said to.
        """
        with pytest.raises(SystemExit):
            parse(arguments)
        assert message in capsys.readouterr().err

    def test_unknown(self) -> None:
        """
        A row that there is not is named.
        """
        with pytest.raises(SystemExit, match=r"^nobody is not one of socksproxy, kcptun,"):
            main(["--only", "kcptun,nobody"])

    def test_chosen(self, capsys: pytest.CaptureFixture[str]) -> None:
        """
        What this machine has not is left out, and what it lacks is named, but
        not of rows that nobody wants.
        """
        known = {
            "ours": Contender(),
            "theirs": Contender(("no-such-program", "sh")),
            "others": Contender(("no-such-either",)),
        }
        assert list(chosen(known, "ours,theirs")) == ["ours"]
        assert capsys.readouterr().err == "without theirs: no no-such-program\n"
        assert list(chosen({"way": Way(len)}, None)) == ["way"]  # type: ignore[arg-type]

    def test_rows(self) -> None:
        """
        No name stands for two rows.
        """
        assert not set(CONTENDERS) & set(WAYS)

    def test_saved(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """
        Figures that were saved are shown again, and nothing is measured.
        """
        path = tmp_path / "figures.json"
        save(str(path), [transfer()], [FirstBytes("way", 0.3, [0.1])], {})
        main(["--from", str(path)])
        shown = capsys.readouterr()
        assert re.search(r"^ours +1 +up +50\.0 ", shown.out, re.M)
        assert re.search(r"^way +300\.0 +100\.0 ", shown.out, re.M)
        assert shown.err == ""

    def test_noFile(self, tmp_path: Path) -> None:
        """
        A file that cannot be read is named.
        """
        with pytest.raises(SystemExit, match=r"missing\.json"):
            main(["--from", str(tmp_path / "missing.json")])


def test_plot(tmp_path: Path) -> None:
    """
    Figures are drawn, also those of one table only.
    """
    pytest.importorskip("matplotlib")
    from bench.tunnel.plot import draw

    transfers, firstBytes = [transfer(), transfer(perStream=[1, 2])], [taken("way", [0.3, 0.1])]
    for number, figures in enumerate([(transfers, firstBytes), (transfers, []), ([], firstBytes)]):
        path = tmp_path / f"{number}.svg"
        draw(*figures, str(path))  # type: ignore[arg-type]
        assert "</svg>" in path.read_text()
