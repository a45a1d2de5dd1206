"""Agents in plain Python: `run`, `step`, `@agent`, `@tool` and the rest, and that the host's own code is as it was."""

import asyncio
import concurrent.futures
import contextvars
import functools
import gc
import inspect
import pickle
import threading
import weakref

import pytest

import child
import counterfoil
from counterfoil import context, guard, recorder
from tape_reading import end_of, line_of, lines


@pytest.fixture
def db(tmp_path, monkeypatch):
    """The default store, which nobody drains; an error of our own fails the test."""
    path = tmp_path / "x.db"
    monkeypatch.setenv("COUNTERFOIL_DB", str(path))
    monkeypatch.setenv("COUNTERFOIL_DRAIN", "off")
    monkeypatch.setattr(recorder, "_recorders", {})
    monkeypatch.setattr(guard, "_counts", counts := {})
    yield path
    assert counts == {}
    assert context.stack() == ()


@pytest.fixture
def troubled(tmp_path, monkeypatch):
    """As `db`, where our own errors are what is looked for: their places."""
    monkeypatch.setenv("COUNTERFOIL_DB", str(tmp_path / "x.db"))
    monkeypatch.setenv("COUNTERFOIL_DRAIN", "off")
    monkeypatch.setattr(recorder, "_recorders", {})
    monkeypatch.setattr(guard, "_counts", counts := {})
    return counts


def outline(db):
    """Give each step as `kind name [agent] status`, indented below its parent, in the order of their starts."""
    ended = {}
    for line in lines(db, "end", "close"):
        ended.setdefault(line.head.step, line.head.status)
    depths, told = {}, []
    for line in sorted(lines(db, "start"), key=lambda one: (one.head.t, one.head.q)):
        depth = depths[line.head.step] = depths.get(line.head.parent, -1) + 1
        agent = f" [{line.text.agent}]" if line.text.agent else ""
        told.append(
            f"{'  ' * depth}{line.head.kind} {line.text.name}{agent} {ended.get(line.head.step, 'running')}"
        )
    return "\n".join(told)


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


# -- functions of every kind


def test_a_decorated_function_is_as_it_was(db):
    @counterfoil.tool(name="lookup")
    def search(query: str, *, top: int = 3) -> list[str]:
        """Search."""
        return [query] * top

    assert (search.__name__, search.__doc__, search.__wrapped__.__name__) == ("search", "Search.", "search")
    assert str(inspect.signature(search)) == "(query: str, *, top: int = 3) -> list[str]"
    assert search("a", top=1) == ["a"]
    with pytest.raises(TypeError, match="unexpected keyword argument 'bottom'"):
        search("a", bottom=1)
    assert [one.text.name for one in lines(db, "start")] == ["lookup", "lookup"]
    assert lines(db, "start")[1].parts["input"] == {"0": "a", "bottom": 1}
    assert lines(db, "end")[1].text.error_type == "TypeError"


async def test_an_async_function_is_recorded_while_it_is_awaited(db):
    @counterfoil.tool
    async def slow(n):
        await asyncio.sleep(0)
        with counterfoil.step("inner"):
            return n + 1

    assert inspect.iscoroutinefunction(slow)
    coroutine = slow(1)
    assert not db.with_name("x.db.tape").exists()
    assert await coroutine == 2
    assert outline(db) == "tool slow ok\n  other inner ok"


async def test_gathered_calls_stand_beside_each_other(db):
    @counterfoil.tool
    async def work(n):
        await asyncio.sleep(0.001 * n)
        with counterfoil.step(f"inner {n}"):
            await asyncio.sleep(0)

    with counterfoil.run("desk"):
        await asyncio.gather(*(work(n) for n in range(5)))
    tools = {one.head.step for one in lines(db, "start") if one.head.kind == "tool"}
    root = line_of(db, "start", "desk").head.step
    assert {one.head.parent for one in lines(db, "start") if one.head.kind == "tool"} == {root}
    assert {one.head.parent for one in lines(db, "start") if one.head.kind == "other"} == tools


async def test_a_cancelled_task_is_cancelled(db):
    @counterfoil.tool
    async def forever():
        await asyncio.sleep(3600)

    async def main():
        with counterfoil.run("desk"):
            await forever()

    task = asyncio.create_task(main())
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert outline(db) == "workflow desk cancelled\n  tool forever cancelled"


async def test_a_task_that_outlives_its_run_is_late_work_of_it(db):
    go = asyncio.Event()

    async def later():
        await go.wait()
        with counterfoil.step("late"):
            pass

        @counterfoil.agent
        def another():
            pass

        another()

    with counterfoil.run("desk"):
        task = asyncio.create_task(later())
        await asyncio.sleep(0)
    go.set()
    await task
    assert line_of(db, "start", "late").head.parent == line_of(db, "start", "desk").head.step
    assert line_of(db, "start", "another").head.run != line_of(db, "start", "desk").head.run


class Desk:
    @counterfoil.tool
    def method(self, n):
        return n

    @classmethod
    @counterfoil.tool
    def inside(cls, n):
        return cls, n

    @counterfoil.tool
    @classmethod
    def outside(cls, n):
        return cls, n

    @counterfoil.tool
    @staticmethod
    def static(n):
        return n

    @counterfoil.agent
    async def awaited(self, n):
        return n


async def test_methods_of_every_kind_are_recorded_without_their_object(db):
    desk = Desk()
    assert desk.method(1) == 1
    assert Desk.inside(2) == (Desk, 2)
    assert Desk.outside(3) == desk.outside(3) == (Desk, 3)
    assert Desk.static(4) == desk.static(4) == 4
    assert await desk.awaited(5) == 5
    inputs = [(one.text.name, one.parts["input"]) for one in lines(db, "start")]
    assert inputs == [
        ("method", {"n": 1}),
        ("inside", {"n": 2}),
        ("outside", {"n": 3}),
        ("outside", {"n": 3}),
        ("static", {"n": 4}),
        ("static", {"n": 4}),
        ("awaited", {"n": 5}),
    ]


def test_builtins_lambdas_and_partials_are_recorded(db):
    assert counterfoil.tool(max)(1, 2) == 2
    assert counterfoil.tool(lambda n: n)(3) == 3
    assert counterfoil.tool(functools.partial(pow, 2), name="power")(5) == 32
    assert [(one.text.name, one.parts["input"]) for one in lines(db, "start")] == [
        ("max", {"0": 1, "1": 2}),
        ("<lambda>", {"n": 3}),
        ("power", {"exp": 5}),
    ]


def test_a_recursive_tool_is_nested(db):
    @counterfoil.tool
    def down(n):
        return down(n - 1) if n else 0

    down(2)
    assert outline(db) == "tool down ok\n  tool down ok\n    tool down ok"


# -- generators


def test_a_generator_is_recorded_as_what_it_gives(db):
    @counterfoil.tool
    def stream(n):
        for number in range(n):
            with counterfoil.step(f"inner {number}"):
                pass
            yield {"n": number}
        return "done"

    def host():
        result = yield from stream(2)
        return result

    generator = host()
    assert next(generator) == {"n": 0}
    with counterfoil.step("between"):
        assert next(generator) == {"n": 1}
    with pytest.raises(StopIteration) as stop:
        next(generator)
    assert stop.value.value == "done"
    assert inspect.isgeneratorfunction(stream)
    assert end_of(db, "stream").parts["output"] == [{"n": 0}, {"n": 1}]
    assert line_of(db, "start", "inner 1").head.parent == line_of(db, "start", "stream").head.step
    assert line_of(db, "start", "between").head.parent is None


def test_what_is_sent_and_thrown_into_a_generator_arrives(db):
    heard = []

    @counterfoil.agent
    def talk():
        try:
            heard.append((yield "one"))
            heard.append((yield "two"))
        except KeyError as error:
            heard.append(error)
            yield "three"
        return "end"

    generator = talk()
    assert next(generator) == "one"
    assert generator.send("a") == "two"
    error = KeyError("x")
    assert generator.throw(error) == "three"
    with pytest.raises(StopIteration) as stop:
        generator.send(None)
    assert (heard, stop.value.value) == (["a", error], "end")
    assert outline(db) == "agent talk [talk] ok"


def test_a_generator_left_early_is_cancelled_and_cleans_up(db):
    cleaned = []

    @counterfoil.tool
    def stream():
        try:
            yield 1
            yield 2
        finally:
            cleaned.append(True)

    for _ in stream():
        break
    gc.collect()
    assert cleaned == [True]
    assert end_of(db, "stream").head.status == "cancelled"
    assert end_of(db, "stream").parts["output"] == [1]


def test_a_generator_that_raises_is_an_error_with_what_it_gave(db):
    @counterfoil.tool
    def stream():
        yield 1
        raise ValueError("wrong")

    generator = stream()
    next(generator)
    with pytest.raises(ValueError, match="wrong"):
        next(generator)
    assert end_of(db, "stream").text.error_type == "ValueError"
    assert end_of(db, "stream").parts["output"] == [1]


def test_a_generator_called_wrongly_is_an_error_and_no_open_step(db):
    @counterfoil.tool
    def stream(n):
        yield n

    with pytest.raises(TypeError, match="missing 1 required positional argument"):
        next(stream())
    assert outline(db) == "tool stream error"


def test_a_generator_that_was_never_begun_was_never_called(db):
    @counterfoil.tool
    def stream():
        yield 1

    stream().close()
    assert not db.with_name("x.db.tape").exists()


def test_an_endless_generator_keeps_nothing_that_it_gave(db):
    class Thing:
        pass

    @counterfoil.tool
    def stream():
        while True:
            yield Thing()

    generator = stream()
    kept = weakref.ref(next(generator))
    next(generator)
    gc.collect()
    assert kept() is None
    generator.close()


async def test_an_async_generator_is_recorded_as_what_it_gives(db):
    @counterfoil.tool
    async def stream(n):
        for number in range(n):
            await asyncio.sleep(0)
            with counterfoil.step(f"inner {number}"):
                pass
            yield number

    given = []
    async for number in stream(3):
        with counterfoil.step("between"):
            given.append(number)
    assert given == [0, 1, 2]
    assert inspect.isasyncgenfunction(stream)
    assert end_of(db, "stream").parts["output"] == [0, 1, 2]
    parents = {one.text.name: one.head.parent for one in lines(db, "start")}
    assert (parents["inner 2"], parents["between"]) == (line_of(db, "start", "stream").head.step, None)


async def test_what_is_sent_and_thrown_into_an_async_generator_arrives(db):
    heard = []

    @counterfoil.agent
    async def talk():
        try:
            heard.append((yield "one"))
            yield "two"
        except KeyError as error:
            heard.append(error)
            yield "three"

    generator = talk()
    assert await anext(generator) == "one"
    assert await generator.asend("a") == "two"
    error = KeyError("x")
    assert await generator.athrow(error) == "three"
    with pytest.raises(StopAsyncIteration):
        await anext(generator)
    assert heard == ["a", error]
    assert outline(db) == "agent talk [talk] ok"


async def test_an_async_generator_left_early_is_cancelled_and_cleans_up(db):
    cleaned = []

    @counterfoil.tool
    async def stream():
        try:
            yield 1
            yield 2
        finally:
            cleaned.append(True)

    generator = stream()
    assert await anext(generator) == 1
    await generator.aclose()
    assert cleaned == [True]
    assert end_of(db, "stream").head.status == "cancelled"


async def test_an_async_generator_cancelled_while_it_waits_is_cancelled(db):
    @counterfoil.tool
    async def stream():
        yield 1
        await asyncio.sleep(3600)
        yield 2

    async def main():
        async for _ in stream():
            pass

    task = asyncio.create_task(main())
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert outline(db) == "tool stream cancelled"


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


# -- nothing that a programmer gets wrong stops the application

HUGE = "x" * 3_000_000


class Raising:
    def __str__(self):
        raise ValueError("no")

    __repr__ = __str__


@pytest.mark.parametrize(
    "odd", [None, 5, b"bytes", "\ud800", HUGE, ["a"], {"a": 1}, Raising()], ids=lambda odd: type(odd).__name__
)
def test_odd_arguments_are_recorded_as_what_they_are(db, tmp_path, odd):
    @counterfoil.tool(name=odd)
    def work(given):
        return given

    with counterfoil.run(
        odd, task=odd, session=odd, labels={odd: odd} if isinstance(odd, str) else {"a": odd}, input=odd
    ) as span:
        span.set(output=odd, model=odd, stop_reason=odd)
        with counterfoil.step(odd, input=odd):
            assert work(odd) is odd
        counterfoil.access(odd, query=odd, items=[odd], size=odd)
        counterfoil.score(odd, odd, label=odd, comment=odd)
        counterfoil.handoff(odd, reason=odd, payload=odd)
    assert [one.head.kind for one in lines(db, "start")] == ["workflow", "other", "tool"]
    assert len(lines(db, "end", "access", "score")) == 5


@pytest.mark.parametrize("db", [5, object(), "with\0null", ["list"]], ids=lambda db: type(db).__name__)
def test_a_store_that_is_none_is_said_and_the_block_runs(troubled, db):
    ran = []
    with counterfoil.run("desk", db=db) as span:
        span.set(output=1)
        span.score("good", 1)
        ran.append((span.run_id, span.step_id))
    with counterfoil.step("work", db=db):
        ran.append("step")
    counterfoil.access("kb", db=db)
    counterfoil.handoff("b", db=db)
    counterfoil.score("good", 1, db=db)
    assert counterfoil.traceparent(db) is None
    assert counterfoil.flush(db) is False
    assert ran == [("", ""), "step"]
    assert "counterfoil.spans.Block.begin" in troubled


def test_odd_kinds_labels_statuses_modes_and_usage_are_said_and_the_block_runs(troubled, tmp_path):
    with counterfoil.run("desk", labels=["a"], traceparent=5) as span:
        span.set(status="done")
        span.set(usage=5)
        span.set(usage={"tokens": 5})
        span.set(nonsense=5)
        with counterfoil.step("odd", kind="banana"):
            pass
        counterfoil.handoff("b", mode="banana")
        counterfoil.access("kb", items=5)
    assert outline(tmp_path / "x.db") == "workflow desk ok\n  other odd ok"
    assert len(troubled) == 5


def test_a_working_folder_that_is_gone_is_said_and_the_block_runs(tmp_path):
    code = """
        import os, sys
        import counterfoil
        os.mkdir(sys.argv[1])
        os.chdir(sys.argv[1])
        os.rmdir(sys.argv[1])
        del os.environ["COUNTERFOIL_DB"]
        with counterfoil.run("desk"):
            print("ran")
    """
    with child.start(code, tmp_path / "gone", db=tmp_path / "x.db") as process:
        printed, complained = process.communicate(timeout=child.SECONDS)
    assert (process.returncode, printed) == (0, "ran\n")
    assert complained.count("Traceback") == 0


def test_what_cannot_be_decorated_is_left_as_it_is_and_said(troubled):
    class Tool:
        def __call__(self):
            return 1

    made = Tool()
    assert counterfoil.tool(made) is made
    assert counterfoil.agent(Tool) is Tool
    assert counterfoil.tool(5) == 5
    assert troubled == {"counterfoil.tool": 2, "counterfoil.agent": 1}


def test_a_name_given_as_the_only_argument_is_the_name(db):
    @counterfoil.tool("lookup")
    def search():
        return 1

    @counterfoil.agent("desk")
    def ask():
        return search()

    assert ask() == 1
    assert outline(db) == "agent desk [desk] ok\n  tool lookup [desk] ok"


@pytest.mark.parametrize("reads", [5, None])
def test_reads_that_are_none_are_said_and_the_tool_works(troubled, tmp_path, reads):
    @counterfoil.tool(reads=reads)
    def search():
        return 1

    assert search() == 1
    assert lines(tmp_path / "x.db", "end")[0].head.status == "ok"


def test_where_nothing_can_be_recorded_everything_still_works(troubled, monkeypatch, tmp_path):
    monkeypatch.setenv("COUNTERFOIL_DB", str(tmp_path / "missing" / "x.db"))

    @counterfoil.tool
    def work(n):
        return n

    @counterfoil.tool
    def stream():
        heard = yield 1
        yield heard

    with counterfoil.run("desk"):
        assert work(1) == 1
        generator = stream()
        assert (next(generator), generator.send(5)) == (1, 5)
    assert list(troubled.values()) == [1]
