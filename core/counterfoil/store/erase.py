"""Erasing: texts go, those of some runs or all that hold some words, and what stays says that they went.

Events stay, with their heads, their commitments and the chain over them. The links to their texts go, and each text
goes with the last that holds it. All of it is one transaction: done and recorded, or not begun.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias

from counterfoil.events import Head, Text, decode_head
from counterfoil.ids import now_ns
from counterfoil.store import bulk, erasures, facts, fold, holders, ingest, refold, signing, traces
from counterfoil.store.ages import runs_before
from counterfoil.store.exclusive import alone, transaction
from counterfoil.store.made import Made
from counterfoil.store.needles import needles
from counterfoil.store.sealing import Sealing

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Sequence

    from counterfoil.store.erasures import Entry

__all__ = ["Erased", "Selection", "What", "erase", "foresee"]

What: TypeAlias = Literal["run", "session", "match", "older-than"]

#: Events that one erasure names, at most.
EVENTS: Final = 2_000
#: Looked at, or sealed, at a time.
ROWS: Final = 1_000

#: What SQLite puts aside meanwhile may be text: not into files.
_IN_MEMORY: Final = "PRAGMA temp_store=MEMORY"
_RUN: Final = re.compile(rb"[0-9a-f]{32}")
_EMPTIED: Final = "its content was erased"


class Selection(NamedTuple):
    """What is to be erased: by what it is chosen, and that: a run's id, a session, a text, nanoseconds since the epoch.

    `everywhere`: what other runs hold too goes from them as well, but for short strings such as names.
    """

    what: What
    value: str | int
    everywhere: bool = False


class Erased(NamedTuple):
    """What went: the runs that lost something, how many events, texts and bytes, how many lines that had been set aside.

    `kept` texts stay because others hold them: `holders` says which runs (None: what is outside of runs), and how many
    each. `notices` say in sentences what could not be removed.
    """

    runs: tuple[str, ...]
    events: int
    texts: int
    bytes: int
    lines: int
    kept: int
    holders: tuple[tuple[str | None, int], ...]
    notices: tuple[str, ...] = ()

    @property
    def is_nothing(self) -> bool:
        """Tell whether there was nothing to erase."""
        return not (self.events or self.texts or self.lines)


def foresee(path: str | os.PathLike[str], selection: Selection) -> Erased:
    """Give what `erase` would do, and do nothing but drain. Raises StoreError with one sentence."""
    path = os.path.realpath(os.fspath(path))
    notices = ingest.drain_all(path)  # who resumes whom is found, and prices, while texts can tell
    with alone(path) as db:
        db.execute(_IN_MEMORY)
        db.execute("BEGIN IMMEDIATE")
        try:
            found = _Erasing(db, path, selection, Text()).run()
        finally:
            db.execute("ROLLBACK")
    return found._replace(notices=tuple(notices))


def erase(
    path: str | os.PathLike[str], selection: Selection, *, by: str, because: str | None = None
) -> Erased:
    """Erase what `selection` says from the store at `path`, and record who did it, and why.

    Done again, it finds nothing more, and finishes what could not be finished. Raises StoreError with one sentence.
    """
    path = os.path.realpath(os.fspath(path))
    notices = ingest.drain_all(path)
    with alone(path) as db:
        db.execute(_IN_MEMORY)
        with transaction(db):
            done = _Erasing(db, path, selection, Text(erased_by=by, reason=because)).run()
        if not done.is_nothing:
            signing.after_drain(db, ends=True, at_once=True)
        notices += traces.remove(db, path)
    return done._replace(notices=tuple(notices))


class _Event(NamedTuple):
    """An event that may lose texts; `links` are its parts that are there, slot > payload."""

    run_id: str | None
    seq: int
    head: Head
    leaf: str
    is_own: bool
    links: dict[int, int]


class _Erasing:
    """One erasure, inside a transaction."""

    def __init__(self, db: sqlite3.Connection, path: str, selection: Selection, text: Text) -> None:
        self._db = db
        self._path = path
        self._selection = selection
        self._text = text
        self._needles = needles(str(selection.value)) if selection.what == "match" else ()
        self._runs = frozenset(self._chosen())
        self._key = bytes(db.execute("SELECT value FROM meta WHERE key = 'store_key'").fetchone()[0])
        self._made: list[Made] = []
        self._erased: list[str | None] = []
        self._events = 0

    def _chosen(self) -> Sequence[str]:
        what, value, _ = self._selection
        if what == "run":
            return [str(value)]
        if what == "session":
            rows = self._db.execute("SELECT DISTINCT run_id FROM t_steps WHERE session = ?", (value,))
            return [run_id for (run_id,) in rows]
        if what == "older-than":
            return runs_before(self._db, self._path, int(value))
        return ()

    def run(self) -> Erased:
        """Erase, and tell what went."""
        db = self._db
        holders.choose(db, sorted(self._runs))
        if self._needles:
            holders.take_matching(db, self._needles)
        else:
            holders.take_of_runs(db, everywhere=self._selection.everywhere)
        referring = holders.referring_runs(db)
        affected = {*holders.struck_runs(db), *referring}
        facts.remember(db, affected)
        holders.lend(db)
        self._strike()
        for run_id in referring:
            if run_id not in self._erased and run_id not in self._runs:
                self._record(run_id, [], 0)  # it only referred to what another had said
        self._seal()
        holders.forget_taken(db)
        refold.refold(db, self._path, affected)
        lines = self._empty_lines()
        if lines:
            self._record(None, [], lines)
        self._made += facts.changed(db)
        fold.apply(db, self._seal(), {})
        left = holders.collect(db)
        if self._erased:
            # Names of models that no price was found for: to ask for them again costs a moment.
            db.execute("DELETE FROM meta WHERE key = 'price_misses'")
            traces.mark(db)
        runs = sorted({run for run in self._erased if run is not None})
        return Erased(tuple(runs), self._events, left.texts, left.bytes, lines, left.kept, left.holders)

    # -- links

    def _strike(self) -> None:
        """Take the links away, and write down whose."""
        db = self._db
        taken = {payload_id for (payload_id,) in db.execute("SELECT payload_id FROM temp.taken")}
        run_id: str | None = None
        entries: list[Entry] = []
        links = 0
        for event in self._struck():
            slots = [
                slot for slot, payload_id in event.links.items() if self._goes(event, slot, payload_id, taken)
            ]
            is_whole = event.run_id in self._runs and not event.is_own
            if not (slots or is_whole):
                continue
            if entries and (event.run_id != run_id or len(entries) == EVENTS):
                self._record(run_id, entries, links)
                entries, links = [], 0
            run_id = event.run_id
            entries.append((event.leaf, None if is_whole else slots))
            links += len(slots)
            db.executemany(
                "DELETE FROM event_payloads WHERE seq = ? AND slot = ?", [(event.seq, slot) for slot in slots]
            )
        if entries:
            self._record(run_id, entries, links)

    def _goes(self, event: _Event, slot: int, payload_id: int, taken: set[int]) -> bool:
        if event.run_id in self._runs:
            return not event.is_own
        if payload_id not in taken:
            return False
        # Of the store's own only who erased, and why, is somebody's words.
        is_text = event.head.parts[slot] == "text"
        if event.is_own:
            return bool(self._needles) and is_text and event.head.k in {"erasure", "prune"}
        return bool(self._needles) or not is_text

    def _struck(self) -> Iterator[_Event]:
        """Give the struck events, run by run."""
        after: tuple[str, int] = ("", 0)
        while True:
            rows = self._db.execute(
                f"""SELECT c.run_id, e.seq, e.tape_id, CAST(e.head AS BLOB), e.commitments
                FROM temp.struck c JOIN events e USING (seq)
                WHERE (c.run_id, c.seq) > (?, ?) ORDER BY c.run_id, c.seq LIMIT {ROWS}""",
                after,
            ).fetchall()
            if not rows:
                return
            links: dict[int, dict[int, int]] = {row[1]: {} for row in rows}
            for seq, slot, payload_id in bulk.select_in(
                self._db, "event_payloads", ("seq", "slot", "payload_id"), "seq", list(links)
            ):
                links[seq][slot] = payload_id
            for run_id, seq, tape_id, raw, commitments in rows:
                head = decode_head(raw)
                yield _Event(
                    run_id or None,
                    seq,
                    head,
                    erasures.leaf_name(raw, commitments),
                    tape_id is None and head.k in holders.OWN,
                    links[seq],
                )
            after = rows[-1][:2]

    # -- the record

    def _record(self, run_id: str | None, entries: list[Entry], texts: int) -> None:
        head = Head(
            k="erasure",
            t=now_ns(),
            q=0,
            run=run_id,
            what=self._selection.what,
            count=len(entries),
            texts=texts,
        )
        self._made.append(Made(head, self._text, erasures.encode(entries), erasures.PART))
        self._erased.append(run_id)
        self._events += len(entries)

    def _seal(self) -> list[fold.Event]:
        made, self._made = self._made, []
        events: list[fold.Event] = []
        for at in range(0, len(made), ROWS):
            sealed = Sealing(self._db, self._key)
            for one in made[at : at + ROWS]:
                sealed.add_made(one)
            sealed.write()
            events += sealed.events
        return events

    # -- lines of tape that were no events

    def _empty_lines(self) -> int:
        """Empty those that hold what is looked for, name a chosen run, or were set aside so long ago; tell how many."""
        found = [
            rowid
            for rowid, at_ns, raw in self._db.execute(
                "SELECT rowid, at_ns, raw FROM quarantine WHERE length(raw) > 0"
            )
            if self._is_meant(at_ns, raw)
        ]
        for rowid in found:
            # The line stays known: neither tape nor another store brings it again.
            self._db.execute("UPDATE quarantine SET raw = x'', reason = ? WHERE rowid = ?", (_EMPTIED, rowid))
        return len(found)

    def _is_meant(self, at_ns: int, raw: bytes) -> bool:
        what, value, _ = self._selection
        if self._needles:
            return any(needle.encode() in raw for needle in self._needles)
        if what == "older-than" and at_ns < int(value):
            return True
        return any(match[0].decode() in self._runs for match in _RUN.finditer(raw))
