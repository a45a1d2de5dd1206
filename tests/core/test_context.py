"""Which step we are in: our own context variable, the frameworks' own, and W3C traceparent."""

import asyncio
import contextvars
import threading

import pytest

from counterfoil import context, guard
from counterfoil.context import current, enter, format_traceparent, leave, parse_traceparent, stack
from counterfoil.steps import Step

RUN = "0af7651916cd43dd8448eb211c80319c"
STEP = "b7ad6b7169203331"
HEADER = f"00-{RUN}-{STEP}-01"


def place(name, started_ns=1, store="a.db"):
    return Step(store, RUN, STEP, None, "other", name, "test", started_ns)


@pytest.fixture(autouse=True)
def apart():
    """Each test in a context of its own, with no finder of an adapter."""
    finders = context._finders
    context._finders = ()
    yield
    context._finders = finders
    context._stack.set(())


def test_outside_of_any_step_there_is_none():
    assert current("a.db") is None
    assert stack() == ()


def test_the_innermost_step_counts():
    outer, inner = place("outer"), place("inner")
    enter(outer)
    enter(inner)
    assert current("a.db") is inner
    leave(inner)
    assert current("a.db") is outer
    leave(outer)
    assert current("a.db") is None


def test_each_store_has_its_own():
    a, b = place("a"), place("b", store="b.db")
    enter(a)
    enter(b)
    assert (current("a.db"), current("b.db"), current("c.db")) == (a, b, None)


def test_steps_that_overlap_are_left_in_any_order():
    first, second = place("first"), place("second")
    enter(first)
    enter(second)
    leave(first)
    assert current("a.db") is second
    leave(second)
    assert stack() == ()


def test_what_was_never_entered_can_be_left():
    inside = place("inside")
    enter(inside)
    leave(place("other"))
    assert current("a.db") is inside


def test_a_step_left_in_another_context_is_left_there_alone():
    inside = place("inside")
    enter(inside)
    contextvars.copy_context().run(leave, inside)
    assert current("a.db") is inside


def test_a_thread_starts_outside():
    enter(place("inside"))
    seen = []
    thread = threading.Thread(target=lambda: seen.append(current("a.db")))
    thread.start()
    thread.join()
    assert seen == [None]


async def test_a_task_starts_where_it_was_made_and_enters_for_itself_alone():
    outer = place("outer")
    enter(outer)
    began = asyncio.Event()

    async def task():
        assert current("a.db") is outer
        enter(place("inner"))
        began.set()

    other = asyncio.create_task(task())
    await began.wait()
    assert current("a.db") is outer
    await other


# -- finders


def test_a_frameworks_own_context_counts_where_ours_is_silent():
    found = place("found")
    context.find_with(lambda store: found if store == "a.db" else None)
    assert (current("a.db"), current("b.db")) == (found, None)


@pytest.mark.parametrize(("ours", "theirs", "inner"), [(1, 2, "theirs"), (2, 1, "ours")])
def test_of_two_that_enclose_us_the_later_one_is_the_inner_one(ours, theirs, inner):
    found = place("theirs", theirs)
    context.find_with(lambda _store: found)
    enter(place("ours", ours))
    assert current("a.db").name == inner


def test_a_finder_that_raises_is_reported_and_the_others_are_asked(monkeypatch):
    monkeypatch.setattr(guard, "_counts", {})
    found = place("found")

    def broken(store):
        raise RuntimeError(store)

    context.find_with(broken)
    context.find_with(lambda _store: found)
    assert current("a.db") is found
    assert guard.counted() == {"counterfoil.context._ask": 1}


def test_a_finder_is_asked_once_and_can_be_forgotten():
    asked = []
    context.find_with(asked.append)
    context.find_with(asked.append)
    current("a.db")
    context.forget(asked.append)
    current("a.db")
    assert asked == ["a.db"]


# -- traceparent


def test_a_step_is_told_to_another_process_and_understood_there():
    assert format_traceparent(place("any")) == HEADER
    assert parse_traceparent(HEADER) == (RUN, STEP)
    assert parse_traceparent(f"  {HEADER}\n") == (RUN, STEP)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "nonsense",
        HEADER[:-1],
        HEADER.upper(),
        HEADER.replace("00-", "ff-", 1),
        f"00-{'0' * 32}-{STEP}-01",
        f"00-{RUN}-{'0' * 16}-01",
        HEADER + "-extra",
        "٠" + HEADER[1:],
        HEADER.encode(),
        None,
        5,
    ],
)
def test_what_is_no_traceparent_is_none(header):
    assert parse_traceparent(header) is None
