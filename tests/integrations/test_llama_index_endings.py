"""How runs of LlamaIndex end: errors, limits, time-outs, cancellations, streams that nobody reads."""

import asyncio
import gc
import threading

import pytest
from inline_snapshot import snapshot
from llama_index.core.workflow import StartEvent, StopEvent, Workflow, step
from openai import InternalServerError
from workflows.errors import WorkflowCancelledByUser, WorkflowRuntimeError, WorkflowTimeoutError

import counterfoil
from llama_index_apps import add, agent, model, office, slow, text
from outline import outline, outlines
from support_desk.endpoint import Reply, call, in_turn

pytestmark = pytest.mark.usefixtures("llama_index")

SLOW = in_turn(Reply(calls=[call("slow", seconds=30)]), Reply("done"))


def looping(_):
    return Reply(calls=[call("add", a=1, b=1)])


def failing(_):
    return Reply(error=500)


def last_run(db):
    with counterfoil.open(db) as store:
        return store.runs(all=True)[0]


class TestErrors:
    @pytest.mark.parametrize("streaming", [True, False])
    async def test_a_model_that_fails_is_told_at_its_call_alone(self, db, serve, streaming):
        llm = model(serve(failing))
        with pytest.raises(InternalServerError):
            await agent("clerk", llm, streaming=streaming).run("x")
        assert outline(db) == snapshot("""\
agent clerk error
  llm OpenAI [clerk] error (InternalServerError)
run: error\
""")
        assert last_run(db).errors == 1

    async def test_in_a_workflow_of_agents(self, db, serve):
        llm = model(serve(failing), reuse_client=False)
        with pytest.raises(InternalServerError):
            await office(agent("clerk", llm, streaming=False)).run("x")
        assert outline(db) == snapshot("""\
workflow AgentWorkflow error
  agent clerk error
    llm OpenAI [clerk] error (InternalServerError)
run: error\
""")

    async def test_a_step_that_raises(self, db):
        class Broken(Workflow):
            @step
            async def only(self, ev: StartEvent) -> StopEvent:
                raise LookupError("nothing there")

        with pytest.raises(LookupError):
            await Broken().run()
        assert outline(db) == snapshot("""\
workflow Broken error
  task only error (LookupError)
run: error\
""")

    def test_ctrl_c_in_a_tool(self, db, serve):
        async def leave() -> str:
            """Leave."""
            await asyncio.sleep(0.1)  # the connection of the model's call is closed meanwhile
            raise KeyboardInterrupt

        llm = model(serve(in_turn(Reply(calls=[call("leave")]), Reply("done"))), reuse_client=False)

        async def work():
            await agent("clerk", llm, leave, streaming=False).run("x")

        with pytest.raises(KeyboardInterrupt):
            asyncio.run(work())
        assert outline(db) == snapshot("""\
agent clerk cancelled
  llm OpenAI [clerk]
  tool leave [clerk] cancelled
run: cancelled\
""")


class TestLimits:
    async def test_too_many_iterations(self, db, serve):
        with pytest.raises(WorkflowRuntimeError):
            await agent("clerk", model(serve(looping)), add).run("x", max_iterations=2)
        assert outline(db) == snapshot("""\
agent clerk error (WorkflowRuntimeError)
  llm OpenAI [clerk]
  tool add [clerk]
  llm OpenAI [clerk]
run: error (max_iterations)\
""")

    async def test_too_many_iterations_of_several_agents(self, db, serve):
        with pytest.raises(WorkflowRuntimeError):
            await office(agent("clerk", model(serve(looping)), add)).run("x", max_iterations=2)
        assert outline(db) == snapshot("""\
workflow AgentWorkflow error
  agent clerk error (WorkflowRuntimeError)
    llm OpenAI [clerk]
    tool add [clerk]
    llm OpenAI [clerk]
run: error (max_iterations)\
""")

    async def test_a_last_answer_in_place_of_an_error(self, db, serve):
        def script(request):
            asked = any("maximum number of iterations" in str(one["content"]) for one in request.messages)
            return Reply("So far so good.") if asked else looping(request)

        clerk = agent("clerk", model(serve(script)), add, early_stopping_method="generate")
        assert str(await clerk.run("x", max_iterations=2)) == "So far so good."
        run = last_run(db)
        assert (run.status, run.stop_reason, run.llm_calls) == ("ok", "max_iterations", 3)

    async def test_a_run_that_ends_by_itself_has_no_reason(self, db, serve):
        await agent("clerk", model(serve(in_turn(looping(None), Reply("2")))), add).run("x")
        assert last_run(db).stop_reason is None

    @pytest.mark.slow
    async def test_too_much_time(self, db, serve):
        with pytest.raises(WorkflowTimeoutError):
            await agent("clerk", model(serve(SLOW)), slow, timeout=4).run("x")
        assert outline(db) == snapshot("""\
agent clerk error (WorkflowTimeoutError)
  llm OpenAI [clerk]
  tool slow [clerk] cancelled
run: error (timeout)\
""")

    @pytest.mark.slow
    async def test_too_much_time_of_several_agents(self, db, serve):
        with pytest.raises(WorkflowTimeoutError):
            await office(agent("clerk", model(serve(SLOW)), slow), timeout=4).run("x")
        assert outline(db) == snapshot("""\
workflow AgentWorkflow error (WorkflowTimeoutError)
  agent clerk cancelled
    llm OpenAI [clerk]
    tool slow [clerk] cancelled
run: error (timeout)\
""")


class TestCancelled:
    async def test_by_its_handler(self, db, serve):
        handler = agent("clerk", model(serve(SLOW)), slow).run("x")
        await _until_it_runs(db, "slow")
        await handler.cancel_run()
        with pytest.raises(WorkflowCancelledByUser):
            await handler
        assert outline(db) == snapshot("""\
agent clerk cancelled
  llm OpenAI [clerk]
  tool slow [clerk] cancelled
run: cancelled\
""")

    async def test_with_the_task_that_waits_for_it(self, db, serve):
        async def work():
            return await agent("clerk", model(serve(SLOW)), slow).run("x")

        task = asyncio.create_task(work())
        await _until_it_runs(db, "slow")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(0.1)
        assert outline(db) == snapshot("""\
agent clerk cancelled
  llm OpenAI [clerk]
  tool slow [clerk] cancelled
run: cancelled\
""")

    def test_with_the_loop_that_it_ran_in(self, db, serve):
        llm = model(serve(SLOW), reuse_client=False)

        async def work():
            agent("clerk", llm, slow, streaming=False).run("x")
            await _until_it_runs(db, "slow")

        asyncio.run(work())
        assert outline(db).endswith("run: cancelled")

    @pytest.mark.slow
    async def test_a_tool_that_says_it_was_cancelled(self, db, serve):
        async def give_up() -> str:
            """Give up."""
            raise asyncio.CancelledError

        clerk = agent(
            "clerk", model(serve(in_turn(Reply(calls=[call("give_up")]), Reply("done")))), give_up, timeout=1
        )
        with pytest.raises((WorkflowTimeoutError, asyncio.CancelledError)):
            await clerk.run("x")
        assert "tool give_up [clerk] cancelled" in outline(db)
        assert last_run(db).open_steps == 0


class TestStreams:
    def test_closed_early(self, db, serve):
        stream = model(serve(in_turn(Reply("one two three four")))).stream_chat([text("user", "x")])
        next(stream)
        stream.close()
        assert outline(db) == "llm OpenAI cancelled\nrun: cancelled"

    @pytest.mark.slow
    async def test_left_to_the_collector(self, db, serve):
        stream = await model(serve(in_turn(Reply("one two three four")))).astream_chat([text("user", "x")])
        await anext(stream)
        await stream.aclose()
        del stream
        gc.collect()
        assert outline(db) == "llm OpenAI cancelled\nrun: cancelled"

    async def test_never_read_it_ends_with_its_run(self, db, serve):
        llm = model(serve(in_turn(Reply("x"))))

        class Careless(Workflow):
            @step
            async def only(self, ev: StartEvent) -> StopEvent:
                llm.stream_chat([text("user", "x")])
                return StopEvent()

        await Careless().run()
        assert outline(db) == snapshot("""\
workflow Careless
  task only
    llm OpenAI cancelled\
""")


class TestThreads:
    def test_a_raw_thread_is_a_run_of_its_own(self, db, serve):
        llm = model(serve(in_turn(Reply("x"))))
        thread = threading.Thread(target=llm.complete, args=("x",))
        with counterfoil.run("host", db=db):
            thread.start()
            thread.join()
        assert "--" in outlines(db)


async def _until_it_runs(db, tool):
    """Wait until the tool's start is recorded."""
    for _ in range(200):
        await asyncio.sleep(0.02)
        if db.with_name(db.name + ".tape").exists():
            with counterfoil.open(db) as store:
                if any(one.tool == tool for one in store.tool_calls()):
                    return
    pytest.fail(f"{tool} never ran")
