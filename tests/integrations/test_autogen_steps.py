"""What of AutoGen becomes which step, and in which run."""

import asyncio

import pytest
from autogen_agentchat.agents import BaseChatAgent, MessageFilterAgent, SocietyOfMindAgent
from autogen_agentchat.agents._message_filter_agent import MessageFilterConfig
from autogen_agentchat.base import Response
from autogen_agentchat.messages import TextMessage
from autogen_agentchat.tools import AgentTool, TeamTool
from autogen_core import SingleThreadedAgentRuntime
from autogen_core.memory import ListMemory, MemoryContent

import counterfoil
from autogen_apps import add, agent, asks, replay, search, team
from counterfoil_autogen import calls
from outline import outline, outlines
from support_desk.endpoint import Reply, call, in_turn

pytestmark = pytest.mark.usefixtures("autogen")


def one(db):
    """Give the only run, and its steps by `kind name`."""
    with counterfoil.open(db) as store:
        (run,) = store.runs(all=True)
        return run, {f"{step.kind} {step.name}": step for step in store.steps(run)}


class Echo(BaseChatAgent):
    """An agent of the user's, with one method only."""

    def __init__(self, name="echo", inner=None):
        super().__init__(name, "repeats")
        self.inner = inner

    @property
    def produced_message_types(self):
        return (TextMessage,)

    async def on_messages(self, messages, cancellation_token):
        said = messages[-1].content if messages else ""
        if self.inner is not None:
            said = (await self.inner.run(task=said)).messages[-1].content
        return Response(chat_message=TextMessage(content=said, source=self.name))

    async def on_reset(self, cancellation_token): ...


class TestTeam:
    async def test_a_team_its_agents_their_calls(self, db, client):
        script = in_turn(Reply(calls=[call("search", query="tea")]), Reply("done"))
        clerk = agent("clerk", client(script), search, max_tool_iterations=3)
        await team(clerk).run(task="find tea")
        assert outline(db) == (
            "workflow office\n"
            "  agent clerk\n"
            "    llm OpenAIChatCompletionClient [clerk]\n"
            "    tool search [clerk]\n"
            "    llm OpenAIChatCompletionClient [clerk]"
        )

    async def test_task_answer_and_why_it_stopped(self, db):
        await team(agent("clerk", "done")).run(task="hello")
        run, steps = one(db)
        assert (run.input, run.output) == ("hello", "done")
        assert run.stop_reason == "Maximum number of turns 1 reached."
        assert steps["agent clerk"].output == "done"
        assert steps["agent clerk"].native_id.startswith("clerk_")

    async def test_each_run_of_a_team_is_a_run_of_one_session(self, db):
        office = team(agent("clerk", ["one", "two"]))
        await office.run(task="1")
        await office.run(task="2")
        with counterfoil.open(db) as store:
            runs = store.runs()
        assert [run.session_id for run in runs] == [office._team_id] * 2
        assert len({run.first_run_id for run in runs}) == 2

    async def test_a_team_in_a_team(self, db):
        inner = team(agent("ann", "1"), name="inner")
        await team(inner, agent("bob", "2"), name="outer").run(task="x")
        assert outline(db) == (
            "workflow outer\n"
            "  workflow inner\n"
            "    agent ann\n"
            "      llm ReplayChatCompletionClient [ann]\n"
            "  agent bob\n"
            "    llm ReplayChatCompletionClient [bob]\n"
            "inner -> bob route accepted native"
        )
        assert one(db)[0].stop_reason == "Maximum number of turns 2 reached."

    async def test_a_society_of_mind_asks_its_team(self, db):
        mind = SocietyOfMindAgent("mind", team(agent("ann", "1"), name="inner"), replay("2"))
        await team(mind).run(task="x")
        assert outline(db) == (
            "workflow office\n"
            "  agent mind\n"
            "    workflow inner [mind]\n"
            "      agent ann\n"
            "        llm ReplayChatCompletionClient [ann]\n"
            "    llm ReplayChatCompletionClient [mind]\n"
            "mind -> inner escalation returned native to a workflow"
        )

    async def test_agents_and_teams_behind_tools(self, db):
        helpers = [
            AgentTool(agent("ann", "1"), return_value_as_last_message=True),
            TeamTool(team(agent("bea", "2"), name="crew"), name="crew_tool", description="a crew"),
        ]
        boss = agent("boss", asks(("ann", {"task": "a"}), ("crew_tool", {"task": "b"})), *helpers)
        await boss.run(task="x")
        assert outline(db) == (
            "agent boss\n"
            "  llm ReplayChatCompletionClient [boss]\n"
            "  tool ann [boss]\n"
            "    agent ann\n"
            "      llm ReplayChatCompletionClient [ann]\n"
            "  tool crew_tool [boss]\n"
            "    workflow crew [boss]\n"
            "      agent bea\n"
            "        llm ReplayChatCompletionClient [bea]\n"
            "boss -> ann escalation returned native: a\n"
            "boss -> crew escalation returned native to a workflow: b"
        )
        assert one(db)[1]["tool ann"].output == "1"

    async def test_what_is_told_inside_is_recorded_once_outside(self, db):
        """A tool that is an agent sends its agent's own events through the asker's stream."""
        inner = agent("ann", asks(("nowhere", {}), ("search", {"query": "tea"})), search)
        boss = agent("boss", asks(("ann", {"task": "a"})), AgentTool(inner))
        async for _ in team(boss).run_stream(task="x"):
            pass
        assert outline(db).count("tool nowhere") == 1
        assert "tool nowhere [ann] error (UnknownTool)" in outline(db)


class TestAgent:
    @pytest.mark.parametrize("way", ["run", "run_stream", "on_messages", "on_messages_stream"])
    async def test_an_agent_asked_by_itself_is_a_run(self, db, way):
        from autogen_core import CancellationToken

        clerk, said = agent("clerk", "done"), TextMessage(content="hello", source="user")
        if way == "run":
            await clerk.run(task=said)
        elif way == "on_messages":
            await clerk.on_messages([said], CancellationToken())
        elif way == "run_stream":
            _ = [one async for one in clerk.run_stream(task=said)]
        else:
            _ = [one async for one in clerk.on_messages_stream([said], CancellationToken())]
        assert outline(db) == "agent clerk\n  llm ReplayChatCompletionClient [clerk]"
        run, _ = one(db)
        assert (run.output, run.session_id) == ("done", None)
        assert run.input == {
            "messages": [{"role": "user", "parts": [{"type": "text", "content": "hello"}], "name": "user"}]
        }

    async def test_one_of_the_users_own_made_after_install(self, db):
        await team(Echo(), agent("clerk", "done")).run(task="x")
        assert outline(db) == (
            "workflow office\n"
            "  agent echo\n"
            "  agent clerk\n"
            "    llm ReplayChatCompletionClient [clerk]\n"
            "echo -> clerk route accepted native"
        )

    async def test_one_that_calls_another_in_its_own_code_asks_it(self, db):
        await Echo("chief", agent("clerk", "done")).run(task="x")
        assert outline(db) == (
            "agent chief\n"
            "  agent clerk\n"
            "    llm ReplayChatCompletionClient [clerk]\n"
            "chief -> clerk escalation returned inferred"
        )

    async def test_one_that_calls_itself_by_super_is_one_turn(self, db):
        class Loud(Echo):
            async def on_messages(self, messages, cancellation_token):
                return await super().on_messages(messages, cancellation_token)

        await Loud().run(task="x")
        assert outline(db) == "agent echo"

    async def test_a_filter_is_no_turn_of_its_own(self, db):
        inner = agent("clerk", asks(("nowhere", {})), search)
        await team(MessageFilterAgent("clerk", inner, MessageFilterConfig(per_source=[]))).run(task="x")
        assert outline(db) == (
            "workflow office\n"
            "  agent clerk\n"
            "    llm ReplayChatCompletionClient [clerk]\n"
            "    tool nowhere [clerk] error (UnknownTool)"
        )

    async def test_what_it_remembers_is_read(self, db):
        memory = ListMemory("notes")
        await memory.add(MemoryContent(content="likes tea", mime_type="text/plain", metadata={"id": "m1"}))
        await memory.add(MemoryContent(content={"a": 1}, mime_type="application/json"))
        await agent("clerk", "done", memory=[memory]).run(task="x")
        assert outline(db) == (
            "agent clerk\n  memory notes [clerk]\n  llm ReplayChatCompletionClient [clerk]"
        )
        with counterfoil.open(db) as store:
            read = store.sql("SELECT source, item_id, bytes, agent FROM accesses ORDER BY bytes DESC")[1]
        assert read == [("notes", "m1", 9, "clerk"), ("notes", None, 7, "clerk")]

    async def test_what_a_memory_is_asked_is_its_input(self, db):
        memory = ListMemory("notes")
        await memory.add(MemoryContent(content="likes tea", mime_type="text/plain"))

        async def look_up(query: str) -> str:
            return str((await memory.query(query)).results[0].content)

        await agent("clerk", asks(("look_up", {"query": "tea"})), look_up).run(task="x")
        with counterfoil.open(db) as store:
            asked = store.sql("SELECT input, output FROM steps WHERE kind = 'memory'")[1]
        assert asked == [('"tea"', '["likes tea"]')]

    async def test_a_bare_model_call_is_a_run_without_an_agent(self, db, client):
        from autogen_core.models import UserMessage

        await client(in_turn(Reply("done"))).create([UserMessage(content="hi", source="user")])
        assert outline(db) == "llm OpenAIChatCompletionClient"


def a_whole(name):
    """A team of teams, agents behind tools and a mind."""
    helper = AgentTool(agent(f"{name}_sub", asks(("add", {"a": 1, "b": 2})), add))
    boss = agent(f"{name}_boss", asks((f"{name}_sub", {"task": "t"}), ("nowhere", {})), helper)
    inner = team(agent(f"{name}_ann", "1"), name=f"{name}_inner")
    mind = SocietyOfMindAgent(f"{name}_mind", team(agent(f"{name}_bea", "1"), name=f"{name}_m"), replay("2"))
    return boss, inner, mind, Echo(f"{name}_echo")


def own(name, db):
    """Give the outline that each whole has, by itself."""
    with counterfoil.open(db) as store:
        (run,) = (one for one in store.runs() if one.name == f"{name}_all")
        steps = store.steps(run)
        assert {step.name.partition("_")[0] for step in steps if step.kind in {"agent", "workflow"}} == {name}
        assert not any(step.status == "running" for step in steps)
        return outline(store, run).replace(f"{name}_", "")


class TestRuns:
    @pytest.mark.slow
    async def test_two_teams_at_once(self, db):
        names = [f"n{number}" for number in range(30)]
        await asyncio.gather(*(team(*a_whole(name), name=f"{name}_all").run(task="x") for name in names))
        assert len({own(name, db) for name in names}) == 1

    @pytest.mark.slow
    @pytest.mark.parametrize("around", [False, True])
    async def test_two_teams_on_a_runtime_of_the_users(self, db, around):
        """Its agents run in the context in which it was started, whatever that was."""
        runtime = SingleThreadedAgentRuntime(ignore_unhandled_exceptions=False)
        if around:
            with counterfoil.run("starter", db=db):
                runtime.start()
        else:
            runtime.start()
        names = [f"n{number}" for number in range(10)]
        await asyncio.gather(
            *(team(*a_whole(name), name=f"{name}_all", runtime=runtime).run(task="x") for name in names)
        )
        await runtime.stop_when_idle()
        assert len({own(name, db) for name in names}) == 1

    async def test_a_runtime_of_the_users_records_what_any_other_does(self, db):
        await team(*a_whole("a"), name="a_all").run(task="x")
        runtime = SingleThreadedAgentRuntime(ignore_unhandled_exceptions=False)
        runtime.start()
        await team(*a_whole("b"), name="b_all", runtime=runtime).run(task="x")
        await runtime.stop_when_idle()
        assert own("a", db) == own("b", db)

    async def test_a_runtime_started_in_a_tool_of_another_run(self, db):
        """While that tool goes on, its context is not where the other team's work stands."""
        runtime, done = SingleThreadedAgentRuntime(ignore_unhandled_exceptions=False), asyncio.Event()

        async def start(query: str) -> str:
            runtime.start()
            await done.wait()
            return query

        host = asyncio.create_task(team(agent("host", asks(("start", {"query": "x"})), start)).run(task="x"))
        await asyncio.sleep(0)
        await team(agent("guest", "1"), name="other", runtime=runtime).run(task="x")
        done.set()
        await host
        assert outlines(db) == (
            "workflow office\n"
            "  agent host\n"
            "    llm ReplayChatCompletionClient [host]\n"
            "    tool start [host]\n"
            "--\n"
            "workflow other\n"
            "  agent guest\n"
            "    llm ReplayChatCompletionClient [guest]"
        )

    async def test_a_run_around_holds_all(self, db):
        with counterfoil.run("batch", db=db, session="s-1"):
            await team(agent("ann", "1")).run(task="x")
            await agent("bob", "2").run(task="y")
        assert outline(db) == (
            "workflow batch\n"
            "  workflow office\n"
            "    agent ann\n"
            "      llm ReplayChatCompletionClient [ann]\n"
            "  agent bob\n"
            "    llm ReplayChatCompletionClient [bob]"
        )
        assert one(db)[0].session_id == "s-1"

    @pytest.mark.slow
    async def test_nothing_of_two_hundred_finished_runs_is_kept(self, db):
        for _ in range(200):
            await team(agent("clerk", "done")).run(task="x")
        assert len(calls.runs) == 0
        with counterfoil.open(db) as store:
            assert len(store.runs(limit=None)) == 200
