"""One recorder for each store and process: how it is found, who hears of it, and what becomes of it in a forked child."""

import json
import os

import pytest

import child
from counterfoil import guard, recorder
from counterfoil.recorder import all_recorders, recorder_at, store_path
from tape_reading import line_of, lines, segments, statuses


@pytest.fixture
def db(tmp_path, monkeypatch):
    """A store that nobody drains, in a process that records to no other."""
    monkeypatch.setenv("COUNTERFOIL_DRAIN", "off")
    monkeypatch.setattr(recorder, "_recorders", {})
    return tmp_path / "x.db"


@pytest.fixture
def troubles(monkeypatch):
    """What of ours failed, place by place."""
    monkeypatch.setattr(guard, "_counts", counts := {})
    return counts


def start(recorded, kind="other", name="step", parent=None, **more):
    return recorded.start(kind, name, framework="test", parent=parent, **more)


# -- one recorder a store


def test_the_same_store_has_one_recorder_however_it_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("folder")
    names = ["folder/x.db", b"folder/x.db", tmp_path / "folder" / "x.db", "link/x.db", "~/folder/x.db"]
    assert len({recorder_at(name) for name in names}) == 1
    assert recorder_at("folder/x.db") in all_recorders()


@pytest.mark.parametrize("db", [None, ""])
def test_without_a_name_it_is_the_environments_store_else_the_one_here(tmp_path, monkeypatch, db):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COUNTERFOIL_DB", raising=False)
    assert store_path(db) == str(tmp_path / "counterfoil.db")
    monkeypatch.setenv("COUNTERFOIL_DB", "elsewhere.db")
    assert store_path(db) == str(tmp_path / "elsewhere.db")


def test_metadata_asked_for_once_holds(db):
    assert recorder_at(db).capture == "full"
    recorder_at(db, capture="metadata")
    assert recorder_at(db, capture="full").capture == "metadata"


def test_a_misspelt_capture_is_refused_as_recording_all_would_be_worse(db):
    with pytest.raises(ValueError, match="capture is 'full' or 'metadata', not 'meta'"):
        recorder_at(db, capture="meta")


def test_power_asked_for_once_holds(db):
    assert recorder_at(db).durability == "process"
    recorder_at(db, durability="power")
    assert recorder_at(db, durability="process").durability == "power"


def test_the_environment_says_what_is_to_be_outlived_where_the_call_does_not(db, tmp_path, monkeypatch):
    monkeypatch.setenv("COUNTERFOIL_DURABILITY", "power")
    assert recorder_at(db).durability == "power"
    assert recorder_at(tmp_path / "other.db", durability="process").durability == "process"
    assert recorder_at(tmp_path / "other.db").durability == "process"


def test_a_misspelt_durability_is_refused(db):
    with pytest.raises(ValueError, match="durability is 'process' or 'power', not 'fsync'"):
        recorder_at(db, durability="fsync")


def test_a_misspelt_durability_of_the_environment_is_said_and_taken_for_the_safer_one(
    db, troubles, monkeypatch, caplog
):
    monkeypatch.setenv("COUNTERFOIL_DURABILITY", "fsync")
    assert recorder_at(db).durability == "power"
    assert troubles == {"COUNTERFOIL_DURABILITY": 1}
    assert "it is 'process' or 'power', not 'fsync'; taken for 'power'" in caplog.text


def test_whoever_attends_is_called_once_a_tape(db, monkeypatch):
    attended = []
    monkeypatch.setattr("counterfoil.pen._on_new_tape", [])
    recorder.on_first_event(attended.append)
    made = recorder_at(db)
    assert attended == []
    recorded = start(made)
    made.end(recorded)
    assert attended == [made]
    made.close()
    start(made)
    assert attended == [made, made]


def test_an_error_of_our_own_is_told_in_every_store_in_use(db, tmp_path, troubles):
    used, unused = recorder_at(tmp_path / "used.db"), recorder_at(tmp_path / "unused.db")
    start(used)
    for _ in range(5):
        guard.report("somewhere", ValueError("wrong"))
    told = [
        (one.head.count, one.text.place, one.text.error_type)
        for one in lines(tmp_path / "used.db", "trouble")
    ]
    assert told == [(count, "somewhere", "ValueError") for count in (1, 2, 4)]
    assert not segments(tmp_path / "unused.db")
    assert unused.events == 0


# -- a forked child


def test_a_child_that_ends_its_parents_step_says_nothing_while_the_parent_lives(db):
    code = """
        import os, sys
        from counterfoil.recorder import recorder_at
        made = recorder_at()
        root = made.start("workflow", "root", framework="test")
        started = made.start("task", "in parent", framework="test", parent=root)
        pid = os.fork()
        if pid == 0:
            made.start("task", "in child", framework="test", parent=started)
            made.end(root)
            os._exit(0)
        os.waitpid(pid, 0)
        made.end(started)
        made.end(root)
    """
    child.run(code, db=db)
    assert statuses(db) == [("in parent", "end", "ok"), ("root", "end", "ok")]
    inner = line_of(db, "start", "in child")
    assert inner.head.run == line_of(db, "start", "root").head.run
    assert inner.head.parent == line_of(db, "start", "in parent").head.step
    assert inner.writer != line_of(db, "start", "root").writer


def test_a_child_that_goes_on_for_a_parent_that_is_gone_ends_its_step(db):
    code = """
        import os, sys, time
        from counterfoil.recorder import recorder_at
        made = recorder_at()
        root = made.start("workflow", "daemon", framework="test")
        parent = os.getpid()
        if os.fork():
            os._exit(0)
        while os.getppid() == parent:
            time.sleep(0.01)
        made.end(root, output="done")
    """
    with child.start(code, db=db) as process:
        assert process.communicate(timeout=child.SECONDS) == ("", "")
    assert statuses(db) == [("daemon", "close", "ok")]
    assert lines(db, "close")[0].parts == {"output": "done"}


def test_ids_made_in_parent_and_child_differ(db):
    code = """
        import json, os
        from counterfoil import ids
        def some():
            return [ids.run_id() for _ in range(50)] + [ids.step_id() for _ in range(50)]
        reading, writing = os.pipe()
        if os.fork() == 0:
            os.write(writing, json.dumps(some()).encode())
            os._exit(0)
        os.close(writing)
        with os.fdopen(reading) as pipe:
            print(json.dumps(some() + json.load(pipe)))
    """
    made = json.loads(child.run(code))
    assert len(set(made)) == 200
    assert {len(one) for one in made} == {16, 32}


def test_the_pid_is_the_processes_own_after_a_fork():
    code = """
        import os
        from counterfoil import ids
        assert ids.own_pid() == os.getpid()
        pid = os.fork()
        assert ids.own_pid() == os.getpid()
        if pid:
            assert os.waitpid(pid, 0)[1] == 0
    """
    child.run(code)
    assert os.getpid()
