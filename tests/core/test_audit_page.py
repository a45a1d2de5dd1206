"""docs/audit.md: its commands run, verify answers as it says, and its program needs no Counterfoil."""

from __future__ import annotations

import re
import shlex
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

from attacks_page import PAGE
from cli_story import invoke, record
from counterfoil.store import checkpoints

TEXT = PAGE.read_text()
COMMANDS = re.findall(r"(?m)^    (?:counterfoil|export) .+$", TEXT)
OUTPUT = re.search(r"<!-- output: counterfoil (.+) -->\n```text\n(.*?)```", TEXT, re.DOTALL)
AUDITOR = re.search(r"<!-- run: auditor -->\n```python\n(.*?)```", TEXT, re.DOTALL)[1]


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """The page's folder, a store in the current one, and what its first command does."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for name in ("COUNTERFOIL_KEY", "COUNTERFOIL_ANCHOR"):
        monkeypatch.delenv(name, raising=False)
    record(tmp_path / "counterfoil.db", "desk", "greet")
    (tmp_path / "elsewhere").mkdir()
    return tmp_path / "elsewhere"


def run(command, elsewhere):
    return invoke(*shlex.split(command.replace("/elsewhere", str(elsewhere))))


def test_the_commands_run_in_order(elsewhere, monkeypatch):
    codes = []
    for line in COMMANDS:
        word, rest = line.strip().split(" ", 1)
        if word == "export":
            name, value = rest.split("=")
            monkeypatch.setenv(name, value.replace("/elsewhere", str(elsewhere)))
        else:
            codes.append(run(rest, elsewhere).exit_code)
    assert codes == [0, 0, 0, 0]


def plain(text):
    """Give `text` without what is another each time."""
    text = re.sub(r"[0-9a-f]{32}\+[0-9a-f]{8}\+\S{44}", "STORE+ID+KEY", text)
    return re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "TIME", text)


def test_verify_answers_as_the_page_says(elsewhere):
    run(COMMANDS[0].strip().removeprefix("counterfoil "), elsewhere)
    assert plain(run(OUTPUT[1], elsewhere).stdout) == plain(OUTPUT[2])


def test_the_checkpoint_on_the_page_is_one():
    (note,) = [one for one in re.findall(r"```text\n(.*?)```", TEXT, re.DOTALL) if "previous" in one]
    assert checkpoints.parse(note).size == 40


def auditor(elsewhere, public):
    (elsewhere / "auditor.py").write_text(AUDITOR)
    command = [sys.executable, "-I", elsewhere / "auditor.py", "counterfoil.db", elsewhere / "anchor", public]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_its_program_checks_a_store_without_counterfoil(elsewhere):
    signed = [run("checkpoint --anchor /elsewhere/anchor", elsewhere) for _ in range(2)]
    public = signed[0].stdout.rsplit(" by ", 1)[1].splitlines()[0]
    said = auditor(elsewhere, public)
    assert (said.returncode, said.stderr) == (0, "")
    assert re.fullmatch(r"(40 events, time \S+Z: as signed\n){2}", said.stdout)
    with closing(sqlite3.connect("counterfoil.db")) as db:
        db.execute("DROP TRIGGER events_stay_as_they_are")
        db.execute("""UPDATE events SET head = replace(head, '"t":1', '"t":2') WHERE seq = 9""")
        db.commit()
    said = auditor(elsewhere, public)
    assert said.returncode == 1
    assert re.fullmatch(r"40 events, time \S+Z: not what was signed\n", said.stderr)


def test_its_program_imports_nothing_of_ours():
    assert "import counterfoil" not in AUDITOR
