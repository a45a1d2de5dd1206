"""Applications of all kinds around the listener: notebooks, forks, several listeners and stores."""

from collections import Counter

import pytest

import counterfoil
import counterfoil_crewai
from counterfoil_crewai import CounterfoilListener
from crewai_apps import model
from crewai_office import WHOLE, case, crew_office, token_of
from ledger import agree
from nursery import Nursery
from office import shapes
from support_desk.back_office import BackOffice
from support_desk.crewai_desk import build_desk
from support_desk.endpoint import Endpoint
from support_desk.script import answer
from support_desk.tickets import TICKETS

pytestmark = pytest.mark.slow


@pytest.fixture
def db(db, monkeypatch):
    monkeypatch.setenv("COUNTERFOIL_DB", str(db))
    return db


@pytest.fixture(scope="module")
def nursery():
    with Nursery("crewai_office", "counterfoil_crewai.listener") as nursery:
        yield nursery


class TestNotebook:
    CELL = """
        from counterfoil_crewai import CounterfoilListener
        from crewai_office import case, crew_office
        CounterfoilListener()
        crew_office().kickoff(case(cell))
    """
    CELL_WITH_INSTALL = """
        import counterfoil_crewai
        from crewai_office import case, crew_office
        counterfoil_crewai.install()
        crew_office().kickoff(case(cell))
    """
    KERNEL = """
        import importlib, sys, textwrap
        notebook = {}
        def run(cell, source):
            notebook["cell"] = cell
            exec(textwrap.dedent(source), notebook)
    """
    BOTH = pytest.mark.parametrize("cell", [CELL, CELL_WITH_INSTALL], ids=["listener", "install"])

    @BOTH
    def test_a_cell_that_is_run_again_is_recorded_once_each_time(self, db, child, cell):
        child(self.KERNEL, f"for number in range(3): run(number, {cell!r})")
        with counterfoil.open(db) as store:
            assert shapes(store) == [WHOLE] * 3

    @BOTH
    @pytest.mark.parametrize("reload", ["the package", "every module", "imported anew"])
    def test_a_reloaded_module_records_once(self, db, child, cell, reload):
        child(
            self.KERNEL,
            f"""
            ours = lambda: [name for name in sorted(sys.modules) if name.startswith("counterfoil_crewai")]
            for number in range(3):
                run(number, {cell!r})
                if {reload!r} == "the package":
                    importlib.reload(sys.modules["counterfoil_crewai"])
                elif {reload!r} == "every module":
                    for name in ours():
                        importlib.reload(sys.modules[name])
                else:
                    for name in ours():
                        del sys.modules[name]
            """,
        )
        with counterfoil.open(db) as store:
            assert shapes(store) == [WHOLE] * 3

    def test_a_kernel_that_was_restarted_in_the_middle_leaves_an_interrupted_run(self, db, child):
        child(
            self.KERNEL,
            """
            import os
            if os.fork() == 0:
                import crewai_office
                from counterfoil_crewai import CounterfoilListener
                answers = crewai_office.office_says
                def dies(messages):
                    if "You are expert" in messages[0]["content"]:
                        os.kill(os.getpid(), 9)
                    return answers(messages)
                crewai_office.office_says = dies
                CounterfoilListener()
                crewai_office.crew_office().kickoff(crewai_office.case(0))
            os.wait()
            """,
            f"run(1, {self.CELL!r})",
        )
        with counterfoil.open(db) as store:
            newest, oldest = store.runs()
            assert (newest.status, oldest.status) == ("ok", "interrupted")
            interrupted = [(s.kind, s.name) for s in store.steps(oldest) if s.status == "interrupted"]
        assert interrupted == [
            ("workflow", "office"),
            ("task", "know"),
            ("agent", "front"),
            ("tool", "ask_question_to_coworker"),
            ("agent", "expert"),
            ("llm", "OfficeModel"),
        ]


class TestWorkers:
    def test_workers_forked_from_a_process_that_listens_each_have_a_tape(self, db, child):
        """CrewAI 1.15's own event bus does not survive a fork after the first kickoff: fork before."""
        child(
            """
            import os
            import counterfoil
            from counterfoil_crewai import CounterfoilListener
            from crewai_office import case, crew_office

            CounterfoilListener()
            with counterfoil.run("before"):
                counterfoil.access("facts", query="recorded in the parent")
            workers = []
            for worker in range(2):
                workers.append(os.fork())
                if workers[-1] == 0:
                    for number in range(2):
                        crew_office().kickoff(case(2 * worker + number))
                    counterfoil.flush()
                    os._exit(0)
            assert [os.waitpid(worker, 0)[1] for worker in workers] == [0, 0]
            crew_office().kickoff(case(4))
            """
        )
        with counterfoil.open(db) as store:
            runs = store.runs(framework="crewai")
            assert sorted(token_of(str(run.input)) for run in runs) == [
                f"token-{number:05}" for number in range(5)
            ]
            assert shapes(store).count(WHOLE) == 5
            recorded = {process_id for (process_id,) in store.sql("SELECT DISTINCT process_id FROM steps")[1]}
            assert len(recorded) == 3
            assert (store.quarantine(), store.troubles()) == ([], [])

    @pytest.mark.parametrize("end", ["os._exit(0)", "os.kill(os.getpid(), 9)"])
    def test_a_fork_in_the_middle_of_a_run_stays_in_the_run(self, db, child, end):
        child(
            f"""
            import os
            import crewai_office
            from crewai import Agent, Crew, Task
            from crewai.tools import tool
            from counterfoil_crewai import CounterfoilListener

            def says(messages):
                done = any(message["role"] == "tool" for message in messages)
                asked = any(message["content"] == "asked in the tool" for message in messages)
                return "done" if done or asked else [crewai_office._call("forks", {{"topic": "x"}})]

            crewai_office.office_says = says
            model = crewai_office.OfficeModel(model="office-1", gate=crewai_office.Gate(1))

            @tool("forks")
            def forks(topic: str) -> str:
                "Ask in another process, and in this one."
                pid = os.fork()
                model.call([{{"role": "user", "content": "asked in the tool"}}])
                if pid == 0:
                    {end}
                os.waitpid(pid, 0)
                return "asked"

            CounterfoilListener()
            outer = Agent(role="outer", goal="g", backstory="b", llm=model, tools=[forks])
            Crew(name="crew", agents=[outer], tasks=[Task(description="d", expected_output="e", agent=outer)]).kickoff()
            """
        )
        with counterfoil.open(db) as store:
            (run,) = store.runs(all=True)
            steps = store.steps(run)
            (fork,) = (step for step in steps if step.name == "forks")
            inner = [step for step in steps if step.parent_id == fork.step_id]
        assert run.status == "ok"
        assert Counter((step.kind, step.agent, step.status) for step in steps) == {
            ("workflow", None, "ok"): 1,
            ("task", None, "ok"): 1,
            ("agent", "outer", "ok"): 1,
            ("llm", "outer", "ok"): 4,
            ("tool", "outer", "ok"): 1,
        }
        assert len(inner) == 2
        assert len({step.process_id for step in inner}) == 2


class TestStores:
    @pytest.fixture
    def listen(self):
        """A function that makes listeners, and closes them when the test ends."""
        made = []

        def listen(*paths):
            made.extend(CounterfoilListener(path) for path in paths)

        yield listen
        counterfoil_crewai.uninstall()
        for listener in made:
            listener.close()

    @pytest.fixture
    def other(self, tmp_path):
        return tmp_path / "other.db"

    def test_listeners_for_one_store_record_once_whatever_they_call_it(
        self, db, listen, tmp_path, monkeypatch
    ):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "link.db").symlink_to(db)
        listen(db, str(db), "counterfoil.db", "link.db", None)
        crew_office().kickoff(case(1))
        with counterfoil.open(db) as store:
            assert shapes(store) == [WHOLE]

    def test_two_stores_record_in_full_and_agree_with_the_ledger(self, db, other, listen):
        with Endpoint(answer, strict=True) as endpoint:
            listen(db, other)
            build_desk(model(endpoint), BackOffice()).kickoff({"ticket": TICKETS[1].text})
            found = []
            for path in (db, other):
                with counterfoil.open(path) as store:
                    agree(store, endpoint, beside=False)
                    (run,) = store.runs()
                    steps = {(s.native_id, s.kind, s.name, s.agent, s.status) for s in store.steps(run)}
                    handoffs = {(h.mode, h.source, h.target, h.reason, h.status) for h in store.handoffs()}
                    found.append((run.run_id, steps, handoffs))
        (first, *of_first), (second, *of_second) = found
        assert of_first == of_second
        assert first != second

    def test_install_and_a_listener_for_the_same_store_record_once(self, db, listen):
        for _ in range(2):
            counterfoil_crewai.install(db, quiet=True)
        listen(db)
        crew_office().kickoff(case(1))
        with counterfoil.open(db) as store:
            assert shapes(store) == [WHOLE]

    def test_install_and_a_listener_for_another_store_record_in_full_each(self, db, other, listen):
        counterfoil_crewai.install(db, quiet=True)
        listen(other)
        crew_office().kickoff(case(1))
        with counterfoil.open(db) as store:
            assert shapes(store)[0][("llm", "expert", "ok")] == 3
        with counterfoil.open(other) as store:
            assert shapes(store)[0][("llm", "expert", "ok")] == 3

    def test_both_adapters_record_to_one_store(self, db, child):
        """A graph that has a crew at work in a node is one run of two frameworks."""
        child(
            """
            import counterfoil_crewai, counterfoil_langchain
            from crewai_office import case, crew_office
            from langgraph.graph import START, StateGraph

            counterfoil_crewai.install()
            counterfoil_langchain.install()

            def ask(state: dict) -> dict:
                return {"answer": crew_office().kickoff(case(1)).raw}

            graph = StateGraph(dict)
            graph.add_node("ask", ask)
            graph.add_edge(START, "ask")
            graph.compile(name="desk").invoke({"question": "token-00001"})
            """
        )
        with counterfoil.open(db) as store:
            (run,) = store.runs()
            kinds = [(node.step.kind, node.step.name) for node in store.tree(run)]
        assert kinds == [("workflow", "desk")]
        assert (sorted(run.frameworks), run.status, run.llm_calls) == (
            ["crewai", "langchain", "python"],
            "ok",
            7,
        )
