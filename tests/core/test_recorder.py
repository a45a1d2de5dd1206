"""What adapters call: steps from start to end, and that nothing which a host may give them can raise."""

import gc
import threading
import weakref

import pytest

from counterfoil import context, guard, recorder
from counterfoil.events import Item, Usage, message, text_part
from counterfoil.pen import LIMIT_LABELS, LIMIT_TEXT
from counterfoil.recorder import Recorder, recorder_at
from tape_reading import end_of, line_of, lines, segments, statuses

HUGE = "x" * 5_000_000


@pytest.fixture
def db(tmp_path, monkeypatch):
    """A store that nobody drains, in a process that records to no other."""
    monkeypatch.setenv("COUNTERFOIL_DRAIN", "off")
    monkeypatch.setattr(recorder, "_recorders", {})
    return tmp_path / "x.db"


@pytest.fixture
def strict(monkeypatch):
    """An error of our own fails the test."""
    monkeypatch.setenv("COUNTERFOIL_RAISE", "1")


@pytest.fixture
def troubles(monkeypatch):
    """What of ours failed, place by place."""
    monkeypatch.setattr(guard, "_counts", counts := {})
    return counts


@pytest.fixture
def recorded(db):
    made = Recorder(str(db))
    yield made
    made.close()


def start(recorded, kind="other", name="step", parent=None, **more):
    return recorded.start(kind, name, framework="test", parent=parent, **more)


# -- steps


def test_a_step_is_on_the_tape_before_its_work_begins(db, recorded, strict):
    step = start(
        recorded, "tool", "search", input={"q": "x"}, call_id="c1", native_id="n1", labels={"a": "b"}
    )
    (line,) = lines(db, "start")
    assert (line.head.run, line.head.step, line.head.parent) == (step.run_id, step.step_id, None)
    assert (line.head.kind, line.head.t, line.head.evidence) == ("tool", step.started_ns, "native")
    assert (line.text.name, line.text.framework, line.text.call_id, line.text.native_id) == (
        "search",
        "test",
        "c1",
        "n1",
    )
    assert line.text.labels == {"a": "b"}
    assert line.parts == {"input": {"q": "x"}}


def test_a_child_is_in_its_parents_run_and_its_agents_turn(db, recorded, strict):
    agent = start(recorded, "agent", "triage")
    inner = start(recorded, "tool", "search", start(recorded, "task", "node", agent))
    line = line_of(db, "start", "search")
    assert line.head.run == agent.run_id
    assert line.head.parent == inner.parent.step_id
    assert line.text.agent == "triage"
    assert inner.turn is agent.turn


def test_a_step_of_another_process_can_stand_above(db, recorded, strict):
    step = start(recorded, under=("a" * 32, "b" * 16))
    assert (step.run_id, step.parent) == ("a" * 32, None)
    assert lines(db, "start")[0].head.parent == "b" * 16


def test_an_end_tells_what_came_of_it(db, recorded, strict):
    step = start(recorded, "llm", "chat")
    recorded.end(
        step,
        output={"x": 1},
        usage=Usage(10, 5, 3, raw={"in": 10}, source="provider"),
        model="m-1",
        response_id="r",
        ttft_ns=7,
        cached=True,
        stop_reason="length",
    )
    line = end_of(db, "chat")
    assert (line.head.status, line.head.cached, line.head.ttft_ns) == ("ok", True, 7)
    assert (line.head.input_tokens, line.head.output_tokens, line.head.cache_read_tokens) == (10, 5, 3)
    assert line.head.cache_write_tokens is None
    assert (line.text.model, line.text.response_id, line.text.usage_source, line.text.stop_reason) == (
        "m-1",
        "r",
        "provider",
        "length",
    )
    assert line.parts == {"usage": {"in": 10}, "output": {"x": 1}}


def test_a_decision_is_linked_to_the_model_call_that_made_it(db, recorded, strict):
    agent = start(recorded, "agent", "triage")
    model = start(recorded, "llm", "chat", agent)
    recorded.end(
        model, messages=[message("assistant", [{"type": "tool_call", "id": "c1", "name": "search"}])]
    )
    start(recorded, "tool", "search", agent, call_id="c1")
    head = line_of(db, "start", "search").head
    assert (head.decided, head.decided_evidence) == (model.step_id, "native")


def test_children_left_open_are_closed_with_their_parent_the_innermost_first(db, recorded, strict):
    root = start(recorded, name="root")
    middle = start(recorded, name="middle", parent=root)
    start(recorded, name="leaf", parent=middle)
    recorded.end(start(recorded, name="ended", parent=root))
    recorded.end(root)
    assert statuses(db) == [
        ("ended", "end", "ok"),
        ("leaf", "close", "cancelled"),
        ("middle", "close", "cancelled"),
        ("root", "end", "ok"),
    ]


def test_an_end_that_comes_after_the_parents_is_told_too(db, recorded, strict):
    root = start(recorded, name="root")
    late = start(recorded, name="late", parent=root)
    recorded.end(root)
    recorded.end(late, output="done")
    assert statuses(db)[-1] == ("late", "end", "ok")


def test_children_of_parallel_threads_are_all_closed(db, recorded, strict):
    root = start(recorded, name="root")
    barrier = threading.Barrier(8)

    def work():
        barrier.wait()
        for _ in range(50):
            start(recorded, name="child", parent=root)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    recorded.end(root)
    assert len(lines(db, "close")) == 400


@pytest.mark.parametrize("kind", ["tool", "llm", "memory"])
def test_late_work_goes_under_the_nearest_step_that_is_open(db, recorded, strict, kind):
    root = start(recorded, "workflow", "root")
    middle = start(recorded, "task", "middle", root)
    leaf = start(recorded, "task", "leaf", middle)
    recorded.end(leaf)
    recorded.end(middle)
    assert start(recorded, kind, "late", leaf).parent is root
    recorded.end(root)
    assert start(recorded, kind, "later", leaf).parent is root


@pytest.mark.parametrize("kind", ["agent", "workflow"])
def test_an_agent_or_workflow_whose_root_has_ended_is_a_run_of_its_own(recorded, strict, kind):
    root = start(recorded, "workflow", "root")
    recorded.end(root)
    late = start(recorded, kind, "late", root)
    assert (late.parent, late.run_id != root.run_id) == (None, True)


def test_what_becomes_known_later_is_amended(db, recorded, strict):
    step = start(recorded, "task", "node")
    recorded.amend(step, kind="agent", name="triage", session="s", labels={"a": "b"}, internal=True)
    line = line_of(db, "amend", "triage")
    assert (line.head.kind, line.head.internal) == ("agent", True)
    assert (line.text.agent, line.text.session, line.text.labels) == ("triage", "s", {"a": "b"})
    assert (step.agent, step.turn_step) == ("triage", step)


# -- errors


def ending(recorded, step, error):
    recorded.end(step, "error", error=error)


def errors(db):
    names = {line.head.step: line.text.name for line in lines(db, "start")}
    return {names[one.head.step]: one.text.error_type for one in lines(db, "end")}


def test_an_exception_stands_at_the_deepest_step_alone(db, recorded, strict):
    root = start(recorded, name="root")
    leaf = start(recorded, name="leaf", parent=root)
    error = ValueError("wrong")
    ending(recorded, leaf, error)
    ending(recorded, root, error)
    assert errors(db) == {"leaf": "ValueError", "root": None}
    assert [one.head.status for one in lines(db, "end")] == ["error", "error"]
    assert end_of(db, "leaf").text.error_message == "wrong"


def test_the_same_exception_raised_again_elsewhere_is_told_there_too(db, recorded, strict):
    error = ValueError("wrong")
    for name in ("one", "two"):
        ending(recorded, start(recorded, name=name), error)
    assert errors(db) == {"one": "ValueError", "two": "ValueError"}


def test_a_group_of_exceptions_that_were_all_told_below_is_not_told_again(db, recorded, strict):
    root = start(recorded, name="root")
    told = [ValueError("a"), KeyError("b")]
    for number, error in enumerate(told):
        ending(recorded, start(recorded, name=f"leaf {number}", parent=root), error)
    ending(recorded, root, ExceptionGroup("both", told))
    assert errors(db)["root"] is None


def test_a_group_with_an_exception_of_its_own_is_told(db, recorded, strict):
    root = start(recorded, name="root")
    told = ValueError("a")
    ending(recorded, start(recorded, name="leaf", parent=root), told)
    ending(recorded, root, ExceptionGroup("both", [told, KeyError("b")]))
    assert errors(db)["root"] == "ExceptionGroup"


def test_two_stores_each_tell_an_exception_once(db, tmp_path, strict):
    error = ValueError("wrong")
    paths = [db, tmp_path / "y.db"]
    for path in paths:
        made = Recorder(str(path))
        root = start(made, name="root")
        ending(made, start(made, name="leaf", parent=root), error)
        ending(made, root, error)
    for path in paths:
        assert errors(path) == {"leaf": "ValueError", "root": None}


def test_an_exception_that_refuses_attributes_is_marked_all_the_same(db, recorded, strict):
    class Frozen(Exception):  # noqa: N818  # as its users name theirs
        __slots__ = ()

        def __setattr__(self, name, value):
            raise AttributeError(name)

    error = Frozen()
    root = start(recorded, name="root")
    ending(recorded, start(recorded, name="leaf", parent=root), error)
    ending(recorded, root, error)
    assert errors(db) == {"leaf": "Frozen", "root": None}


def test_an_exception_is_not_kept_alive(recorded, strict):
    class Heavy(Exception):  # noqa: N818  # as its users name theirs
        pass

    error = Heavy()
    kept = weakref.ref(error)
    ending(recorded, start(recorded), error)
    del error
    assert kept() is None


# -- nothing that a host may give raises, and each event is there


class Raising:
    def __str__(self):
        raise ValueError("no")

    __repr__ = __str__


ODD = [None, 5, b"bytes", "\ud800", HUGE, ["a"], {"a": 1}, object(), Raising(), float("nan")]


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: type(odd).__name__)
def test_odd_names_and_texts_are_recorded_bounded(db, recorded, odd, troubles):
    step = recorded.start(
        "tool",
        odd,
        framework="test",
        native_id=odd,
        call_id=odd,
        task=odd,
        session=odd,
        version=odd,
        owner=odd,
        provider=odd,
        request_model=odd,
        input=odd,
    )
    recorded.end(step, model=odd, stop_reason=odd, error_type=odd, error_message=odd, finish_reason=odd)
    recorded.access(step, odd, query=odd)
    recorded.score(step, odd, label=odd, comment=odd)
    recorded.handoff("transfer", target=odd, step=step, reason=odd)
    recorded.decision(step, action=odd, resource=odd, verdict="allow", rule=odd, reason=odd)
    recorded.amend(step, name=odd, agent=odd, stop_reason=odd)
    assert [one.head.k for one in lines(db)] == [
        "open",
        "start",
        "end",
        "access",
        "score",
        "handoff",
        "decision",
        "amend",
    ]
    texts = [getattr(one.text, name) for one in lines(db) for name in one.text.__struct_fields__]
    assert all(len(text) < LIMIT_TEXT + 100 for text in texts if isinstance(text, str))
    assert troubles == {}


@pytest.mark.parametrize(
    "labels", [{1: 2}, {"a": None}, {"a": Raising()}, {"\ud800": "\ud800"}, {HUGE: HUGE}]
)
def test_odd_labels_are_recorded_bounded(db, recorded, labels, troubles):
    start(recorded, labels=labels)
    ((key, value),) = lines(db, "start")[0].text.labels.items()
    assert (type(key), type(value)) == (str, str)
    assert len(key) + len(value) < 2 * LIMIT_TEXT + 200
    assert troubles == {}


def test_no_event_has_more_labels_than_people_can_read(db, recorded):
    start(recorded, labels={f"label {number}": "x" * 1000 for number in range(10_000)})
    assert len(lines(db, "start")[0].text.labels) == LIMIT_LABELS


@pytest.mark.parametrize("labels", [5, "text", [1, 2], Raising()])
def test_labels_that_are_none_cost_no_step(db, recorded, labels, troubles):
    start(recorded, labels=labels)
    assert lines(db, "start")[0].text.labels is None
    assert list(troubles.values()) == [1]


@pytest.mark.parametrize("kind", ["banana", None, ["agent"], HUGE])
def test_a_kind_that_is_none_is_other_and_said_once(db, recorded, kind, troubles):
    start(recorded, kind)
    start(recorded, kind)
    assert [one.head.kind for one in lines(db, "start")] == ["other", "other"]
    assert troubles == {"the kind of a step": 2}


@pytest.mark.parametrize("status", ["done", None, ["ok"], "running"])
def test_a_status_that_is_none_still_ends_the_step(db, recorded, status, troubles):
    recorded.end(start(recorded), status)
    assert lines(db, "end")[0].head.status == "ok"
    assert troubles == {"the status of a step": 1}


def test_usage_of_odd_numbers_is_unknown_usage(db, recorded, troubles):
    step = start(recorded, "llm", "chat")
    odd = Usage(3.0, "5", -1, float("nan"), 2**70, True, raw={"any": {1}})
    recorded.end(step, usage=odd, ttft_ns="soon", cost_nano=object())
    head = end_of(db, "chat").head
    assert (head.input_tokens, head.output_tokens, head.cache_read_tokens, head.cache_write_tokens) == (
        3,
        None,
        None,
        None,
    )
    assert (head.reasoning_tokens, head.audio_tokens, head.ttft_ns, head.cost_nano) == (
        None,
        None,
        None,
        None,
    )
    assert troubles == {}


def test_usage_that_is_none_costs_no_end(db, recorded, troubles):
    recorded.end(start(recorded, "llm", "chat"), usage={"input_tokens": 5})
    assert end_of(db, "chat").head.status == "ok"
    assert list(troubles.values()) == [1]


class Endless:
    def __iter__(self):
        raise RuntimeError("no")

    def __bool__(self):
        return True


@pytest.mark.parametrize("messages", [Endless(), 5, [5, Raising()], [{"parts": 5}], [{"parts": [5]}]])
def test_odd_messages_cost_no_event(db, recorded, messages):
    agent = start(recorded, "agent", "triage")
    step = start(recorded, "llm", "chat", agent, messages=messages, offers=messages)
    recorded.end(step, messages=messages, model="m")
    assert end_of(db, "chat").text.model == "m"


def test_items_of_odd_kinds_are_recorded_as_what_they_are(db, recorded, strict):
    items = [Item("a", 0.5, 10, "s"), Item(5, "high", -1, b"x"), Item(None, float("nan"))]
    recorded.access(start(recorded), "kb", items=items)
    assert lines(db, "access")[0].parts["items"] == [
        {"item_id": "a", "score": 0.5, "bytes": 10, "source": "s"},
        {"item_id": "5", "score": None, "bytes": None, "source": "b'x'"},
        {"item_id": None, "score": None, "bytes": None, "source": None},
    ]


def test_ten_thousand_items_are_some_of_them(db, recorded, strict):
    recorded.access(start(recorded), "kb", items=[Item(f"{number}") for number in range(10_000)])
    items = lines(db, "access")[0].parts["items"]
    assert len(items) == recorder.LIMIT_ITEMS
    assert all(set(one) == {"item_id", "score", "bytes", "source"} for one in items)


def test_a_redactor_that_raises_withholds_the_text_and_the_event_is_there(db):
    made = recorder_at(db, redactors=[lambda text: 1 / 0])
    made.end(start(made, name="secret", input="secret"), output="secret")
    made.close()
    assert {one.head.k for one in lines(db)} >= {"open", "start", "end"}
    content = segments(db)[0].read_bytes()
    assert b"secret" not in content
    assert b'{"redacted":"<lambda> failed"}' in content


def test_a_redactor_that_is_none_is_refused_where_it_is_given(db):
    with pytest.raises(TypeError, match="a redactor is a Rule or a function"):
        Recorder(str(db), redactors=["sk-.*"])


# -- no content


def test_metadata_alone_holds_names_and_numbers_and_no_content(db, strict):
    made = Recorder(str(db), capture="metadata")
    secret = "what was said"
    agent = start(made, "agent", "triage", input=secret, messages=[message("user", [text_part(secret)])])
    tool = start(made, "tool", "search", agent, input={"q": secret}, offers=[{"name": secret}])
    made.access(tool, "kb", query=secret, items=[Item("article-1")])
    ending(made, tool, ValueError(secret))
    made.score(agent, "good", 1.0, comment=secret)
    made.handoff("transfer", target="billing", step=agent, reason=secret, payload=secret)
    made.end(agent, output=secret, usage=Usage(1, 2))
    content = segments(db)[0].read_bytes()
    assert secret.encode() not in content
    for kept in (b"triage", b"search", b"kb", b"article-1", b"ValueError", b"billing", b'"input_tokens":1'):
        assert kept in content
    assert tool.arguments is None


# -- handles keep nothing of the host's


class Thing:
    pass


def test_no_live_object_of_the_host_is_kept(recorded, strict):
    thing = Thing()
    kept = weakref.ref(thing)
    step = start(recorded, "tool", "work", start(recorded, "agent", "a"), input={"thing": thing})
    recorded.ask(step, {"thing": thing})
    recorded.amend(step, labels={"thing": thing})
    recorded.handoff("transfer", target="b", step=step, payload=thing)
    recorded.end(step, output=thing, usage=Usage(raw=thing))
    del thing
    gc.collect()
    assert kept() is None


@pytest.mark.slow
def test_a_run_that_has_ended_leaves_nothing_in_memory(recorded, strict):
    root = start(recorded, "workflow", "root")
    for _ in range(50):
        agent = start(recorded, "agent", "a", root)
        recorded.end(start(recorded, "tool", "t", agent, input={"x": 1}))
        start(recorded, "tool", "left open", agent)
        recorded.handoff("transfer", target="b", step=agent)
        recorded.end(agent)
    recorded.end(root)
    alive = weakref.WeakSet()
    assert not root.children
    del root, agent
    gc.collect()
    alive.update(
        one for one in gc.get_objects() if type(one).__name__ == "Step" and one.store == recorded.path
    )
    assert len(alive) == 0


def test_a_tools_arguments_are_plain_values_of_their_own(recorded, strict):
    given = {"a": [1, {2}], "text": "x"}
    step = start(recorded, "tool", "t", input=given)
    given["a"].append(3)
    assert step.arguments == {"a": [1, {"$set": [2]}], "text": "x"}
    assert start(recorded, "tool", "t").arguments is None


# -- where we are


def test_here_is_the_innermost_open_step_of_this_store(recorded, tmp_path, strict):
    root, other = start(recorded, name="root"), start(Recorder(str(tmp_path / "y.db")), name="other")
    inner = start(recorded, name="inner", parent=root)
    for one in (root, inner, other):
        context.enter(one)
    assert recorded.here() is inner
    recorded.end(inner)
    assert recorded.here() is root
    recorded.end(root)
    assert recorded.here() is root
    for one in (root, inner, other):
        context.leave(one)
    assert recorded.here() is None
