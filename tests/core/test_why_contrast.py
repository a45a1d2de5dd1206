"""Runs of the same task that did not do it: what is counted, what is claimed, and what is not."""

import random

import pytest

from counterfoil.analysis.why import why
from counterfoil.store import read
from made_desk import Desk, text_of


@pytest.fixture
def desk(tmp_path):
    return Desk(tmp_path / "x.db")


def contrast(desk, run):
    with read.open(desk.drained()) as store:
        return why(store, run).contrast


def named(found):
    """Give what sets them apart, as `kind tool name: counts`."""
    return [
        f"{' '.join(filter(None, (trait.kind, trait.tool, trait.name)))}: {one.did}/{one.of_did}, {one.others}/{one.of_others}"
        for one in found.apart
        for trait in one.traits
    ]


def test_the_word_that_makes_it_ask_is_found(desk):
    chance = random.Random(3)
    counts = {(asks, has): 0 for asks in (True, False) for has in (True, False)}
    run = ""
    for _ in range(300):
        has = chance.random() < 0.3
        asks = chance.random() < (0.9 if has else 0.03)
        made = desk.ticket(text_of(chance, *(["refund"] if has else [])), asks=asks)
        run = made if asks and has else run
        counts[asks, has] += 1
    found = contrast(desk, run)
    asked, others = counts[True, True] + counts[True, False], counts[False, True] + counts[False, False]
    assert named(found) == [f"word refund: {counts[True, True]}/{asked}, {counts[False, True]}/{others}"]
    assert (len(found.did), len(found.others)) == (asked, others)
    assert found.judged == ("input", "who", "tools")
    assert (found.by, found.value, found.more, found.unknown) == ("task", "ticket", False, ())


@pytest.mark.parametrize("seed", range(4))
def test_where_it_asks_by_chance_nothing_is_named(desk, seed):
    chance = random.Random(seed)
    run = desk.ticket(text_of(chance), asks=True)
    for _ in range(80):
        desk.ticket(
            text_of(chance), asks=chance.random() < 0.4, version=chance.choice("12"), model=chance.choice("mn"),
            labels={"tier": chance.choice(("free", "gold"))}, found=text_of(chance),
        )  # fmt: skip
    found = contrast(desk, run)
    assert found.apart == ()
    assert found.judged == ("input", "who", "tools")


def test_of_a_few_runs_nothing_is_claimed(desk):
    chance = random.Random(1)
    for _ in range(3):
        desk.ticket(text_of(chance), asks=False)
    for _ in range(3):
        run = desk.ticket(text_of(chance, "refund"), asks=True)
    found = contrast(desk, run)
    assert (found.apart, found.judged) == ((), ())
    assert (found.inputs_did, found.inputs_others) == (3, 3)


def test_the_same_input_again_proves_no_more_about_its_words(desk):
    chance = random.Random(1)
    texts = {True: text_of(chance, "refund"), False: text_of(chance)}
    for number in range(40):
        run = desk.ticket(
            texts[number % 2 == 1], asks=number % 2 == 1, labels={"customer": f"C-{number % 2}"}
        )
    found = contrast(desk, run)
    assert (len(found.did), len(found.others), found.inputs_did, found.inputs_others) == (20, 20, 1, 1)
    assert named(found) == []
    assert "input" not in found.judged
    assert (found.same_input, found.same_input_did) == (20, 20)


def test_an_input_that_led_to_both_counts_on_both_sides(desk):
    for number in range(30):
        run = desk.ticket("twice charged", asks=number % 3 == 2)
    found = contrast(desk, run)
    assert (found.same_input, found.same_input_did) == (30, 10)
    assert (found.inputs_did, found.inputs_others, found.apart) == (1, 1, ())


def test_the_version_that_asks_is_found_where_words_are_not(desk):
    chance = random.Random(2)
    for number in range(60):
        version = "2" if number % 2 else "1"
        run = desk.ticket(text_of(chance), asks=version == "2", version=version)
    assert named(contrast(desk, run)) == ["version 2: 30/30, 0/30"]


def test_the_result_that_makes_it_ask_is_found_and_words_alike_are_one(desk):
    chance = random.Random(4)
    for number in range(60):
        asks = number % 2 == 1
        run = desk.ticket(text_of(chance), asks=asks, found="only billing" if asks else "parcel")
    assert named(contrast(desk, run)) == [
        "result search billing: 30/30, 0/30",
        "result search only: 30/30, 0/30",
    ]


def test_the_tool_that_failed_before_is_found(desk):
    chance = random.Random(5)
    for number in range(40):
        run = desk.ticket(text_of(chance), asks=number % 2 == 1, fails=number % 2 == 1)
    assert "failed search TimeoutError: 20/20, 0/20" in named(contrast(desk, run))


def test_those_that_chose_sooner_or_never_came_so_far_say_nothing_of_what_was_called_before(desk):
    chance = random.Random(9)
    for _ in range(20):
        desk.ticket(text_of(chance), asks=True, searches=False)
        desk.ticket(text_of(chance), asks=False)
    run = desk.ticket(text_of(chance), asks=True)
    found = contrast(desk, run)
    assert named(found) == []
    assert found.judged == ("input", "who")


def test_what_was_done_after_it_explains_nothing(desk):
    chance = random.Random(6)
    for number in range(40):
        run = desk.ticket(text_of(chance), asks=number % 2 == 1, again=True)
    assert named(contrast(desk, run)) == []


def test_what_was_erased_or_not_recorded_sets_nothing_apart(tmp_path):
    chance = random.Random(8)
    whole = Desk(tmp_path / "x.db")
    bare = Desk(tmp_path / "x.db", capture="metadata")
    for _ in range(20):
        bare.ticket(text_of(chance), asks=False)
    bare.drained()
    for _ in range(20):
        run = whole.ticket(text_of(chance, "refund"), asks=True, found="only billing")
    found = contrast(whole, run)
    assert named(found) == []
    assert found.inputs_others == 0
    assert found.unknown == (
        "The input of 20 of them was not recorded, or was erased: words are not compared there.",
    )


def test_runs_of_another_task_are_not_set_beside(desk):
    for _ in range(5):
        desk.ticket("parcel", asks=False, task="delivery")
    run = desk.ticket("refund", asks=True)
    found = contrast(desk, run)
    assert (len(found.did), found.others, found.near) == (1, (), None)


def test_without_a_task_runs_of_the_same_name_are_the_same(desk):
    desk.ticket("parcel", asks=False, task=None)
    found = contrast(desk, desk.ticket("refund", asks=True, task=None))
    assert (found.by, found.value, len(found.others)) == ("name", "desk", 1)


def test_one_that_goes_on_may_do_it_yet(desk):
    Desk(desk.db).ticket("parcel", asks=False, over=False)
    assert contrast(desk, desk.ticket("refund", asks=True)).others == ()


def test_the_same_act_in_another_framework_is_the_same(desk):
    for framework in ("langchain", "crewai"):
        run = desk.ticket("refund", asks=True, framework=framework)
    desk.ticket("parcel", asks=False, framework="autogen")
    assert len(contrast(desk, run).did) == 2


def test_the_nearest_has_most_words_in_common_and_says_where_they_part(desk):
    desk.ticket("blue cup late", asks=False)
    near = desk.ticket("charged once for the cup", asks=False)
    found = contrast(desk, desk.ticket("charged twice for the cup", asks=True))
    assert found.near.run_id == near
    assert found.near.shared == pytest.approx(4 / 6)
    assert found.near.parting == (
        'They did the same up to here: triage called search(query="help").',
        "Then in A triage asked billing, B did no more.",
    )


def test_where_the_agent_had_no_turn_is_said(desk):
    desk.ticket("refund", asks=False)
    run = desk.ticket("refund", asks=True, again=True)
    with read.open(desk.drained()) as store:
        again = next(one for one in store.tool_calls(run) if one.agent == "billing")
        found = why(store, again.step_id).contrast
    assert found.not_reached == found.others
    assert len(found.others) == 1
