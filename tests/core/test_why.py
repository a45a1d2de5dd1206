"""Why something was done: the chain of cause, what was on offer, what a handoff left out, and what was not recorded."""

import sqlite3
from contextlib import closing

import pytest

from cli_story import invoke
from counterfoil.analysis.cause import Choice, Input, Passed
from counterfoil.analysis.why import why
from counterfoil.events import encode, message, text_part, tool_call_part
from counterfoil.recorder import Recorder
from counterfoil.snapshot import Taken
from counterfoil.store import ingest, read
from counterfoil.store.errors import StoreError
from made_desk import INSTRUCTIONS, Desk

TICKET = "I was charged 38.00 EUR twice, ada@example.com, INV-2041."
QUESTION = "Was invoice INV-2041 paid twice, 38 EUR each?"


@pytest.fixture
def desk(tmp_path):
    return Desk(tmp_path / "x.db")


@pytest.fixture
def story(desk):
    """A store with one ticket that billing was asked about, and its run."""
    run = desk.ticket(
        TICKET,
        asks=True,
        question=QUESTION,
        thought="I cannot see payments.",
        again=True,
        decision="r-1",
        found="See A-7.",
    )
    return desk.drained(), run


def asked(store, run):
    (handoff,) = store.handoffs(run)
    return handoff


def outline(answer):
    """Give the chain, a line a link."""
    lines = []
    for link in answer.chain:
        if isinstance(link, Choice):
            lines.append(
                f"{link.agent} chose {', '.join(one.tool for one in link.chosen) or 'nothing'} ({link.evidence})"
            )
        elif isinstance(link, Passed):
            lines.append(f"{link.target} {link.mode} from {link.source}")
        else:
            lines.append(f"input {link.input}")
    return lines


# -- what is asked about


def test_last_is_the_last_handoff_of_the_newest_run(story):
    path, run = story
    with read.open(path) as store:
        assert why(store, "last") == why(store, asked(store, run).handoff_id) == why(store, run[:20])
        act = why(store, "last").act
    assert (act.kind, act.agent, act.name, act.mode, act.status) == (
        "handoff",
        "triage",
        "billing",
        "escalation",
        "returned",
    )
    assert (act.given, act.result) == ({"question": QUESTION}, "It was paid twice.")


def test_where_nothing_was_handed_on_last_is_the_last_tool_call(desk):
    desk.ticket(TICKET, asks=False)
    with read.open(desk.drained()) as store:
        act = why(store, "last").act
    assert (act.kind, act.agent, act.name, act.given) == ("tool", "triage", "search", {"query": "help"})


def test_the_tool_that_asked_and_the_turn_that_was_begun_are_the_handoff(story):
    path, run = story
    with read.open(path) as store:
        handoff = asked(store, run)
        assert why(store, handoff.step_id).act.handoff_id == handoff.handoff_id
        assert why(store, handoff.target_step_id).act.handoff_id == handoff.handoff_id


def test_any_beginning_that_no_other_id_has_will_do(story):
    path, run = story
    with read.open(path) as store:
        whole = asked(store, run).handoff_id
        assert why(store, whole.upper()).act.handoff_id == whole
        with pytest.raises(StoreError, match=r"^More than one id begins with '.{8}': (step|handoff) "):
            why(store, whole[:8])


@pytest.mark.parametrize(
    ("ref", "sentence"),
    [
        (
            "nothing",
            "No step, handoff or run 'nothing': give the beginning of its id, in hexadecimal, or `last`.",
        ),
        ("", "No step, handoff or run '': give the beginning of its id, in hexadecimal, or `last`."),
        ("ffffffff", "No step, handoff or run begins with 'ffffffff'."),
    ],
)
def test_what_is_no_id_is_said_in_one_sentence(story, ref, sentence):
    with read.open(story[0]) as store, pytest.raises(StoreError) as caught:
        why(store, ref)
    assert str(caught.value) == sentence


def test_a_run_in_which_nothing_was_done_is_said_in_one_sentence(desk):
    run = desk.ticket(TICKET, asks=False, searches=False)
    with (
        read.open(desk.drained()) as store,
        pytest.raises(StoreError, match=f"^Run {run} has no handoff and no tool call"),
    ):
        why(store, "last")


# -- the chain


def test_the_chain_goes_back_to_what_the_run_was_asked(story):
    path, _ = story
    with read.open(path) as store:
        assert outline(why(store, "last")) == [
            "triage chose ask_billing (native)",
            "triage chose search (native)",
            f"input {TICKET}",
        ]


def test_from_the_asked_agent_it_goes_through_the_handoff(story):
    path, run = story
    with read.open(path) as store:
        again = next(one for one in store.tool_calls(run) if one.agent == "billing")
        answer = why(store, again.step_id)
    assert outline(answer) == [
        "billing chose search (native)",
        "billing escalation from triage",
        "triage chose ask_billing (native)",
        "triage chose search (native)",
        f"input {TICKET}",
    ]
    assert answer.others == ((answer.chain[1].handoff_id, "billing"),)


def test_a_choice_tells_what_it_said_what_was_new_and_what_else_was_on_offer(story):
    path, run = story
    with read.open(path) as store:
        choice, first, _ = why(store, "last").chain
        search = next(one for one in store.tool_calls(run) if one.agent == "triage" and one.tool == "search")
    assert (choice.text, choice.thought, choice.model) == (
        "Only billing sees it.",
        "I cannot see payments.",
        "m-1",
    )
    assert [(one.tool, one.agents) for one in choice.offers] == [("search", ())]
    assert [(one.tool, one.agents) for one in first.offers] == [("ask_billing", ("billing",))]
    (result,) = choice.results
    assert (result.step_id, result.tool, result.result, result.position) == (
        search.step_id,
        "search",
        "See A-7.",
        3,
    )
    assert (choice.new, choice.earlier) == ((), 3)
    assert [(one.position, one.role, one.text) for one in first.new] == [
        (0, "system", INSTRUCTIONS),
        (1, "user", TICKET),
    ]
    assert (first.results, first.earlier, choice.unknown) == ((), 0, ())


def test_sentences_of_the_instructions_that_name_the_target_are_given(story):
    with read.open(story[0]) as store:
        assert why(store, "last").instructions == ("If money is in question, ask the billing agent.",)


def test_what_a_policy_said_about_it_is_given(story):
    with read.open(story[0]) as store:
        assert [(one.rule, one.verdict) for one in why(store, "last").decisions] == [("r-1", "allow")]


def test_of_a_long_loop_the_chain_tells_the_last_calls_and_counts_the_rest(tmp_path):
    recorder = Recorder(str(tmp_path / "x.db"))
    agent = recorder.start("agent", "looper", framework="python", input="go")
    for number in range(100):
        call = recorder.start("llm", "m", framework="python", parent=agent, input=f"{number}")
        recorder.end(call, output="hm")
    recorder.end(recorder.start("tool", "stop", framework="python", parent=agent, input={}))
    recorder.end(agent)
    with read.open(drained(recorder)) as store:
        *choices, asked = why(store, "last").chain
    assert [one.new[0].text for one in choices] == [str(number) for number in range(99, 59, -1)]
    assert [one.left_out for one in choices] == [0] * 39 + [60]
    assert asked.input == "go"


def test_a_model_call_is_its_own_first_link(story):
    path, run = story
    with read.open(path) as store:
        answer = why(store, store.llm_calls(run)[0].step_id)
    assert outline(answer) == ["triage chose search (native)", f"input {TICKET}"]
    assert answer.contrast is None
    assert answer.knowledge is None


def test_the_root_goes_back_to_its_input_alone(story):
    path, run = story
    with read.open(path) as store:
        assert outline(why(store, store.run(run).root_step_id)) == [f"input {TICKET}"]


def test_what_followed_by_order_says_that_no_model_chose_it(tmp_path):
    recorder = Recorder(str(tmp_path / "x.db"))
    root = recorder.start("workflow", "crew", framework="crewai", input="do it")
    first = recorder.start("agent", "first", framework="crewai", parent=root)
    call = recorder.start("llm", "m", framework="crewai", parent=first, messages=[_said("user", "do 17")])
    recorder.end(call, messages=[_said("assistant", "done 18")])
    recorder.end(first, output="done 18")
    second = recorder.start("agent", "second", framework="crewai", parent=root)
    recorder.handoff(
        "route", source="first", target="second", status="accepted", target_step=second, evidence="inferred"
    )
    call = recorder.start(
        "llm", "m", framework="crewai", parent=second, messages=[_said("user", "go on after done 18")]
    )
    recorder.end(call, messages=[_said("assistant", "bye")])
    recorder.end(second)
    recorder.end(root)
    with read.open(drained(recorder)) as store:
        answer = why(store, "last")
    assert (answer.act.mode, answer.act.evidence, answer.act.decided_by) == ("route", "inferred", None)
    assert outline(answer) == ["first chose nothing (None)", "input do it"]
    assert [(one.role, one.given, one.missing) for one in answer.knowledge.facts] == [
        ("user", "none", ("17",)),
        ("assistant", "whole", ()),
    ]


@pytest.fixture
def resumed(tmp_path):
    """A store in which a payment waited for a human and was made in a later run: path, both runs, the later tool call."""
    recorder = Recorder(str(tmp_path / "x.db"))
    pays = [_said("assistant", tool_call_part("c-1", "pay", {"eur": 38}))]

    def turn(**resuming):
        root = recorder.start(
            "workflow", "desk", framework="langchain", session="s", input="pay Ada", **resuming
        )
        return root, recorder.start("agent", "clerk", framework="langchain", parent=root)

    root, clerk = turn()
    call = recorder.start(
        "llm", "m", framework="langchain", parent=clerk, messages=[_said("user", "pay Ada")]
    )
    recorder.end(call, messages=pays)
    tool = recorder.start(
        "tool", "pay", framework="langchain", parent=clerk, call_id="c-1", input={"eur": 38}
    )
    question = recorder.ask(tool, "may I?", approval=("pay", {"eur": 38}))
    for step in (tool, clerk, root):
        recorder.end(step, "waiting")
    later, clerk = turn(resuming=True)
    recorder.answered(question, "yes", approval="approved", by="lead")
    tool = recorder.start(
        "tool", "pay", framework="langchain", parent=clerk, call_id="c-1", input={"eur": 38}
    )
    for step in (tool, clerk, later):
        recorder.end(step)
    return drained(recorder), root.run_id, later.run_id, tool.step_id


def test_a_choice_that_a_human_allowed_in_a_later_run_is_found_in_the_earlier_one(resumed):
    path, first, later, tool = resumed
    with read.open(path) as store:
        assert store.run(later).resumes == first
        answer = why(store, tool)
    assert [(one.status, one.answered_by) for one in answer.approvals] == [("approved", "lead")]
    assert outline(answer) == ["input pay Ada", "clerk chose pay (native)", "input pay Ada"]
    assert isinstance(answer.chain[0], Input)
    assert (answer.chain[0].resumes, answer.chain[1].run_id) == (first, first)
    assert (len(answer.contrast.did), answer.contrast.others) == (1, ())


def test_where_the_earlier_run_is_not_in_the_store_the_chain_ends_at_the_input(resumed, tmp_path):
    path, _, later, tool = resumed
    assert invoke("export", later, tmp_path / "only.db", "--only", "--db", path).exit_code == 0
    with read.open(tmp_path / "only.db") as store:
        answer = why(store, tool)
    assert outline(answer) == ["input pay Ada"]
    assert answer.approvals == ()


def _said(role, part):
    return Taken(encode(message(role, [text_part(part) if isinstance(part, str) else part])))


def drained(recorder):
    recorder.close()
    with ingest.Drainer(recorder.path) as drainer:
        drainer.drain(wait=60)
    return recorder.path


# -- what was handed over


def test_what_was_left_out_is_named_by_its_figures_and_ids(story):
    path, run = story
    with read.open(path) as store:
        known = why(store, "last").knowledge
        search, _, again = store.tool_calls(run)
    assert [(one.role, one.tool, one.step_id, one.given, one.kept, one.missing) for one in known.facts] == [
        ("user", None, None, "part", ("38.00", "INV-2041"), ("ada@example.com",)),
        ("tool", "search", search.step_id, "none", (), ("A-7",)),
    ]
    assert [(one.step_id, one.again_step_id, one.agent) for one in known.asked_again] == [
        (search.step_id, again.step_id, "billing")
    ]
    assert known.unknown == ()


@pytest.mark.parametrize(
    ("question", "given"),
    [
        (TICKET, "whole"),
        (f"The customer writes: {TICKET} What now?", "whole"),
        ("ada@example.com paid 38 for INV-2041", "facts"),
        ("It is about 38 EUR", "part"),
        ("It is about INV-20413", "none"),
    ],
)
def test_a_message_is_handed_over_as_far_as_its_words_or_figures_stand_there(desk, question, given):
    desk.ticket(TICKET, asks=True, question=question)
    with read.open(desk.drained()) as store:
        assert why(store, "last").knowledge.facts[0].given == given


def test_of_words_alone_in_other_words_nothing_is_claimed(desk):
    desk.ticket("the orange light", asks=True, question="a lamp glows")
    with read.open(desk.drained()) as store:
        assert why(store, "last").knowledge.facts[0].given == "unknown"


def test_a_target_that_never_started_was_given_nothing_that_is_known(tmp_path):
    recorder = Recorder(str(tmp_path / "x.db"))
    root = recorder.start("agent", "one", framework="python", input="x")
    recorder.handoff("transfer", target="two", step=root)
    recorder.end(root)
    with read.open(drained(recorder)) as store:
        known = why(store, "last").knowledge
    assert known.facts == ()
    assert known.unknown == (
        "The target never started, or its step is not recorded.",
        "No model call of the source is known before the handoff, in this run.",
    )


# -- what was not recorded


def test_what_was_not_recorded_is_said_and_nothing_guessed(tmp_path):
    desk = Desk(tmp_path / "x.db", capture="metadata")
    desk.ticket(TICKET, asks=True)
    with read.open(desk.drained()) as store:
        answer = why(store, "last")
    assert outline(answer) == ["triage chose nothing (native)", "triage chose nothing (native)", "input None"]
    assert answer.chain[0].unknown == (
        "What this call was given was not recorded.",
        "What it answered was not recorded.",
    )
    assert answer.chain[0].offers is None
    assert answer.chain[0].results[0].result is None
    assert answer.knowledge.facts == ()
    assert answer.knowledge.unknown == ("What the target was given was not recorded.",)
    assert answer.contrast.unknown == (
        "The input was not recorded, or was erased: words are not compared there.",
    )


def test_what_was_erased_is_said_to_be(story):
    path, run = story
    assert invoke("erase", "--run", run, "--yes", "--db", path).exit_code == 0
    with read.open(path) as store:
        answer = why(store, run)
    assert answer.act.reason is None
    assert answer.chain[0].text == ""
    assert any("was erased" in sentence for sentence in answer.chain[0].unknown)
    assert any("was erased" in sentence for sentence in answer.knowledge.unknown)


def test_a_choice_that_is_only_guessed_says_so(story):
    path, run = story
    with closing(sqlite3.connect(path)) as db:
        db.execute("UPDATE t_steps SET decided_evidence = 'guessed'")
        db.execute("UPDATE t_handoffs SET decided_evidence = NULL")
        db.commit()
    with read.open(path) as store:
        assert why(store, run).chain[0].evidence == "guessed"
