"""Applications of all kinds around the handler: notebooks, pytest-xdist, forks, several handlers and stores."""

import asyncio
import textwrap
from collections import Counter

import pytest
from langchain.agents import create_agent
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI

import counterfoil
import counterfoil_langchain
from counterfoil_langchain import CounterfoilHandler
from ledger import agree
from office import WHOLE, case, scripted_office, shapes, token_of
from scripted_model import ScriptedModel, says
from support_desk.back_office import BackOffice
from support_desk.endpoint import Endpoint
from support_desk.langgraph_desk import build_desk
from support_desk.script import answer
from support_desk.tickets import TICKETS

pytestmark = pytest.mark.slow


@pytest.fixture
def db(db, monkeypatch):
    monkeypatch.setenv("COUNTERFOIL_DB", str(db))
    return db


class TestNotebook:
    CELL = """
        import counterfoil_langchain
        from office import case, scripted_office
        office = scripted_office()
        config = {"callbacks": [counterfoil_langchain.CounterfoilHandler()]}
        office.invoke(case(cell), config)
    """
    CELL_WITH_INSTALL = """
        import counterfoil_langchain
        from office import case, scripted_office
        counterfoil_langchain.install()
        office = scripted_office()
        office.invoke(case(cell))
    """
    KERNEL = """
        import importlib, sys, textwrap
        notebook = {}
        def run(cell, source):
            notebook["cell"] = cell
            exec(textwrap.dedent(source), notebook)
    """

    @pytest.mark.parametrize("cell", [CELL, CELL_WITH_INSTALL], ids=["handler", "install"])
    def test_a_cell_that_is_run_again_is_recorded_once_each_time(self, db, child, cell):
        child(self.KERNEL, f"for number in range(3): run(number, {cell!r})")
        with counterfoil.open(db) as store:
            assert shapes(store) == [WHOLE] * 3

    def test_handlers_that_pile_up_in_a_cell_record_once(self, db, child):
        child(
            self.KERNEL,
            f"""
            run(0, {self.CELL!r})
            for number in range(1, 4):
                run(number, "config['callbacks'].append(counterfoil_langchain.CounterfoilHandler())")
                run(number, "office.invoke(case(cell), config)")
            """,
        )
        with counterfoil.open(db) as store:
            assert shapes(store) == [WHOLE] * 4

    @pytest.mark.parametrize("cell", [CELL, CELL_WITH_INSTALL], ids=["handler", "install"])
    @pytest.mark.parametrize("reload", ["the package", "every module", "imported anew"])
    def test_a_reloaded_module_records_once(self, db, child, cell, reload):
        child(
            self.KERNEL,
            f"""
            ours = lambda: [name for name in sorted(sys.modules) if name.startswith("counterfoil_langchain")]
            for number in range(3):
                run(number, {cell!r})
                if {reload!r} == "the package":
                    importlib.reload(sys.modules["counterfoil_langchain"])
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

    def test_a_restarted_kernel_goes_on_in_the_same_store(self, db, child):
        for number in range(2):
            child(self.KERNEL, f"run({number}, {self.CELL!r})")
        with counterfoil.open(db) as store:
            assert shapes(store) == [WHOLE] * 2
            assert len(store.processes()) == 2
            assert not any(process.alive for process in store.processes())

    def test_a_kernel_that_was_restarted_in_the_middle_leaves_an_interrupted_run(self, db, child):
        child(
            self.KERNEL,
            """
            import os, subprocess
            if os.fork() == 0:
                from office import front_says, build_office, case
                from scripted_model import ScriptedModel
                from counterfoil_langchain import CounterfoilHandler
                def dies(messages):
                    os.kill(os.getpid(), 9)
                models = [ScriptedModel(answer=answer) for answer in (front_says, dies, dies)]
                build_office(*models).invoke(case(0), {"callbacks": [CounterfoilHandler()]})
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
            ("agent", "front"),
            ("tool", "ask_expert"),
            ("agent", "expert"),
            ("llm", "ScriptedModel"),
        ]


#: How a tool may go on in another process.
FORKS = {
    "os.fork": """
        def forked(topic):
            pid = os.fork()
            if pid == 0:
                ask(topic)
                os._exit(0)
            os.waitpid(pid, 0)
    """,
    "killed": """
        def forked(topic):
            pid = os.fork()
            if pid == 0:
                ask(topic)
                os.kill(os.getpid(), 9)
            os.waitpid(pid, 0)
    """,
    "multiprocessing": """
        def forked(topic):
            process = multiprocessing.get_context("fork").Process(target=ask, args=(topic,))
            process.start()
            process.join()
    """,
}


class TestWorkers:
    SUITE = """
        import pytest
        from counterfoil_langchain import CounterfoilHandler
        from office import case, scripted_office

        @pytest.mark.parametrize("number", range(8))
        def test_office(number):
            scripted_office().invoke(case(number), {"callbacks": [CounterfoilHandler()]})
    """

    def test_workers_of_pytest_xdist_share_a_store(self, db, child, tmp_path):
        (tmp_path / "test_nested.py").write_text(textwrap.dedent(self.SUITE))
        (tmp_path / "pytest.ini").write_text("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
        done = child(
            """
            import sys, pytest
            sys.exit(pytest.main(["-n", "2", "-q", "-p", "no:cacheprovider", "test_nested.py"]))
            """
        )
        assert "8 passed" in done.stdout
        with counterfoil.open(db) as store:
            assert shapes(store) == [WHOLE] * 8
            assert sorted(token_of(str(run.input)) for run in store.runs()) == [
                f"token-{number:05}" for number in range(8)
            ]
            recorded = {process_id for (process_id,) in store.sql("SELECT DISTINCT process_id FROM steps")[1]}
            assert len(recorded) == 2
            assert (store.quarantine(), store.troubles()) == ([], [])

    def test_workers_forked_from_a_process_that_has_recorded_each_have_a_tape(self, db, child):
        child(
            """
            import multiprocessing
            from counterfoil_langchain import CounterfoilHandler
            from office import case, scripted_office
            office, config = scripted_office(), {"callbacks": [CounterfoilHandler()]}

            def work(number):
                office.invoke(case(number), config)

            work(0)
            with multiprocessing.get_context("fork").Pool(2) as pool:
                pool.map(work, range(1, 7), chunksize=1)
            work(7)
            """
        )
        with counterfoil.open(db) as store:
            assert shapes(store) == [WHOLE] * 8
            assert sorted(token_of(str(run.input)) for run in store.runs()) == [
                f"token-{number:05}" for number in range(8)
            ]
            assert (store.quarantine(), store.troubles()) == ([], [])

    @pytest.mark.parametrize("way", FORKS)
    def test_a_fork_in_the_middle_of_a_run_stays_in_the_run(self, db, child, way):
        child(
            """
            import multiprocessing, os
            from counterfoil_langchain import CounterfoilHandler
            from langchain.agents import create_agent
            from scripted_model import ScriptedModel, says

            inner = create_agent(ScriptedModel(answer=lambda _: says("asked")), [], name="inner")

            def ask(topic):
                inner.invoke({"messages": [("user", topic)]})
            """,
            FORKS[way],
            """
            def fork(topic: str) -> str:
                "Ask in another process, and in this one."
                forked(topic)
                ask(topic)
                return "done"

            def outer_says(messages):
                return says("", ("fork", {"topic": "x"})) if messages[-1].type == "human" else says("done")

            outer = create_agent(ScriptedModel(answer=outer_says), [fork], name="outer")
            outer.invoke({"messages": [("user", "go")]}, {"callbacks": [CounterfoilHandler()]})
            """,
        )
        with counterfoil.open(db) as store:
            (run,) = store.runs(all=True)
            steps = [(s.kind, s.name, s.agent, s.status) for s in store.steps(run)]
            by_id = {s.step_id: s for s in store.steps(run)}
            inner = [s for s in by_id.values() if s.name == "inner"]
            (fork,) = (s for s in by_id.values() if s.name == "fork")
        assert run.status == "ok"
        assert Counter(steps) == {
            ("agent", "outer", "outer", "ok"): 1,
            ("llm", "ScriptedModel", "outer", "ok"): 2,
            ("tool", "fork", "outer", "ok"): 1,
            ("agent", "inner", "inner", "ok"): 2,
            ("llm", "ScriptedModel", "inner", "ok"): 2,
        }
        assert {s.parent_id for s in inner} == {fork.step_id}
        assert len({s.process_id for s in inner}) == 2


class TestStores:
    @pytest.fixture(autouse=True)
    def _detached(self):
        yield
        counterfoil_langchain.uninstall()

    @pytest.fixture
    def other(self, tmp_path):
        return tmp_path / "other.db"

    def test_one_handler_twice_in_a_list_records_once(self, db):
        handler = CounterfoilHandler(db)
        scripted_office().with_config(callbacks=[handler]).invoke(case(1), {"callbacks": [handler, handler]})
        with counterfoil.open(db) as store:
            assert shapes(store) == [WHOLE]

    def test_two_handlers_for_one_store_record_once(self, db, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "link.db").symlink_to(db)
        handlers = [CounterfoilHandler(path) for path in (db, str(db), "counterfoil.db", "link.db", None)]
        scripted_office().invoke(case(1), {"callbacks": handlers})
        with counterfoil.open(db) as store:
            assert shapes(store) == [WHOLE]

    def test_handlers_of_the_model_the_tool_and_the_run_record_once(self, db):
        @tool
        def ping(word: str) -> str:
            """Ping."""
            return word

        def answers(messages):
            return says("", ("ping", {"word": "a"})) if messages[-1].type == "human" else says("done")

        model = ScriptedModel(answer=answers, callbacks=[CounterfoilHandler(db)])
        ping.callbacks = [CounterfoilHandler(db)]
        agent = create_agent(model, [ping], name="pinger").with_config(callbacks=[CounterfoilHandler(db)])
        agent.invoke({"messages": [("user", "go")]}, {"callbacks": [CounterfoilHandler(db)]})
        with counterfoil.open(db) as store:
            assert shapes(store) == [
                {("agent", "pinger", "ok"): 1, ("llm", "pinger", "ok"): 2, ("tool", "pinger", "ok"): 1}
            ]

    def test_two_stores_record_in_full_and_agree_with_the_ledger(self, db, other):
        with Endpoint(answer, strict=True) as endpoint:
            model = ChatOpenAI(
                model="gpt-4.1-mini",
                base_url=endpoint.url,
                api_key="offline",
                stream_usage=True,
                max_retries=0,
            )
            handlers = [CounterfoilHandler(db), CounterfoilHandler(other)]
            build_desk(model, BackOffice()).invoke(
                {"messages": [("user", TICKETS[1].text)]}, {"callbacks": handlers}
            )
            found = []
            for path in (db, other):
                with counterfoil.open(path) as store:
                    agree(store, endpoint)
                    (run,) = store.runs()
                    steps = {(s.native_id, s.kind, s.name, s.agent, s.status) for s in store.steps(run)}
                    handoffs = {(h.mode, h.source, h.target, h.reason, h.status) for h in store.handoffs()}
                    found.append((run.run_id, steps, handoffs))
        (first, *of_first), (second, *of_second) = found
        assert of_first == of_second
        assert first != second

    def test_install_again_records_once(self, db):
        for _ in range(3):
            counterfoil_langchain.install(db, quiet=True)
        scripted_office().invoke(case(1))
        asyncio.run(scripted_office(in_tasks=True).ainvoke(case(2)))
        with counterfoil.open(db) as store:
            assert shapes(store) == [WHOLE] * 2

    def test_install_and_a_handler_for_the_same_store_record_once(self, db):
        counterfoil_langchain.install(db, quiet=True)
        scripted_office().invoke(case(1), {"callbacks": [CounterfoilHandler(db)]})
        with counterfoil.open(db) as store:
            assert shapes(store) == [WHOLE]

    def test_install_and_a_handler_for_another_store_record_in_full_each(self, db, other):
        counterfoil_langchain.install(db, quiet=True)
        scripted_office().invoke(case(1), {"callbacks": [CounterfoilHandler(other)]})
        for path in (db, other):
            with counterfoil.open(path) as store:
                assert shapes(store) == [WHOLE]

    def test_uninstall_ends_it_and_install_begins_anew(self, db):
        office = scripted_office()
        counterfoil_langchain.install(db, quiet=True)
        office.invoke(case(1))
        counterfoil_langchain.uninstall()
        counterfoil_langchain.uninstall()
        create_agent(ScriptedModel(answer=lambda _: says("unheard")), [], name="unheard").invoke(
            {"messages": [("user", "hello")]}
        )
        counterfoil_langchain.install(db, quiet=True)
        office.invoke(case(2))
        with counterfoil.open(db) as store:
            assert shapes(store) == [WHOLE] * 2

    def test_install_says_once_on_stderr_where_it_records_and_a_handler_says_nothing(self, db, child):
        program = """
            import counterfoil_langchain
            from office import case, scripted_office
            from counterfoil_langchain import CounterfoilHandler
            {install}
            scripted_office().invoke(case(1), {{"callbacks": [CounterfoilHandler()]}})
        """
        twice = "counterfoil_langchain.install(); counterfoil_langchain.install()"
        loud = child(program.format(install=twice), COUNTERFOIL_QUIET="")
        assert loud.stdout == ""
        assert [str(db) in line for line in loud.stderr.splitlines()] == [True]
        assert child(program.format(install=twice), COUNTERFOIL_QUIET="1").stderr == ""
        assert child(program.format(install=""), COUNTERFOIL_QUIET="").stderr == ""
