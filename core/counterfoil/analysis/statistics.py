"""Intervals, tests and their correction, in plain Python; tests check them against SciPy. Sources in docs/compare.md."""

from __future__ import annotations

import math
from collections import Counter
from itertools import chain
from statistics import NormalDist
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = [
    "LEVEL",
    "Interval",
    "aligned_ranks",
    "difference",
    "holm",
    "mean",
    "median",
    "permutation",
    "rate",
]

#: Of intervals.
LEVEL: Final = 0.95
#: The least number of values whose median has an interval of 95 %: 1 - 2 * 0.5^6 = 0.97, of five 0.94.
LEAST: Final = 6
#: Up to so many values that differ from the commonest one, ways of drawing are counted; beyond, the normal curve is close.
COUNTED: Final = 20
#: As `COUNTED`, where values are but two: counting them has a closed form.
COUNTED_OF_TWO: Final = 200

_NORMAL: Final = NormalDist()
_Z: Final = _NORMAL.inv_cdf(0.5 + LEVEL / 2)


class Interval(msgspec.Struct, frozen=True):
    """A number with the interval of 95 % around it."""

    value: float
    low: float
    high: float


def rate(hits: int, number: int) -> Interval:
    """Give the share of `hits` in `number` (1 or more), with Wilson's interval."""
    share, square = hits / number, _Z * _Z
    middle = (share + square / (2 * number)) / (1 + square / number)
    half = (
        _Z * math.sqrt(share * (1 - share) / number + square / (4 * number * number)) / (1 + square / number)
    )
    # At 0 and 1 the formula gives them but for rounding.
    return Interval(share, 0.0 if not hits else middle - half, 1.0 if hits == number else middle + half)


def median(values: Sequence[float]) -> Interval:
    """Give the median with the interval between two of the values, whatever their distribution.

    Their ranks are those of the sign test. Below six values it is their whole range: less than 95 %.
    """
    ordered = sorted(values)
    number = len(ordered)
    rank = _rank(number)
    middle = (ordered[(number - 1) // 2] + ordered[number // 2]) / 2
    return Interval(middle, ordered[rank], ordered[number - 1 - rank])


def _rank(number: int) -> int:
    """Give how many of `number` values to leave out at either end of a median's interval."""
    tail = (1 - LEVEL) / 2
    if number > 1_000:  # 0.5^n is no float any more
        return max(0, math.floor((number - 1) / 2 - _Z * math.sqrt(number) / 2))
    rank, chance = 0, 0.5**number
    below = chance
    while True:
        chance *= (number - rank) / (rank + 1)
        below += chance
        if below > tail:
            return rank
        rank += 1


def mean(values: Sequence[float]) -> Interval:
    """Give the mean with Student's interval, not below 0 where no value is; of one value no more than that value."""
    number = len(values)
    middle = math.fsum(values) / number
    if number < 2:
        return Interval(middle, middle, middle)
    variance = math.fsum((value - middle) ** 2 for value in values) / (number - 1)
    half = _student(number - 1) * math.sqrt(variance / number)
    low = middle - half
    return Interval(middle, low if min(values) < 0 else max(0.0, low), middle + half)


def _student(freedom: int) -> float:
    """Give Student's quantile for `LEVEL`, by Fisher's and Cornish's expansion: from 5 degrees on right to 0.0005."""
    z = _Z
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1_482 * z**5 - 1_920 * z**3 - 945 * z) / 92_160,
    )
    return z + math.fsum(term / freedom**power for power, term in enumerate(terms, 1))


def difference(strata: Sequence[tuple[Interval, int, Interval, int]]) -> Interval:
    """Give what the first is more than the second, within strata: of each the two intervals and how many values.

    A stratum weighs as much as it tells: n1 n2 / (n1 + n2). The interval is put together from theirs (MOVER); of two
    rates in one stratum that is Newcombe's.
    """
    weights = [one * other / (one + other) for _, one, _, other in strata]
    total = math.fsum(weights)
    value = below = above = 0.0
    for weight, (first, _, second, _) in zip(weights, strata, strict=True):
        share = weight / total
        value += share * (first.value - second.value)
        below += share**2 * ((first.value - first.low) ** 2 + (second.high - second.value) ** 2)
        above += share**2 * ((first.high - first.value) ** 2 + (second.value - second.low) ** 2)
    return Interval(value, value - math.sqrt(below), value + math.sqrt(above))


def aligned_ranks(
    strata: Sequence[tuple[Sequence[float], Sequence[float]]],
) -> list[tuple[list[int], list[int]]]:
    """Give twice the rank of each value among all, after what its stratum has in common is taken out.

    That is the stratum's median: divided by where all values are positive, else subtracted. Ties share their rank.
    """
    middles = [median([*first, *second]).value for first, second in strata]
    positive = all(value > 0 for value in chain.from_iterable(chain.from_iterable(strata)))
    aligned = [
        tuple([value / middle if positive else value - middle for value in side] for side in sides)
        for sides, middle in zip(strata, middles, strict=True)
    ]
    ordered = sorted(chain.from_iterable(chain.from_iterable(aligned)))
    ranks: dict[float, int] = {}
    before = 0
    for value, count in Counter(ordered).items():
        ranks[value] = 2 * before + count + 1
        before += count
    return [
        ([ranks[value] for value in first], [ranks[value] for value in second]) for first, second in aligned
    ]


def permutation(strata: Sequence[tuple[Sequence[int], Sequence[int]]]) -> float:
    """Give how often a division by chance would part the two sides at least as far: the two-sided p.

    Values change sides within their stratum alone. The chance is counted where values are few or but two, else taken
    from the normal curve, with half a step for continuity.
    """
    counted = [(first, second, Counter(chain(first, second))) for first, second in strata if first and second]
    counted = [one for one in counted if len(one[2]) > 1]
    if not counted:
        return 1.0
    strata = [(first, second) for first, second, _ in counted]
    uncommon = [counts.total() - max(counts.values()) for _, _, counts in counted]
    smaller = [min(len(first), len(second)) for first, second in strata]
    # On the smaller side so few of them that the normal curve's tail would be too thin.
    rare = any(
        least * others < 5 * counts.total()
        for least, others, (_, _, counts) in zip(smaller, uncommon, counted, strict=True)
    )
    if all(len(counts) == 2 for _, _, counts in counted):
        if rare or sum(map(min, smaller, uncommon)) <= COUNTED_OF_TWO:
            return _counted(strata)
    elif sum(uncommon) <= COUNTED:
        return _counted(strata)
    elif rare:
        return permutation([_parted(first, second) for first, second in strata])
    away = variance = 0.0
    for first, second, counts in counted:
        n, m = len(first), len(second)
        total = sum(first)
        whole = total + sum(second)
        squares = sum(value * value * count for value, count in counts.items())
        away += total - n * whole / (n + m)
        variance += n * m / ((n + m) * (n + m - 1)) * (squares - whole * whole / (n + m))
    lowest = [min(counts) for _, _, counts in counted]
    step = min(
        math.gcd(*(value - least for value in counts))
        for (_, _, counts), least in zip(counted, lowest, strict=True)
    )
    return min(1.0, 2 * _NORMAL.cdf(-max(0.0, abs(away) - step / 2) / math.sqrt(variance)))


def _uncommon(first: Sequence[int], second: Sequence[int]) -> list[int]:
    """Give the values but for the commonest."""
    counts = Counter(chain(first, second))
    commonest = max(counts, key=lambda value: (counts[value], -value))
    return [value for value in chain(first, second) if value != commonest]


def _parted(first: Sequence[int], second: Sequence[int]) -> tuple[list[int], list[int]]:
    """Give 1 for each value above the middle one, else 0."""
    middle = sorted(chain(first, second))[(len(first) + len(second) - 1) // 2]
    return [int(value > middle) for value in first], [int(value > middle) for value in second]


def _counted(strata: Sequence[tuple[Sequence[int], Sequence[int]]]) -> float:
    chances: dict[int, float] = {0: 1.0}
    observed = 0
    for first, second in strata:
        mine = _sums(first, second)
        observed += sum(first)
        together: dict[int, float] = {}
        for one, chance in chances.items():
            for other, its in mine.items():
                together[one + other] = together.get(one + other, 0.0) + chance * its
        chances = together
    above = math.fsum(chance for total, chance in chances.items() if total >= observed)
    below = math.fsum(chance for total, chance in chances.items() if total <= observed)
    return min(1.0, 2 * min(above, below))


def _sums(first: Sequence[int], second: Sequence[int]) -> dict[int, float]:
    """Give the chance of every sum that as many values as `first` holds, drawn from both, can have."""
    drawn, number = len(first), len(first) + len(second)
    uncommon = Counter(_uncommon(first, second))
    (common,) = {*first, *second} - set(uncommon)
    if len(uncommon) == 1:
        ((other, count),) = uncommon.items()
        return _sums_of_two(common, other, count, drawn, number)
    ways: dict[tuple[int, int], int] = {(0, 0): 1}  # how many of the uncommon values, their sum
    for value in uncommon.elements():
        for (taken, total), count in list(ways.items()):
            if taken < drawn:
                key = taken + 1, total + value
                ways[key] = ways.get(key, 0) + count
    rest, all_ways = number - uncommon.total(), math.comb(number, drawn)
    sums: dict[int, float] = {}
    for (taken, total), count in ways.items():
        if drawn - taken <= rest:
            key_sum = total + common * (drawn - taken)
            sums[key_sum] = sums.get(key_sum, 0.0) + count * math.comb(rest, drawn - taken) / all_ways
    return sums


def _sums_of_two(common: int, other: int, count: int, drawn: int, number: int) -> dict[int, float]:
    sums = {}
    whole = _log_ways(number, drawn)
    for taken in range(max(0, drawn - (number - count)), min(count, drawn) + 1):
        chance = math.exp(_log_ways(count, taken) + _log_ways(number - count, drawn - taken) - whole)
        sums[taken * other + (drawn - taken) * common] = chance
    return sums


def _log_ways(number: int, taken: int) -> float:
    return math.lgamma(number + 1) - math.lgamma(taken + 1) - math.lgamma(number - taken + 1)


def holm(chances: Iterable[float]) -> list[float]:
    """Give each p as it counts when all of them are looked at together, by Holm's step-down."""
    given = list(chances)
    adjusted = [1.0] * len(given)
    highest = 0.0
    for place, at in enumerate(sorted(range(len(given)), key=given.__getitem__)):
        highest = max(highest, min(1.0, given[at] * (len(given) - place)))
        adjusted[at] = highest
    return adjusted
