"""
Tests for L{socksproxy.kcp._galois}.
"""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from socksproxy.kcp import _galois as galois
from tests.vectors import Vector, document

FEC = document("kcp_vectors")["fec"]


def product(a: int, b: int) -> int:
    """
    Multiply as the field is defined: polynomials over GF(2), and the remainder
    of the division by x^8 + x^4 + x^3 + x^2 + 1.
    """
    result = 0
    for bit in range(8):
        if b >> bit & 1:
            result ^= a << bit
    for bit in range(14, 7, -1):
        if result >> bit & 1:
            result ^= 0x11D << (bit - 8)
    return result


def expectedSums(rows: list[bytes], shards: list[bytes], size: int) -> list[bytes]:
    """
    Add products octet by octet.
    """
    results = []
    for row in rows:
        total = bytearray(size)
        for element, shard in zip(row, shards, strict=True):
            for index, octet in enumerate(shard):
                total[index] ^= product(element, octet)
        results.append(bytes(total))
    return results


class TestField:
    """
    The tables describe the field.
    """

    def test_products(self) -> None:
        """
        The table of each element multiplies by it.
        """
        for element, table in enumerate(galois.PRODUCTS):
            assert table == bytes(product(element, octet) for octet in range(256))

    def test_logarithms(self) -> None:
        """
        Each element but 0 is the power of 2 that its logarithm says; that of 0
        counts for nothing modulo the order.
        """
        assert sorted(galois.EXP) == list(range(1, 256))
        assert galois.EXP[0] == 1
        for element in range(1, 256):
            assert galois.EXP[galois.LOG[element]] == element
        assert galois.LOG[0] % galois.ORDER == 0


class TestInterpolation:
    """
    Values of a polynomial follow from other values.
    """

    @pytest.mark.parametrize(("data", "parity"), [(10, 3), (2, 1), (3, 2)])
    def test_matrix(self, data: int, parity: int) -> None:
        """
        The coefficients of parity are the rows of kcp-go's matrix.
        """
        rows = galois.interpolation(range(data), range(data, data + parity))
        assert [list(row) for row in rows] == FEC[f"matrix_{data}_{parity}_parity_rows"]

    @pytest.mark.parametrize("data", [1, 2, 5, 70, 255])
    def test_vandermonde(self, data: int) -> None:
        """
        The coefficients give every power of the wanted place, from 0 on up to
        the number of data shards, when they are applied to the same power of
        the known places. That is what the Vandermonde matrix times the inverse
        of its top square does, and there is no other that does.
        """
        wanted = [data, 255]
        rows = galois.interpolation(range(data), wanted)
        known = [1] * data
        powers = [1] * len(wanted)
        for _ in range(data):
            for row, power in zip(rows, powers, strict=True):
                total = 0
                for element, value in zip(row, known, strict=True):
                    total ^= galois.PRODUCTS[element][value]
                assert total == power
            known = [galois.PRODUCTS[place][value] for place, value in enumerate(known)]
            powers = [
                galois.PRODUCTS[place][value] for place, value in zip(wanted, powers, strict=True)
            ]

    @given(places=st.lists(st.integers(0, 255), unique=True, min_size=2, max_size=40))
    @settings(deadline=None)
    def test_thereAndBack(self, places: list[int]) -> None:
        """
        From any places the values at any others follow, in any order, and from
        those again the first ones.
        """
        half = (len(places) + 1) // 2
        first = places[:half]
        rest = places[half:]
        values = [bytes([place ^ 0x5A]) for place in first]
        others = galois.sumsByTable(galois.interpolation(first, rest), values, 1)
        # One may be known already.
        known = rest + first[: half - len(rest)]
        again = galois.interpolation(known, first[half - len(rest) :])
        back = galois.sumsByTable(again, others + values[: half - len(rest)], 1)
        assert back == values[half - len(rest) :]


@pytest.mark.parametrize("byPlane", [False, True], ids=["table", "plane"])
class TestSums:
    """
    Both ways to add products do the same.
    """

    def sums(self, byPlane: bool, rows: list[bytes], shards: list[bytes], size: int) -> list[bytes]:
        """
        Add products in one way or the other.
        """
        if byPlane:
            return galois.sumsByPlane(rows)(shards, size)
        return galois.sumsByTable(rows, shards, size)

    @pytest.mark.parametrize(
        "vector",
        FEC["reed_solomon"],
        ids=lambda vector: f"{vector['data_shards']}/{vector['parity_shards']}",
    )
    def test_parity(self, byPlane: bool, vector: Vector) -> None:
        """
        Parity is what kcp-go makes; shards that are shorter count as filled up
        with zeros.
        """
        data = [bytes.fromhex(shard) for shard in vector["data"]]
        places = range(len(data), len(data) + vector["parity_shards"])
        rows = galois.interpolation(range(len(data)), places)
        parity = self.sums(byPlane, rows, data, max(map(len, data)))
        assert [shard.hex() for shard in parity] == vector["parity"]

    @pytest.mark.parametrize("element", range(1, 256))
    def test_oneProduct(self, byPlane: bool, element: int) -> None:
        """
        Every element multiplies every octet, whatever its neighbours are.
        """
        octets = bytes(range(256)) + b"\0" + bytes(reversed(range(256)))
        (result,) = self.sums(byPlane, [bytes([element])], [octets], len(octets))
        assert result == octets.translate(galois.PRODUCTS[element])

    @pytest.mark.parametrize(("columns", "lines"), [(1, 1), (3, 2), (7, 8), (8, 8), (31, 3)])
    def test_manyProducts(self, byPlane: bool, columns: int, lines: int) -> None:
        """
        Rows of any shape are added, with shards of any lengths; there is room
        for the longest one and what the caller wants beyond it.
        """
        source = random.Random(columns)
        rows = [bytes(source.choices(range(1, 256), k=columns)) for _ in range(lines)]
        shards = [source.randbytes(source.randrange(40)) for _ in range(columns)]
        for size in (40, 47):
            assert self.sums(byPlane, rows, shards, size) == expectedSums(rows, shards, size)

    @pytest.mark.parametrize("excess", [-1, 0, 1, 1000])
    def test_long(self, byPlane: bool, excess: int) -> None:
        """
        Shards may be longer than anything that is ready for them.
        """
        size = galois.MASKED + excess
        shards = [random.Random(size + k).randbytes(size) for k in range(3)]
        rows = galois.interpolation(range(3), (3, 4))
        results = self.sums(byPlane, rows, shards, size)
        tail = expectedSums(rows, [shard[-50:] for shard in shards], 50)
        assert [result[-50:] for result in results] == tail
        assert [len(result) for result in results] == [size, size]


@given(data=st.data())
@settings(deadline=None)
def test_sameSums(data: st.DataObject) -> None:
    """
    Whatever the coefficients and the shards, both ways to add products agree.
    """
    columns = data.draw(st.integers(1, 12))
    element = st.integers(1, 255)
    row = st.lists(element, min_size=columns, max_size=columns).map(bytes)
    rows = data.draw(st.lists(row, min_size=1, max_size=8))
    shards = data.draw(st.lists(st.binary(max_size=20), min_size=columns, max_size=columns))
    assert galois.sumsByPlane(rows)(shards, 20) == galois.sumsByTable(rows, shards, 20)


def test_largest() -> None:
    """
    Groups of as many shards as there are elements can be made and rebuilt.
    """
    data = [random.Random(k).randbytes(30) for k in range(128)]
    parity = galois.sumsByPlane(galois.interpolation(range(128), range(128, 256)))(data, 30)
    rows = galois.interpolation(range(128, 256), range(128))
    assert galois.sumsByTable(rows, parity, 30) == data
