"""`counterfoil why`: the answer on a screen of 80 columns, in JSON, and in one sentence where there is none."""

import json
import random
import re
from pathlib import Path

import pytest

from cli_story import HOSTILE, invoke, record
from counterfoil.analysis.acts import Act
from counterfoil.analysis.cause import Choice, Input, Passed
from counterfoil.analysis.contrast import Contrast
from counterfoil.analysis.knowledge import Fact, Knowledge
from counterfoil.analysis.traits import Apart
from counterfoil.analysis.why import Why
from counterfoil.cli.escape import hostile
from counterfoil.store import read
from made_desk import Desk, text_of

SECTION = re.search(
    r"(?ms)^## why\n(.*?)(?=^## )", (Path(__file__).parents[2] / "docs" / "cli.md").read_text()
)[1]


@pytest.fixture(scope="module")
def month(tmp_path_factory):
    """Tickets in which the word "refund" makes triage ask billing, the last of them one that does."""
    chance = random.Random(3)
    desk = Desk(tmp_path_factory.mktemp("why") / "x.db")
    for number in range(120):
        has = number % 3 == 0
        desk.ticket(text_of(chance, *(["refund"] if has else [])), asks=has)
    desk.ticket(
        "I want a refund of INV-2041", asks=True, thought="I see no payments.", decision="r-1", again=True,
        question="Was an invoice paid twice?",
    )  # fmt: skip
    return desk.drained()


def why(store, *args, columns=80):
    result = invoke("why", *args, "--db", store, columns=columns)
    assert (result.exit_code, result.stderr) == (0, ""), result.output
    return result.stdout


def numbered(text):
    """Give text with each id as `#1`, `#2` in the order in which they come."""
    seen = {}
    return re.sub(
        r"\b(?=[a-f]*\d)[0-9a-f]{8,32}\b", lambda found: f"#{seen.setdefault(found[0], len(seen) + 1)}", text
    )


def test_the_answer_on_a_screen(month):
    assert (
        numbered(why(month, "last", columns=400))
        == """\
triage asked billing  escalation  returned
rows     handoff #1, step #2, run #3
known    inferred: the framework did not say so itself
reason   Was an invoice paid twice?
came     It was paid twice.

Because
  triage: m-1 chose it  step #4
    said     Only billing sees it.
    thought  I see no payments.
    told     If money is in question, ask the billing agent.
    after    search(query="help")  step #5
             → Article A-1: we are happy to help.
    instead  search; or an answer of its own
  before that it chose search  step #6
  run desk was asked  step #7
    input    I want a refund of INV-2041

Decisions
  allow handoff billing
    rule r-1

What triage knew, and billing was given
  None of 2 messages as it was said  steps #4, #8
  user's message left out: INV-2041
  result of search left out: A-1  step #5
  billing called search again as it was called before: steps #5, #9

Where it was not done
  41 of the 121 tasks of the kind 'ticket' did it, 80 did not.
  The word 'refund' in the input: 41 of 41 that did it, 0 of 80 that did not (run #10 against run #11).
  No difference that chance would not make: model, version and framework; tools and their results.
  The nearest that did not is run #11; this one is A, that one B. They did the same up to here: triage called search(query="help"). Then in A triage asked billing, B did no more.
"""
    )


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_it_fits_the_screen(month, columns):
    assert max(map(len, why(month, "last", columns=columns).splitlines())) <= columns


def test_json_names_every_row(month):
    answer = json.loads(why(month, "last", "--json"))
    assert list(answer) == list(Why.__struct_fields__)
    assert [link["link"] for link in answer["chain"]] == ["choice", "choice", "input"]
    (apart,) = answer["contrast"]["apart"]
    assert (len(apart["did_with"]), len(apart["others_without"])) == (41, 80)
    with read.open(month) as store:
        rows = {one.step_id for one in store.steps("last")}
    named = {link["step_id"] for link in answer["chain"]} | {
        one["step_id"] for one in answer["chain"][0]["results"]
    }
    assert named | {answer["knowledge"]["target_step_id"]} <= rows


@pytest.mark.parametrize(
    ("heading", "kind"),
    [
        ("key", Why), ("of the act", Act), ("of a choice", Choice), ("of a handoff", Passed), ("of an input", Input),
        ("of the knowledge", Knowledge), ("of a fact", Fact), ("of the contrast", Contrast),
        ("of what sets them apart", Apart),
    ],
)  # fmt: skip
def test_the_page_names_every_key(heading, kind):
    table = SECTION.split(f"| {heading} | |\n", 1)[1].split("\n\n", 1)[0]
    assert re.findall(r"(?m)^\| `(\w+)` \|", table) == list(kind.__struct_fields__)


def test_few_runs_are_said_to_be_too_few(tmp_path):
    desk = Desk(tmp_path / "x.db")
    desk.ticket("blue cup", asks=False)
    desk.ticket("charged twice", asks=True)
    shown = " ".join(why(desk.drained(), "last").split())
    assert (
        "Too few to tell from chance (1 and 1 different inputs): words of the input; model, version and framework; "
        "tools and their results." in shown
    )


def test_a_single_run_has_nothing_to_be_set_against(tmp_path):
    desk = Desk(tmp_path / "x.db")
    desk.ticket("charged twice", asks=True)
    assert "The only task of the kind 'ticket' did it: there is nothing to set it against." in why(
        desk.drained(), "last"
    )


def test_content_that_was_not_recorded_is_said_to_be_missing(tmp_path):
    desk = Desk(tmp_path / "x.db", capture="metadata")
    desk.ticket("charged twice", asks=True)
    shown = why(desk.drained(), "last")
    assert "missing  What this call was given was not recorded." in shown
    assert "instead  which tools it could have chosen was not recorded" in shown
    assert "input    (not recorded, or erased)" in shown


def test_long_chains_are_cut_in_the_middle(tmp_path):
    import counterfoil.recorder  # here alone

    recorder = counterfoil.recorder.Recorder(str(tmp_path / "x.db"))
    agent = recorder.start("agent", "looper", framework="python", input="go")
    for number in range(12):
        recorder.end(
            recorder.start("llm", "m", framework="python", parent=agent, input=f"{number}"), output="hm"
        )
    tool = recorder.start("tool", "stop", framework="python", parent=agent, input={})
    recorder.end(tool)
    recorder.end(agent)
    recorder.close()
    assert "… 7 model calls between" in why(tmp_path / "x.db", "last")


@pytest.mark.parametrize("columns", [40, 80, None])
def test_what_agents_said_cannot_steer_the_terminal(tmp_path, columns):
    record(tmp_path / "h.db", "hostile")
    shown = why(tmp_path / "h.db", "last", columns=columns)
    assert not any(hostile(line) for line in shown.splitlines())
    desk = Desk(tmp_path / "d.db")
    chance = random.Random(1)
    for number in range(40):
        desk.ticket(
            text_of(chance) + HOSTILE, asks=number % 2 > 0, question=HOSTILE, found=HOSTILE, thought=HOSTILE,
            task=HOSTILE, model=HOSTILE, version=f"{HOSTILE}{number % 2}", framework=HOSTILE, labels={HOSTILE: HOSTILE},
            decision=HOSTILE,
        )  # fmt: skip
    shown = why(desk.drained(), "last", columns=columns)
    assert "Version" in shown
    assert not any(hostile(line) for line in shown.splitlines())


@pytest.mark.parametrize(
    ("given", "code", "sentence"),
    [
        (["nothing"], 1, "counterfoil: No step, handoff or run 'nothing': give the beginning of its id, in hexadecimal, or `last`.\n"),
        (["ffffffffff"], 1, "counterfoil: No step, handoff or run begins with 'ffffffffff'.\n"),
        ([], 2, "counterfoil: Missing argument 'STEP|HANDOFF|last'. See `counterfoil why --help`.\n"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_sentence(month, given, code, sentence):
    result = invoke("why", *given, "--db", month)
    assert (result.exit_code, result.stdout) == (code, "")
    assert result.stderr.replace("cli why", "counterfoil why") == sentence
