"""Tool calls of LlamaIndex: what went in, what came out, and what went wrong."""

import asyncio

import pytest
from inline_snapshot import snapshot
from llama_index.core.agent.workflow import CodeActAgent
from llama_index.core.bridge.pydantic import BaseModel
from llama_index.core.tools import AsyncBaseTool, BaseTool, FunctionTool, ToolMetadata, ToolOutput
from llama_index.core.workflow import Context

import counterfoil
from llama_index_apps import add, agent, model, search
from outline import outline
from support_desk.endpoint import Reply, call, in_turn
from tape_reading import lines

pytestmark = pytest.mark.usefixtures("llama_index")


def asks(*calls):
    """Give a script that asks for these calls, all at once, and then is done."""
    return in_turn(Reply(calls=calls), Reply("done"))


def used(db):
    with counterfoil.open(db) as store:
        return sorted(store.tool_calls(), key=lambda one: one.started_ns)


class TestCalls:
    async def test_arguments_result_and_choice(self, db, serve):
        await agent("clerk", model(serve(asks(call("add", a=1, b=2)))), add).run("x")
        (one,) = used(db)
        assert (one.tool, one.arguments, one.result, one.status) == ("add", {"a": 1, "b": 2}, "3", "ok")
        assert (one.agent, one.evidence) == ("clerk", "native")
        with counterfoil.open(db) as store:
            first = min(store.llm_calls(), key=lambda call: call.started_ns)
            assert one.decided_by == first.step_id
            (part,) = [one for one in store.messages(first).output[0]["parts"] if one["type"] == "tool_call"]
        assert one.call_id == part["id"]
        (started,) = [line for line in lines(db, "start") if line.head.kind == "tool"]
        assert started.head.decided_evidence == "native"

    async def test_its_start_is_on_the_disk_before_its_body_runs(self, db, serve):
        seen = []

        async def look(query: str) -> str:
            """Look."""
            with counterfoil.open(db) as store:
                seen.extend((one.tool, one.status) for one in store.tool_calls())
            return query

        await agent("clerk", model(serve(asks(call("look", query="x")))), look).run("x")
        assert seen == [("look", "running")]

    async def test_several_at_once_know_their_calls(self, db, serve):
        calls = [call("search", query="tea"), call("search", query="milk"), call("add", a=1, b=2)]
        await agent("clerk", model(serve(asks(*calls))), search, add).run("x")
        with counterfoil.open(db) as store:
            first = min(store.llm_calls(), key=lambda call: call.started_ns)
            asked = {
                part["id"]: part["arguments"]
                for part in store.messages(first).output[0]["parts"]
                if part["type"] == "tool_call"
            }
        assert {one.call_id: one.arguments for one in used(db)} == asked

    async def test_the_context_of_the_workflow_is_no_argument(self, db, serve):
        async def count(ctx: Context, by: int) -> int:
            """Count."""
            return by + 1

        await agent("clerk", model(serve(asks(call("count", by=1)))), count).run("x")
        (one,) = used(db)
        assert (one.arguments, one.result) == ({"by": 1}, "2")

    async def test_an_argument_whose_class_is_called_alike_is_one(self, db):
        class Context(BaseModel):
            shelf: str

        def find(where: Context) -> str:
            """Find."""
            return where.shelf

        FunctionTool.from_defaults(find).call(where=Context(shelf="A"))
        assert [one.arguments for one in used(db)] == [{"where": {"shelf": "A"}}]

    async def test_a_tool_of_a_class_of_its_own(self, db, serve):
        class Look(AsyncBaseTool):
            @property
            def metadata(self):
                return ToolMetadata(name="look", description="Look")

            def call(self, query):
                return ToolOutput(content=f"saw {query}", tool_name="look", raw_input={}, raw_output=None)

            async def acall(self, query):
                return self.call(query)

        await agent("clerk", model(serve(asks(call("look", query="x")))), Look()).run("x")
        (one,) = used(db)  # `call` inside `acall` is the same
        assert (one.arguments, one.result) == ({"query": "x"}, "saw x")

    async def test_a_tool_that_knows_no_asyncio(self, db, serve):
        class Look(BaseTool):
            @property
            def metadata(self):
                return ToolMetadata(name="look", description="Look")

            def __call__(self, input):  # noqa: A002  # so LlamaIndex calls it
                return ToolOutput(content=f"saw {input}", tool_name="look", raw_input={}, raw_output=None)

        await agent("clerk", model(serve(asks(call("look", input="x")))), Look()).run("x")
        assert [(one.tool, one.result) for one in used(db)] == [("look", "saw x")]

    async def test_a_tool_that_calls_another(self, db, serve):
        inner = FunctionTool.from_defaults(add)

        async def twice(a: int) -> int:
            """Twice."""
            return int((await inner.acall(a=a, b=a)).content)

        await agent("clerk", model(serve(asks(call("twice", a=4)))), twice).run("x")
        assert outline(db) == snapshot("""\
agent clerk
  llm OpenAI [clerk]
  tool twice [clerk]
    tool add [clerk]
  llm OpenAI [clerk]\
""")

    def test_a_tool_by_itself(self, db):
        assert FunctionTool.from_defaults(add)(a=1, b=2).content == "3"
        (one,) = used(db)
        assert (one.tool, one.arguments, one.agent, one.call_id) == ("add", {"a": 1, "b": 2}, None, None)

    async def test_an_answer_that_ends_the_run(self, db, serve):
        tool = FunctionTool.from_defaults(add, return_direct=True)
        result = await agent("clerk", model(serve(asks(call("add", a=1, b=2)))), tool).run("x")
        assert str(result) == "3"
        assert outline(db) == snapshot("""\
agent clerk
  llm OpenAI [clerk]
  tool add [clerk]\
""")

    async def test_an_agent_that_writes_code(self, db, serve):
        def run(code: str) -> str:
            return str(eval(code))

        def says(request):
            ran = "1 + 1" in str([one for one in request.messages if one["role"] == "assistant"])
            return Reply("two" if ran else "<execute>\n1 + 1\n</execute>")

        coder = CodeActAgent(name="coder", llm=model(serve(says)), code_execute_fn=run, tools=[])
        await coder.run("What is one and one?")
        assert [(one.tool, one.arguments, one.result) for one in used(db)] == [
            ("execute", {"code": "1 + 1"}, "2")
        ]


class TestFailures:
    async def test_an_unknown_tool(self, db, serve):
        await agent("clerk", model(serve(asks(call("nobody", q=1)))), add).run("x")
        (one,) = used(db)
        assert (one.tool, one.arguments, one.status, one.error_type) == (
            "nobody",
            {"q": 1},
            "error",
            "UnknownTool",
        )
        assert one.error_message == "Tool nobody not found. Please select a tool that is available."
        assert (one.agent, one.call_id is not None, one.decided_by is not None) == ("clerk", True, True)

    async def test_a_tool_that_raises(self, db, serve):
        await agent("clerk", model(serve(asks(call("search", query="fail")))), search).run("x")
        (one,) = used(db)
        assert (one.status, one.error_type, one.error_message) == ("error", "LookupError", "no such page")
        with counterfoil.open(db) as store:
            (run,) = store.runs()
            assert (run.status, run.errors) == ("ok", 1)

    async def test_keywords_that_the_function_does_not_take(self, db, serve):
        await agent("clerk", model(serve(asks(call("add", a=1, wrong=2)))), add).run("x")
        assert [(one.status, one.error_type) for one in used(db)] == [("error", "InvalidArguments")]

    async def test_arguments_that_do_not_fit_the_schema(self, db, serve):
        def double(a: int) -> int:
            """Double."""
            return a + 0

        await agent("clerk", model(serve(asks(call("double", a="many")))), double).run("x")
        assert [(one.status, one.error_type) for one in used(db)] == [("error", "InvalidArguments")]

    async def test_an_error_of_the_tools_own_is_no_bad_call(self, db, serve):
        def check(a: int) -> int:
            """Check."""
            raise ValueError("too small")

        await agent("clerk", model(serve(asks(call("check", a=1)))), check).run("x")
        assert [(one.error_type, one.error_message) for one in used(db)] == [("ValueError", "too small")]

    async def test_a_tool_that_returns_an_error(self, db, serve):
        def check(a: int) -> int:
            """Check."""
            return a

        def judged(raw):
            return ToolOutput(
                content="no stock", tool_name="check", raw_input={}, raw_output=raw, is_error=True
            )

        tool = FunctionTool.from_defaults(check, callback=judged)
        await agent("clerk", model(serve(asks(call("check", a=1)))), tool).run("x")
        assert [(one.status, one.error_type, one.error_message) for one in used(db)] == [
            ("error", "ToolError", "no stock")
        ]

    async def test_arguments_that_are_no_json(self, db, serve):
        await agent("clerk", model(serve(asks(("add", "{'a': 1")))), add).run("x")
        (one,) = used(db)  # LlamaIndex calls the tool with none
        assert (one.arguments, one.error_type) == ({}, "InvalidArguments")


class TestResults:
    async def test_an_object_is_what_the_agent_is_told(self, db, serve):
        class Order(BaseModel):
            number: str

        def find(number: str) -> Order:
            """Find."""
            return Order(number=number)

        await agent("clerk", model(serve(asks(call("find", number="A-17")))), find).run("x")
        assert [one.result for one in used(db)] == ["number='A-17'"]

    def test_the_host_gets_the_same(self, db, llama_index):
        recorded = FunctionTool.from_defaults(add)(a=1, b=2)
        llama_index.uninstall()
        assert recorded == FunctionTool.from_defaults(add)(a=1, b=2)

    def test_in_asyncio_by_itself(self, db):
        tool = FunctionTool.from_defaults(async_fn=search)
        with pytest.raises(LookupError):
            asyncio.run(tool.acall(query="fail"))
        assert [(one.status, one.error_type) for one in used(db)] == [("error", "LookupError")]
