"""Tool calls: run, failed, unknown, with the wrong arguments; in threads, in workbenches, as code."""

import asyncio

import pytest
from autogen_agentchat.agents import CodeExecutorAgent
from autogen_core.code_executor import CodeBlock, CodeExecutor, CodeResult
from autogen_core.tools import (
    BaseStreamTool,
    FunctionTool,
    StaticWorkbench,
    TextResultContent,
    ToolOverride,
    ToolResult,
    Workbench,
)
from pydantic import BaseModel

import counterfoil
from autogen_apps import add, agent, asks, search, team
from outline import outline, outlines

pytestmark = pytest.mark.usefixtures("autogen")


def calls(db):
    """Give every tool call by its name."""
    with counterfoil.open(db) as store:
        return {one.tool: one for one in store.tool_calls()}


class TestCalls:
    async def test_arguments_result_and_which_model_call_chose_it(self, db):
        await agent("clerk", asks(("add", {"a": 1, "b": 2})), add).run(task="x")
        found = calls(db)["add"]
        assert (found.arguments, found.result, found.status, found.agent) == (
            {"a": 1, "b": 2},
            3,
            "ok",
            "clerk",
        )
        with counterfoil.open(db) as store:
            assert found.decided_by == store.llm_calls()[0].step_id
        assert found.call_id.startswith("call_")

    async def test_the_intent_is_on_the_tape_before_the_body_runs(self, db):
        seen = []

        async def look(query: str) -> str:
            seen.append(outline(db))
            return query

        await agent("clerk", asks(("look", {"query": "x"})), look).run(task="x")
        assert seen[0].split("\n")[2] == "  tool look [clerk] running"

    async def test_side_by_side(self, db):
        both = asyncio.Barrier(2)

        async def meet(name: str) -> str:
            await both.wait()
            counterfoil.access("page", query=name)
            return name

        await agent("clerk", asks(("meet", {"name": "a"}), ("meet", {"name": "b"})), meet).run(task="x")
        with counterfoil.open(db) as store:
            _, rows = store.sql(
                "SELECT t.result, a.query FROM accesses a JOIN tool_calls t USING (step_id) ORDER BY 1"
            )
        assert rows == [('"a"', "a"), ('"b"', "b")]

    async def test_one_that_raises(self, db):
        await agent("clerk", [asks(("search", {"query": "fail"})), "sorry"], search).run(task="x")
        found = calls(db)["search"]
        assert (found.status, found.error_type, found.error_message) == (
            "error",
            "LookupError",
            "no such page",
        )
        with counterfoil.open(db) as store:
            (run,) = store.runs()
        assert (run.status, run.errors) == ("ok", 1)

    async def test_one_that_nobody_knows(self, db):
        await agent("clerk", asks(("nowhere", {"x": 1})), search).run(task="x")
        found = calls(db)["nowhere"]
        assert (found.status, found.error_type, found.arguments) == ("error", "UnknownTool", {"x": 1})
        with counterfoil.open(db) as store:
            assert found.decided_by == store.llm_calls()[0].step_id

    async def test_arguments_that_are_no_json(self, db):
        await agent("clerk", asks(("search", '{"query": ')), search).run(task="x")
        found = calls(db)["search"]
        assert (found.status, found.error_type, found.arguments) == (
            "error",
            "InvalidArguments",
            '{"query": ',
        )

    async def test_arguments_that_do_not_fit(self, db):
        await agent("clerk", asks(("add", {"a": "one", "b": 2})), add).run(task="x")
        assert (calls(db)["add"].status, calls(db)["add"].error_type) == ("error", "InvalidArguments")

    async def test_what_does_not_fit_inside_the_body_is_the_tools_own_error(self, db):
        class Page(BaseModel):
            number: int

        async def read(query: str) -> str:
            return Page.model_validate({"number": query}).model_dump_json()

        await agent("clerk", asks(("read", {"query": "x"})), read).run(task="x")
        assert calls(db)["read"].error_type == "ValidationError"

    async def test_calls_numbered_anew_in_each_answer(self, db):
        first, second = asks(("search", {"query": "a"})), asks(("nowhere", {}))
        second.content[0].id = first.content[0].id
        clerk = agent("clerk", [first, second, "done"], search, max_tool_iterations=3)
        await clerk.run(task="x")
        assert [one for one in outline(db).split("\n") if "tool" in one] == [
            "  tool search [clerk]",
            "  tool nowhere [clerk] error (UnknownTool)",
        ]

    async def test_a_bare_call_is_a_run_without_an_agent(self, db):
        from autogen_core import CancellationToken

        await FunctionTool(search, description="x").run_json({"query": "tea"}, CancellationToken())
        assert outline(db) == "tool search"


class TestInside:
    async def test_a_function_that_runs_in_a_thread_knows_its_step(self, db):
        def read(query: str) -> str:
            counterfoil.access("page", query=query)
            with counterfoil.step("digest"):
                return query

        await agent("clerk", asks(("read", {"query": "tea"})), read).run(task="x")
        assert outline(db) == (
            "agent clerk\n"
            "  llm ReplayChatCompletionClient [clerk]\n"
            "  tool read [clerk]\n"
            "    other digest [clerk]"
        )
        with counterfoil.open(db) as store:
            assert store.sql("SELECT query, agent FROM accesses")[1] == [("tea", "clerk")]

    async def test_a_team_run_there_was_asked(self, db):
        def delegate(task: str) -> str:
            return asyncio.run(team(agent("ann", "1"), name="crew").run(task=task)).messages[-1].content

        await agent("clerk", asks(("delegate", {"task": "t"})), delegate).run(task="x")
        assert outline(db) == (
            "agent clerk\n"
            "  llm ReplayChatCompletionClient [clerk]\n"
            "  tool delegate [clerk]\n"
            "    workflow crew [clerk]\n"
            "      agent ann\n"
            "        llm ReplayChatCompletionClient [ann]\n"
            "clerk -> crew escalation returned inferred to a workflow: t"
        )

    async def test_the_threads_context_is_left_as_it_was(self, db):
        from concurrent.futures import ThreadPoolExecutor

        def read(query: str) -> str:
            return query

        with ThreadPoolExecutor(1) as pool:
            asyncio.get_running_loop().set_default_executor(pool)
            await agent("clerk", asks(("read", {"query": "x"})), read).run(task="x")
            assert pool.submit(counterfoil.traceparent).result() is None

    async def test_langchain_in_a_tool_finds_it(self, db, installed):
        from langchain_core.runnables import RunnableLambda

        def read(query: str) -> str:
            return RunnableLambda(lambda text: text, name="shout").invoke(query)

        await agent("clerk", asks(("read", {"query": "x"})), read).run(task="x")
        assert outlines(db).split("\n")[2:] == ["  tool read [clerk]", "    other shout [clerk]"]


class Library(Workbench):
    """A workbench of the user's."""

    async def list_tools(self):
        return [{"name": "lend"}, {"name": "burn"}, {"name": "crash"}]

    async def call_tool(self, name, arguments=None, cancellation_token=None, call_id=None):
        if name == "crash":
            raise OSError("no library")
        text = TextResultContent(content=f"{name} {arguments['book']}")
        return ToolResult(name=name, result=[text], is_error=name == "burn")

    async def start(self): ...
    async def stop(self): ...
    async def reset(self): ...
    async def save_state(self):
        return {}

    async def load_state(self, state): ...


class TestWorkbenches:
    async def test_of_the_users(self, db):
        asked = asks(("lend", {"book": "b"}), ("burn", {"book": "b"}))
        await agent("clerk", asked, workbench=Library()).run(task="x")
        found = calls(db)
        assert (found["lend"].result, found["lend"].status, found["lend"].arguments) == (
            "lend b",
            "ok",
            {"book": "b"},
        )
        assert (found["burn"].status, found["burn"].error_type, found["burn"].error_message) == (
            "error",
            "ToolError",
            "burn b",
        )

    async def test_one_that_raises_leaves_its_agent_waiting(self, db):
        clerk = agent("clerk", asks(("crash", {"book": "b"})), workbench=Library())
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(clerk.run(task="x"), 0.3)  # microsoft/autogen#7956
        assert (calls(db)["crash"].error_type, calls(db)["crash"].error_message) == ("OSError", "no library")

    async def test_a_tool_under_another_name_and_a_workbench_that_adds_to_autogens_is_one_step(self, db):
        class Loud(StaticWorkbench):
            async def call_tool(self, name, arguments=None, cancellation_token=None, call_id=None):
                return await super().call_tool(name, arguments, cancellation_token, call_id)

        tools = [FunctionTool(search, description="x")]
        renamed = Loud(tools, tool_overrides={"search": ToolOverride(name="find")})
        await agent("clerk", asks(("find", {"query": "tea"})), workbench=renamed).run(task="x")
        assert outline(db).split("\n")[2:] == ["  tool find [clerk]"]
        assert calls(db)["find"].result == "found tea"

    async def test_a_tool_that_streams(self, db):
        class Piece(BaseModel):
            text: str

        class Counting(BaseStreamTool[Piece, Piece, Piece]):
            def __init__(self):
                super().__init__(Piece, Piece, "count", "counts")

            async def run(self, args, cancellation_token):
                return args

            async def run_stream(self, args, cancellation_token):
                for one in "ab":
                    yield Piece(text=one)
                counterfoil.access("page", query="late")
                yield Piece(text="c")

        with pytest.warns(UserWarning, match="Unexpected event type"):
            await agent("clerk", asks(("count", {"text": "x"})), Counting()).run(task="x")
        assert calls(db)["count"].result == {"text": "c"}
        with counterfoil.open(db) as store:
            assert store.sql("SELECT agent FROM accesses")[1] == [("clerk",)]


class Pretender(CodeExecutor):
    """Executes nothing."""

    async def execute_code_blocks(self, code_blocks, cancellation_token):
        return CodeResult(exit_code=int("fail" in code_blocks[0].code), output="out")

    async def start(self): ...
    async def stop(self): ...
    async def restart(self): ...


@pytest.mark.filterwarnings("ignore:No approval function set:UserWarning")
class TestCode:
    def runner(self, code, **options):
        said = CodeBlock(code=code, language="python")
        return CodeExecutorAgent("runner", Pretender(), **options), f"```python\n{said.code}\n```"

    @pytest.mark.parametrize(
        ("code", "status", "error"), [("1 + 1", "ok", None), ("fail()", "error", "exit code 1")]
    )
    async def test_code_is_a_tool_call(self, db, code, status, error):
        runner, task = self.runner(code)
        await runner.run(task=task)
        found = calls(db)["execute_code_block"]
        assert (found.status, found.error_message, found.agent) == (status, error, "runner")
        assert found.arguments["code_blocks"][0]["code"].strip() == code

    @pytest.mark.parametrize("later", [False, True])
    @pytest.mark.parametrize("yes", [False, True])
    async def test_a_human_approves_it(self, db, yes, later):
        from autogen_agentchat.agents import ApprovalResponse

        def say(request):
            return ApprovalResponse(approved=yes, reason="I read it")

        async def say_later(request):
            return say(request)

        runner, task = self.runner("1 + 1", approval_func=say_later if later else say)
        await runner.run(task=task)
        assert outline(db) == (
            "agent runner\n"
            f"  tool execute_code_block [runner]{'' if yes else ' denied'}\n"
            "    human human [runner]"
        )
        with counterfoil.open(db) as store:
            _, rows = store.sql("SELECT tool, arguments, status, comment FROM approvals")
        assert rows == [
            (
                "execute_code_block",
                '{"code":"```python\\n1 + 1\\n\\n```"}',
                "approved" if yes else "rejected",
                "I read it",
            )
        ]

    async def test_who_should_approve_raises(self, db):
        def say(request):
            raise EOFError("no terminal")

        runner, task = self.runner("1 + 1", approval_func=say)
        with pytest.raises(EOFError):
            await runner.run(task=task)
        assert outline(db) == (
            "agent runner error\n"
            "  tool execute_code_block [runner] error\n"
            "    human human [runner] error (EOFError)\n"
            "run: error"
        )
