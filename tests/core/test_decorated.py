"""`@tool` and `@agent` on functions, methods and generators of every kind: each is as it was."""

import asyncio
import functools
import gc
import inspect
import weakref

import pytest

import counterfoil
from tape_reading import end_of, line_of, lines, outline


@pytest.fixture
def db(default_db):
    return default_db


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
