"""Questions that CrewAI puts to humans, and their answers."""

import builtins

import pytest
from crewai.core.providers.human_input import reset_provider, set_provider
from crewai.flow.async_feedback import HumanFeedbackPending, PendingFeedbackContext
from crewai.flow.flow import Flow, listen, start
from crewai.flow.human_feedback import human_feedback
from crewai.flow.persistence import SQLiteFlowPersistence

import counterfoil
from crewai_apps import agent, crew, model, task
from outline import outline, outlines
from support_desk.endpoint import Reply, Rule

pytestmark = pytest.mark.usefixtures("listening")

DONE = [Rule(Reply("done"))]


@pytest.fixture
def types(monkeypatch):
    """A function that sets what the human types, question by question."""

    def say(*lines):
        left = iter(lines)
        monkeypatch.setattr(builtins, "input", lambda *_: next(left))

    return say


def humans(db):
    """Give every human step of the last run, and the escalations to humans."""
    with counterfoil.open(db) as store:
        run = store.run("last")
        steps = [step for step in store.steps(run) if step.kind == "human"]
        return steps, [one for one in store.handoffs(run) if one.target_type == "human"]


class TestHumanInput:
    def test_each_question_is_a_step(self, db, serve, types):
        types("shorter, please", "")
        crew(task(agent("clerk", model(serve(DONE))), human_input=True)).kickoff()
        assert outline(db) == (
            "workflow office\n"
            "  task task\n"
            "    agent clerk\n"
            "      llm OpenAICompletion [clerk]\n"
            "      human human [clerk]\n"
            "      llm OpenAICompletion [clerk]\n"
            "      human human [clerk]\n"
            "clerk -> human escalation returned native to a human\n"
            "clerk -> human escalation returned native to a human"
        )
        steps, _ = humans(db)
        assert [(step.input, step.output) for step in steps] == [
            ({"answer": "done"}, "shorter, please"),
            ({"answer": "done"}, ""),
        ]

    def test_a_provider_of_the_users_is_one_question(self, db, serve):
        class Pager:
            def setup_messages(self, context):
                return False

            def post_setup_messages(self, context):
                pass

            def handle_feedback(self, formatted_answer, context):
                formatted_answer.output = "approved"
                return formatted_answer

        token = set_provider(Pager())
        try:
            crew(task(agent("clerk", model(serve(DONE))), human_input=True)).kickoff()
        finally:
            reset_provider(token)
        ((step,), (asked,)) = humans(db)
        assert (step.input, step.output, step.status) == ({"answer": "done"}, "approved", "ok")
        assert (asked.source, asked.status) == ("clerk", "returned")

    def test_whoever_stops_the_program_has_not_answered(self, db, serve, monkeypatch):
        def interrupted(*_):
            raise KeyboardInterrupt

        monkeypatch.setattr(builtins, "input", interrupted)
        with pytest.raises(KeyboardInterrupt):
            crew(task(agent("clerk", model(serve(DONE))), human_input=True)).kickoff()
        ((step,), (asked,)) = humans(db)
        assert (step.status, asked.status) == ("cancelled", "abandoned")


class TestFlows:
    @pytest.mark.slow
    def test_a_flow_asks(self, db, types):
        class Office(Flow):
            @start()
            def work(self):
                return self.ask("Who are you?")

        types("Ann")
        Office().kickoff()
        ((step,), (asked,)) = humans(db)
        assert (step.input, step.output) == ({"message": "Who are you?"}, "Ann")
        assert (asked.mode, asked.status) == ("escalation", "returned")

    def test_a_question_without_an_answer(self, db):
        class Nobody:
            def request_input(self, message, flow, metadata=None):
                return None

        class Office(Flow):
            input_provider = Nobody()

            @start()
            def work(self):
                return self.ask("Who are you?") or "nobody"

        Office().kickoff()
        ((step,), (asked,)) = humans(db)
        assert (step.status, asked.status) == ("cancelled", "abandoned")

    def test_feedback_on_a_methods_output(self, db, types):
        class Office(Flow):
            @start()
            @human_feedback(message="Is it good?")
            def work(self):
                return "a draft"

        types("good enough")
        Office().kickoff()
        ((step,), _) = humans(db)
        assert step.input == {"message": "Is it good?", "output": "a draft"}
        assert step.output == "good enough"

    def test_the_time_a_human_takes_is_counted(self, db, types):
        class Office(Flow):
            @start()
            def work(self):
                return self.ask("Who are you?")

        types("Ann")
        Office().kickoff()
        with counterfoil.open(db) as store:
            (run,) = store.runs(all=True)
        assert run.human_wait_ms is not None
        assert run.status == "ok"


class Later:
    """A way to ask whose answer comes by another road: the flow stops."""

    def request_feedback(self, context, flow):
        raise HumanFeedbackPending(context=context)


class Drafts(Flow):
    @start()
    @human_feedback(message="Is it good?", provider=Later())
    def work(self):
        return "a draft"

    @listen(work)
    def send(self, judged):
        return f"sent: {judged.feedback}"


class TestPauses:
    def test_a_flow_that_stops_for_a_human_waits(self, db, tmp_path):
        pending = Drafts(persistence=SQLiteFlowPersistence(str(tmp_path / "flows.db"))).kickoff()
        assert isinstance(pending.context, PendingFeedbackContext)
        assert outline(db) == (
            "workflow Drafts waiting\n"
            "  task work waiting\n"
            "    human human waiting\n"
            "run: waiting\n"
            "None -> human escalation requested native to a human"
        )

    def test_a_run_that_goes_on_may_be_stopped(self, db, tmp_path, monkeypatch):
        def interrupted(*_):
            raise KeyboardInterrupt

        persistence = SQLiteFlowPersistence(str(tmp_path / "flows.db"))
        pending = Drafts(persistence=persistence).kickoff()
        flow = Drafts.from_pending(pending.context.flow_id, persistence)
        monkeypatch.setattr(type(persistence), "clear_pending_feedback", interrupted)
        with pytest.raises(KeyboardInterrupt):
            flow.resume("yes")
        assert outlines(db).endswith("--\nworkflow Drafts cancelled\n  task work cancelled\nrun: cancelled")

    def test_another_run_goes_on_with_the_answer(self, db, tmp_path):
        persistence = SQLiteFlowPersistence(str(tmp_path / "flows.db"))
        pending = Drafts(persistence=persistence).kickoff()
        result = Drafts.from_pending(pending.context.flow_id, persistence).resume("yes")
        assert result == "sent: yes"
        assert outlines(db) == (
            "workflow Drafts waiting\n"
            "  task work waiting\n"
            "    human human\n"
            "None -> human escalation returned native to a human\n"
            "--\n"
            "workflow Drafts\n"
            "  task work\n"
            "  task send"
        )
        with counterfoil.open(db) as store:
            second, first = sorted(store.runs(all=True), key=lambda run: run.started_ns, reverse=True)
            (question,) = [step for step in store.steps(first) if step.kind == "human"]
        assert (second.resumes, second.first_run_id) == (first.run_id, first.run_id)
        assert question.output == "yes"
