"""Tool calls of CrewAI: what went in, what came out, and what went wrong."""

import threading

import pytest
from crewai.hooks import (
    HookAborted,
    register_after_tool_call_hook,
    register_before_tool_call_hook,
    unregister_after_tool_call_hook,
    unregister_before_tool_call_hook,
)
from crewai.tools import tool
from crewai.tools.tool_failure import ToolFailure

import counterfoil
from crewai_apps import add, alone, model, search, text_model
from support_desk.endpoint import Reply, call, in_turn
from tape_reading import lines

pytestmark = pytest.mark.usefixtures("listening")


def used(db):
    """Give every tool call, the first one first."""
    with counterfoil.open(db) as store:
        return sorted(store.tool_calls(), key=lambda one: one.started_ns)


def asks(*calls):
    """Give a script that asks for these calls, one after the other, and then is done."""
    return in_turn(*(Reply(calls=[one]) for one in calls), Reply("done"))


def says(*texts):
    """Give a script that says these texts, one after the other."""

    def answer(request):
        said = sum(message["role"] == "assistant" for message in request.messages)
        return Reply(texts[min(said, len(texts) - 1)])

    return answer


def uses(name, arguments):
    return f"Thought: look\nAction: {name}\nAction Input: {arguments}"


class TestCalls:
    def test_arguments_result_and_choice(self, db, serve):
        alone("clerk", model(serve(asks(call("add", a=1, b=2)))), add).kickoff()
        (one,) = used(db)
        assert (one.tool, one.arguments, one.result, one.status) == ("add", {"a": 1, "b": 2}, "3", "ok")
        assert one.agent == "clerk"
        assert one.decided_by is not None
        assert one.call_id is None  # CrewAI's events do not say it

    def test_the_choice_is_inferred_from_the_name(self, db, serve):
        alone("clerk", model(serve(asks(call("add", a=1, b=2)))), add).kickoff()
        (started,) = [line for line in lines(db, "start") if line.head.kind == "tool"]
        assert started.head.decided_evidence == "inferred"

    def test_the_intent_is_on_the_tape_before_the_body_runs(self, db, serve):
        seen = []

        @tool("look")
        def look(query: str) -> str:
            """Look."""
            seen.extend(line.text.name for line in lines(db, "start"))
            return "seen"

        alone("clerk", model(serve(asks(call("look", query="x")))), look).kickoff()
        assert "look" in seen

    def test_calls_at_once_are_told_apart(self, db, serve):
        both = threading.Barrier(2, timeout=20)

        @tool("wait")
        def wait(n: int) -> str:
            """Wait."""
            both.wait()
            counterfoil.access(f"page {n}", db=db)
            return str(n)

        script = in_turn(Reply(calls=[call("wait", n=1), call("wait", n=2)]), Reply("done"))
        alone("clerk", model(serve(script)), wait).kickoff()
        with counterfoil.open(db) as store:
            read = {one.step_id: one.source for one in store.accesses()}
        assert {(one.arguments["n"], one.result, read[one.step_id]) for one in used(db)} == {
            (1, "1", "page 1"),
            (2, "2", "page 2"),
        }

    def test_what_a_hook_made_of_the_result(self, db, serve):
        def shorten(context):
            return "short"

        register_after_tool_call_hook(shorten)
        try:
            alone("clerk", model(serve(asks(call("search", query="tea")))), search).kickoff()
        finally:
            unregister_after_tool_call_hook(shorten)
        assert used(db)[0].result == "short"


class TestErrors:
    def test_a_tool_that_raises(self, db, serve):
        alone("clerk", model(serve(asks(call("search", query="fail")))), search).kickoff()
        (one,) = used(db)
        assert (one.status, one.error_type, one.error_message) == ("error", "LookupError", "no such page")

    def test_a_tool_that_says_it_failed(self, db, serve):
        @tool("post")
        def post(text: str):
            """Post."""
            return ToolFailure(message="channel not found", code="404")

        alone("clerk", model(serve(asks(call("post", text="hi")))), post).kickoff()
        (one,) = used(db)
        assert (one.status, one.error_type, one.error_message) == ("error", "ToolError", "channel not found")

    def test_an_unknown_tool(self, db, serve):
        alone("clerk", model(serve(asks(call("fly", to="moon")))), search).kickoff()
        (one,) = used(db)
        assert (one.tool, one.status, one.error_type) == ("fly", "error", "UnknownTool")
        assert one.arguments == {"to": "moon"}

    def test_arguments_that_do_not_fit(self, db, serve):
        alone("clerk", model(serve(asks(call("add", a="one", b=2)))), add).kickoff()
        (one,) = used(db)
        assert (one.status, one.error_type) == ("error", "InvalidArguments")

    def test_arguments_that_are_no_json(self, db, serve):
        alone("clerk", model(serve(asks(("search", '{"query": ')))), search).kickoff()
        (one,) = used(db)
        assert (one.status, one.error_type, one.arguments) == ("error", "InvalidArguments", '{"query": ')

    def test_a_tool_used_up(self, db, serve):
        @tool("look", max_usage_count=1)
        def look(query: str) -> str:
            """Look."""
            return "seen"

        script = asks(call("look", query="a"), call("look", query="b"))
        alone("clerk", model(serve(script)), look).kickoff()
        assert [(one.status, one.error_type) for one in used(db)] == [("ok", None), ("error", "UsageLimit")]


class TestHooks:
    @pytest.mark.parametrize(
        ("how", "why"),
        [
            ("returns False", ("before_tool_call hook returned False", "no")),
            ("raises HookAborted", ("too much", "limits")),
        ],
    )
    def test_a_hook_that_says_no(self, db, serve, how, why):
        ran = []

        @tool("pay")
        def pay(amount: int) -> str:
            """Pay."""
            ran.append(amount)
            return "paid"

        def no(_):
            if how == "returns False":
                return False
            raise HookAborted("too much", source="limits")

        register_before_tool_call_hook(no)
        try:
            alone("clerk", model(serve(asks(call("pay", amount=5)))), pay).kickoff()
        finally:
            unregister_before_tool_call_hook(no)
        assert ran == []
        (one,) = used(db)
        assert one.status == "denied"
        with counterfoil.open(db) as store:
            (decision,) = store.decisions()
        assert (decision.step_id, decision.action, decision.resource) == (one.step_id, "call_tool", "pay")
        assert (decision.verdict, decision.reason, decision.policy) == ("deny", *why)

    def test_a_hook_that_lets_pass_changes_nothing(self, db, serve):
        def yes(_):
            return None

        register_before_tool_call_hook(yes)
        try:
            alone("clerk", model(serve(asks(call("search", query="tea")))), search).kickoff()
        finally:
            unregister_before_tool_call_hook(yes)
        assert [one.status for one in used(db)] == ["ok"]

    def test_we_add_no_hook(self, db, serve):
        from crewai.hooks import get_before_tool_call_hooks

        alone("clerk", model(serve(asks(call("search", query="tea")))), search).kickoff()
        assert get_before_tool_call_hooks() == []


class TestCallsInText:
    def test_arguments_are_json_text_at_the_start_and_a_dict_at_the_end(self, db, serve):
        script = says(uses("search", '{"query": "tea"}'), "Final Answer: done")
        alone("clerk", text_model(serve(script)), search).kickoff()
        (one,) = used(db)
        assert (one.arguments, one.result, one.status) == ({"query": "tea"}, "found tea", "ok")

    def test_an_answer_from_the_cache_is_marked(self, db, serve):
        script = says(
            uses("search", '{"query": "tea"}'),
            uses("add", '{"a": 1, "b": 2}'),
            uses("search", '{"query": "tea"}'),
            "Final Answer: done",
        )
        office = alone("clerk", text_model(serve(script)), search, add, cache=True)
        office.cache = True
        office.kickoff()
        with counterfoil.open(db) as store:
            rows = store.sql("SELECT name, cached FROM t_steps WHERE kind = 'tool' ORDER BY started_ns")[1]
        assert [(name, bool(cached)) for name, cached in rows] == [
            ("search", False),
            ("add", False),
            ("search", True),
        ]

    def test_each_retry_is_a_call(self, db, serve):
        script = says(uses("search", '{"query": "fail"}'), "Final Answer: done")
        alone("clerk", text_model(serve(script)), search).kickoff()
        assert [(one.status, one.error_type) for one in used(db)] == [("error", "LookupError")] * 3

    def test_an_unknown_tool_is_told_once(self, db, serve):
        script = says(uses("fly", '{"to": "moon"}'), "Final Answer: done")
        alone("clerk", text_model(serve(script)), search).kickoff()
        (one,) = used(db)
        assert (one.tool, one.status, one.error_type) == ("fly", "error", "UnknownTool")

    def test_arguments_that_are_no_json(self, db, serve):
        script = says(uses("search", "tea, please"), "Final Answer: done")
        alone("clerk", text_model(serve(script)), search).kickoff()
        (one,) = used(db)
        assert (one.status, one.error_type) == ("error", "InvalidArguments")
