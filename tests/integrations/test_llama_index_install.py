"""Attaching to LlamaIndex: to the whole process or a block, without leaving anything behind, and without breaking the host."""

import asyncio
import os
import subprocess
import sys

import pytest
from llama_index.core.workflow import Context
from llama_index_instrumentation import get_dispatcher
from llama_index_instrumentation.event_handlers import BaseEventHandler
from llama_index_instrumentation.span_handlers import SimpleSpanHandler

import counterfoil
import counterfoil_llama_index
from counterfoil import guard
from counterfoil_llama_index import attach
from llama_index_apps import agent, close_models, model, search
from llama_index_office import WHOLE
from nursery import Nursery
from office import shapes
from outline import outline
from support_desk.endpoint import Reply, call, in_turn

DONE = in_turn(Reply("done"))
LOOKS = in_turn(Reply(calls=[call("search", query="tea")]), Reply("Green tea."))


@pytest.fixture
async def install(db):
    """`install`, undone when the test ends."""
    yield lambda path=db, **options: counterfoil_llama_index.install(path, **{"quiet": True} | options)
    counterfoil_llama_index.uninstall()
    await close_models()


@pytest.fixture(scope="module")
def nursery():
    with Nursery("llama_index_office", "counterfoil_llama_index.attach") as nursery:
        yield nursery


def runs(path):
    if not path.with_name(path.name + ".tape").exists():
        return []
    with counterfoil.open(path) as store:
        return store.runs(all=True)


def left():
    """Give what of LlamaIndex we would change."""
    root = get_dispatcher()
    wrapped = [vars(Context)[name] for name in ("wait_for_event", "write_event_to_stream")]
    return [[*root.span_handlers], [*root.event_handlers], wrapped]


class TestInstall:
    async def test_every_run_of_the_process(self, db, serve, install):
        install()
        await agent("clerk", model(serve(DONE))).run("x")
        assert len(runs(db)) == 1
        assert attach.installed()

    async def test_twice_records_once(self, db, serve, install):
        install()
        install()
        await agent("clerk", model(serve(DONE))).run("x")
        assert runs(db)[0].llm_calls == 1

    async def test_another_store_from_now_on(self, db, serve, install):
        clerk = agent("clerk", model(serve(DONE)))
        install()
        await clerk.run("x")
        other = db.with_name("other.db")
        install(other)
        await clerk.run("x")
        await clerk.run("x")
        assert (len(runs(db)), len(runs(other))) == (1, 2)

    def test_it_says_where_once(self, db, install, capsys):
        install(quiet=False)
        install(quiet=False)
        assert capsys.readouterr().err == f"counterfoil records to {db}\n"

    async def test_content_is_left_out_where_asked(self, db, serve, install):
        install(capture="metadata")
        await agent("clerk", model(serve(LOOKS)), search).run("x")
        (run,) = runs(db)
        assert (run.name, run.output, run.llm_calls, run.tool_calls) == ("clerk", None, 2, 1)

    async def test_uninstalled_nothing_of_ours_is_left(self, db, serve, install):
        before = left()
        install()
        await agent("clerk", model(serve(DONE))).run("x")
        assert all(now != was for now, was in zip(left(), before, strict=True))
        counterfoil_llama_index.uninstall()
        counterfoil_llama_index.uninstall()
        assert left() == before
        await agent("clerk", model(serve(DONE))).run("x")
        assert len(runs(db)) == 1
        assert not attach.installed()

    async def test_in_the_middle_of_a_run(self, db, serve, install):
        async def attach_now(query: str) -> str:
            """Attach."""
            install()
            return "attached"

        script = in_turn(Reply(calls=[call("attach_now", query="x")]), Reply("done"))
        await agent("clerk", model(serve(script)), attach_now).run("x")
        assert outline(db) == "llm OpenAI"

    @pytest.mark.slow
    def test_before_llama_index_is_imported(self, db):
        code = (
            "import sys, counterfoil_llama_index\n"
            f"counterfoil_llama_index.install({str(db)!r}, quiet=True)\n"
            "assert not {'llama_index.core', 'workflows'} & set(sys.modules)\n"
            "import asyncio, llama_index_office as o\n"
            "async def main(): return await o.office().run(o.case(1))\n"
            "asyncio.run(main())\n"
        )
        paths = os.pathsep.join(path for path in sys.path if path)
        ours = {"PYTHONPATH": paths, "COUNTERFOIL_DB": str(db)}
        subprocess.run([sys.executable, "-c", code], check=True, env=os.environ | ours)
        with counterfoil.open(db) as store:
            assert shapes(store) == [WHOLE]


class TestRecord:
    async def test_what_begins_in_the_block(self, db, serve, install):
        clerk = agent("clerk", model(serve(DONE)))
        with counterfoil_llama_index.record(db, session="s1", task="ask", labels={"tier": "gold"}):
            inside = clerk.run("inside")
        await inside  # it may end outside
        await clerk.run("outside")
        (run,) = runs(db)
        assert (run.session_id, run.task, run.labels) == ("s1", "ask", {"tier": "gold"})
        assert run.status == "ok"

    async def test_beside_another_task_that_is_not(self, db, serve, install):
        llm = model(serve(DONE))

        async def recorded():
            with counterfoil_llama_index.record(db):
                await agent("one", llm).run("x")

        await asyncio.gather(recorded(), agent("two", llm).run("x"))
        assert [run.name for run in runs(db)] == ["one"]

    async def test_with_install_on_the_same_store_once(self, db, serve, install):
        install()
        with counterfoil_llama_index.record(db, session="s1"):
            await agent("clerk", model(serve(LOOKS)), search).run("x")
        (run,) = runs(db)
        assert (run.llm_calls, run.tool_calls, run.session_id) == (2, 1, "s1")

    async def test_without_a_store_of_its_own_it_is_that_of_install(
        self, db, serve, install, monkeypatch, tmp_path
    ):
        monkeypatch.chdir(tmp_path)
        other = db.with_name("other.db")
        install(other)
        with counterfoil_llama_index.record(session="s1"):
            await agent("clerk", model(serve(DONE))).run("x")
        assert ([run.session_id for run in runs(other)], runs(db)) == (["s1"], [])

    async def test_two_stores_in_full_each(self, db, serve, install):
        other = db.with_name("other.db")
        install()
        with counterfoil_llama_index.record(other):
            await agent("clerk", model(serve(LOOKS)), search).run("x")
        assert outline(db) == outline(other)
        assert [run.llm_calls for run in (*runs(db), *runs(other))] == [2, 2]

    async def test_it_goes_on_when_install_is_undone(self, db, serve, install):
        other = db.with_name("other.db")
        install(other)
        with counterfoil_llama_index.record(db):
            counterfoil_llama_index.uninstall()
            await agent("clerk", model(serve(DONE))).run("x")
        assert (len(runs(db)), len(runs(other))) == (1, 0)


class TestPlugin:
    def test_core_knows_it_without_the_framework(self):
        code = (
            "import sys, counterfoil_llama_index, counterfoil_llama_index.plugin as plugin\n"
            "(adapter,) = plugin.register_adapters()\n"
            "assert adapter.name == 'llama_index' and adapter.installed() is False\n"
            "assert counterfoil_llama_index.SUPPORTED == adapter.requires\n"
            "assert not any(one.startswith(('llama_index', 'workflows', 'pydantic')) for one in sys.modules)\n"
        )
        paths = os.pathsep.join(path for path in sys.path if path)
        subprocess.run([sys.executable, "-c", code], check=True, env=os.environ | {"PYTHONPATH": paths})

    def test_what_it_exports(self):
        assert dir(counterfoil_llama_index) == ["SUPPORTED", "install", "record", "uninstall"]
        with pytest.raises(AttributeError):
            _ = counterfoil_llama_index.nothing

    async def test_it_attaches_through_core(self, db, serve, install):
        from counterfoil_llama_index.plugin import register_adapters

        (adapter,) = register_adapters()
        adapter.install(db, quiet=True)
        assert adapter.installed()
        await agent("clerk", model(serve(DONE))).run("x")
        adapter.uninstall()
        assert not adapter.installed()
        assert len(runs(db)) == 1


class TestHost:
    async def test_an_error_of_ours_does_not_reach_it(self, db, serve, install, monkeypatch):
        monkeypatch.setattr("counterfoil.lifecycle.Lifecycle.start", _broken)
        before = dict(guard._counts)
        install()
        assert str(await agent("clerk", model(serve(LOOKS)), search).run("x")) == "Green tea."
        assert guard.counted() != before
        guard._counts.clear()
        guard._counts.update(before)

    async def test_what_the_host_gets_is_the_same(self, db, serve, install):
        plain = await agent("clerk", model(serve(LOOKS)), search).run("x")
        install()
        recorded = await agent("clerk", model(serve(LOOKS)), search).run("x")
        assert (str(plain), len(plain.tool_calls)) == (str(recorded), len(recorded.tool_calls))

    async def test_handlers_of_the_hosts_own_stay_and_are_told_the_same(self, db, serve, install):
        class Heard(BaseEventHandler):
            names: list = []  # noqa: RUF012  # pydantic copies it

            def handle(self, event, **_):
                self.names.append(type(event).__name__)

        heard, spans, root = Heard(), SimpleSpanHandler(), get_dispatcher()
        root.add_event_handler(heard)
        root.add_span_handler(spans)
        try:
            await agent("clerk", model(serve(LOOKS)), search).run("x")
            alone, _ = [*heard.names], heard.names.clear()
            count, _ = len(spans.completed_spans), spans.completed_spans.clear()
            install()
            await agent("clerk", model(serve(LOOKS)), search).run("x")
            counterfoil_llama_index.uninstall()
            assert heard in root.event_handlers
            assert spans in root.span_handlers
        finally:
            root.event_handlers.remove(heard)
            root.span_handlers.remove(spans)
        assert (heard.names, len(spans.completed_spans)) == (alone, count)

    async def test_an_event_of_the_hosts_own_is_let_pass(self, db, install):
        from llama_index_instrumentation.base import BaseEvent

        class QueryEndEvent(BaseEvent):  # of a name that we know, with nothing in it
            pass

        install()
        get_dispatcher().event(QueryEndEvent())
        assert runs(db) == []


@pytest.mark.slow
class TestNotebook:
    CELL = """
        import asyncio
        import counterfoil_llama_index
        from llama_index_office import case, office
        counterfoil_llama_index.install()
        async def main():
            await office().run(case(1))
        asyncio.run(main())
    """

    @pytest.mark.parametrize("reload", ["nothing", "every module", "imported anew"])
    def test_a_cell_that_is_run_again_is_recorded_once_each_time(self, db, child, reload):
        child(
            f"""
            import importlib, sys, textwrap
            ours = lambda: [name for name in sorted(sys.modules) if name.startswith("counterfoil_llama_index")]
            for number in range(3):
                exec(textwrap.dedent({self.CELL!r}), {{}})
                if {reload!r} == "every module":
                    for name in ours():
                        importlib.reload(sys.modules[name])
                elif {reload!r} == "imported anew":
                    for name in ours():
                        del sys.modules[name]
            """
        )
        with counterfoil.open(db) as store:
            assert shapes(store) == [WHOLE] * 3


@pytest.mark.slow
class TestWorkers:
    def test_workers_forked_from_a_process_that_records_each_have_a_tape(self, db, child):
        child(
            """
            import asyncio, os
            import counterfoil, counterfoil_llama_index
            from llama_index_office import case, office

            async def work(number):
                await office().run(case(number))

            counterfoil_llama_index.install()
            asyncio.run(work(0))
            workers = []
            for worker in (1, 2):
                workers.append(os.fork())
                if workers[-1] == 0:
                    asyncio.run(work(worker))
                    counterfoil.flush()
                    os._exit(0)
            assert [os.waitpid(worker, 0)[1] for worker in workers] == [0, 0]
            """
        )
        with counterfoil.open(db) as store:
            assert shapes(store) == [WHOLE] * 3
            assert len(store.sql("SELECT DISTINCT process_id FROM steps")[1]) == 3
            assert (store.quarantine(), store.troubles()) == ([], [])


def _broken(*_, **__):
    raise RuntimeError("of our own")
