"""A model call told by two model objects, one inside the other, counts once; two calls never count as one (mapping.md, section 6)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import counterfoil
from counterfoil.events import message, text_part, tool_call_part
from counterfoil.ids import step_id
from counterfoil.recorder import Usage, recorder_at
from counterfoil.steps import Step
from counterfoil.wrapped import Told, counted, note


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.setenv("COUNTERFOIL_DRAIN", "off")
    return tmp_path / "x.db"


def said(text="Tea is hot.", *calls):
    return [message("assistant", [text_part(text), *(tool_call_part(one, "look_up", {}) for one in calls)])]


class Calls:
    """An outer model call and what it does inside, told to a store."""

    def __init__(self, path):
        self.path = path
        self.recorder = recorder_at(path)
        self.agent = self.recorder.start("agent", "clerk", framework="autogen")
        self.outer = self.recorder.start("llm", "Asking", framework="autogen", parent=self.agent)

    def inside(self, status="ok", *, parent=None, **told):
        step = self.recorder.start("llm", "Asked", framework="langchain", parent=parent or self.outer)
        self.recorder.end(step, status, **{"messages": said(), "usage": Usage(10, 2)} | told)
        return step

    def counted(self, status="ok", **told):
        """End the outer call; give the names of the calls that count."""
        self.recorder.end(self.outer, status, **told)
        self.recorder.end(self.agent)
        with counterfoil.open(self.path) as store:
            (run,) = store.runs(all=True)
            found = [(call.name, call.status) for call in store.llm_calls()]
            assert run.llm_calls == len(found)
            return found


ONE = [("Asked", "ok")]
TWO = [("Asking", "ok"), ("Asked", "ok")]


class TestOneCall:
    @pytest.mark.parametrize("usage", [None, Usage(10, 2)], ids=["told by the inner one", "the same"])
    def test_with_the_same_answer(self, path, usage):
        calls = Calls(path)
        calls.inside()
        assert calls.counted(messages=said(), usage=usage) == ONE

    def test_whose_answer_the_outer_one_cuts(self, path):
        calls = Calls(path)
        calls.inside(messages=said("Tea is hot.\nObservation: none"))
        assert calls.counted(messages=said("Tea is hot.")) == ONE

    def test_with_the_same_tokens_whose_answer_the_outer_one_rewrites(self, path):
        calls = Calls(path)
        calls.inside()
        assert calls.counted(messages=said("tea"), usage=Usage(10, 2)) == ONE

    def test_with_the_same_tool_calls(self, path):
        calls = Calls(path)
        calls.inside(messages=said("I look it up.", "c1"))
        assert calls.counted(messages=said("", "c1")) == ONE

    def test_with_an_agent_in_between(self, path):
        calls = Calls(path)
        agent = calls.recorder.start("agent", "thinker", framework="langchain", parent=calls.outer)
        calls.inside(parent=agent)
        calls.recorder.end(agent)
        assert calls.counted(messages=said()) == ONE

    def test_that_a_cache_answered(self, path):
        calls = Calls(path)
        calls.inside(cached=True)
        assert calls.counted(messages=said(), usage=Usage(10, 2)) == ONE

    @pytest.mark.parametrize("status", ["error", "cancelled"])
    def test_that_did_not_succeed(self, path, status):
        calls = Calls(path)
        calls.inside(status, messages=None, usage=None)
        assert calls.counted(status) == [("Asked", status)]

    def test_that_was_given_up_with_the_one_inside_still_open(self, path):
        calls = Calls(path)
        calls.recorder.start("llm", "Asked", framework="langchain", parent=calls.outer)
        assert calls.counted("cancelled") == [("Asked", "cancelled")]

    def test_after_one_that_failed(self, path):
        calls = Calls(path)
        calls.inside("error", messages=None, usage=None)
        calls.inside()
        assert calls.counted(messages=said()) == [("Asked", "error"), ("Asked", "ok")]

    def test_that_asked_again_is_as_many_as_were_asked(self, path):
        calls = Calls(path)
        calls.inside(messages=said("Tea?"))
        calls.inside()
        assert calls.counted(messages=said(), usage=Usage(20, 4)) == [*ONE, *ONE]

    def test_told_three_times(self, path):
        calls = Calls(path)
        between = calls.recorder.start("llm", "Between", framework="llama_index", parent=calls.outer)
        calls.inside(parent=between)
        calls.recorder.end(between, messages=said())
        assert calls.counted(messages=said()) == ONE

    def test_chose_what_either_report_of_it_chose(self, path):
        calls = Calls(path)
        asked = calls.inside(messages=said("", "c1"))
        calls.recorder.end(calls.outer, messages=said("", "c1"))
        tool = calls.recorder.start("tool", "look_up", framework="autogen", parent=calls.agent, call_id="c1")
        assert (tool.decided, tool.decided_evidence) == (asked.step_id, "native")


class TestTwoCalls:
    @pytest.mark.parametrize(
        ("inner", "outer"),
        [
            ({"response_id": "r1"}, {"response_id": "r2"}),
            ({}, {"response_id": "r2"}),
            ({"usage": Usage(10, 2)}, {"usage": Usage(11, 2)}),
            ({"messages": said("Is this allowed? Yes.")}, {}),
            ({"messages": said("", "c2")}, {"messages": said("", "c1")}),
            ({}, {"cached": True, "usage": Usage(10, 2)}),
            ({}, {"messages": None}),
        ],
        ids=[
            "other ids",
            "an id of its own",
            "other tokens",
            "another answer",
            "other tools",
            "a cache hit",
            "silence",
        ],
    )
    def test_never_count_as_one(self, path, inner, outer):
        calls = Calls(path)
        calls.inside(**inner)
        assert calls.counted(**{"messages": said()} | outer) == TWO

    def test_of_which_one_failed(self, path):
        calls = Calls(path)
        calls.inside("error", messages=None, usage=None)
        assert calls.counted(messages=said()) == [("Asking", "ok"), ("Asked", "error")]

    def test_one_after_the_other(self, path):
        calls = Calls(path)
        calls.inside(parent=calls.agent)
        assert calls.counted(messages=said()) == TWO


def step(kind="llm", parent=None):
    return Step("x.db", "0" * 32, step_id(), parent, kind, kind, "python", 0)


texts = st.sampled_from(["", "tea", "tea is hot", "coffee"])
told = st.builds(
    lambda text, tokens, response_id, status, cached: Told(
        step_id(), status, response_id, *tokens, [] if not text else [_json(text)], cached
    ),
    texts,
    st.sampled_from([(None, None), (1, 2), (3, 4), (4, 6)]),
    st.sampled_from([None, "r1", "r2"]),
    st.sampled_from(["ok", "error", "cancelled"]),
    st.booleans(),
)


def _json(text):
    return f'{{"role":"assistant","parts":[{{"type":"text","content":"{text}"}}]}}'.encode()


@given(st.lists(told, max_size=4), told)
def test_what_the_outer_one_knows_of_its_own_is_never_lost(inside, outer):
    around = step()
    for one in inside:
        note(step(parent=around), one)
    found = counted(around, outer)
    if found is None:
        return
    kept = next(one for one in inside if one.step_id == found)
    assert kept.status == outer.status
    assert not outer.cached
    assert outer.response_id in {None, kept.response_id}
    tokens = {(one.input_tokens, one.output_tokens) for one in inside}
    known = [one for one in inside if one.status == outer.status]
    whole = tuple(sum(one[at] or 0 for one in known) for at in (3, 4))
    if outer.response_id is None and outer.input_tokens is not None:
        assert (outer.input_tokens, outer.output_tokens) in {*tokens, whole} or kept.input_tokens is None


@given(st.lists(told, max_size=4))
def test_nothing_inside_means_nothing_folds(others):
    alone = step()
    for one in others:
        note(step(), one)
    assert all(counted(alone, one) is None for one in others)
