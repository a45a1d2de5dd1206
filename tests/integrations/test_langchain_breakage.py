"""A handler that cannot record never reaches the application: its result is the one without a handler."""

import asyncio
import shutil

import pytest
from langchain.agents import create_agent
from langchain_core.runnables import RunnableLambda

import counterfoil
from counterfoil import StoreError, guard
from counterfoil.recorder import Recorder
from counterfoil.tape import Tape
from counterfoil_langchain import CounterfoilHandler
from counterfoil_langchain.tracker import Tracker
from office import LLM_CALLS, WHOLE, case, scripted_office, shapes
from scripted_model import ScriptedModel, says


@pytest.fixture
def db(tmp_path, monkeypatch):
    path = tmp_path / "counterfoil.db"
    monkeypatch.setenv("COUNTERFOIL_DB", str(path))
    monkeypatch.setenv("COUNTERFOIL_DRAIN", "off")  # a drainer would meet a broken store again and again
    monkeypatch.delenv("COUNTERFOIL_RAISE", raising=False)
    monkeypatch.setattr(guard, "_counts", {})  # each place is logged once in a process
    monkeypatch.setattr("counterfoil.recorder._recorders", {})  # what is broken here is no other test's
    return path


def missing_folder(path):
    return path.parent / "missing" / "counterfoil.db"


def file_in_the_place_of_the_folder(path):
    path.write_text("a file")
    return path / "counterfoil.db"


def file_in_the_place_of_the_tapes(path):
    path.with_name(path.name + ".tape").write_text("a file")
    return path


def store_that_is_no_store(path):
    path.write_bytes(b"\x00garbage" * 1000)
    return path


def store_that_is_a_folder(path):
    path.mkdir()
    return path


WAYS = {
    "invoke": lambda config: scripted_office().invoke(case(1), config),
    "ainvoke": lambda config: asyncio.run(scripted_office(in_tasks=True).ainvoke(case(1), config)),
    "stream": lambda config: list(scripted_office().stream(case(1), config, stream_mode="values"))[-1],
}


def texts(state):
    return [(message.type, message.text) for message in state["messages"]]


class TestFailure:
    @pytest.mark.slow
    @pytest.mark.parametrize("way", WAYS)
    @pytest.mark.parametrize(
        "broken",
        [
            missing_folder,
            file_in_the_place_of_the_folder,
            file_in_the_place_of_the_tapes,
            store_that_is_no_store,
            store_that_is_a_folder,
        ],
    )
    def test_there_is_no_place_to_record_to(self, db, monkeypatch, caplog, broken, way):
        path = broken(db)
        with monkeypatch.context() as elsewhere:
            elsewhere.setenv("COUNTERFOIL_DB", str(db.with_name("without.db")))
            without = texts(WAYS[way]({}))
        monkeypatch.setenv("COUNTERFOIL_DB", str(path))
        assert texts(WAYS[way]({"callbacks": [CounterfoilHandler(path)]})) == without
        said = [record.getMessage() for record in caplog.records if record.name == "counterfoil"]
        assert len(said) <= 1
        with pytest.raises(StoreError) as error, counterfoil.open(path):
            pass
        assert str(path) in str(error.value)
        assert "\n" not in str(error.value)

    @pytest.mark.slow
    @pytest.mark.parametrize("way", WAYS)
    @pytest.mark.parametrize(
        ("owner", "name"),
        [
            (Tape, "write"),
            (Tape, "begin"),
            (Recorder, "start"),
            (Recorder, "end"),
            (Recorder, "handoff"),
            (Tracker, "add"),
            (Tracker, "pop"),
        ],
        ids=lambda value: value if isinstance(value, str) else value.__name__,
    )
    def test_our_own_parts_raise(self, db, monkeypatch, caplog, owner, name, way):
        def raises(*_, **__):
            raise RuntimeError("one of our own bugs")

        without = texts(WAYS[way]({}))
        with monkeypatch.context() as broken:
            broken.setattr(owner, name, raises)
            assert texts(WAYS[way]({"callbacks": [CounterfoilHandler(db)]})) == without
        said = [record.getMessage() for record in caplog.records if record.name == "counterfoil"]
        assert said
        assert len(said) == len(set(said))
        # And it goes on recording once it can.
        WAYS[way]({"callbacks": [CounterfoilHandler(db)]})
        with counterfoil.open(db) as store:
            assert shapes(store).count(WHOLE) == 1

    @pytest.mark.slow
    def test_a_folder_that_disappears_in_the_middle_of_a_run(self, db, child):
        done = child(
            """
            import os, shutil
            from counterfoil_langchain import CounterfoilHandler
            from langchain.agents import create_agent
            from scripted_model import ScriptedModel, says

            os.mkdir("store")

            def tidy_up(word: str) -> str:
                "Tidy up."
                shutil.rmtree("store")
                return f"gone: {word}"

            def answers(messages):
                return says("", ("tidy_up", {"word": "all"})) if len(messages) == 1 else says("It is tidy.")

            agent = create_agent(ScriptedModel(answer=answers), [tidy_up], name="tidy")
            config = {"callbacks": [CounterfoilHandler("store/counterfoil.db")]}
            for _ in range(2):
                state = agent.invoke({"messages": [("user", "go")]}, config)
                print([message.text for message in state["messages"]])
                if not os.path.exists("store"):
                    os.mkdir("store")
            """
        )
        said = "['go', '', 'gone: all', 'It is tidy.']\n"
        assert done.stdout == said * 2
        assert "Traceback" not in done.stderr

    def test_tapes_that_disappear_in_the_middle_of_a_run_are_begun_anew(self, db, monkeypatch):
        monkeypatch.setattr("counterfoil.tape.CHECK_SECONDS", 0)

        def lose(word: str) -> str:
            """Lose the tapes."""
            shutil.rmtree(f"{db}.tape")
            return word

        def answers(messages):
            return says("", ("lose", {"word": "all"})) if len(messages) == 1 else says("done")

        config = {"callbacks": [CounterfoilHandler(db)]}
        loser = create_agent(ScriptedModel(answer=answers), [lose], name="loser")
        assert loser.invoke({"messages": [("user", "go")]}, config)["messages"][-1].text == "done"
        scripted_office().invoke(case(1), config)
        with counterfoil.open(db) as store:
            assert WHOLE in shapes(store)

    @pytest.mark.slow
    def test_a_disk_that_fills_up_costs_what_did_not_fit_and_nothing_else(self, db, child):
        done = child(
            """
            import resource, signal
            from counterfoil_langchain import CounterfoilHandler
            from office import case, scripted_office
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, resource.RLIM_INFINITY))
            config = {"callbacks": [CounterfoilHandler()]}
            office = scripted_office()
            said = [office.invoke(case(n), config)["messages"][-1].text for n in range(4)]
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            print(said)
            """,
            COUNTERFOIL_DRAIN="off",  # SQLite's files would not fit either
        )
        assert done.stdout.strip() == str([f"good bye, token-{number:05}" for number in range(4)])
        assert done.stderr.count("said once") == 1
        with counterfoil.open(db) as store:
            (whole, *_) = store.runs()[::-1]
            assert (whole.status, whole.llm_calls) == ("ok", LLM_CALLS)
            assert {run.status for run in store.runs(all=True)} <= {"ok", "interrupted"}
            assert "interrupted" in {run.status for run in store.runs(all=True)}

    @pytest.mark.slow
    def test_a_disk_that_is_full_from_the_start_does_not_stop_the_application(self, db, child):
        done = child(
            """
            import resource, signal
            from counterfoil_langchain import CounterfoilHandler
            from office import case, scripted_office
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
            said = scripted_office().invoke(case(1), {"callbacks": [CounterfoilHandler()]})["messages"][-1].text
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            print(said)
            """
        )
        assert done.stdout.strip() == "good bye, token-00001"

    def test_objects_that_nobody_can_look_at_are_recorded_with_a_mark(self, db):
        class Unspeakable:
            def __repr__(self):
                raise RuntimeError("do not look")

            __str__ = __iter__ = __len__ = __eq__ = __bool__ = __repr__
            __hash__ = object.__hash__

        echo = RunnableLambda(lambda given: given, name="echo")
        given = {"thing": Unspeakable(), "text": "seen", "number": float("nan"), "half": "\ud800"}
        assert echo.invoke(given, {"callbacks": [CounterfoilHandler(db)]}) is given
        with counterfoil.open(db) as store:
            (run,) = store.runs(all=True)
        assert run.status == "ok"
        assert run.input["text"] == "seen"
        assert "Unspeakable" in run.input["thing"]["$object"]
        assert run.input["number"] == {"$float": "nan"}
