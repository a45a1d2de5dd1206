"""How runs of CrewAI end: well, badly, or by ways of which CrewAI tells nothing; and what comes after."""

import asyncio
import contextvars
import threading
import time

import pytest
from crewai.events import FlowStartedEvent, crewai_event_bus
from crewai.events.types.observation_events import PlanStepCompletedEvent, PlanStepStartedEvent
from crewai.flow.flow import Flow, listen, start
from crewai.hooks import (
    HookAborted,
    register_before_llm_call_hook,
    unregister_before_llm_call_hook,
)
from crewai.tools import tool

import counterfoil
from crewai_apps import agent, alone, by_role, crew, model, search, task
from outline import outline, outlines
from support_desk.endpoint import Reply, Rule, call, in_turn

pytestmark = pytest.mark.usefixtures("listening")

DONE = [Rule(Reply("done"))]
AFTER = "workflow after\n  task task\n    agent next\n      llm OpenAICompletion [next]"


@tool("stop")
def stop(query: str) -> str:
    """Stop."""
    raise KeyboardInterrupt


def stops(serve):
    return model(serve(by_role(clerk=Reply(calls=[call("stop", query="now")]), next=Reply("done"))))


class TestErrors:
    def test_a_guardrail_that_is_never_content(self, db, serve):
        def never(_):
            return (False, "no")

        who = agent("clerk", model(serve(DONE)))
        with pytest.raises(Exception, match="guardrail"):
            crew(task(who, guardrail=never, guardrail_max_retries=1)).kickoff()
        with counterfoil.open(db) as store:
            (run,) = store.runs()
        assert (run.status, run.llm_calls, run.errors) == ("error", 2, 1)

    def test_an_agent_that_may_not_go_on_gives_its_last_answer(self, db, serve):
        script = in_turn(*(Reply(calls=[call("search", query=str(n))]) for n in range(3)), Reply("enough"))
        endpoint = serve(script)
        alone("clerk", model(endpoint), search, max_iter=3).kickoff()
        with counterfoil.open(db) as store:
            (run,) = store.runs()
            agents = {one.agent for one in store.llm_calls()}
        assert (run.llm_calls, run.tool_calls) == (len(endpoint.completions), 3)
        assert agents == {"clerk"}  # also the forced last call, whose event names no agent

    def test_the_last_event_is_recorded_when_kickoff_returns(self, db, serve):
        alone("clerk", model(serve(DONE))).kickoff()
        with counterfoil.open(db) as store:
            assert store.run("last").status == "ok"


class TestCtrlC:
    def test_the_run_is_cancelled(self, db, serve):
        with pytest.raises(KeyboardInterrupt):
            alone("clerk", stops(serve), stop).kickoff()
        assert outline(db) == (
            "workflow office cancelled\n"
            "  task task cancelled\n"
            "    agent clerk cancelled\n"
            "      llm OpenAICompletion [clerk]\n"
            "      tool stop [clerk] cancelled\n"
            "run: cancelled"
        )

    def test_the_next_one_is_a_run_of_its_own(self, db, serve):
        llm = stops(serve)
        with pytest.raises(KeyboardInterrupt):
            alone("clerk", llm, stop).kickoff()
        alone("next", llm, name="after").kickoff()
        assert outlines(db).partition("\n--\n")[2] == AFTER

    def test_of_an_agent_by_itself(self, db, serve):
        llm = stops(serve)
        with pytest.raises(KeyboardInterrupt):
            agent("clerk", llm, stop).kickoff("work")
        alone("next", llm, name="after").kickoff()
        first, _, second = outlines(db).partition("\n--\n")
        assert first.startswith("agent clerk cancelled")
        assert second == AFTER

    def test_what_we_record_ourselves_afterwards_is_no_part_of_it(self, db, serve):
        with pytest.raises(KeyboardInterrupt):
            alone("clerk", stops(serve), stop).kickoff()
        with counterfoil.run("mine", db=db):
            pass
        assert outlines(db).endswith("--\nworkflow mine")

    def test_a_flow(self, db):
        class Office(Flow):
            @start()
            async def work(self):
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            Office().kickoff()
        assert outline(db) == "workflow Office cancelled\n  task work cancelled\nrun: cancelled"


class Waited:
    """A script that tells when it is asked first."""

    def __init__(self, script):
        self.asked = threading.Event()
        self._script = script

    def __call__(self, request):
        self.asked.set()
        return self._script(request)


class TestCancelled:
    async def test_a_crew(self, db, serve):
        script = Waited(by_role(clerk=Reply("late", delay=0.3), next=Reply("done")))
        llm = model(serve(script))
        asked = asyncio.create_task(alone("clerk", llm).akickoff())
        assert await asyncio.to_thread(script.asked.wait, 20)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        await alone("next", llm, name="after").akickoff()
        first, _, second = outlines(db).partition("\n--\n")
        assert first.startswith("workflow office cancelled")
        assert second == AFTER

    async def test_a_crew_in_a_thread_goes_on_and_ends_by_its_own_event(self, db, serve):
        script = Waited(by_role(clerk=Reply("late", delay=0.3)))
        asked = asyncio.create_task(alone("clerk", model(serve(script))).kickoff_async())
        assert await asyncio.to_thread(script.asked.wait, 20)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        assert await asyncio.to_thread(_status_at_last, db) == "ok"

    async def test_a_flow(self, db):
        begun = asyncio.Event()

        class Office(Flow):
            @start()
            async def work(self):
                begun.set()
                await asyncio.sleep(60)

        asked = asyncio.create_task(Office().kickoff_async())
        await begun.wait()
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        assert outline(db) == "workflow Office cancelled\n  task work cancelled\nrun: cancelled"


def _status(db):
    with counterfoil.open(db) as store:
        return store.run("last").status


def _status_at_last(db):
    while (status := _status(db)) == "running":
        time.sleep(0.02)
    return status


class TestAborted:
    def test_a_hooks_abort_leaves_scopes_that_do_not_swallow_the_next_run(self, db, serve):
        def no(context):
            if context.agent.role == "clerk":
                raise HookAborted("too dear", source="budget")

        llm = model(serve(DONE))
        register_before_llm_call_hook(no)
        try:
            for _ in range(3):
                with pytest.raises(HookAborted):
                    alone("clerk", llm).kickoff()
            alone("next", llm, name="after").kickoff()
        finally:
            unregister_before_llm_call_hook(no)
        runs = outlines(db).split("\n--\n")
        assert [run.partition("\n")[0] for run in runs[:3]] == ["workflow office denied"] * 3
        assert runs[3] == AFTER

    def test_an_aborted_crew_in_a_flow_that_goes_on(self, db, serve):
        def no(context):
            if context.agent is not None and context.agent.role == "clerk":
                raise HookAborted("too dear", source="budget")

        llm = model(serve(DONE))

        class Office(Flow):
            @start()
            async def work(self):
                try:
                    await alone("clerk", llm).akickoff()
                except HookAborted:
                    return (await alone("next", llm, name="after").akickoff()).raw

            @listen(work)
            def more(self):
                return "more"

        register_before_llm_call_hook(no)
        try:
            Office().kickoff()
        finally:
            unregister_before_llm_call_hook(no)
        told = outline(db).splitlines()
        assert [line for line in told if line.startswith(("workflow", "  task", "    workflow"))] == [
            "workflow Office",
            "  task work",
            "    workflow office denied",
            "    workflow after",
            "  task more",
        ]

    def test_a_failed_call_in_a_flows_method_does_not_end_the_method(self, db, serve):
        llm = model(serve(lambda request: Reply(error=500) if request.user == "first" else Reply("done")))

        class Office(Flow):
            @start()
            async def work(self):
                try:
                    llm.call("first")
                except Exception:
                    return llm.call("second")

        Office().kickoff()
        assert outline(db) == (
            "workflow Office\n"
            "  task work\n"
            "    llm OpenAICompletion error (InternalServerError)\n"
            "    llm OpenAICompletion"
        )


class TestToldLate:
    """CrewAI as a version would be whose events come from a pool of threads alone, in any order."""

    @pytest.fixture(autouse=True)
    def _late(self, listening, told_late, db):
        from counterfoil_crewai import CounterfoilListener

        listening.close()
        listener = CounterfoilListener(db)
        yield
        listener.close()

    def test_the_same_is_recorded(self, db, serve):
        lead = [
            Reply(calls=[call("delegate_work_to_coworker", coworker="Writer", task="it", context="well")]),
            Reply(calls=[call("search", query="fail"), call("search", query="tea")]),
            Reply("done"),
        ]
        llm = model(serve(by_role(Lead=lead, Writer=Reply("written"), Clerk=Reply("filed"))))
        first = task(agent("Lead", llm, search, allow_delegation=True), "1")
        crew(first, task(agent("Clerk", llm), "2"), agents=[agent("Writer", llm)]).kickoff()
        told = outline(db)
        tools = ["      tool search [Lead] error (LookupError)", "      tool search [Lead]"]
        assert sorted(line for line in told.splitlines() if "tool search" in line) == sorted(tools)
        assert [line for line in told.splitlines() if "tool search" not in line] == [
            "workflow office",
            "  task task",
            "    agent Lead",
            "      llm OpenAICompletion [Lead]",
            "      tool delegate_work_to_coworker [Lead]",
            "        agent Writer",
            "          llm OpenAICompletion [Writer]",
            "      llm OpenAICompletion [Lead]",
            "      llm OpenAICompletion [Lead]",
            "  task task",
            "    agent Clerk",
            "      llm OpenAICompletion [Clerk]",
            "Lead -> Writer escalation returned native: well",
            "Lead -> Clerk route accepted inferred: 2",
        ]

    def test_all_is_told_when_kickoff_returns(self, db, serve):
        llm = model(serve(DONE))
        for _ in range(5):
            alone("clerk", llm).kickoff()
        with counterfoil.open(db) as store:
            assert [run.status for run in store.runs()] == ["ok"] * 5

    def test_crews_at_once(self, db, serve):
        llm = model(serve(DONE))
        threads = [threading.Thread(target=alone(f"clerk{n}", llm).kickoff) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        with counterfoil.open(db) as store:
            assert sorted(
                tuple(step.name for step in store.steps(run) if step.kind == "agent") for run in store.runs()
            ) == [(f"clerk{n}",) for n in range(4)]

    def test_steps_begin_when_they_began(self, db, serve):
        alone("clerk", model(serve([Rule(Reply("done", delay=0.2))]))).kickoff()
        with counterfoil.open(db) as store:
            (one,) = store.llm_calls()
        assert one.duration_ms >= 200

    def test_what_is_replayed_is_not_recorded_again(self, db, serve):
        sent = []

        class Office(Flow):
            @start()
            def work(self):
                return "done"

        with crewai_event_bus.scoped_handlers():
            crewai_event_bus.on(FlowStartedEvent)(lambda source, event: sent.append((source, event)))
            Office().kickoff()
            crewai_event_bus.flush()
        Office().kickoff()
        ((source, event),) = sent
        crewai_event_bus.replay(source, event)
        crewai_event_bus.flush()
        with counterfoil.open(db) as store:
            assert len(store.runs(all=True)) == 1

    def test_a_stream(self, db, serve):
        # A piece does not wait for its call's start, which another thread tells: a busy machine may take a while.
        alone("clerk", model(serve([Rule(Reply("all is done", delay=0.5))]), stream=True)).kickoff()
        with counterfoil.open(db) as store:
            (one,) = store.llm_calls()
        assert 0 < one.ttft_ms <= one.duration_ms

    def test_ctrl_c(self, db, serve):
        with pytest.raises(KeyboardInterrupt):
            alone("clerk", stops(serve), stop).kickoff()
        crewai_event_bus.flush()
        assert _status(db) == "cancelled"

    def test_closed_it_hears_nothing(self, db, serve):
        from counterfoil_crewai import attach, delivery

        before = len(crewai_event_bus._sync_handlers)
        attach.install(db, quiet=True)
        attach.uninstall()
        assert len(crewai_event_bus._sync_handlers) == before
        assert delivery.trackers() != ()


class TestErrorsOfOthers:
    def test_what_the_caller_handles_is_not_taken_for_the_cause(self, db, serve):
        try:
            raise KeyError
        except KeyError:
            with pytest.raises(Exception, match="scripted error 401"):
                model(serve([Rule(Reply(error=401))])).call("hello")
        with counterfoil.open(db) as store:
            (one,) = store.llm_calls()
        assert one.error_type == "AuthenticationError"

    def test_a_crew_is_let_go_of_when_its_kickoff_ends(self, db, serve):
        office = alone("clerk", model(serve(DONE)))
        office.kickoff()
        kept = contextvars.copy_context()
        assert not any(
            office is getattr(value, "of", None) or office in getattr(value, "scopes", ())
            for value in kept.values()
            if type(value).__module__.startswith("counterfoil")
        )


class TestAfterAnAbort:
    """What CrewAI left on its stack of a crew that a hook stopped is nobody's parent."""

    @pytest.fixture
    def denied(self):
        """A hook that stops the clerk's model calls, until the test ends."""

        def no(context):
            if context.agent is not None and context.agent.role == "clerk":
                raise HookAborted("too dear", source="budget")

        register_before_llm_call_hook(no)
        yield HookAborted
        unregister_before_llm_call_hook(no)

    def test_a_run_of_ours_holds_the_next_crew(self, db, serve, denied):
        llm = model(serve(DONE))
        with pytest.raises(denied):
            alone("clerk", llm).kickoff()
        with counterfoil.run("mine", db=db):
            alone("next", llm, name="after").kickoff()
        assert outlines(db).partition("\n--\n")[2] == (
            "workflow mine\n"
            "  workflow after\n"
            "    task task\n"
            "      agent next\n"
            "        llm OpenAICompletion [next]"
        )

    def test_the_next_crew_of_the_method_is_led_to(self, db, serve, denied):
        llm = model(serve(DONE))

        class Office(Flow):
            @start()
            async def find(self):
                return (await alone("finder", llm).akickoff()).raw

            @listen(find)
            async def work(self):
                with pytest.raises(denied):
                    await alone("clerk", llm).akickoff()
                return (await alone("next", llm, name="after").akickoff()).raw

            @listen(work)
            async def more(self):
                return (await alone("last", llm).akickoff()).raw

        Office().kickoff()
        routes = [line for line in outline(db).splitlines() if " -> " in line]
        assert routes == [
            "finder -> clerk route accepted inferred: Work",
            "next -> last route accepted inferred: Work",
        ]


class TestTextOfErrors:
    def test_an_error_told_by_its_text_alone_is_not_the_one_its_sender_handles(self, db):
        class Office(Flow):
            @start()
            def work(self):
                told = {"agent_role": "clerk", "step_number": 1}
                try:
                    raise KeyError
                except KeyError:
                    crewai_event_bus.emit(None, PlanStepStartedEvent(**told, step_description="write"))
                    crewai_event_bus.emit(None, PlanStepCompletedEvent(**told, error="no ink"))

        Office().kickoff()
        assert "other plan step error (Error)" in outline(db)
