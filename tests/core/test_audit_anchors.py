"""Anchors: every note goes to each of them in turn, and what one missed comes again."""

from __future__ import annotations

import os
import re
import sqlite3
import sys
import syslog
from contextlib import closing
from pathlib import Path
from textwrap import dedent

import pytest

from counterfoil import guard, plugins
from counterfoil.store import anchors, audit, signing
from counterfoil.store.errors import StoreError
from counterfoil.store.ingest import Drainer
from handmade_tape import SECOND, T0, Tape, run_id, step_id


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for name in ("COUNTERFOIL_KEY", "COUNTERFOIL_ANCHOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COUNTERFOIL_PLUGINS", "")
    plugins.reset()
    yield tmp_path / "x.db"
    plugins.reset()


@pytest.fixture
def tape(path):
    tape = Tape(path)
    happen(tape, 1)
    return tape


@pytest.fixture
def troubles(monkeypatch):
    monkeypatch.setenv("COUNTERFOIL_RAISE", "0")
    monkeypatch.setattr(guard, "_counts", counts := {})
    return counts


def happen(tape, n):
    tape.start(run_id(n), step_id(n), t=T0 + n * SECOND)
    tape.end(run_id(n), step_id(n), t=T0 + n * SECOND + 1)


def go_on(path, tape, n):
    """Have something happen, and a drainer sign it."""
    happen(tape, n)
    with closing(sqlite3.connect(path)) as db:
        db.execute("UPDATE checkpoints SET at_ns = at_ns - 60000000000")
        db.commit()
    with Drainer(path) as drainer:
        drainer.drain(price=True)


def notes(path):
    with closing(sqlite3.connect(path)) as db:
        return [note for (note,) in db.execute("SELECT note FROM checkpoints ORDER BY checkpoint_id")]


def kept(file):
    return [note.note for note in anchors.read(str(file))[0]]


# -- files


def test_every_note_is_appended_to_the_file_that_the_environment_names(path, tape, tmp_path, monkeypatch):
    monkeypatch.setenv("COUNTERFOIL_ANCHOR", str(tmp_path / "anchor"))
    signing.begin(path)
    for n in (2, 3):
        go_on(path, tape, n)
    assert len(notes(path)) == 3
    assert (tmp_path / "anchor").read_text() == "".join(f"{note}\n" for note in notes(path))


def test_a_file_that_is_named_once_gets_all_that_it_does_not_hold(path, tape, tmp_path):
    assert signing.begin(path).appended == 0
    assert signing.begin(path, anchor=tmp_path / "anchor").appended == 2
    assert signing.begin(path, anchor=tmp_path / "anchor").appended == 1
    assert kept(tmp_path / "anchor") == notes(path)


def test_a_file_may_hold_the_notes_of_many_stores(path, tape, tmp_path):
    other = tmp_path / "y.db"
    happen(Tape(other), 1)
    for one in (path, other):
        signing.begin(one, anchor=tmp_path / "anchor")
    for one in (path, other):
        assert audit.verify(one, anchor=tmp_path / "anchor").anchored


def test_a_file_that_could_not_be_written_gets_what_it_missed(path, tape, tmp_path, monkeypatch, troubles):
    monkeypatch.setenv("COUNTERFOIL_ANCHOR", str(tmp_path / "disk" / "anchor"))
    signing.begin(path)
    go_on(path, tape, 2)
    assert troubles == {f"anchor file {tmp_path}/disk/anchor": 2}
    (tmp_path / "disk").mkdir()
    go_on(path, tape, 3)
    assert kept(tmp_path / "disk" / "anchor") == notes(path)
    assert len(notes(path)) == 3


def test_a_note_that_was_cut_off_by_a_kill_is_passed_over_and_said(path, tape, tmp_path):
    """The whole of it comes with the next, as whoever was killed could not say that it had been sent."""
    file = tmp_path / "anchor"
    signing.begin(path, anchor=file)
    whole = file.read_text()
    signing.begin(path)
    with file.open("a") as cut:
        cut.write(notes(path)[1][:90])
    signing.begin(path, anchor=file)
    assert kept(file) == notes(path)
    assert file.read_text().startswith(whole)
    verified = audit.verify(path, anchor=file)
    assert verified.anchored
    assert "The anchor holds something else too, which is no checkpoint." in [
        one.says for one in verified.checks
    ]


def test_a_file_that_has_not_had_the_newest_agrees_as_far_as_it_goes(path, tape, tmp_path):
    signing.begin(path, anchor=tmp_path / "anchor")
    happen(tape, 2)
    signing.begin(path)
    verified = audit.verify(path, anchor=tmp_path / "anchor")
    assert verified.anchored
    (says,) = [one.says for one in verified.checks if one.name == "anchor"]
    assert says.endswith("; 2 events since are not in it yet.")


@pytest.mark.parametrize(
    ("content", "says"),
    [(None, "cannot be read: No such file"), (b"words", "holds no checkpoint"), (b"\xff", "cannot be read")],
)
def test_what_is_no_anchor_is_one_sentence(path, tape, tmp_path, content, says):
    signing.begin(path)
    file = tmp_path / "anchor"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(StoreError, match=says):
        audit.verify(path, anchor=file)


def test_a_note_goes_out_once_what_it_signs_is_on_the_disk(path, tape, tmp_path, monkeypatch):
    """After a loss of power the tapes would be sealed anew, and the anchor would contradict the store for ever."""
    order = []
    sync, append = anchors.disk.sync_file, anchors.append
    monkeypatch.setattr(anchors.disk, "sync_file", lambda file: (order.append(file), sync(file)))
    monkeypatch.setattr(anchors, "append", lambda file, some: (order.append(file), append(file, some)))
    signing.begin(path, anchor=tmp_path / "anchor")
    assert order[-2:] == [f"{path}-wal", str(tmp_path / "anchor")]


def test_an_anchor_that_is_said_to_have_had_what_is_to_come_is_given_it_all_the_same(
    path, tape, tmp_path, monkeypatch
):
    file = tmp_path / "anchor"
    monkeypatch.setenv("COUNTERFOIL_ANCHOR", str(file))
    signing.begin(path)
    with closing(sqlite3.connect(path)) as db:
        db.execute("UPDATE meta SET value = 4711 WHERE key LIKE 'anchored:%'")
        db.commit()
    go_on(path, tape, 2)
    assert kept(file)[-1] == notes(path)[-1]


# -- plugins

PLUGIN = """
    import pathlib
    import counterfoil
    from counterfoil.anchor import Anchor

    here = pathlib.Path(__file__).parent

    def append(note):
        if (here / "unreachable").exists():
            raise ConnectionError("nobody there")
        with (here / "notes").open("a") as file:
            file.write(note)

    @counterfoil.hookimpl
    def register_anchors():
        return [Anchor("acme", append)]
"""


@pytest.fixture
def site(path, tmp_path, monkeypatch):
    """A folder with an installed distribution that brings an anchor."""
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "acme_anchor_plugin.py").write_text(dedent(PLUGIN))
    info = folder / "acme_anchor-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-anchor\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[counterfoil]\nacme = acme_anchor_plugin\n")
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("COUNTERFOIL_PLUGINS", "acme")
    plugins.reset()
    yield folder
    sys.modules.pop("acme_anchor_plugin", None)


def test_every_note_is_given_to_a_plugins_anchor(path, tape, site):
    signing.begin(path)
    go_on(path, tape, 2)
    assert len(notes(path)) == 2
    assert (site / "notes").read_text() == "".join(notes(path))


def test_one_that_cannot_be_reached_gets_what_it_missed_in_order_and_others_are_not_held_up(
    path, tape, site, tmp_path, monkeypatch, troubles
):
    monkeypatch.setenv("COUNTERFOIL_ANCHOR", str(tmp_path / "anchor"))
    (site / "unreachable").touch()
    signing.begin(path)
    go_on(path, tape, 2)
    assert troubles == {"anchor acme": 2}
    assert kept(tmp_path / "anchor") == notes(path)
    (site / "unreachable").unlink()
    go_on(path, tape, 3)
    assert (site / "notes").read_text() == "".join(notes(path))
    assert len(notes(path)) == 3


def test_an_anchors_file_is_its_owners_alone(path, tape, tmp_path):
    signing.begin(path, anchor=tmp_path / "anchor")
    assert os.stat(tmp_path / "anchor").st_mode & 0o077 == 0


def test_the_page_of_plugins_has_an_anchor_that_is_given_the_notes(path, tape, site, monkeypatch):
    page = (Path(__file__).parents[2] / "docs" / "plugins.md").read_text()
    section = page.split("## register_anchors\n")[1].split("\n## ")[0]
    (site / "acme_anchor_plugin.py").write_text(re.findall(r"```python\n(.*?)```", section, re.DOTALL)[1])
    sent = []
    monkeypatch.setattr(syslog, "syslog", lambda _level, note: sent.append(note))
    signing.begin(path)
    assert sent == notes(path)
