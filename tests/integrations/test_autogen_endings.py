"""How teams and agents end: errors, told where they are deepest; cancelled, left, or left hanging (mapping.md, section 5)."""

import asyncio
import gc

import pytest
from autogen_agentchat.conditions import ExternalTermination, MaxMessageTermination, TimeoutTermination
from autogen_agentchat.teams import SelectorGroupChat
from autogen_core import CancellationToken

import counterfoil
from autogen_apps import agent, asks, replay, search, team
from outline import outline

pytestmark = pytest.mark.usefixtures("autogen")


async def slow(query: str) -> str:
    """Take long."""
    await asyncio.sleep(0.3)
    return query


class TestErrors:
    async def test_a_models_error_is_told_at_its_call_alone(self, db):
        """AutoGen raises a RuntimeError in its place, with the first one's text and traceback."""
        with pytest.raises(RuntimeError, match="ValueError"):
            await team(agent("ann", []), agent("bob", "2")).run(task="x")
        assert outline(db) == (
            "workflow office error\n"
            "  agent ann error\n"
            "    llm ReplayChatCompletionClient [ann] error (ValueError)\n"
            "run: error"
        )
        with counterfoil.open(db) as store:
            (run,) = store.runs()
        assert run.errors == 1

    async def test_through_teams_in_teams_and_a_run_around(self, db):
        with pytest.raises(RuntimeError), counterfoil.run("batch", db=db):
            await team(team(agent("ann", []), name="inner"), name="outer").run(task="x")
        assert outline(db) == (
            "workflow batch error\n"
            "  workflow outer error\n"
            "    workflow inner error\n"
            "      agent ann error\n"
            "        llm ReplayChatCompletionClient [ann] error (ValueError)\n"
            "run: error"
        )

    async def test_of_an_agent_by_itself(self, db):
        with pytest.raises(ValueError, match="No more mock"):
            await agent("ann", []).run(task="x")
        assert outline(db) == (
            "agent ann error\n  llm ReplayChatCompletionClient [ann] error (ValueError)\nrun: error"
        )

    async def test_of_the_teams_manager(self, db):
        office = SelectorGroupChat(
            [agent("ann", "1"), agent("bob", "2")],
            model_client=replay(),
            selector_func=lambda thread: "zed",
            name="office",
        )
        with pytest.raises(Exception, match="invalid speaker"):
            await office.run(task="x")
        with counterfoil.open(db) as store:
            (run,) = store.runs(all=True)
            (step,) = store.steps(run)
        assert (run.status, step.error_type) == ("error", "ValueError")
        assert step.error_message.startswith("Selector function returned an invalid speaker name: zed.")

    async def test_a_task_that_is_none(self, db):
        with pytest.raises(ValueError, match="BaseChatMessage"):
            await team(agent("ann", "1")).run(task=["no message"])
        with counterfoil.open(db) as store:
            (run,) = store.runs(all=True)
        assert (run.status, run.errors) == ("error", 1)

    async def test_a_team_that_runs_already(self, db):
        office = team(agent("ann", asks(("slow", {"query": "x"})), slow))
        first = asyncio.create_task(office.run(task="x"))
        await asyncio.sleep(0.05)
        with pytest.raises(ValueError, match="already running"):
            await office.run(task="y")
        await first
        with counterfoil.open(db) as store:
            found = {run.status: run.llm_calls for run in store.runs(all=True)}
        assert found == {"ok": 1, "error": 0}


class TestStops:
    @pytest.mark.parametrize(
        ("rule", "reason"),
        [
            (MaxMessageTermination(1), "Maximum number of messages 1 reached, current message count: 1"),
            (TimeoutTermination(0.0), "Timeout of 0.0 seconds reached"),
        ],
    )
    async def test_a_rule_that_ends_it_is_no_error(self, db, rule, reason):
        await team(agent("ann", ["1", "2"]), turns=2, termination_condition=rule).run(task="x")
        with counterfoil.open(db) as store:
            (run,) = store.runs(all=True)
        assert (run.status, run.stop_reason) == ("ok", reason)

    async def test_from_outside(self, db):
        stop = ExternalTermination()
        office = team(agent("ann", ["1", "2"]), turns=2, termination_condition=stop)
        async for one in office.run_stream(task="x"):
            if getattr(one, "source", "") == "ann":
                stop.set()
        with counterfoil.open(db) as store:
            assert store.runs()[0].status == "ok"


class TestCancelled:
    async def test_a_cancelled_task(self, db):
        work = asyncio.create_task(team(agent("ann", asks(("slow", {"query": "x"})), slow)).run(task="x"))
        await asyncio.sleep(0.1)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
        found = outline(db)
        assert found.startswith("workflow office cancelled\n")
        assert found.endswith("run: cancelled")
        # AutoGen lets what is under way come to its end first.
        assert "tool slow [ann]\n" in found

    async def test_whoever_reads_it_stops(self, db):
        stream = team(agent("ann", ["1", "2"]), turns=2).run_stream(task="x")
        async for one in stream:
            if getattr(one, "source", "") == "ann":
                break
        await stream.aclose()
        with counterfoil.open(db) as store:
            assert store.runs()[0].status == "cancelled"
        assert counterfoil.traceparent() is None

    async def test_whoever_reads_it_forgets_it(self, db):
        stream = agent("ann", asks(("search", {"query": "x"})), search).run_stream(task="x")
        await anext(stream)
        await anext(stream)
        del stream
        gc.collect()
        await asyncio.sleep(0.05)
        with counterfoil.open(db) as store:
            assert store.runs()[0].status == "cancelled"

    async def test_whoever_reads_it_stops_at_the_answer(self, db):
        async for one in agent("ann", "1").on_messages_stream([], CancellationToken()):
            if hasattr(one, "chat_message"):
                break
        with counterfoil.open(db) as store:
            assert store.runs()[0].status == "ok"

    async def test_the_token_of_a_model_call(self, db, client, serve):
        from support_desk.endpoint import Reply

        token = CancellationToken()
        llm = client(lambda _: Reply("late", delay=1))
        asyncio.get_running_loop().call_later(0.1, token.cancel)
        with pytest.raises(asyncio.CancelledError):
            await agent("ann", llm).run(task="x", cancellation_token=token)
        assert outline(db) == (
            "agent ann cancelled\n  llm OpenAIChatCompletionClient [ann] cancelled\nrun: cancelled"
        )

    async def test_what_autogen_leaves_hanging_shows_as_running(self, db):
        """Of a cancelled tool AutoGen never hears (microsoft/autogen#7956)."""
        token = CancellationToken()
        office = team(agent("ann", asks(("slow", {"query": "x"})), slow))
        work = asyncio.create_task(office.run(task="x", cancellation_token=token))
        await asyncio.sleep(0.1)
        token.cancel()
        await asyncio.sleep(0.5)
        assert not work.done()
        assert outline(db) == (
            "workflow office running\n"
            "  agent ann running\n"
            "    llm ReplayChatCompletionClient [ann]\n"
            "    tool slow [ann] cancelled\n"
            "run: running"
        )
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await asyncio.gather(work, return_exceptions=True)
        assert outline(db).startswith("workflow office cancelled\n  agent ann cancelled\n")
