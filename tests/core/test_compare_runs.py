"""Two runs: steps aligned by meaning, where they part, and what each took."""

import pytest

import counterfoil
import counterfoil.events
from counterfoil.analysis import compare
from counterfoil.analysis.alignment import Entry, align
from counterfoil.store import ingest
from handmade_tape import SECOND, T0, Tape, run_id, step_id


class Desk:
    """Writes runs of a desk, step after step."""

    def __init__(self, db):
        self.db, self.tape, self.run, self.at, self.steps = db, Tape(db), 0, T0, 0

    def step(
        self, kind, name, parent, agent, *, framework="python", seconds=1, status="ok", result=None, **given
    ):
        self.steps += 1
        step, self.at = step_id(self.steps), self.at + SECOND
        ended = {
            key: given.pop(key)
            for key in ("error_type", "cost_nano", "input_tokens", "output_tokens")
            if key in given
        }
        if result is not None:
            ended["output"] = result
        self.tape.start(
            run_id(self.run),
            step,
            t=self.at,
            kind=kind,
            name=name,
            parent=parent,
            agent=agent,
            framework=framework,
            **given,
        )
        self.tape.end(run_id(self.run), step, t=self.at + seconds * SECOND, status=status, **ended)
        return step

    def begin(self, **given):
        self.run += 1
        return self.step("agent", "triage", None, "triage", seconds=60, **given)

    def store(self):
        self.tape.let_go()
        with ingest.Drainer(str(self.db)) as drainer:
            drainer.drain()
        return self.db


@pytest.fixture
def desk(tmp_path):
    return Desk(tmp_path / "x.db")


def compared(path, one=1, other=2):
    with counterfoil.open(path) as store:
        return compare.runs(store, run_id(one), run_id(other))


def outline(pair):
    marks = {"same": "=", "changed": "~", "only a": "A", "only b": "B"}
    return [
        " ".join([marks[row.relation] + "  " * entry.depth, entry.kind, str(entry.name), *row.changed])
        for row in pair.rows
        for entry in [row.a or row.b]
    ]


def test_two_that_did_the_same_are_said_to(desk):
    for _ in range(2):
        root = desk.begin()
        desk.step("llm", "m", root, "triage")
        desk.step("tool", "look_up", root, "triage", input={"n": 7}, result="found")
    pair = compared(desk.store())
    assert pair.parting == (
        "They did the same, from the first to the last of 2 steps and handoffs, model calls apart.",
    )
    assert outline(pair) == ["= agent triage", "=   llm m", "=   tool look_up"]


def test_they_part_where_one_acts_and_the_other_hands_off(desk):
    for n in range(2):
        root = desk.begin()
        desk.step("tool", "look_up", root, "triage", input={"order": 7}, result="paid twice")
        if n == 0:
            desk.step("tool", "refund", root, "triage", input={"amount": 5}, result="done")
        else:
            tool = desk.step("tool", "transfer_to_billing", root, "triage")
            billing = desk.step("agent", "billing", None, "billing")
            desk.tape.event(
                "handoff", t=desk.at, run=run_id(2), step=tool, handoff="aa", mode="transfer", status="accepted",
                target_step=billing, text=counterfoil.events.Text(source="triage", target="billing"),
            )  # fmt: skip
    pair = compared(desk.store())
    assert pair.parting == (
        "They did the same up to here: triage called look_up(order=7).",
        "Then in A triage called refund(amount=5), in B triage handed off to billing.",
    )
    assert outline(pair)[2:] == ["A   tool refund", "B   handoff billing", "B agent billing"]


def test_the_same_tool_with_something_else_stands_beside_it(desk):
    for amount in (5, 500):
        root = desk.begin()
        desk.step("tool", "refund", root, "triage", input={"amount": amount})
    pair = compared(desk.store())
    assert outline(pair) == ["= agent triage", "~   tool refund given"]
    assert (
        pair.parting[1] == "Then in A triage called refund(amount=5), in B triage called refund(amount=500)."
    )


def test_a_call_that_fails_in_one_parts_them(desk):
    for error in (None, "TimeoutError"):
        root = desk.begin()
        failed = {"status": "error", "error_type": error} if error else {}
        desk.step("tool", "look_up", root, "triage", input={"n": 7}, **failed)
    assert compared(desk.store()).parting[1] == (
        "Then in A triage called look_up(n=7), in B triage called look_up(n=7) (TimeoutError)."
    )


def test_a_result_that_differs_is_named_before_what_came_of_it(desk):
    for found in ("paid", "unpaid"):
        root = desk.begin()
        desk.step("tool", "look_up", root, "triage", input={"n": 7}, result=found)
        desk.step("tool", "refund" if found == "paid" else "remind", root, "triage", input={})
    assert compared(desk.store()).parting == (
        "The same call gave them something else: triage called look_up(n=7) gave A paid, B unpaid.",
        "They did the same up to here: triage called look_up(n=7).",
        "Then in A triage called refund(), in B triage called remind().",
    )


def test_one_that_stops_early_did_no_more(desk):
    for n in range(2):
        root = desk.begin()
        if n:
            desk.step("tool", "refund", root, "triage", input={})
    assert compared(desk.store()).parting[1] == "Then A did no more, in B triage called refund()."


def test_names_that_frameworks_write_differently_are_the_same(desk):
    for framework, agent, tool in (
        ("crewai", "Billing Specialist", "look up"),
        ("autogen", "billing_specialist", "look_up"),
    ):
        root = desk.begin(framework=framework)
        inner = desk.step("agent", agent, root, agent, framework=framework)
        desk.step(
            "tool", tool, inner, agent, framework=framework, input={"n": 7.0 if framework == "crewai" else 7}
        )
    assert {row.relation for row in compared(desk.store()).rows} == {"same"}


def test_what_frameworks_wrap_around_agents_and_tools_hides_nothing(desk):
    desk.run += 1
    crew = desk.step("workflow", "crew", None, None, seconds=60)
    task = desk.step("task", "answer", crew, None, seconds=50)
    agent = desk.step("agent", "triage", task, "triage", seconds=40)
    tool = desk.step("tool", "search", agent, "triage", input={"q": "x"})
    desk.step("retrieval", "kb", tool, "triage", input="x")
    root = desk.begin()
    desk.step("tool", "search", root, "triage", input={"q": "x"})
    assert outline(compared(desk.store())) == ["= agent triage", "=   tool search"]


def test_tools_asked_for_in_one_answer_may_begin_in_any_order(desk):
    for names in (("a", "b", "c"), ("c", "a", "b")):
        root = desk.begin()
        call = desk.step("llm", "m", root, "triage")
        for name in names:
            desk.step("tool", name, root, "triage", input={}, decided=call)
    assert {row.relation for row in compared(desk.store()).rows} == {"same"}


def test_more_model_calls_on_the_way_part_nothing(desk):
    for calls in (1, 3):
        root = desk.begin()
        for _ in range(calls):
            desk.step("llm", "m", root, "triage")
        desk.step("tool", "look_up", root, "triage", input={})
    pair = compared(desk.store())
    assert pair.parting[1] == "A called models 1 times for it, B 3 times."
    assert [row.relation for row in pair.rows].count("only b") == 2


def test_each_agent_has_its_own_time_calls_and_cost(desk):
    for cost in (100, 300):
        root = desk.begin()  # 60 seconds
        tool = desk.step("tool", "ask_billing", root, "triage", seconds=30, input={})
        billing = desk.step("agent", "billing", tool, "billing", seconds=20)
        desk.step("llm", "m", billing, "billing", cost_nano=cost, input_tokens=10, output_tokens=2)
        desk.at += 25 * SECOND
        desk.step("human", "May I?", root, "triage", seconds=15)
    triage, billing = compared(desk.store()).agents
    assert [side.own_ns // SECOND for side in (triage.a, triage.b)] == [25, 25]
    assert [(side.llm_calls, side.cost_nano, side.own_ns // SECOND) for side in (billing.a, billing.b)] == [
        (1, 100, 20),
        (1, 300, 20),
    ]


def entry(n):
    return Entry(
        "tool", f"t{n}", "a", None, None, n, "ok", None, {}, None, "python", 1, ("tool", f"t{n}"), "{}"
    )


def test_what_is_alike_is_found_again_after_what_is_not():
    rows = align([entry(n) for n in (1, 2, 3, 4, 5)], [entry(n) for n in (1, 9, 3, 5, 6)])
    assert [row.relation for row in rows] == ["same", "only a", "only b", "same", "only a", "same", "only b"]


def test_runs_of_thousands_of_steps_are_aligned_by_what_is_equal():
    first = [entry(n) for n in range(3_000)]
    second = [entry(-1), *(entry(n) for n in range(3_000) if n % 100), entry(-2)]
    rows = align(first, second)
    assert [row.relation for row in rows].count("same") == 2_970
    assert [row.a for row in rows if row.a] == first
    assert [row.b for row in rows if row.b] == second


def test_a_run_compared_with_itself_is_the_same(desk):
    desk.begin()
    assert {row.relation for row in compared(desk.store(), 1, 1).rows} == {"same"}
