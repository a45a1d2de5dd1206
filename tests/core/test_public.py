"""The public names, and what `import counterfoil` does: nothing but give them."""

import inspect
import json
import sqlite3
import typing

import pytest

import child
import counterfoil

PUBLIC = {
    "Item",
    "Recorder",
    "Rule",
    "Store",
    "StoreError",
    "Usage",
    "__version__",
    "access",
    "agent",
    "attached",
    "flush",
    "handoff",
    "hookimpl",
    "install",
    "open",
    "recorder_at",
    "run",
    "score",
    "step",
    "tool",
    "traceparent",
    "uninstall",
    "wrap",
}

#: What no application pays for that only records.
HEAVY = {
    "asyncio",
    "click",
    "filelock",
    "genai_prices",
    "importlib.metadata",
    "pluggy",
    "rich",
    "sqlite3",
    "sqlite_utils",
}
FRAMEWORKS = {"autogen_core", "crewai", "langchain", "langchain_core", "langgraph", "llama_index", "pydantic"}


def test_these_are_the_public_names_and_no_others():
    assert set(counterfoil.__all__) == set(dir(counterfoil)) == PUBLIC
    assert all(getattr(counterfoil, name) is not None for name in PUBLIC)


def test_a_name_that_is_none_is_no_attribute():
    with pytest.raises(AttributeError, match="module 'counterfoil' has no attribute 'nothing'"):
        counterfoil.nothing  # noqa: B018  # asking is the point


@pytest.mark.parametrize("name", sorted(PUBLIC - {"__version__", "hookimpl"}))
def test_every_public_name_says_what_it_is_for(name):
    assert inspect.getdoc(getattr(counterfoil, name))


@pytest.mark.parametrize(
    "name", ["access", "agent", "flush", "handoff", "run", "score", "step", "traceparent"]
)
def test_every_public_function_is_typed(name):
    function = inspect.unwrap(getattr(counterfoil, name))
    assert all(
        parameter.annotation is not inspect.Parameter.empty
        for parameter in inspect.signature(function).parameters.values()
    )
    assert inspect.signature(function).return_annotation is not inspect.Signature.empty


def test_the_package_says_that_it_is_typed():
    assert (child.ROOT / "core" / "counterfoil" / "py.typed").exists()
    assert typing.get_type_hints(counterfoil.Usage)["input_tokens"] == int | None


IMPORTING = """
    import json, sys
    opened = []
    def look(event, arguments):
        if event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+"):
            opened.append(str(arguments[0]))
        elif event == "open" and arguments[1] is None and arguments[2] & 0o3:
            opened.append(str(arguments[0]))
        elif event.split(".")[0] in {"socket", "sqlite3", "subprocess"} or event in {"os.fork", "os.mkdir", "os.rename"}:
            opened.append(event)
        elif event == "_thread.start_new_thread":
            opened.append(event)
    before = set(sys.modules)
    sys.addaudithook(look)
    import counterfoil
    print(json.dumps([opened, sorted(set(sys.modules) - before)]))
"""


def test_the_import_opens_nothing_starts_nothing_and_imports_little(tmp_path):
    opened, imported = json.loads(child.run(IMPORTING, cwd=tmp_path, PYTHONDONTWRITEBYTECODE=1))
    assert opened == []
    assert {name for name in imported if name in HEAVY or name.split(".")[0] in FRAMEWORKS} == set()
    assert not any(
        name.startswith(("counterfoil_", "counterfoil.store", "counterfoil.cli")) for name in imported
    )
    assert list(tmp_path.iterdir()) == []


RECORDING = """
    import json, sys
    before = set(sys.modules)
    import counterfoil
    with counterfoil.run("desk") as span:
        span.set(output="x")
    print(json.dumps(sorted(set(sys.modules) - before)))
"""


def test_recording_in_the_callers_thread_imports_no_database_and_no_framework(tmp_path):
    imported = json.loads(child.run(RECORDING, db=tmp_path / "x.db"))
    assert "counterfoil.redact" in imported
    heavy = HEAVY - {"importlib.metadata", "pluggy"}  # plugins may bring redactors
    assert {name for name in imported if name in heavy or name.split(".")[0] in FRAMEWORKS} == set()


def test_after_a_normal_end_plain_sqlite_sees_the_run(tmp_path):
    code = """
        import counterfoil
        @counterfoil.tool
        def work():
            return 1
        with counterfoil.run("desk", task="ticket"):
            work()
    """
    child.run(code, db=tmp_path / "x.db", COUNTERFOIL_DRAIN="on")
    db = sqlite3.connect(tmp_path / "x.db")
    assert db.execute("SELECT name, task, status, steps FROM runs").fetchall() == [
        ("desk", "ticket", "ok", 2)
    ]
    assert db.execute("SELECT alive FROM processes").fetchall() == [(0,)]
    db.close()
    assert not list(tmp_path.glob("x.db.tape/*.tape"))


@pytest.mark.slow
def test_a_run_is_seen_as_running_while_it_runs_and_after_a_flush(tmp_path):
    code = """
        import sys
        import counterfoil
        with counterfoil.run("desk"), counterfoil.step("work"):
            print(counterfoil.flush(), flush=True)
            sys.stdin.readline()
    """
    with child.start(code, db=tmp_path / "x.db") as process:
        assert process.stdout.readline() == "True\n"
        db = sqlite3.connect(tmp_path / "x.db")
        assert db.execute("SELECT name, status FROM steps ORDER BY name").fetchall() == [
            ("desk", "running"),
            ("work", "running"),
        ]
        db.close()
        process.communicate("go on\n", timeout=child.SECONDS)
    with counterfoil.open(tmp_path / "x.db") as store:
        assert [run.status for run in store.runs()] == ["ok"]


@pytest.mark.slow
def test_a_calm_process_is_drained_while_it_runs(tmp_path):
    code = """
        import sys
        import counterfoil
        with counterfoil.run("desk"):
            print("recorded", flush=True)
            sys.stdin.readline()
    """
    with child.start(code, db=tmp_path / "x.db", COUNTERFOIL_DRAIN="on") as process:
        process.stdout.readline()
        seen = []
        while not seen and process.poll() is None:
            try:
                db = sqlite3.connect(f"file:{tmp_path}/x.db?mode=ro", uri=True)
                seen = db.execute("SELECT name, status FROM runs").fetchall()
                db.close()
            except sqlite3.OperationalError:  # not there yet
                pass
        assert seen == [("desk", "running")]
        process.communicate("go on\n", timeout=child.SECONDS)


def test_nothing_to_flush_is_flushed(tmp_path):
    assert child.run("import counterfoil; print(counterfoil.flush())", cwd=tmp_path) == "True\n"
    assert list(tmp_path.iterdir()) == []
