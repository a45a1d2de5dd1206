"""Agents in plain Python: `run`, `step`, `@agent`, `@tool` and the rest, and that the host's own code is as it was."""

import asyncio
import concurrent.futures
import contextvars
import pickle
import threading

import pytest

import child
import counterfoil
from tape_reading import end_of, line_of, lines, outline


@pytest.fixture
def db(default_db):
    return default_db


# -- run and step


def test_a_run_with_an_agent_and_its_tools(db):
    @counterfoil.tool(reads="kb")
    def search(query, top=3):
        return [query] * top

    @counterfoil.agent(version="1.2", owner="support")
    def triage(question):
        return search(question, top=2)

    with counterfoil.run("desk", task="ticket", session="s1", labels={"team": "a"}, input={"n": 1}) as span:
        span.set(output=triage("refund"))

    assert outline(db) == ("workflow desk ok\n  agent triage [triage] ok\n    tool search [triage] ok")
    root, agent, tool = lines(db, "start")
    assert (root.text.task, root.text.session, root.text.labels, root.parts) == (
        "ticket",
        "s1",
        {"team": "a"},
        {"input": {"n": 1}},
    )
    assert (agent.text.version, agent.text.owner) == ("1.2", "support")
    assert tool.parts["input"] == {"query": "refund", "top": 2}
    assert end_of(db, "search").parts["output"] == ["refund", "refund"]
    assert end_of(db, "desk").parts["output"] == ["refund", "refund"]
    assert lines(db, "access")[0].text.source == "kb"
    assert (span.run_id, span.step_id) == (root.head.run, root.head.step)


def test_a_model_call_of_ones_own_carries_usage(db):
    with counterfoil.step("ask", kind="llm", input="hi") as span:
        span.set(output="ho", usage=counterfoil.Usage(10, 2), model="m", provider="p", response_id="r")
    line = end_of(db, "ask")
    assert (line.head.input_tokens, line.head.output_tokens, line.text.model) == (10, 2, "m")


def test_usage_may_be_a_dict(db):
    with counterfoil.step("ask", kind="llm") as span:
        span.set(usage={"input_tokens": 10})
    assert end_of(db, "ask").head.input_tokens == 10


def test_an_output_is_taken_when_it_is_said(db):
    with counterfoil.step("work") as span:
        span.set(output=(growing := ["one"]))
        growing.append("two")
    assert end_of(db, "work").parts["output"] == ["one"]


def test_a_run_inside_a_run_is_a_step_of_it(db):
    with counterfoil.run("outer"), counterfoil.run("inner"):
        pass
    assert outline(db) == "workflow outer ok\n  workflow inner ok"


def test_two_runs_after_each_other_are_two(db):
    for name in ("one", "two"):
        with counterfoil.run(name):
            pass
    assert len({one.head.run for one in lines(db, "start")}) == 2


def test_a_span_may_be_used_again(db):
    span = counterfoil.run("again")
    for _ in range(2):
        with span:
            pass
    assert outline(db) == "workflow again ok\nworkflow again ok"


def test_a_status_can_be_said(db):
    with counterfoil.step("guard", kind="guardrail") as span:
        span.set(status="denied", stop_reason="policy")
    assert (end_of(db, "guard").head.status, end_of(db, "guard").text.stop_reason) == ("denied", "policy")


def test_spans_that_overlap_each_keep_their_place(db):
    first, second = counterfoil.step("first"), counterfoil.step("second")
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    second.__exit__(None, None, None)
    with counterfoil.step("third"):
        pass
    assert line_of(db, "start", "third").head.parent is None


def test_accesses_scores_and_handoffs_are_told_of_the_step_we_are_in(db):
    @counterfoil.agent
    def billing():
        pass

    @counterfoil.agent
    def triage():
        counterfoil.access("crm", query="refund", items=["c1", counterfoil.Item("c2", 0.5)], size=10)
        counterfoil.score("helpful", 0.9, label="good", comment="fine")
        counterfoil.handoff("billing", mode="escalation", reason="a refund", payload={"n": 1})
        billing()

    triage()
    step = line_of(db, "start", "triage").head.step
    assert {one.head.step for one in lines(db, "access", "score")} == {step}
    assert [one["item_id"] for one in lines(db, "access")[0].parts["items"]] == ["c1", "c2"]
    assert lines(db, "score")[0].head.value == 0.9
    assert [(one.head.status, one.text.reason) for one in lines(db, "handoff")] == [
        ("requested", "a refund"),
        ("accepted", None),
        ("returned", None),
    ]


def test_outside_of_any_step_there_is_nothing_to_tell_of(db):
    counterfoil.access("crm")
    counterfoil.score("good", 1)
    counterfoil.handoff("b")
    assert counterfoil.traceparent() is None
    assert not db.parent.joinpath("x.db.tape").exists()


def test_a_span_scores_its_own_step(db):
    with counterfoil.run("desk") as span, counterfoil.step("inner"):
        span.score("good", 1)
    assert lines(db, "score")[0].head.step == line_of(db, "start", "desk").head.step


# -- where it is recorded


def test_what_is_called_in_a_run_is_recorded_where_the_run_is(db, tmp_path):
    @counterfoil.tool
    def work():
        pass

    other = tmp_path / "other.db"
    with counterfoil.run("desk", db=other):
        work()
    assert outline(other) == "workflow desk ok\n  tool work ok"
    assert not db.with_name("x.db.tape").exists()


def test_what_is_called_in_runs_of_two_stores_is_recorded_in_both(db, tmp_path):
    other = tmp_path / "other.db"
    with counterfoil.run("a"), counterfoil.run("b", db=other), counterfoil.step("inner"):
        counterfoil.access("kb")
    assert outline(db) == "workflow a ok\n  other inner ok"
    assert outline(other) == "workflow b ok\n  other inner ok"
    assert len(lines(db, "access")) == len(lines(other, "access")) == 1


def test_a_run_of_another_process_goes_on_by_traceparent(db, tmp_path):
    code = """
        import sys
        import counterfoil
        with counterfoil.run("there", traceparent=sys.argv[1]):
            with counterfoil.step("inner"):
                pass
    """
    with counterfoil.run("here"), counterfoil.step("calling") as span:
        child.run(code, counterfoil.traceparent(), db=db)
    there = line_of(db, "start", "there")
    assert (there.head.run, there.head.parent) == (span.run_id, span.step_id)
    assert len({one.head.run for one in lines(db, "start")}) == 1


def test_a_traceparent_that_is_none_begins_a_run(db):
    with counterfoil.run("here", traceparent="nonsense"):
        pass
    assert line_of(db, "start", "here").head.parent is None


# -- exceptions


def test_an_exception_passes_as_it_is_and_stands_at_the_deepest_step(db):
    error = ValueError("wrong")

    @counterfoil.tool
    def fail():
        raise error

    with (
        pytest.raises(ValueError, match="wrong") as caught,
        counterfoil.run("desk"),
        counterfoil.step("middle"),
    ):
        fail()
    assert caught.value is error
    assert outline(db) == "workflow desk error\n  other middle error\n    tool fail error"
    told = [(one.text.error_type, one.text.error_message) for one in lines(db, "end")]
    assert told == [("ValueError", "wrong"), (None, None), (None, None)]


def test_an_exception_that_is_handled_is_the_steps_alone(db):
    with counterfoil.run("desk"):
        try:
            with counterfoil.step("try"):
                raise KeyError("x")
        except KeyError:
            pass
    assert outline(db) == "workflow desk ok\n  other try error"


def test_our_mark_on_an_exception_can_be_pickled_and_changes_nothing_else(db):
    with pytest.raises(ValueError, match="wrong") as caught, counterfoil.step("try"):
        raise ValueError("wrong", 5)
    again = pickle.loads(pickle.dumps(caught.value))
    assert (repr(again), again.args) == (repr(caught.value), ("wrong", 5))
    assert not hasattr(caught.value, "__notes__")


@pytest.mark.parametrize(
    ("error", "status", "told"),
    [
        (KeyboardInterrupt(), "cancelled", None),
        (asyncio.CancelledError(), "cancelled", None),
        (concurrent.futures.CancelledError(), "cancelled", None),
        (GeneratorExit(), "cancelled", None),
        (SystemExit(), "ok", None),
        (SystemExit(0), "ok", None),
        (SystemExit(2), "error", "SystemExit"),
        (SystemExit(["odd"]), "error", "SystemExit"),
    ],
    ids=repr,
)
def test_what_is_no_error_is_told_as_what_it_is(db, error, status, told):
    with pytest.raises(type(error)) as caught, counterfoil.step("work"):
        raise error
    assert caught.value is error
    assert (end_of(db, "work").head.status, end_of(db, "work").text.error_type) == (status, told)


def test_an_exception_whose_text_raises_passes_as_it_is(db):
    class Odd(Exception):  # noqa: N818  # as its users name theirs
        def __str__(self):
            raise RuntimeError

    with pytest.raises(Odd), counterfoil.step("work"):
        raise Odd
    assert "str() raised" in end_of(db, "work").text.error_message


# -- threads


def test_a_thread_is_a_run_of_its_own_and_wrapped_it_is_not(db):
    def work(name):
        with counterfoil.step(name):
            pass

    with counterfoil.run("desk"):
        threads = [
            threading.Thread(target=work, args=("alone",)),
            threading.Thread(target=counterfoil.wrap(work), args=("wrapped",)),
        ]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
    root = line_of(db, "start", "desk").head
    assert line_of(db, "start", "alone").head.run != root.run
    assert line_of(db, "start", "wrapped").head.parent == root.step


def test_one_wrapped_function_runs_in_many_threads_at_once(db):
    barrier = threading.Barrier(4)

    def work(n):
        with counterfoil.step(f"outer {n}"):
            barrier.wait()
            with counterfoil.step(f"inner {n}"):
                return n

    with counterfoil.run("desk"), concurrent.futures.ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(counterfoil.wrap(work), range(4))) == [0, 1, 2, 3]
    for n in range(4):
        assert line_of(db, "start", f"inner {n}").head.parent == line_of(db, "start", f"outer {n}").head.step
        assert line_of(db, "start", f"outer {n}").head.parent == line_of(db, "start", "desk").head.step


def test_a_wrapped_function_is_as_it_was(db):
    variable = contextvars.ContextVar("variable", default="outside")

    def work(n: int) -> str:
        """Work."""
        return f"{variable.get()} {n}"

    variable.set("inside")
    wrapped = counterfoil.wrap(work)
    assert (wrapped.__name__, wrapped.__doc__) == ("work", "Work.")
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        assert pool.submit(wrapped, 1).result() == "inside 1"
