"""Who asked whom in CrewAI, and who came next."""

import pytest
from crewai import Process
from crewai.hooks import register_before_tool_call_hook, unregister_before_tool_call_hook
from crewai.tasks.conditional_task import ConditionalTask
from crewai.tools import tool

import counterfoil
from crewai_apps import agent, alone, by_role, crew, model, task, text_model
from support_desk.endpoint import Reply, Rule, call, in_turn

pytestmark = pytest.mark.usefixtures("listening")

DONE = [Rule(Reply("done"))]


def handoffs(db):
    """Give every handoff as `source -> target mode status evidence: reason`, by the time it was asked for."""
    with counterfoil.open(db) as store:
        return [
            f"{one.source} -> {one.target} {one.mode} {one.status} {one.evidence}"
            + (f" by {one.coordinator}" if one.coordinator else "")
            + (f": {one.reason}" if one.reason else "")
            for run in sorted(store.runs(), key=lambda run: run.started_ns)
            for one in store.handoffs(run)
        ]


def the_handoff(db):
    with counterfoil.open(db) as store:
        (one,) = store.handoffs(store.run("last"))
        return one


def asks(coworker, tool_name="delegate_work_to_coworker", **what):
    what = what or {"task": "Write it", "context": "You write well"}
    return [Reply(calls=[call(tool_name, coworker=coworker, **what)]), Reply("done")]


def lead_and_writer(serve, lead, writer="written", **options):
    llm = model(serve(by_role(Lead=lead, Writer=Reply(writer) if isinstance(writer, str) else writer)))
    return crew(task(agent("Lead", llm, allow_delegation=True)), agents=[agent("Writer", llm)], **options)


class TestCoworkers:
    def test_work_is_delegated(self, db, serve):
        lead_and_writer(serve, asks("writer")).kickoff()
        one = the_handoff(db)
        assert (one.source, one.target, one.target_asked) == ("Lead", "Writer", "writer")
        assert (one.mode, one.status, one.evidence) == ("escalation", "returned", "native")
        assert (one.reason, one.payload, one.answer) == ("You write well", "Write it", "written")
        with counterfoil.open(db) as store:
            (asked,) = store.tool_calls()
            first = min(store.llm_calls(), key=lambda call: call.started_ns)
            steps = {step.step_id: step for step in store.steps(store.run("last"))}
        assert (one.step_id, one.decided_by) == (asked.step_id, first.step_id)
        assert steps[one.target_step_id].parent_id == asked.step_id

    def test_who_came_is_told_where_no_content_is(self, db, serve):
        counterfoil.recorder_at(db, capture="metadata")
        lead_and_writer(serve, asks("writer")).kickoff()
        one = the_handoff(db)
        assert (one.source, one.target, one.status) == ("Lead", "Writer", "returned")
        assert (one.reason, one.payload, one.answer) == (None, None, None)

    def test_a_question_is_asked(self, db, serve):
        ask = asks("Writer", "ask_question_to_coworker", question="How long?", context="It must fit")
        lead_and_writer(serve, ask, "a page").kickoff()
        one = the_handoff(db)
        assert (one.payload, one.reason, one.answer) == ("How long?", "It must fit", "a page")

    def test_a_name_is_resolved_as_crewai_does(self, db, serve):
        lead_and_writer(serve, asks('"WRITER"')).kickoff()
        one = the_handoff(db)
        assert (one.target_asked, one.target, one.status) == ('"WRITER"', "Writer", "returned")

    def test_of_several_names_crewai_takes_the_first(self, db, serve):
        lead_and_writer(serve, asks("[writer, editor]")).kickoff()
        one = the_handoff(db)
        assert (one.target_asked, one.target, one.status) == ("[writer, editor]", "Writer", "returned")

    def test_an_unknown_coworker_is_refused(self, db, serve):
        lead_and_writer(serve, asks("Ghost")).kickoff()
        one = the_handoff(db)
        assert (one.target, one.status, one.refused_by, one.target_step_id) == (
            "Ghost",
            "refused",
            "framework",
            None,
        )

    def test_a_hook_that_says_no_refuses(self, db, serve):
        def no(_):
            return False

        register_before_tool_call_hook(no)
        try:
            lead_and_writer(serve, asks("Writer")).kickoff()
        finally:
            unregister_before_tool_call_hook(no)
        one = the_handoff(db)
        assert (one.status, one.refused_by) == ("refused", "policy")

    def test_a_coworker_that_fails(self, db, serve):
        lead_and_writer(serve, asks("Writer"), Reply(error=500)).kickoff()
        assert the_handoff(db).status == "failed"

    def test_two_coworkers_at_once(self, db, serve):
        both = [
            Reply(
                calls=[
                    call("delegate_work_to_coworker", coworker=who, task=f"for {who}", context="At once")
                    for who in ("Writer", "Editor")
                ]
            ),
            Reply("done"),
        ]
        llm = model(serve(by_role(Lead=both, Writer=Reply("written"), Editor=Reply("edited"))))
        lead = agent("Lead", llm, allow_delegation=True)
        crew(task(lead), agents=[agent("Writer", llm), agent("Editor", llm)]).kickoff()
        assert sorted(handoffs(db)) == [
            "Lead -> Editor escalation returned native: At once",
            "Lead -> Writer escalation returned native: At once",
        ]

    def test_the_tools_names_in_text(self, db, serve):
        asked = (
            "Thought: ask\nAction: Delegate work to coworker\n"
            'Action Input: {"task": "Write it", "context": "You write well", "coworker": "Writer"}'
        )

        def script(request):
            if "You are Writer" in request.system:
                return Reply("Final Answer: written")
            return Reply("Final Answer: done" if "Observation: written" in request.transcript else asked)

        llm = text_model(serve(script))
        crew(task(agent("Lead", llm, allow_delegation=True)), agents=[agent("Writer", llm)]).kickoff()
        assert handoffs(db) == ["Lead -> Writer escalation returned native: You write well"]

    def test_a_manager_asks_as_everybody(self, db, serve):
        answers = {"Crew Manager": asks("Writer"), "Writer": Reply("written")}
        llm = model(serve(by_role(**answers)))
        crew(
            task(None), agents=[agent("Writer", llm)], process=Process.hierarchical, manager_llm=llm
        ).kickoff()
        assert handoffs(db) == ["Crew Manager -> Writer escalation returned native: You write well"]


class TestCrewInTool:
    def test_it_is_asked_as_a_whole(self, db, serve):
        llm = model(serve(DONE))

        @tool("ask")
        def ask(question: str) -> str:
            """Ask."""
            return alone("expert", llm, name="experts").kickoff().raw

        script = in_turn(Reply(calls=[call("ask", question="why?")]), Reply("done"))
        alone("clerk", model(serve(script)), ask).kickoff()
        one = the_handoff(db)
        assert (one.source, one.target, one.target_type) == ("clerk", "experts", "workflow")
        assert (one.mode, one.status, one.evidence, one.reason) == (
            "escalation",
            "returned",
            "inferred",
            "why?",
        )


class TestTasks:
    def test_the_next_task_with_another_agent(self, db, serve):
        llm = model(serve(DONE))
        crew(task(agent("clerk", llm), "Find"), task(agent("writer", llm), "Write")).kickoff()
        assert handoffs(db) == ["clerk -> writer route accepted inferred: Write"]

    def test_the_same_agent_again_is_no_handoff(self, db, serve):
        who = agent("clerk", model(serve(DONE)))
        crew(task(who, "Find"), task(who, "Write")).kickoff()
        assert handoffs(db) == []

    def test_the_tasks_it_is_given_say_from_whom(self, db, serve):
        llm = model(serve(DONE))
        a, b, c = (agent(role, llm) for role in ("a", "b", "c"))
        first, second = task(a, "1"), task(b, "2")
        crew(first, second, task(c, "3", context=[first])).kickoff()
        assert handoffs(db) == [
            "a -> b route accepted inferred: 2",
            "a -> c route accepted inferred: 3",
        ]

    def test_several_tasks_may_lead_to_one(self, db, serve):
        llm = model(serve(DONE))
        a, b, c = (agent(role, llm) for role in ("a", "b", "c"))
        first, second = task(a, "1"), task(b, "2")
        crew(first, second, task(c, "3", context=[first, second])).kickoff()
        assert sorted(handoffs(db)) == [
            "a -> b route accepted inferred: 2",
            "a -> c route accepted inferred: 3",
            "b -> c route accepted inferred: 3",
        ]

    def test_tasks_at_once_lead_to_the_next_and_not_to_each_other(self, db, serve):
        llm = model(serve(DONE))
        tasks = [task(agent(role, llm), role, async_execution=True) for role in ("a", "b")]
        crew(*tasks, task(agent("c", llm), "c")).kickoff()
        assert sorted(handoffs(db)) == [
            "a -> c route accepted inferred: c",
            "b -> c route accepted inferred: c",
        ]

    def test_a_task_that_is_left_out_leads_nowhere(self, db, serve):
        llm = model(serve(DONE))
        a, b, c = (agent(role, llm) for role in ("a", "b", "c"))
        never = ConditionalTask(
            description="2", expected_output="One line", agent=b, condition=lambda _: False
        )
        crew(task(a, "1"), never, task(c, "3")).kickoff()
        assert handoffs(db) == ["a -> c route accepted inferred: 3"]

    def test_a_task_done_again_is_led_to_once(self, db, serve):
        verdicts = iter([(False, "no"), (True, "done")])

        def check(output):
            return next(verdicts)

        llm = model(serve(DONE))
        crew(task(agent("a", llm), "1"), task(agent("b", llm), "2", guardrail=check)).kickoff()
        assert handoffs(db) == ["a -> b route accepted inferred: 2"]

    def test_the_planner_leads_to_nobody(self, db, serve):
        plan = '{"list_of_plans_per_task": [{"task_number": 1, "task": "Work", "plan": "do"}]}'
        llm = model(serve([Rule(Reply(plan))]))
        crew(task(agent("clerk", llm)), planning=True, planning_llm=llm).kickoff()
        assert handoffs(db) == []

    def test_whoever_asked_a_coworker_leads_on(self, db, serve):
        llm = model(serve(by_role(Lead=asks("Writer"), Writer=Reply("written"), Clerk=Reply("filed"))))
        lead = agent("Lead", llm, allow_delegation=True)
        crew(task(lead, "1"), task(agent("Clerk", llm), "2"), agents=[agent("Writer", llm)]).kickoff()
        assert handoffs(db) == [
            "Lead -> Writer escalation returned native: You write well",
            "Lead -> Clerk route accepted inferred: 2",
        ]

    def test_a_task_done_again_is_led_to_once_by_those_it_names(self, db, serve):
        verdicts = iter([(False, "no"), (True, "done")])

        def check(output):
            return next(verdicts)

        llm = model(serve(DONE))
        first = task(agent("a", llm), "1")
        crew(first, task(agent("b", llm), "2", context=[first], guardrail=check)).kickoff()
        assert handoffs(db) == ["a -> b route accepted inferred: 2"]


class TestNames:
    def test_white_space_around_a_coworkers_name_is_kept_as_it_was_asked(self, db, serve):
        lead_and_writer(serve, asks(" Writer\n")).kickoff()
        one = the_handoff(db)
        assert (one.target_asked, one.target, one.status) == (" Writer\n", "Writer", "returned")
