"""
Arithmetic of forward error correction: the field with 256 elements, and sums
of products of whole shards in it.

A shard is a string of octets, and each octet an element of the field
GF(2^8) modulo x^8 + x^4 + x^3 + x^2 + 1. Addition is XOR. The octets at one
offset of all shards of a group are values of a polynomial at the places 0, 1,
2, ...: first those of the data shards, then those of the parity shards. The
polynomial has fewer coefficients than there are shards, as many as there are
shards of data; so any set of that many shards determines it, and with it all
the others. Making parity and rebuilding data are therefore the same thing,
interpolation, and no matrix has to be inverted. kcp-go means the same code when
it multiplies a Vandermonde matrix by the inverse of its top square.

The time goes into the sums. Python does two things quickly with long strings
of octets: C{bytes.translate} multiplies by a constant, and XOR of C{int} adds.
Between them is a conversion that costs more than either. L{sumsByTable} needs
one for each product, and is ready at once. L{sumsByPlane} needs one for each
shard, and has to be prepared.
"""

from collections.abc import Callable, Sequence

Sums = Callable[[Sequence[bytes], int], list[bytes]]
"""
Takes shards, one for each known place, and the octets of the longest; shorter
ones count as filled up with zeros. Gives a string of so many octets for each
wanted place.
"""

ORDER = 255
"""
Elements of the field other than 0. Each is a power of 2.
"""

_POLYNOMIAL = 0x11D


def _powers() -> bytes:
    """
    Give 2^0 to 2^254.
    """
    powers = [1]
    while len(powers) < ORDER:
        doubled = powers[-1] << 1
        powers.append(doubled ^ _POLYNOMIAL if doubled > 255 else doubled)
    return bytes(powers)


EXP = _powers()
"""
The powers of 2.
"""

LOG = bytes([ORDER, *(EXP.index(element) for element in range(1, 256))])
"""
Logarithms to the base 2. Zero has none; it stands as 255, which adds nothing
to a sum modulo 255.
"""

PRODUCTS = (
    bytes(256),
    # The powers from an element on, at the places of the logarithms.
    *(LOG.translate((EXP + EXP)[LOG[k] : LOG[k] + ORDER] + b"\0") for k in range(1, 256)),
)
"""
For each element the table that multiplies octets by it.
"""


def interpolation(known: Sequence[int], wanted: Sequence[int]) -> list[bytes]:
    """
    Find how the values of a polynomial at some places follow from those at
    others (Lagrange). The work grows with the square of C{known}.

    @param known: Different elements of the field; the polynomial has as many
        coefficients.
    @param wanted: Elements that are none of them.
    @return: For each wanted place what the known values are to be multiplied
        by before they are added; never 0.
    """
    weights = [(place, sum([LOG[place ^ other] for other in known])) for place in known]
    rows = []
    for target in wanted:
        whole = sum([LOG[target ^ place] for place in known])
        rows.append(
            bytes([EXP[(whole - LOG[target ^ place] - log) % ORDER] for place, log in weights])
        )
    return rows


def sumsByTable(rows: Sequence[bytes], shards: Sequence[bytes], size: int) -> list[bytes]:
    """
    Add products, each of which is looked up, octet by octet.

    @param rows: Coefficients, as L{interpolation} gives them.
    @param shards: One for each known place.
    @param size: Octets of the longest.
    """
    fromBytes = int.from_bytes
    results = []
    for row in rows:
        total = 0
        for element, shard in zip(row, shards, strict=True):
            total ^= fromBytes(shard.translate(PRODUCTS[element]), "little")
        results.append(total.to_bytes(size, "little"))
    return results


def sumsByPlane(rows: Sequence[bytes]) -> Sums:
    """
    Prepare sums in which products are made of halves: each coefficient is put
    together from 1, 1/2, 1/4, ..., shards that need the same part are added,
    and Horner's scheme halves what has been added so far before it adds the
    next part. Halving is a shift to the right, after an octet's lowest bit has
    been replaced by its half, which are bits 1, 2, 3 and 7. So a sum takes
    seven halvings at the most, however many shards there are.

    What all coefficients of a row have in common is taken out and multiplied
    at the end, where that saves steps. Among several rows also the sums of two
    or three neighbouring shards are worth keeping.

    @param rows: Coefficients, as L{interpolation} gives them.
    """
    columns = len(rows[0])
    width = _WIDTH if len(rows) * columns > _FEW else 1
    programme = []
    for row in rows:
        factor, parts = _scaled(row)
        planes = [
            _places([part >> plane & 1 for part in parts], width)
            for plane in reversed(range(max(parts).bit_length()))
        ]
        (first, *others), *rest = planes
        programme.append((first, others, rest, None if factor == 1 else PRODUCTS[factor]))

    def sums(shards: Sequence[bytes], size: int) -> list[bytes]:
        fromBytes = int.from_bytes
        lowest, upper = _LOWEST, _UPPER
        if size > MASKED:
            lowest = fromBytes(b"\x01" * size, "little")
            upper = lowest * 0xFE
        subsets = [fromBytes(shard, "little") for shard in shards]
        if width > 1:
            subsets = _withSubsets(subsets, width)
        results = []
        for first, others, rest, table in programme:
            total = subsets[first]
            for index in others:
                total ^= subsets[index]
            for plane in rest:
                total = ((total & upper) ^ (total & lowest) * _FOLD) >> 1
                for index in plane:
                    total ^= subsets[index]
            result = total.to_bytes(size, "little")
            results.append(result.translate(table) if table else result)
        return results

    return sums


MASKED = 8192
"""
Octets of the longest shards that L{sumsByPlane} has masks ready for. About
there it is also quickest, since a step has a fixed cost.
"""

_LOWEST = int.from_bytes(b"\x01" * MASKED, "little")
_UPPER = _LOWEST * 0xFE

_FOLD = 0x11C
"""
What the lowest bit of an octet becomes, one bit further up than it will be.
"""

_WIDTH = 3
"""
Shards whose subsets are added beforehand.
"""

_FEW = 60
"""
Products for which that takes longer than it saves.
"""

_COORDINATES = bytearray(256)
for _bits in range(256):
    _element = 0
    for _k in range(8):
        if _bits >> _k & 1:
            _element ^= EXP[-_k % ORDER]
    _COORDINATES[_element] = _bits
"""
What each element is put together from: bit k stands for 2^-k.
"""

_XOR, _TRANSLATION, _HALVING = 1, 6, 10
"""
What the steps of a sum cost, relatively.
"""


def _scaled(row: bytes) -> tuple[int, bytes]:
    """
    Take out of coefficients the factor that leaves the least to do.

    @return: The factor, and what the quotients are put together from.
    """

    def costOf(choice: tuple[int, bytes]) -> int:
        factor, parts = choice
        return (
            _HALVING * max(parts).bit_length()
            + _XOR * int.from_bytes(parts).bit_count()
            + (_TRANSLATION if factor != 1 else 0)
        )

    # EXP[-LOG[factor]] is its inverse.
    return min(
        (
            (factor, row.translate(PRODUCTS[EXP[-LOG[factor]]]).translate(_COORDINATES))
            for factor in range(1, 256)
        ),
        key=costOf,
    )


def _withSubsets(values: Sequence[int], width: int) -> list[int]:
    """
    Add up all subsets of so many neighbours each.

    @return: The subsets of the first neighbours, then those of the next; they
        follow one another as binary numbers do, without the empty one.
    """
    subsets = []
    for start in range(0, len(values), width):
        block: list[int] = []
        for value in values[start : start + width]:
            block += [value, *[value ^ subset for subset in block]]
        subsets += block
    return subsets


def _places(members: Sequence[int], width: int) -> list[int]:
    """
    Say where L{_withSubsets} has what makes up a set of shards.

    @param members: For each shard 1 if it belongs to the set, otherwise 0.
    """
    found = []
    offset = -1
    for start in range(0, len(members), width):
        block = members[start : start + width]
        subset = sum([member << k for k, member in enumerate(block)])
        if subset:
            found.append(offset + subset)
        offset += (1 << len(block)) - 1
    return found
