"""Questions to humans and their answers in LlamaIndex: in a tool, in a step, by the steps of a workflow, in a later run."""

import asyncio
import json

import pytest
from inline_snapshot import snapshot
from llama_index.core.llms import ChatMessage
from llama_index.core.storage.chat_store import SimpleChatStore
from llama_index.core.workflow import (
    Context,
    HumanResponseEvent,
    InputRequiredEvent,
    StartEvent,
    StopEvent,
    Workflow,
    step,
)
from pydantic_core import PydanticSerializationError
from workflows.errors import WorkflowCancelledByUser

import counterfoil
from counterfoil_llama_index import record
from llama_index_apps import agent, answered, approve, model, office
from outline import outline
from support_desk.endpoint import Reply, call, in_turn

pytestmark = pytest.mark.usefixtures("llama_index")

ASKS = in_turn(Reply(calls=[call("approve", what="ship")]), Reply("Shipped."))


def memory_is_kept():
    """Tell whether a saved context holds an agent's memory: without it no agent goes on, recorded or not."""
    try:
        SimpleChatStore(store={"chat_history": [ChatMessage("x")]}).model_dump()
    except PydanticSerializationError:
        return False
    return True


needs_memory = pytest.mark.skipif(
    not memory_is_kept(),
    reason="this LlamaIndex saves no agent's memory beside this pydantic (0.14.25 beside 2.14)",
)


class Questionnaire(Workflow):
    @step
    async def ask(self, ev: StartEvent) -> InputRequiredEvent:
        return InputRequiredEvent(prefix="Your name?")

    @step
    async def greet(self, ev: HumanResponseEvent) -> StopEvent:
        return StopEvent(result=f"Hello {ev.response}")


class Waiting(Workflow):
    @step
    async def only(self, ctx: Context, ev: StartEvent) -> StopEvent:
        question = InputRequiredEvent(prefix="Which?")
        said = await ctx.wait_for_event(HumanResponseEvent, waiter_event=question)
        return StopEvent(result=said.response)


def humans(db):
    """Give every human step's question, answer and status."""
    with counterfoil.open(db) as store:
        _, rows = store.sql(
            "SELECT input, output, status FROM steps WHERE kind = 'human' ORDER BY started_ns"
        )
    return [(json.loads(question), json.loads(answer or "null"), status) for question, answer, status in rows]


async def paused(work, **run):
    """Let a run go until it asks, save its context as JSON, and stop it."""
    handler = work.run(**run)
    async for event in handler.stream_events():
        if isinstance(event, InputRequiredEvent):
            break
    saved = json.dumps(handler.ctx.to_dict())
    await handler.cancel_run()
    with pytest.raises(WorkflowCancelledByUser):
        await handler
    return saved


async def paused_again(work, saved):
    """Go on from a saved context, give no answer, save it and stop once more."""
    handler = work.run(ctx=Context.from_dict(work, json.loads(saved)))
    await asyncio.sleep(0)  # let it begin
    saved = json.dumps(handler.ctx.to_dict())
    await handler.cancel_run()
    with pytest.raises(WorkflowCancelledByUser):
        await handler
    return saved


async def resumed(work, saved, answer):
    """Go on from a saved context with an answer."""
    handler = work.run(ctx=Context.from_dict(work, json.loads(saved)))
    handler.ctx.send_event(HumanResponseEvent(response=answer))
    return await handler


class TestInATool:
    async def test_the_question_and_the_answer(self, db, serve):
        result = await answered(agent("clerk", model(serve(ASKS)), approve).run("Ship it"), "yes")
        assert str(result) == "Shipped."
        assert outline(db) == snapshot("""\
agent clerk
  llm OpenAI [clerk]
  tool approve [clerk] waiting
    human human [clerk]
  tool approve [clerk]
  llm OpenAI [clerk]
clerk -> human escalation returned native to a human\
""")
        assert humans(db) == [({"prefix": "May I ship?"}, {"response": "yes"}, "ok")]

    async def test_the_attempt_that_waited_is_no_tool_call(self, db, serve):
        await answered(agent("clerk", model(serve(ASKS)), approve).run("Ship it"), "yes")
        with counterfoil.open(db) as store:
            (run,) = store.runs()
            (one,) = store.tool_calls()
            _, attempts = store.sql(
                "SELECT count(*), count(DISTINCT call_id) FROM t_steps WHERE kind = 'tool'"
            )
        assert (one.status, one.result, run.tool_calls) == ("ok", "ship: yes", 1)
        assert attempts == [(2, 1)]

    async def test_the_time_of_the_wait_is_the_humans(self, db, serve):
        await answered(agent("clerk", model(serve(ASKS)), approve).run("Ship it"), "yes")
        with counterfoil.open(db) as store:
            (run,) = store.runs()
            assert run.human_wait_ms > 0
            assert run.status == "ok"

    async def test_two_at_once_are_two_questions(self, db, serve):
        script = in_turn(Reply(calls=[call("ask", what="a"), call("ask", what="b")]), Reply("Both."))

        async def ask(ctx: Context, what: str) -> str:
            """Ask."""
            wanted = {"what": what}
            question = InputRequiredEvent(prefix=what)
            said = await ctx.wait_for_event(HumanResponseEvent, waiter_event=question, requirements=wanted)
            return said.response

        handler = agent("clerk", model(serve(script)), ask).run("x")
        async for event in handler.stream_events():
            if isinstance(event, InputRequiredEvent):
                handler.ctx.send_event(HumanResponseEvent(response=f"yes {event.prefix}", what=event.prefix))
        await handler
        assert sorted(humans(db), key=str) == [
            ({"prefix": "a"}, {"response": "yes a", "what": "a"}, "ok"),
            ({"prefix": "b"}, {"response": "yes b", "what": "b"}, "ok"),
        ]
        with counterfoil.open(db) as store:
            assert sorted((one.arguments["what"], one.result) for one in store.tool_calls()) == [
                ("a", "yes a"), ("b", "yes b"),
            ]  # fmt: skip

    async def test_a_question_that_is_written_to_the_stream_before(self, db, serve):
        async def ask(ctx: Context) -> str:
            """Ask."""
            ctx.write_event_to_stream(InputRequiredEvent(prefix="Really?"))
            return (await ctx.wait_for_event(HumanResponseEvent)).response

        script = in_turn(Reply(calls=[call("ask")]), Reply("Done."))
        await answered(agent("clerk", model(serve(script)), ask).run("x"), "yes")
        assert humans(db) == [({"prefix": "Really?"}, {"response": "yes"}, "ok")]

    async def test_a_wait_that_takes_too_long(self, db, serve):
        async def ask(ctx: Context) -> str:
            """Ask."""
            question = InputRequiredEvent(prefix="Anybody?")
            await ctx.wait_for_event(HumanResponseEvent, waiter_event=question, timeout=0.1)
            return "somebody"

        script = in_turn(Reply(calls=[call("ask")]), Reply("Nobody."))
        assert str(await agent("clerk", model(serve(script)), ask).run("x")) == "Nobody."
        assert [status for _, _, status in humans(db)] == ["cancelled"]
        assert outline(db) == snapshot("""\
agent clerk
  llm OpenAI [clerk]
  tool ask [clerk] waiting
    human human [clerk] cancelled
  tool ask [clerk] error (TimeoutError)
  llm OpenAI [clerk]
clerk -> human escalation abandoned native to a human\
""")

    async def test_while_it_waits_the_run_waits(self, db, serve):
        handler = agent("clerk", model(serve(ASKS)), approve).run("Ship it")
        async for event in handler.stream_events():
            if isinstance(event, InputRequiredEvent):
                with counterfoil.open(db) as store:
                    assert store.runs()[0].status == "waiting"
                handler.ctx.send_event(HumanResponseEvent(response="yes"))
        await handler
        with counterfoil.open(db) as store:
            assert store.runs()[0].status == "ok"

    async def test_steps_of_the_user_s_own_around_the_wait_wait_too(self, db, serve, monkeypatch):
        monkeypatch.setenv("COUNTERFOIL_DB", str(db))

        @counterfoil.tool
        async def question(ctx):
            with counterfoil.step("form"):
                asked = InputRequiredEvent(prefix="Really?")
                return (await ctx.wait_for_event(HumanResponseEvent, waiter_event=asked)).response

        async def ask(ctx: Context) -> str:
            """Ask."""
            return await question(ctx)

        script = in_turn(Reply(calls=[call("ask")]), Reply("Done."))
        await answered(agent("clerk", model(serve(script)), ask).run("x"), "yes")
        assert outline(db) == snapshot("""\
agent clerk
  llm OpenAI [clerk]
  tool ask [clerk] waiting
    tool question [clerk] waiting
      other form [clerk] waiting
    human human [clerk]
  tool ask [clerk]
    tool question [clerk]
      other form [clerk]
  llm OpenAI [clerk]
clerk -> human escalation returned native to a human\
""")
        with counterfoil.open(db) as store:
            assert store.runs()[0].errors == 0


class TestInSteps:
    async def test_a_step_that_waits(self, db):
        assert await answered(Waiting().run(), "this") == "this"
        assert outline(db) == snapshot("""\
workflow Waiting
  task only waiting
    human human
  task only
None -> human escalation returned native to a human\
""")

    async def test_a_step_that_asks_and_one_that_is_given_the_answer(self, db):
        assert await answered(Questionnaire().run(), "Ada") == "Hello Ada"
        assert outline(db) == snapshot("""\
workflow Questionnaire
  task ask
    human human
  task greet
None -> human escalation returned native to a human\
""")
        assert humans(db) == [({"prefix": "Your name?"}, {"response": "Ada"}, "ok")]


class TestResumed:
    @needs_memory
    async def test_a_later_run_brings_the_answer(self, db, serve):
        llm = model(serve(ASKS))
        desk = office(agent("clerk", llm, approve), agent("boss", llm))
        with record(db, session="ticket-7"):
            saved = await paused(desk, user_msg="Ship it")
            with counterfoil.open(db) as store:
                (run,) = store.runs()
                assert (run.status, run.session_id) == ("waiting", "ticket-7")
            assert str(await resumed(desk, saved, "yes")) == "Shipped."
        with counterfoil.open(db) as store:
            later, first = store.runs()
            assert outline(store, first) == snapshot("""\
workflow AgentWorkflow waiting
  agent clerk waiting
    llm OpenAI [clerk]
    tool approve [clerk] waiting
      human human [clerk]
clerk -> human escalation returned native to a human\
""")
            # Whether the tool waits once more depends on which comes first, its second run or the answer.
            assert outline(store, later).replace("    tool approve [clerk] waiting\n", "") == snapshot("""\
workflow AgentWorkflow
  agent clerk
    tool approve [clerk]
    llm OpenAI [clerk]\
""")
        assert humans(db) == [({"prefix": "May I ship?"}, {"response": "yes"}, "ok")]
        with counterfoil.open(db) as store:
            second, first = store.runs()
            assert (second.resumes, second.first_run_id) == (first.run_id, first.run_id)
            assert (first.status, second.status) == ("ok", "ok")
            (one,) = store.tool_calls()
            assert (one.result, one.run_id) == ("ship: yes", second.run_id)

    @needs_memory
    async def test_an_agent_by_itself(self, db, serve):
        clerk = agent("clerk", model(serve(ASKS)), approve)
        with record(db, session="ticket-7"):
            saved = await paused(clerk, user_msg="Ship it")
            await resumed(clerk, saved, "no")
        assert humans(db) == [({"prefix": "May I ship?"}, {"response": "no"}, "ok")]

    async def test_a_step_that_is_given_the_answer(self, db):
        with record(db, session="ticket-7"):
            saved = await paused(Questionnaire())
            assert await resumed(Questionnaire(), saved, "Ada") == "Hello Ada"
        assert humans(db) == [({"prefix": "Your name?"}, {"response": "Ada"}, "ok")]
        with counterfoil.open(db) as store:
            second, first = store.runs(all=True)
            assert second.resumes == first.run_id

    async def test_a_step_that_waits(self, db):
        with record(db, session="ticket-7"):
            saved = await paused(Waiting())
            assert await resumed(Waiting(), saved, "this") == "this"
        assert humans(db) == [({"prefix": "Which?"}, {"response": "this"}, "ok")]


def chain(db):
    """Give of every run, oldest first: the place in this list of the one that it resumes and of its first; its status."""
    with counterfoil.open(db) as store:
        runs = store.runs(all=True)[::-1]
    at = {run.run_id: place for place, run in enumerate(runs)}
    return [(at.get(run.resumes), at[run.first_run_id], run.status) for run in runs]


def ask_each_time(request):
    """Script an agent that asks, and is done once it was answered."""
    return Reply("Shipped.") if request.results else Reply(calls=[call("approve", what="ship")])


#: What another process does, to which the saved context was brought.
GO_ON = """
import asyncio, json
from pathlib import Path
from types import SimpleNamespace
from llama_index.core.workflow import Context, HumanResponseEvent
import counterfoil_llama_index
from llama_index_apps import agent, approve, close_models, model

async def main():
    clerk = agent("clerk", model(SimpleNamespace(url={url!r})), approve)
    handler = clerk.run(ctx=Context.from_dict(clerk, json.loads(Path({saved!r}).read_text())))
    handler.ctx.send_event(HumanResponseEvent(response="yes"))
    await handler
    await close_models()

counterfoil_llama_index.install(quiet=True)
asyncio.run(main())
"""


class TestResumedWithoutASession:
    @needs_memory
    async def test_a_later_run_of_the_same_question_brings_the_answer(self, db, serve):
        clerk = agent("clerk", model(serve(ASKS)), approve)
        saved = await paused(clerk, user_msg="Ship it")
        assert chain(db) == [(None, 0, "waiting")]
        await resumed(clerk, saved, "yes")
        assert chain(db) == [(None, 0, "ok"), (0, 0, "ok")]
        assert humans(db) == [({"prefix": "May I ship?"}, {"response": "yes"}, "ok")]

    @pytest.mark.slow
    @needs_memory
    async def test_in_another_process(self, db, serve, child, tmp_path):
        endpoint = serve(ASKS)
        saved = await paused(agent("clerk", model(endpoint), approve), user_msg="Ship it")
        (tmp_path / "saved.json").write_text(saved)
        child(GO_ON.format(url=endpoint.url, saved=str(tmp_path / "saved.json")))
        assert chain(db) == [(None, 0, "ok"), (0, 0, "ok")]
        assert humans(db) == [({"prefix": "May I ship?"}, {"response": "yes"}, "ok")]
        with counterfoil.open(db) as store:
            assert len(store.processes()) == 2

    @needs_memory
    async def test_the_same_waiter_of_two_is_told_by_its_call(self, db, serve):
        clerk = agent("clerk", model(serve(ask_each_time)), approve)
        first = await paused(clerk, user_msg="Ship one")
        await paused(clerk, user_msg="Ship two")
        await resumed(clerk, first, "yes")
        assert chain(db) == [(None, 0, "ok"), (None, 1, "waiting"), (0, 0, "ok")]

    async def test_where_two_wait_with_the_same_question_it_resumes_neither(self, db):
        saved = await paused(Waiting())
        await paused(Waiting())
        assert await resumed(Waiting(), saved, "this") == "this"
        assert chain(db) == [(None, 0, "waiting"), (None, 1, "waiting"), (None, 2, "ok")]

    async def test_steps_that_ask_in_words_cannot_be_told(self, db):
        saved = await paused(Questionnaire())
        assert await resumed(Questionnaire(), saved, "Ada") == "Hello Ada"
        assert chain(db) == [(None, 0, "waiting"), (None, 1, "ok")]


class TestTwoPauses:
    @needs_memory
    @pytest.mark.parametrize("session", ["ticket-7", None])
    async def test_the_answer_reaches_the_question_of_the_first_run(self, db, serve, session):
        clerk = agent("clerk", model(serve(ASKS)), approve)
        with record(db, session=session):
            saved = await paused(clerk, user_msg="Ship it")
            saved = await paused_again(clerk, saved)
            assert chain(db) == [(None, 0, "waiting"), (0, 0, "waiting")]
            await resumed(clerk, saved, "yes")
        assert chain(db) == [(None, 0, "ok"), (0, 0, "ok"), (1, 0, "ok")]
        assert humans(db) == [({"prefix": "May I ship?"}, {"response": "yes"}, "ok")]
