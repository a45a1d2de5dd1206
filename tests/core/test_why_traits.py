"""What sets those apart that did something: counted, tested, corrected for all that was looked at."""

import random

import pytest

from counterfoil.analysis.differences import ERROR
from counterfoil.analysis.statistics import permutation
from counterfoil.analysis.traits import Sample, Trait, apart, could_tell


def word(name, stage=0):
    return Trait(stage, "word", "", name)


def samples(did, others, *more):
    """Give samples from the words of those that did it and of those that did not."""
    both = [(True, words) for words in did] + [(False, words) for words in others]
    return [
        Sample(f"{number}", did, frozenset(map(word, words))) for number, (did, words) in enumerate(both)
    ] + list(more)


def test_a_word_of_those_that_did_it_is_named_with_its_counts_and_rows():
    (one,) = apart([samples([["refund"]] * 14 + [[]], [["refund"]] * 2 + [[]] * 38)])
    assert one.traits == (word("refund"),)
    assert (one.did, one.of_did, one.others, one.of_others) == (14, 15, 2, 40)
    assert one.chance == pytest.approx(permutation([([1] * 14 + [0], [1] * 2 + [0] * 38)]))
    assert one.did_without == ("14",)
    assert one.others_with == ("15", "16")
    assert len(one.did_with) == 14
    assert len(one.others_without) == 38


def test_words_that_the_same_samples_have_are_one():
    (one,) = apart([samples([["charged", "twice"]] * 10, [[]] * 10)])
    assert one.traits == (word("charged"), word("twice"))


def test_what_those_lack_that_did_it_is_named_too():
    (one,) = apart([samples([[]] * 10, [["parcel"]] * 10)])
    assert (one.did, one.others) == (0, 10)


def test_to_have_one_thing_and_to_lack_the_other_is_one():
    (one,) = apart([samples([["v2"]] * 10, [["v1"]] * 10)])
    assert (one.traits, one.against) == ((word("v2"),), (word("v1"),))
    assert (one.did, one.others) == (10, 0)


def test_a_word_that_all_have_says_nothing():
    assert apart([samples([["the"]] * 20, [["the"]] * 20)]) == []


def test_words_too_rare_to_be_told_from_chance_cost_nothing():
    planted = samples([["refund"]] * 6, [[]] * 6)
    rare = [Sample(one.sample_id, one.did, one.traits | {word(f"w{one.sample_id}")}) for one in planted]
    assert [one.chance for one in apart([rare])] == [one.chance for one in apart([planted])]


def test_words_that_few_samples_have_hardly_raise_the_bar():
    chance = random.Random(3)
    having = {f"w{n}": set(chance.sample(range(16), 6)) for n in range(100)}
    planted = samples([["refund"]] * 8, [[]] * 8)
    noise = [
        Sample(
            one.sample_id, one.did, one.traits | {word(w) for w in having if int(one.sample_id) in having[w]}
        )
        for one in planted
    ]
    (found,) = apart([noise])
    assert found.traits == (word("refund"),)
    assert found.chance == pytest.approx(2 * permutation([([1] * 8, [0] * 8)]))


def test_many_words_that_could_be_told_raise_the_bar():
    chance = random.Random(1)
    planted = samples([["refund"]] * 8, [[]] * 8)
    assert len(apart([planted])) == 1
    noise = [
        Sample(
            one.sample_id,
            one.did,
            one.traits | {word(f"w{n}") for n in range(1_500) if chance.random() < 0.5},
        )
        for one in planted
    ]
    assert apart([noise]) == []


def test_what_comes_first_in_time_is_given_first():
    did = [Sample(f"d{n}", True, frozenset({word("late", 2)})) for n in range(30)]
    others = [Sample(f"o{n}", False, frozenset()) for n in range(30)]
    early = samples([["early"]] * 10, [[]] * 10)
    assert [one.traits[0].name for one in apart([[*did, *others], early])] == ["early", "late"]


@pytest.mark.parametrize(("did", "others", "enough"), [(2, 2, False), (4, 4, False), (5, 5, True), (1, 300, True), (1, 40, False), (0, 50, False), (9, 0, False)])  # fmt: skip
def test_there_are_enough_where_the_clearest_difference_could_not_be_chance(did, others, enough):
    assert could_tell(samples([[]] * did, [[]] * others)) == enough


def test_too_few_name_nothing_however_clear_it_looks():
    assert apart([samples([["refund"]] * 4, [[]] * 4)]) == []
    assert apart([samples([["refund"]], [[]] * 40)]) == []


def test_where_nothing_is_planted_hardly_ever_anything_is_named():
    chance = random.Random(7)
    named = 0
    for _ in range(300):
        number = chance.choice((20, 40, 80))
        made = [
            Sample(
                f"{n}", chance.random() < 0.3, frozenset(word(f"w{k}") for k in chance.sample(range(60), 10))
            )
            for n in range(number)
        ]
        named += bool(apart([made]))
    assert named <= 300 * ERROR + 3
