"""What a command imports: most of its time goes there, so what it has no use for is named here."""

import pytest

import child
from counterfoil.store import read
from handmade_tape import T0, Tape, run_id, step_id

#: What no command needs that reads.
NEVER = {
    "asyncio",
    "email",
    "genai_prices",
    "importlib.metadata",
    "pluggy",
    "socket",
    "sqlite_utils",
    "subprocess",
    "urllib.parse",
}
#: What it needs only where there is something to drain.
DRAINING = {
    "counterfoil.store.fold",
    "counterfoil.store.ingest",
    "counterfoil.store.sealing",
    "filelock",
}
#: What it needs only before a screen.
SCREEN = {"shutil"}

COMMAND = """
    import sys
    from counterfoil.cli import main
    try:
        main()
    except SystemExit as end:
        assert not end.code
    print(*sys.modules, sep="\\n", file=sys.stderr)
    sys.exit("imported")
"""
READING = [
    ("runs",),
    ("runs", "--json"),
    ("show", "last"),
    ("show", "last", "--json"),
    ("cost",),
    ("cost", "--by", "agent"),
]


@pytest.fixture(scope="module")
def settled(tmp_path_factory):
    """A store whose writer ended in good order, with a model that no table of prices knows: nothing is left to do."""
    path = tmp_path_factory.mktemp("settled") / "x.db"
    tape = Tape(path)
    tape.start(run_id(1), step_id(1), t=T0, name="desk", agent="triage")
    tape.start(
        run_id(1), step_id(2), t=T0 + 1, kind="llm", parent=step_id(1), model="nobody-knows-this-model"
    )
    tape.end(run_id(1), step_id(2), t=T0 + 2, input_tokens=3, output_tokens=4)
    tape.end(run_id(1), step_id(1), t=T0 + 3)
    tape.exit(t=T0 + 4)
    read.open(path).close()
    return path


def imported(path, *args):
    with child.start(COMMAND, *args, db=path, COLUMNS="") as process:
        _, complained = process.communicate(timeout=child.SECONDS)
    assert complained.endswith("\nimported\n"), complained
    return set(complained.split())


@pytest.mark.slow
@pytest.mark.parametrize("args", READING, ids=" ".join)
def test_a_command_that_reads_a_settled_store_imports_no_drainer_and_no_plugin(settled, args):
    found = imported(settled, *args)
    assert "counterfoil.store.read" in found
    assert found & (NEVER | DRAINING | SCREEN) == set()


@pytest.mark.slow
def test_one_that_has_to_drain_first_imports_a_drainer_and_no_plugin(tmp_path):
    tape = Tape(tmp_path / "x.db")
    tape.start(run_id(1), step_id(1), t=T0)
    read.open(tmp_path / "x.db").close()  # to make a store takes more
    tape.end(run_id(1), step_id(1), t=T0 + 1)
    found = imported(tmp_path / "x.db", "runs", "--json")
    assert found >= DRAINING
    assert found & {"asyncio", "genai_prices", "pluggy"} == set()


@pytest.mark.slow
def test_the_version_needs_neither_store_nor_screen(tmp_path):
    found = imported(tmp_path / "x.db", "--version")
    assert {name for name in found if name.startswith(("counterfoil.store", "rich", "sqlite3"))} == set()
    assert found & (NEVER | DRAINING | SCREEN) == set()
