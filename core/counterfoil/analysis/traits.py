"""What sets those apart that did something: traits, counted, and none claimed that chance would explain."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

import msgspec

from counterfoil.analysis.differences import ERROR
from counterfoil.analysis.statistics import permutation

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["Apart", "Sample", "Trait", "apart", "could_tell"]

#: Chances that are remembered: the same few numbers come again and again.
_REMEMBERED: Final = 100_000
#: Within so many standard deviations of what is expected, a chance is never below `ERROR`.
NEAR: Final = 1.5


class Trait(msgspec.Struct, frozen=True, order=True):
    """One thing that a task has or has not. `stage` tells when: 0 its input, 1 who worked on it, 2 what tools gave.

    `kind` is `word` (in the input), `label`; `framework`, `version`, `model`; `called`, `failed` (of a tool), `result` (a
    word in a tool's result). `tool` names the tool.
    """

    stage: int
    kind: str
    tool: str
    name: str


class Sample(msgspec.Struct, frozen=True):
    """One of those that are counted: its id, whether it did it, and its traits."""

    sample_id: str
    did: bool
    traits: frozenset[Trait]


class Apart(msgspec.Struct, frozen=True):
    """Traits of the same tasks that set those apart that did it: `did` of `of_did` have them, `others` of `of_others`.

    `against` are traits that exactly the rest have. `chance` is how often chance alone would part them so, in any of all
    the traits that were looked at. The ids are those of what was counted: that did it and have them, that did it
    without, and the others likewise.
    """

    traits: tuple[Trait, ...]
    against: tuple[Trait, ...]
    did: int
    of_did: int
    others: int
    of_others: int
    chance: float
    did_with: tuple[str, ...]
    did_without: tuple[str, ...]
    others_with: tuple[str, ...]
    others_without: tuple[str, ...]


def apart(groups: Sequence[Sequence[Sample]]) -> list[Apart]:
    """Give what sets those apart that did it, within each of `groups`, the first in time and the surest first.

    Fisher's exact test of each trait, traits of the same runs counted as one, corrected for all of them together as
    Tarone (1990) does: what is so rare that it could never be told from chance counts for nothing.
    """
    tested = [one for samples in groups for one in _tested(samples)]
    factor = _factor([least for least, *_ in tested])
    found = [
        _apart(samples, having, traits, against, min(1.0, chance * factor))
        for _, chance, samples, having, traits, against in tested
        if chance * factor <= ERROR
    ]
    return sorted(found, key=lambda one: (one.traits[0].stage, one.chance, one.traits))


def could_tell(samples: Sequence[Sample]) -> bool:
    """Tell whether a trait that all have that did it and no other has could be told from chance, were it the only one."""
    did = sum(one.did for one in samples)
    return _chance(did, did, len(samples) - did, 0) <= ERROR


_Traits = tuple[Trait, ...]
#: The least chance, the chance, the samples, a bit for each that has the traits, the traits, those of the rest.
_Tested = tuple[float, float, "Sequence[Sample]", int, _Traits, _Traits]


def _tested(samples: Sequence[Sample]) -> Iterable[_Tested]:
    """Give each way in which traits part the samples: the least chance that it could come to, and the chance it has."""
    bits: dict[Trait, int] = {}
    doers = 0
    for number, one in enumerate(samples):
        bit = 1 << number
        doers |= bit * one.did
        for trait in one.traits:
            bits[trait] = bits.get(trait, 0) | bit
    every = (1 << len(samples)) - 1
    parted: dict[int, tuple[list[Trait], list[Trait]]] = {}
    for trait, with_it in bits.items():
        # To have one thing is to lack the other: that is looked at once.
        side = not with_it & 1
        parted.setdefault(every ^ with_it if side else with_it, ([], []))[side].append(trait)
    of_did = doers.bit_count()
    of_others = len(samples) - of_did
    for with_it, sides in parted.items():
        number = with_it.bit_count()
        most, fewest = min(number, of_did), max(0, number - of_others)
        least = min(
            _chance(of_did, most, of_others, number - most),
            _chance(of_did, fewest, of_others, number - fewest),
        )
        if least > ERROR or with_it == every:
            continue
        did = (with_it & doers).bit_count()
        chance = (
            _chance(of_did, did, of_others, number - did)
            if _is_far(of_did, did, of_others, number - did)
            else 1.0
        )
        having, lacking = (tuple(sorted(traits)) for traits in sides)
        # Named by what those have who did it, where there is such a thing.
        more = did * of_others >= (number - did) * of_did
        if having and (more or not lacking):
            yield least, chance, samples, with_it, having, lacking
        else:
            yield least, chance, samples, every ^ with_it, lacking, having


def _is_far(of_did: int, did: int, of_others: int, others: int) -> bool:
    """Tell whether the counts are so far from what chance would make of them that it is worth while to work it out."""
    number, all_of_them = did + others, of_did + of_others
    expected = of_did * number / all_of_them
    variance = expected * (1 - number / all_of_them) * of_others / (all_of_them - 1)
    return (did - expected) ** 2 >= NEAR * NEAR * variance


@lru_cache(_REMEMBERED)
def _chance(of_did: int, did: int, of_others: int, others: int) -> float:
    """Give how often chance would part so many that have a trait at least so far."""
    if not of_did or not of_others:
        return 1.0
    return permutation([([1] * did + [0] * (of_did - did), [1] * others + [0] * (of_others - others))])


def _factor(least: Sequence[float]) -> int:
    """Give the smallest number that no more than so many tests can still reach the bound with."""
    ordered = sorted(least)
    factor = 1
    while factor < len(ordered) and ordered[factor] * factor <= ERROR:
        factor += 1
    return factor


def _apart(samples: Sequence[Sample], having: int, traits: _Traits, against: _Traits, chance: float) -> Apart:
    sides: dict[tuple[bool, bool], list[str]] = {
        (did, has): [] for did in (True, False) for has in (True, False)
    }
    for number, one in enumerate(samples):
        sides[one.did, bool(having >> number & 1)].append(one.sample_id)
    return Apart(
        traits=traits,
        against=against,
        did=len(sides[True, True]),
        of_did=len(sides[True, True]) + len(sides[True, False]),
        others=len(sides[False, True]),
        of_others=len(sides[False, True]) + len(sides[False, False]),
        chance=chance,
        did_with=tuple(sides[True, True]),
        did_without=tuple(sides[True, False]),
        others_with=tuple(sides[False, True]),
        others_without=tuple(sides[False, False]),
    )
