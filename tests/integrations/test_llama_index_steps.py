"""Agents, workflows and their steps as LlamaIndex runs them: which step stands where, and whose it is."""

import asyncio
import threading

import pytest
from inline_snapshot import snapshot
from llama_index.core.agent.workflow import AgentWorkflow, FunctionAgent, ReActAgent
from llama_index.core.tools import FunctionTool
from llama_index.core.workflow import (
    Context,
    Event,
    HumanResponseEvent,
    StartEvent,
    StopEvent,
    Workflow,
    step,
)
from llama_index_instrumentation import get_dispatcher
from workflows.retry_policy import retry_policy, stop_after_attempt, wait_fixed

import counterfoil
from counterfoil_llama_index.tracker import trackers
from llama_index_apps import agent, by_name, model, office, search
from outline import outline, outlines
from support_desk.endpoint import Reply, call, in_turn

pytestmark = pytest.mark.usefixtures("llama_index")

LOOKS = in_turn(Reply("I look.", calls=[call("search", query="tea")]), Reply("Green tea."))
dispatcher = get_dispatcher("test")


class Number(Event):
    n: int


class TestAgent:
    async def test_a_turn_with_a_tool(self, db, serve):
        result = await agent("clerk", model(serve(LOOKS)), search).run("Which tea?")
        assert str(result) == "Green tea."
        assert outline(db) == snapshot("""\
agent clerk
  llm OpenAI [clerk]
  tool search [clerk]
  llm OpenAI [clerk]\
""")

    async def test_what_it_was_asked_and_answered(self, db, serve):
        await agent("clerk", model(serve(LOOKS)), search).run("Which tea?")
        with counterfoil.open(db) as store:
            (run,) = store.runs()
            said = store.messages(store.tree(run)[0].step)
        assert [(one["role"], one["parts"][0]["content"]) for one in (*said.input, *said.output)] == [
            ("user", "Which tea?"),
            ("assistant", "Green tea."),
        ]
        assert (run.name, run.status, run.llm_calls, run.tool_calls) == ("clerk", "ok", 2, 1)

    async def test_an_agent_without_a_name_is_agent(self, db, serve):
        await FunctionAgent(llm=model(serve(in_turn(Reply("yes"))))).run("x")
        assert outline(db) == "agent Agent\n  llm OpenAI [Agent]"

    async def test_the_text_path(self, db, serve):
        says = [
            "Thought: look\nAction: search\nAction Input: {'query': 'tea'}",
            "Thought: known\nAnswer: tea",
        ]

        def script(request):
            return Reply(
                says[min(1, sum("Observation:" in str(one["content"]) for one in request.messages[1:]))]
            )

        react = ReActAgent(
            name="clerk", llm=model(serve(script)), tools=[FunctionTool.from_defaults(async_fn=search)]
        )
        await react.run("Which tea?")
        assert outline(db) == snapshot("""\
agent clerk
  llm OpenAI [clerk]
  tool search [clerk]
  llm OpenAI [clerk]\
""")
        with counterfoil.open(db) as store:
            (one,) = store.tool_calls()
            assert one.evidence == "native"
            first, _ = store.llm_calls()
            assert one.decided_by == first.step_id  # its text names the tool

    async def test_its_own_id_of_the_run(self, db, serve):
        handler = agent("clerk", model(serve(LOOKS)), search).run("x", run_id="ticket-7/1")
        await handler
        with counterfoil.open(db) as store:
            assert store.tree(store.runs()[0])[0].step.native_id == handler.run_id == "ticket-7/1"

    async def test_an_agent_that_runs_twice_at_once(self, db, serve):
        clerk = agent("clerk", model(serve(LOOKS)), search)
        await asyncio.gather(clerk.run("one"), clerk.run("two"))
        assert outlines(db) == "\n--\n".join(
            ["agent clerk\n  llm OpenAI [clerk]\n  tool search [clerk]\n  llm OpenAI [clerk]"] * 2
        )


class TestTurns:
    async def test_each_agent_of_a_workflow_has_a_turn(self, db, serve):
        script = by_name(
            front=[Reply(calls=[call("handoff", to_agent="back", reason="tea")])],
            back=[Reply(calls=[call("search", query="tea")]), Reply("Green tea.")],
        )
        llm = model(serve(script))
        await office(agent("front", llm), agent("back", llm, search)).run("Which tea?")
        assert outline(db) == snapshot("""\
workflow AgentWorkflow
  agent front
    llm OpenAI [front]
    tool handoff [front]
  agent back
    llm OpenAI [back]
    tool search [back]
    llm OpenAI [back]
front -> back transfer accepted native: tea\
""")

    async def test_a_next_chat_turn_goes_on_with_the_last_agent_and_resumes_nothing(self, db, serve):
        script = by_name(
            front=[Reply(calls=[call("handoff", to_agent="back", reason="tea")])], back=Reply("Tea.")
        )
        llm = model(serve(script))
        team = office(agent("front", llm), agent("back", llm))
        context = Context(team)
        await team.run("one", ctx=context)
        await team.run("two", ctx=context)
        with counterfoil.open(db) as store:
            second, first = store.runs()
            assert (first.resumes, second.resumes) == (None, None)
            assert outline(store, second) == snapshot("""\
workflow AgentWorkflow
  agent back
    llm OpenAI [back]\
""")

    async def test_a_step_of_the_users_own_among_an_agents(self, db, serve):
        class Noted(HumanResponseEvent):
            note: str

        class Careful(AgentWorkflow):
            @step
            async def keep(self, ctx: Context, ev: Noted) -> None:
                await ctx.store.set("note", ev.note)

        clerk = agent("clerk", model(serve(in_turn(Reply("done", delay=0.2)))))
        handler = Careful(agents=[clerk], root_agent="clerk").run("x")
        handler.ctx.send_event(Noted(note="hurry"))
        await handler
        assert outline(db) == snapshot("""\
workflow Careful
  task keep
  agent clerk
    llm OpenAI [clerk]\
""")


class TestWorkflow:
    async def test_steps_are_tasks(self, db):
        class Two(Workflow):
            @step
            async def first(self, ev: StartEvent) -> Number:
                return Number(n=ev.n + 1)

            @step
            def second(self, number: Number) -> StopEvent:
                return StopEvent(result=number.n)

        assert await Two().run(n=1) == 2
        assert outline(db) == snapshot("""\
workflow Two
  task first
  task second\
""")
        with counterfoil.open(db) as store:
            (run,) = store.runs(all=True)
            assert (run.input, run.output) == ({"n": 1}, 2)
            first, second = store.tree(run)[0].children
            assert (first.step.input, second.step.input) == ({"n": 1}, {"n": 2})

    async def test_its_own_name(self, db):
        class Two(Workflow):
            @step
            async def first(self, ev: StartEvent) -> StopEvent:
                return StopEvent()

        await Two(workflow_name="intake").run()
        assert outline(db).startswith("workflow intake")

    async def test_steps_beside_each_other(self, db):
        class Fan(Workflow):
            @step
            async def out(self, ctx: Context, ev: StartEvent) -> Number | None:
                for n in range(3):
                    ctx.send_event(Number(n=n))

            @step(num_workers=3)
            async def work(self, ctx: Context, ev: Number) -> StopEvent | None:
                with counterfoil.step(f"piece {ev.n}"):
                    await asyncio.sleep(0)
                found = ctx.collect_events(ev, [Number] * 3)
                return StopEvent(result=len(found)) if found else None

        await Fan().run()
        with counterfoil.open(db) as store:
            (run,) = store.runs(all=True)
            _, rows = store.sql(
                "SELECT s.name, p.name FROM steps s JOIN steps p ON p.step_id = s.parent_id WHERE s.kind = 'other'"
            )
        assert set(rows) == {(f"piece {n}", "work") for n in range(3)}
        assert run.status == "ok"

    async def test_a_step_that_only_collects_is_told_once_it_goes_on(self, db):
        class Join(Workflow):
            @step
            async def out(self, ctx: Context, ev: StartEvent) -> Number | None:
                for n in range(6):
                    ctx.send_event(Number(n=n))

            @step(num_workers=4)
            async def join(self, ctx: Context, ev: Number) -> StopEvent | None:
                found = ctx.collect_events(ev, [Number] * 6)
                return StopEvent(result=len(found)) if found else None

        assert await Join().run() == 6
        assert outline(db) == snapshot("""\
workflow Join
  task out
  task join\
""")

    async def test_a_workflow_in_a_step(self, db):
        class Inner(Workflow):
            @step
            async def only(self, ev: StartEvent) -> StopEvent:
                return StopEvent(result="in")

        class Outer(Workflow):
            @step
            async def only(self, ev: StartEvent) -> StopEvent:
                return StopEvent(result=await Inner().run())

        assert await Outer().run() == "in"
        assert outline(db) == snapshot("""\
workflow Outer
  task only
    workflow Inner
      task only\
""")

    async def test_a_step_that_is_tried_again(self, db):
        tries = []

        class Again(Workflow):
            @step(retry_policy=retry_policy(wait=wait_fixed(0), stop=stop_after_attempt(3)))
            async def only(self, ev: StartEvent) -> StopEvent:
                tries.append(1)
                if len(tries) < 2:
                    raise ConnectionError("lost")
                return StopEvent(result="at last")

        assert await Again().run() == "at last"
        assert outline(db) == snapshot("""\
workflow Again
  task only error (ConnectionError)
  task only\
""")


class TestPlaces:
    async def test_a_run_of_the_hosts_around_agents(self, db, serve):
        clerk = agent("clerk", model(serve(LOOKS)), search)
        with counterfoil.run("support", db=db, session="s7"):
            await clerk.run("one")
            await clerk.run("two")
        with counterfoil.open(db) as store:
            (run,) = store.runs()
            assert (run.name, run.session_id, run.llm_calls) == ("support", "s7", 4)

    async def test_steps_and_accesses_of_the_hosts_in_a_tool(self, db, serve):
        async def look(query: str) -> str:
            """Look."""
            counterfoil.access("orders", items=["A-17"])
            with counterfoil.step("parse"):
                return query

        await agent(
            "clerk", model(serve(in_turn(Reply(calls=[call("look", query="x")]), Reply("done")))), look
        ).run("x")
        assert outline(db) == snapshot("""\
agent clerk
  llm OpenAI [clerk]
  tool look [clerk]
    other parse [clerk]
  llm OpenAI [clerk]\
""")
        with counterfoil.open(db) as store:
            (one,) = store.accesses()
            assert (one.source, one.item_id, one.agent) == ("orders", "A-17", "clerk")

    async def test_a_tool_in_a_thread(self, db, serve):
        def look(query: str) -> str:
            """Look."""
            with counterfoil.step("in a thread"):
                return threading.current_thread().name

        await agent(
            "clerk", model(serve(in_turn(Reply(calls=[call("look", query="x")]), Reply("done")))), look
        ).run("x")
        assert "  tool look [clerk]\n    other in a thread [clerk]" in outline(db)

    async def test_an_agent_in_a_step_of_the_hosts_in_a_tool(self, db, serve):
        inner = agent("inner", model(serve(in_turn(Reply("yes")))))

        async def ask(query: str) -> str:
            """Ask."""
            with counterfoil.step("prepare"):
                return str(await inner.run(query))

        script = in_turn(Reply(calls=[call("ask", query="x")]), Reply("done"))
        await agent("outer", model(serve(script)), ask).run("x")
        assert outline(db) == snapshot("""\
agent outer
  llm OpenAI [outer]
  tool ask [outer]
    other prepare [outer]
      agent inner
        llm OpenAI [inner]
  llm OpenAI [outer]
outer -> inner escalation returned inferred: x\
""")

    async def test_a_function_of_the_users_with_a_span(self, db):
        @dispatcher.span
        def tidy_up(shelf: str) -> str:
            with counterfoil.step("dust"):
                return shelf

        tidy_up("A")
        assert outline(db).endswith("tidy_up\n  other dust")

    @pytest.mark.slow
    async def test_thirty_at_once(self, db, serve):
        def script(request):
            word = request.user
            return in_turn(Reply(calls=[call("search", query=word)]), Reply(f"done {word}"))(request)

        llm = model(serve(script))
        clerks = [agent(f"clerk{n}", llm, search) for n in range(30)]
        await asyncio.gather(*(one.run(f"word{n}") for n, one in enumerate(clerks)))
        with counterfoil.open(db) as store:
            runs = store.runs(limit=None)
            assert sorted(run.name for run in runs) == sorted(one.name for one in clerks)
            for run in runs:
                word = run.name.replace("clerk", "word")
                (used,) = store.tool_calls(run)
                assert (used.arguments, used.agent, run.llm_calls) == ({"query": word}, run.name, 2)


class TestMemory:
    @pytest.mark.slow
    async def test_nothing_is_kept_of_two_hundred_runs(self, db, serve):
        llm = model(serve(LOOKS))
        for _ in range(20):
            await asyncio.gather(*(agent("clerk", llm, search).run("x") for _ in range(10)))
        (tracker,) = (one for one in trackers.all() if one.recorder.path == str(db))
        assert (tracker.entries, tracker._roots, tracker._late) == ({}, {}, {})
        assert get_dispatcher().span_handlers[-1].open_spans == {}
