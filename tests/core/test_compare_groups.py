"""Groups of tasks: planted differences are found, and nothing is said that the sample does not hold."""

import pytest

import counterfoil
from counterfoil.analysis import compare, tasks
from handmade_tape import T0
from made_tasks import FRAMEWORKS, HOUR, Month, month

CONTROLS = range(100)
#: Of 100 months without a difference; each is looked at in these ways.
KEYS = ("framework", "agent", "version", "model", "label:tier")


def compared(path, **given):
    with counterfoil.open(path) as store:
        return compare.groups(store, **given)


def differing(groups):
    """What is said to differ: metric, who has more, who less."""
    return {
        (one.metric, *((one.a, one.b) if one.verdict == "higher" else (one.b, one.a)))
        for one in groups.differences
        if one.verdict in {"higher", "lower"}
    }


def in_kinds(groups):
    return {
        (one.metric, one.a, one.b, kind.task, kind.verdict)
        for one in groups.differences
        for kind in one.kinds
        if kind.verdict in {"higher", "lower"}
    }


def estimate(groups, key, metric):
    (group,) = [group for group in groups.groups if group.key == key]
    (found,) = [one for one in group.estimates if one.metric == metric]
    return found


@pytest.fixture
def made(tmp_path):
    return Month(tmp_path / "x.db")


# -- planted truths


def test_the_agent_that_costs_twice_is_found_and_nothing_else(tmp_path):
    def planted(given, _):
        given["cost_nano"] *= 1 + (given["agent"] == "office")

    path = month(tmp_path / "x.db", tasks=600, seed=1, planted=planted)
    groups = compared(path, by="agent")
    assert differing(groups) == {("cost", "office", "desk")}
    (cost,) = [one for one in groups.differences if one.metric == "cost"]
    ours, theirs = (estimate(groups, key, "cost").value for key in ("office", "desk"))
    assert 1.6 < ours / theirs < 2.4
    assert (cost.low < cost.value < cost.high) or (cost.high < cost.value < cost.low)


def test_one_framework_that_costs_twice_is_dearer_than_each_other_one(tmp_path):
    def planted(given, _):
        given["cost_nano"] *= 1 + (given["framework"] == "crewai")

    groups = compared(month(tmp_path / "x.db", tasks=1_000, seed=2, planted=planted), by="framework")
    others = set(FRAMEWORKS) - {"crewai"}
    assert differing(groups) == {("cost", "crewai", other) for other in others}


def test_a_framework_that_waits_for_humans_is_not_called_slower(tmp_path):
    def planted(given, chance):
        if given["framework"] == "crewai":
            began, waited = given["seconds"] / 2, chance.uniform(60, 600)
            given["waited"] = ((began, began + waited),)
            given["seconds"] += waited

    groups = compared(month(tmp_path / "x.db", tasks=600, seed=3, planted=planted), by="framework")
    assert differing(groups) == set()
    (group,) = [group for group in groups.groups if group.key == "crewai"]
    assert group.human_wait_ns > 100 * 60 * 10**9


def test_a_framework_that_is_slower_by_itself_is_called_slower(tmp_path):
    def planted(given, _):
        given["seconds"] *= 1 + (given["framework"] == "crewai")

    groups = compared(
        month(tmp_path / "x.db", tasks=600, seed=4, planted=planted),
        by="framework",
        only=["crewai", "autogen"],
    )
    assert differing(groups) == {("time", "crewai", "autogen")}


def test_a_model_that_fails_at_one_kind_of_task_alone_is_named_with_that_kind(tmp_path):
    def planted(given, chance):
        if given["model"] == "gpt-4.1-mini" and given["task"] == "complaint":
            given["status"] = "ok" if chance.random() < 0.4 else "error"

    groups = compared(month(tmp_path / "x.db", tasks=900, seed=5, planted=planted), by="model")
    assert [kind for metric, *_, kind, _ in in_kinds(groups) if metric == "success"] == ["complaint"]


def test_an_interaction_that_cancels_out_is_found_in_both_kinds_of_task(tmp_path):
    def planted(given, _):
        mini = given["model"] == "gpt-4.1-mini"
        given["cost_nano"] *= 3 if (mini, given["task"]) in {(True, "refund"), (False, "delivery")} else 1

    groups = compared(month(tmp_path / "x.db", tasks=900, seed=6, planted=planted), by="model")
    found = {(kind, verdict) for metric, _, _, kind, verdict in in_kinds(groups) if metric == "cost"}
    assert {kind for kind, _ in found} == {"refund", "delivery"}
    assert {verdict for _, verdict in found} == {"higher", "lower"}


def test_more_of_the_dear_kind_of_task_is_no_difference(tmp_path):
    """Simpson: all that is dearer about crewai is what it was asked."""

    def planted(given, chance):
        dear = chance.random() < (0.8 if given["framework"] == "crewai" else 0.2)
        given["task"] = "complaint" if dear else "refund"
        given["cost_nano"] = int((5 if dear else 1) * chance.lognormvariate(0, 0.4) * 1_000_000)

    groups = compared(
        month(tmp_path / "x.db", tasks=800, seed=7, planted=planted),
        by="framework",
        only=["crewai", "autogen"],
    )
    assert estimate(groups, "crewai", "cost").low > estimate(groups, "autogen", "cost").high
    assert differing(groups) == set()
    (note,) = [note for note in groups.notes if note.startswith("What was asked differs")]
    assert "of the tasks of autogen" in note
    assert "of those of crewai" in note


def test_twelve_tasks_cannot_be_told_apart(made):
    """Though crewai was recorded as half as dear again, and failed once more often."""
    for n in range(12):
        name, more = (("crewai", 1.5), ("autogen", 1.0))[n % 2]
        cost = int(more * made.chance.lognormvariate(0, 0.6) * 1_000_000)
        made.add(
            framework=name, cost_nano=cost, seconds=made.chance.uniform(1, 9), status=("error", "ok")[n > 0]
        )
    groups = compared(made.store(), by="framework", task="refund")
    assert {one.verdict for one in groups.differences} == {"not told apart"}


@pytest.mark.slow
def test_of_a_hundred_months_without_a_difference_at_most_five_raise_any(tmp_path, capsys):
    raised = []
    for seed in CONTROLS:
        path = month(tmp_path / f"{seed}.db", tasks=200, seed=seed)
        for by in KEYS:
            groups = compared(path, by=by)
            raised += [(seed, by, one) for one in (*differing(groups), *in_kinds(groups))]
    months = {seed for seed, *_ in raised}
    with capsys.disabled():
        print(f"\nmonths without a difference in which one was said: {len(months)} of {len(CONTROLS)}")
    assert len(months) <= 5, raised


# -- what is counted


def test_a_task_is_a_run_with_those_that_resume_it(made):
    made.add(framework="langchain", session="s", status="waiting", cost_nano=1_000, seconds=2, calls=2)
    made.add(framework="langchain", session="s", resuming=True, cost_nano=500, seconds=3)
    made.add(framework="langchain", cost_nano=700, seconds=1)
    groups = compared(made.store(), by="framework")
    (group,) = groups.groups
    assert (group.tasks, group.runs) == (2, 3)
    assert estimate(groups, "langchain", "llm_calls").value == 2
    assert estimate(groups, "langchain", "cost").value == (1_500 + 700) / 2
    assert estimate(groups, "langchain", "time").value == (5 + 1) / 2 * 10**9
    assert estimate(groups, "langchain", "success").value == 1


def begun(path, **given):
    """The first runs of the tasks that are chosen, and how many runs each has."""
    with counterfoil.open(path) as store:
        return [(int(one.first_run_id, 16), len(one.runs)) for one in tasks.tasks(store, **given).tasks]


def test_tasks_are_chosen_by_what_their_first_run_tells(made):
    """The second hour's task is resumed in the third, by another agent, as no kind of task."""
    made.add(agent="desk", task="delivery")
    made.add(agent="desk", session="s", asking=True)
    made.add(agent="office", session="s", resuming=True, task=None)
    made.add(agent="office", task="delivery")
    path = made.store()
    assert begun(path) == [(1, 1), (2, 2), (4, 1)]
    assert begun(path, task="refund") == [(2, 2)]
    assert begun(path, task="delivery") == [(1, 1), (4, 1)]
    assert begun(path, agent="office") == [(2, 2), (4, 1)]
    assert begun(path, since=T0 + 3 * HOUR) == [(4, 1)]
    assert begun(path, until=T0 + 3 * HOUR) == [(1, 1), (2, 2)]


def test_of_the_newest_runs_a_task_whose_beginning_is_older_is_left_out(made):
    made.add()
    made.add(session="s", asking=True)
    made.add(session="s", resuming=True)
    made.add()
    path = made.store()
    assert begun(path, limit=2) == [(4, 1)]
    assert begun(path, limit=3) == [(2, 2), (4, 1)]
    groups = compared(path, by="agent", limit=3)
    assert (groups.limited, groups.notes[0]) == (
        True,
        "Of the newest 3 runs; older ones are left out (--limit).",
    )
    assert compared(path, by="agent", limit=4).limited is False


def test_waits_at_once_are_taken_out_once(made):
    for _ in range(2):
        made.add(seconds=100, waited=((10, 60), (20, 80), (95, 130)))
    groups = compared(made.store(), by="framework")
    assert estimate(groups, "python", "time").value == (100 - 70 - 5) * 10**9


def test_tasks_that_go_on_are_left_out(made):
    made.add()
    made.add()
    made.add(asking=True)
    groups = compared(made.store(), by="framework")
    assert (groups.tasks, groups.open_tasks) == (2, 1)
    assert "Tasks that go on or wait for an answer are left out: 1." in groups.notes


def test_a_cost_with_unknown_prices_is_at_least_and_compared_without_them(made):
    for n in range(40):
        made.add(framework=("crewai", "autogen")[n % 2], cost_nano=None if n == 5 else 1_000 + n % 2)
    groups = compared(made.store(), by="framework")
    known = estimate(groups, "crewai", "cost"), estimate(groups, "autogen", "cost")
    assert [(one.value, one.least, one.low is None) for one in known] == [
        (1_000, False, False),
        (1_001, True, True),
    ]
    (cost,) = [one for one in groups.differences if one.metric == "cost"]
    assert {cost.a: cost.tasks_a, cost.b: cost.tasks_b} == {"crewai": 20, "autogen": 19}
    assert differing(groups) == {("cost", "autogen", "crewai")}
    assert any(note.startswith("Cost is at least what is shown: 1 of the tasks") for note in groups.notes)


def test_costs_of_which_more_is_unknown_in_one_group_are_not_compared(made):
    for n in range(40):
        made.add(framework=("crewai", "autogen")[n % 2], cost_nano=None if n % 8 == 1 else 1_000 + n % 2)
    groups = compared(made.store(), by="framework")
    (cost,) = [one for one in groups.differences if one.metric == "cost"]
    assert (cost.verdict, cost.value) == ("not compared", None)
    assert cost.why == "not all of it is known in 25 % and 0 % of their tasks"


def test_a_cost_of_which_nothing_is_known_is_never_zero(made):
    for _ in range(8):
        made.add(cost_nano=None)
    cost = estimate(compared(made.store(), by="framework"), "python", "cost")
    assert (cost.value, cost.least) == (None, True)


def test_success_may_be_a_score(made):
    for n in range(8):
        made.add(status="error", scores={"helpful": n / 10})
    path = made.store()
    assert estimate(compared(path, by="agent"), "desk", "success").value == 0
    assert estimate(compared(path, by="agent", success="helpful >= 0.4"), "desk", "success").value == 0.5
    assert estimate(compared(path, by="agent"), "desk", "score:helpful").value == pytest.approx(0.35)


@pytest.mark.parametrize("text", ["helpful", ">=1", "helpful>=", "helpful>good", "a=b=c"])
def test_a_rule_that_is_none_is_one_sentence(made, text):
    made.add()
    with pytest.raises(counterfoil.StoreError, match="is no rule for success: give SCORE>=X"):
        compared(made.store(), by="agent", success=text)


def test_a_score_that_nobody_gave_is_one_sentence(made):
    made.add(scores={"tone": 1.0})
    with pytest.raises(
        counterfoil.StoreError, match=r"No task has such a score as 'helpful>1' asks for; there are: tone\."
    ):
        compared(made.store(), by="agent", success="helpful>1")


# -- groups


@pytest.mark.parametrize(
    ("by", "keys"),
    [
        ("framework", ["crewai", "autogen"]),
        ("agent", ["desk", "office"]),
        ("version", ["desk 1", "office (no version)"]),
        ("model", ["m", "n"]),
        ("label:tier", ["gold", None]),
    ],
)
def test_tasks_are_grouped_by(made, by, keys):
    for _ in range(3):
        made.add(framework="crewai", agent="desk", version="1", model="m", labels={"tier": "gold"})
    for _ in range(2):
        made.add(framework="autogen", agent="office", model="n")
    assert [group.key for group in compared(made.store(), by=by).groups] == keys


def test_a_key_that_is_none_is_one_sentence(made):
    made.add()
    with pytest.raises(
        counterfoil.StoreError, match="choose one of framework, agent, version, model, label:KEY"
    ):
        compared(made.store(), by="mood")


def test_groups_are_chosen_and_one_that_is_not_there_is_one_sentence(made):
    for name in ("crewai", "autogen", "langchain"):
        made.add(framework=name)
    path = made.store()
    assert {group.key for group in compared(path, by="framework", only=["crewai", "autogen"]).groups} == {
        "crewai",
        "autogen",
    }
    with pytest.raises(counterfoil.StoreError, match="no group 'x'; there are: autogen, crewai, langchain"):
        compared(path, by="framework", only=["x"])


def test_other_models_and_kinds_asked_of_one_group_alone_are_said(made):
    for n in range(6):
        made.add(framework="crewai", model="m", task=("refund", "delivery")[n % 2])
        made.add(framework="autogen", model="n", task="refund")
    notes = compared(made.store(), by="framework").notes
    assert any(note.startswith("Models differ too: ") for note in notes)
    assert "Only crewai was asked delivery: those tasks are in no difference." in notes


def test_tasks_without_a_kind_are_said(made):
    for n in range(4):
        made.add(framework=("crewai", "autogen")[n % 2], task=None)
    assert (
        "No task has a kind (task=): whether the groups were asked the same is not known."
        in compared(made.store(), by="framework").notes
    )


def test_these_are_the_public_names_and_no_others():
    assert compare.__all__ == ["LIMIT", "Groups", "groups", "runs"]


def test_the_same_store_gives_the_same_answer(tmp_path):
    path = month(tmp_path / "x.db", tasks=150, seed=9)
    assert compared(path, by="framework") == compared(path, by="framework")
