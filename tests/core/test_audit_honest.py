"""No honest history is called broken: whatever is recorded, drained, signed, merged, exported, erased and dropped, in any order."""

from __future__ import annotations

import random
import re

import pytest

from counterfoil.store import audit, erase, export, merge, prune, read, signing
from counterfoil.store.erase import Selection
from counterfoil.store.errors import StoreError
from counterfoil.store.ingest import Drainer
from everything import Words, everything_happens
from handmade_tape import SECOND, T0, Tape, run_id

STEPS = 25


class History:
    """Three stores that things happen to; `chance` says which."""

    def __init__(self, folder, chance):
        self.chance = chance
        self.folder = folder
        self.stores = [folder / f"{name}.db" for name in "abc"]
        self.anchors = {}
        self.tapes = {}
        self.runs = 0

    def records(self, store):
        tape = self.tapes.get(store) or self.tapes.setdefault(store, Tape(store))
        self.runs += 1
        response = f"response {self.chance.randrange(3)}" if self.chance.random() < 0.5 else None
        everything_happens(tape, self.runs, Words(f"run{self.runs}"), response=response)

    def exits(self, store):
        tape = self.tapes.pop(store, None)
        if tape is not None:
            tape.exit(t=T0 + 10**15)

    def drains(self, store):
        with Drainer(store) as drainer:
            drainer.drain(price=True)

    def signs(self, store):
        anchor = self.folder / f"{store.stem}.anchor"
        signing.begin(store, anchor=anchor)
        self.anchors[store] = anchor

    def merges(self, store):
        merge.merge(store, [self.chance.choice([one for one in self.stores if one != store])])

    def exports(self, store):
        with read.open(store) as source:
            runs = [run.run_id for run in source.runs(all=True)]
            if runs:
                file = self.folder / f"export{self.chance.getrandbits(64)}.db"
                export.export(source, [self.chance.choice(runs)], file, only=self.chance.random() < 0.5)
                self.stores_agree([file])
                merge.merge(self.chance.choice(self.stores), [file])

    def prunes(self, store):
        prune.prune(store, T0 + self.chance.randrange(self.runs + 2) * 1_000 * SECOND, by="ada")

    def erases(self, store):
        run = run_id(self.chance.randint(1, self.runs + 1))
        erase.erase(store, Selection("run", run, everywhere=self.chance.random() < 0.5), by="ada")

    def erases_words(self, store):
        erase.erase(store, Selection("match", f"word{self.chance.randint(1, 40):04}"), by="ada")

    def stores_agree(self, stores):
        for store in stores:
            if store.exists():
                assert audit.verify(store, anchor=self.anchors.get(store)).broken == ()


HAPPENS = ("records", "records", "records", "drains", "exits", "signs", "merges", "exports", "prunes", "erases", "erases_words")  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_whatever_honestly_happens_verify_finds_nothing_broken(tmp_path, monkeypatch, seed):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for name in ("COUNTERFOIL_KEY", "COUNTERFOIL_ANCHOR"):
        monkeypatch.delenv(name, raising=False)
    history = History(tmp_path, random.Random(seed))
    done = set()
    for _ in range(STEPS):
        what = history.chance.choice(HAPPENS)
        try:
            getattr(history, what)(history.chance.choice(history.stores))
            done.add(what)
        except StoreError as error:
            if not re.search("nothing has been recorded|no key to sign with", str(error)):
                raise
        history.stores_agree(history.stores)
    assert len(done) > len(set(HAPPENS)) // 2
    for tape in history.tapes.values():
        tape.let_go()
