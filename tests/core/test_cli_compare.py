"""`counterfoil compare`: groups of tasks, or two runs."""

import json
import re
from pathlib import Path

import pytest

from cli_story import HOSTILE, invoke, record
from made_tasks import Month, month

PAGE = (Path(__file__).parents[2] / "docs" / "cli.md").read_text()
SECTION = re.search(r"(?ms)^## compare\n(.*?)^## ", PAGE)[1]


@pytest.fixture(scope="module")
def dear(tmp_path_factory):
    """A month in which crewai costs twice, and mini fails at complaints."""

    def planted(given, chance):
        given["cost_nano"] *= 1 + (given["framework"] == "crewai")
        if given["model"] == "gpt-4.1-mini" and given["task"] == "complaint":
            given["status"] = "ok" if chance.random() < 0.4 else "error"

    return month(tmp_path_factory.mktemp("month") / "x.db", tasks=900, seed=42, planted=planted)


@pytest.fixture(scope="module")
def stories(tmp_path_factory):
    path = tmp_path_factory.mktemp("stories") / "x.db"
    record(path, "desk", "greet", "unknown", "hostile", "deep", "asks")
    return path


def compare(store, *args, **more):
    result = invoke("compare", "--db", store, *args, **more)
    assert result.exit_code == 0, result.output
    return result.stdout


def keys(heading):
    """The keys in the page's table with this heading."""
    table = SECTION.split(f"| {heading} | |\n", 1)[1].split("\n\n", 1)[0]
    return re.findall(r"(?m)^\| `(\w+)` \|", table)


def run_ids(store, *names):
    rows = json.loads(invoke("runs", "--all", "--json", "--db", store).stdout)
    return [next(row["run_id"] for row in rows if row["name"] == name) for name in names]


# -- groups


def test_groups_stand_beside_each_other_and_what_differs_is_said(dear):
    said = compare(dear, "--by", "framework", env={"COLUMNS": "80"})
    assert said.startswith("900 tasks by framework, success: ended ok\n")
    assert re.search(r"(?m)^ +\w+ +\w+ +\w+ +\w+$", said)
    flat = " ".join(said.split())
    assert re.search(r"What differs crewai costs more than \w+, by \$[\d.]+ \(\$[\d.]+ to \$[\d.]+\)", flat)
    assert "Not told apart in success, time, tokens in," in flat


def test_a_difference_in_one_kind_of_task_is_said_with_that_kind(dear):
    flat = " ".join(compare(dear, "--by", "model").split())
    assert re.search(
        r"gpt-4.1 succeeds more often than gpt-4.1-mini, by [\d.]+ points \([\d.]+ to [\d.]+\)", flat
    )
    assert ", shown in complaint, not in 2 of 3 kinds of task" in flat


@pytest.mark.parametrize("columns", ["60", "80", "100", "200"])
def test_no_line_is_longer_than_the_screen(dear, columns):
    for by in ("framework", "model", "label:tier", "version"):
        lines = compare(dear, "--by", by, env={"COLUMNS": columns}).splitlines()
        assert max(map(len, lines)) <= int(columns)


def test_two_groups_have_a_column_for_their_difference(dear):
    lines = compare(dear, "--by", "framework", "--only", "crewai", "--only", "autogen").splitlines()
    assert lines[2].split() in (["crewai", "autogen", "DIFFERENCE"], ["autogen", "crewai", "DIFFERENCE"])


def test_few_tasks_cannot_be_told_apart_and_that_is_what_is_said(tmp_path):
    made = Month(tmp_path / "x.db", seed=4)
    for n in range(12):
        made.add(framework=("crewai", "autogen")[n % 2], cost_nano=made.chance.randrange(10**6, 9 * 10**6))
    flat = " ".join(compare(made.store(), "--by", "framework").split())
    assert "These 12 tasks cannot tell them apart: not in success, cost, time," in flat
    assert "What differs" not in flat


def test_groups_give_their_keys(dear):
    told = json.loads(compare(dear, "--by", "framework", "--json"))
    assert list(told) == keys("key")
    assert {tuple(group) for group in told["groups"]} == {tuple(keys("of a group"))}
    assert {tuple(one) for group in told["groups"] for one in group["estimates"]} == {
        tuple(keys("of an estimate"))
    }
    assert {tuple(one) for one in told["differences"]} == {tuple(keys("of a difference"))}
    assert {tuple(kind) for one in told["differences"] for kind in one["kinds"]} == {
        tuple(keys("of a kind of task"))
    }


def test_a_store_without_tasks_says_so(tmp_path):
    record(tmp_path / "x.db", "bare")
    assert compare(tmp_path / "x.db", "--by", "framework") == "No task is over that could be compared.\n"


def test_what_agents_said_is_shown_escaped(stories):
    said = (
        compare(stories, "--by", f"label:{HOSTILE}")
        + compare(stories, "--by", "agent")
        + compare(stories, "--by", "version")
    )
    assert "\x1b" not in said
    assert "\u202e" not in said


# -- two runs


def test_two_runs_stand_beside_each_other(stories):
    desk, greet = run_ids(stories, "support desk", "greeter")
    said = compare(stories, desk, greet, env={"COLUMNS": "80"})
    heads = [line.split()[0] for line in said.splitlines() if line and not line.startswith(" ")]
    assert heads[:2] == ["A", "B"]
    assert "They part at once: in A triage began, in B greeter began." in said
    assert re.search(r"(?m)^cost +≥ \$[\d.]+ +\$[\d.]+$", said)
    assert "handoff billing" in said
    assert max(map(len, said.splitlines())) <= 80


def test_where_two_did_the_same_it_is_shortened_but_with_full(stories):
    (desk,) = run_ids(stories, "support desk")
    assert re.search(r"= … \d+ more the same", compare(stories, desk, desk))
    assert "more the same" not in compare(stories, desk, desk, "--full")


def test_two_runs_give_their_keys(stories):
    desk, greet = run_ids(stories, "support desk", "greeter")
    told = json.loads(compare(stories, desk, greet, "--json"))
    assert list(told) == keys("key, of two runs")
    assert list(told["a"]) == list(told["b"]) == keys("of a run")
    assert {tuple(one) for both in told["agents"] for one in both.values() if one} == {
        tuple(keys("of an agent"))
    }
    assert {tuple(row) for row in told["steps"]} == {("relation", "changed", "a", "b")}
    sides = [side for row in told["steps"] for side in (row["a"], row["b"]) if side]
    assert {tuple(side) for side in sides} == {tuple(keys("of a step or handoff"))}


def test_hostile_and_deep_runs_are_shown(stories):
    hostile, deep, asks = run_ids(stories, f"run {HOSTILE}", "deep", "asks")
    for pair in ((hostile, deep), (deep, asks), (asks, hostile)):
        said = compare(stories, *pair, "--full")
        assert "\x1b" not in said
        assert "\u202e" not in said


# -- mistakes


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        ([], "Say what to compare: give two runs, or --by KEY."),
        (["last"], "One run has nothing to be compared with: give two runs, or --by KEY."),
        (["a", "b", "c"], "Only two runs are compared: give two runs, or --by KEY."),
        (["last", "last", "--by", "agent"], "Give two runs or --by KEY, not both."),
        (["last", "last", "--task", "refund"], "--task goes with --by, not with two runs."),
        (["--by", "mood"], "Invalid value for '--by': Tasks by 'mood' is not known"),
        (
            ["--by", "agent", "--success", "good"],
            "Invalid value for '--success': 'good' is no rule for success",
        ),
        (["--by", "agent", "--since", "yore"], "Invalid value for '--since': 'yore' is no time"),
    ],
)
def test_what_is_typed_wrong_is_one_sentence_and_exit_code_2(stories, args, sentence):
    result = invoke("compare", *args, "--db", stories)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"counterfoil: {sentence}")
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (["ffff", "last"], "No run begins with 'ffff'."),
        (["--by", "agent", "--only", "x"], "There is no group 'x'; there are: "),
        (
            ["--by", "agent", "--success", "tone>1"],
            "No task has such a score as 'tone>1' asks for; there are: ",
        ),
    ],
)
def test_what_is_not_there_is_one_sentence_and_exit_code_1(stories, args, sentence):
    result = invoke("compare", *args, "--db", stories)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(f"counterfoil: {sentence}")
