"""The store's file: how it is made, recognised, brought up to date and opened."""

from __future__ import annotations

import os
import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from counterfoil.store import views
from counterfoil.store.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlite_utils import Database

__all__ = [
    "APPLICATION_ID",
    "BUILT",
    "BUSY_SECONDS",
    "VERSION",
    "check",
    "explain",
    "open_writer",
    "unguarded",
]

#: Marks the file as ours: "CFoi" in PRAGMA application_id.
APPLICATION_ID: Final = int.from_bytes(b"CFoi", "big")
BUSY_SECONDS: Final = 5.0

#: The built tables: everything that `ingest.rebuild` empties and fills again from `events`.
BUILT: Final = (
    "t_runs", "t_steps", "t_messages", "t_handoffs", "t_accesses", "t_decisions", "t_approvals", "t_scores",
    "t_spending", "t_answers", "t_processes", "t_troubles", "t_findings", "t_erasures",
)  # fmt: skip


def m001_initial(db: sqlite3.Connection) -> None:
    """Everything that cannot be retrofitted: the sealed events, their payloads, and what is built from them."""
    for statement in _INITIAL:
        db.execute(statement)
    db.execute("INSERT INTO meta(key, value) VALUES ('store_id', ?)", (os.urandom(16).hex(),))
    db.execute("INSERT INTO meta(key, value) VALUES ('store_key', ?)", (os.urandom(32),))


def m002_audit(db: sqlite3.Connection) -> None:
    """What signatures stand on, and what goes in good order: the tree, checkpoints, erasures, pruned events."""
    for statement in _AUDIT:
        db.execute(statement)


#: In order, never changed once released, only added to.
MIGRATIONS: Final[tuple[Callable[[sqlite3.Connection], None], ...]] = (m001_initial, m002_audit)
VERSION: Final = len(MIGRATIONS)

_EVENTS_ARE_KEPT: Final = """CREATE TRIGGER events_are_kept BEFORE DELETE ON events
      BEGIN SELECT RAISE(ABORT, 'events are never deleted'); END"""

_INITIAL: Final = (
    # The store's own: its id, its key (payloads are stored under an HMAC), and what prices were not found.
    "CREATE TABLE meta(key TEXT PRIMARY KEY, value) WITHOUT ROWID",
    # Who wrote tapes, and how far each tape is drained: an event is identified by (tape, offset).
    "CREATE TABLE writers(writer_id INTEGER PRIMARY KEY, writer TEXT NOT NULL UNIQUE)",
    """CREATE TABLE tapes(tape_id INTEGER PRIMARY KEY, writer_id INTEGER NOT NULL, segment INTEGER NOT NULL,
      offset INTEGER NOT NULL DEFAULT 0, UNIQUE(writer_id, segment))""",
    # A line that is no event is kept, so that nothing written is lost.
    "CREATE TABLE quarantine(tape_id INTEGER NOT NULL, offset INTEGER NOT NULL, at_ns INTEGER, reason TEXT, raw BLOB)",
    # AUTOINCREMENT: a number is never given twice, so a cut tail shows.
    """CREATE TABLE events(seq INTEGER PRIMARY KEY AUTOINCREMENT, tape_id INTEGER, offset INTEGER, head TEXT NOT NULL,
      commitments BLOB, chain BLOB NOT NULL,
      kind TEXT AS (json_extract(head, '$.k')) VIRTUAL, t_ns INTEGER AS (json_extract(head, '$.t')) VIRTUAL,
      run_id TEXT AS (json_extract(head, '$.run')) VIRTUAL, step_id TEXT AS (json_extract(head, '$.step')) VIRTUAL)""",
    # The same line of tape may come from a disk and from other stores: it is one event.
    "CREATE UNIQUE INDEX events_once ON events(tape_id, offset) WHERE tape_id IS NOT NULL",
    "CREATE INDEX events_made ON events(t_ns) WHERE tape_id IS NULL",
    # Guard rails against slips; the chain is what shows a deed.
    _EVENTS_ARE_KEPT,
    """CREATE TRIGGER events_stay_as_they_are BEFORE UPDATE ON events
      BEGIN SELECT RAISE(ABORT, 'events are never changed'); END""",
    "CREATE TABLE payloads(payload_id INTEGER PRIMARY KEY AUTOINCREMENT, key BLOB NOT NULL UNIQUE, body TEXT NOT NULL)",
    # Link and salt stand apart from the event, so that they can go with an erased text.
    """CREATE TABLE event_payloads(seq INTEGER NOT NULL, slot INTEGER NOT NULL, payload_id INTEGER NOT NULL,
      salt BLOB NOT NULL, PRIMARY KEY(seq, slot)) WITHOUT ROWID""",
    # The numbers that writers gave to messages and tool definitions.
    """CREATE TABLE refs(writer_id INTEGER NOT NULL, n INTEGER NOT NULL, payload_id INTEGER NOT NULL,
      PRIMARY KEY(writer_id, n)) WITHOUT ROWID""",
    # Stores whose events were copied here. A file copied while it was written to is two stores under one id.
    "CREATE TABLE sources(source_id INTEGER PRIMARY KEY, store TEXT NOT NULL)",
    # Which event here was which in a source, and that one's chain there, so that it can still be verified: `before` is
    # the chain's value ahead of it, where that event was not copied, `leaf` its leaf, where it was sealed here too.
    """CREATE TABLE copies(source_id INTEGER NOT NULL, source_seq INTEGER NOT NULL, seq INTEGER NOT NULL,
      chain BLOB NOT NULL, before BLOB, leaf BLOB, PRIMARY KEY(source_id, source_seq)) WITHOUT ROWID""",
    "CREATE INDEX copies_seq ON copies(seq)",
    # Messages that an exported run goes on from, of a step whose own run was not exported.
    """CREATE TABLE borrowed(step_id TEXT NOT NULL, direction INTEGER NOT NULL, position INTEGER NOT NULL,
      payload_id INTEGER, PRIMARY KEY(step_id, direction, position)) WITHOUT ROWID""",
    """CREATE TABLE t_runs(run_id TEXT PRIMARY KEY, root_id TEXT, root_ns INTEGER, started_ns INTEGER, resumes TEXT,
      first_run_id TEXT, steps INTEGER, open_steps INTEGER, waiting INTEGER, llm_calls INTEGER, tool_calls INTEGER,
      errors INTEGER, input_tokens INTEGER, input_known INTEGER, output_tokens INTEGER, output_known INTEGER,
      cost_nano INTEGER, priced_calls INTEGER, unpriced_calls INTEGER, unknown_usage_calls INTEGER,
      human_wait_ns INTEGER, handoffs INTEGER, escalations INTEGER, agents TEXT, frameworks TEXT,
      unlinked INTEGER)""",
    "CREATE INDEX t_runs_started ON t_runs(started_ns)",
    "CREATE INDEX t_runs_unlinked ON t_runs(started_ns) WHERE unlinked = 1",
    "CREATE INDEX t_runs_first ON t_runs(first_run_id) WHERE first_run_id <> run_id",
    """CREATE TABLE t_steps(step_id TEXT PRIMARY KEY, run_id TEXT, parent_id TEXT, kind TEXT, name TEXT, agent TEXT,
      framework TEXT, status TEXT, evidence TEXT, internal INTEGER, started_ns INTEGER, q INTEGER, writer_id INTEGER,
      ended_ns INTEGER, end_rank INTEGER, native_id TEXT, call_id TEXT, decided_by TEXT, decided_evidence TEXT,
      task TEXT, session TEXT, labels TEXT, version TEXT, owner TEXT, resuming INTEGER, questions TEXT, stop_reason TEXT,
      input_id INTEGER, output_id INTEGER, usage_id INTEGER,
      in_base TEXT, in_base_output INTEGER, in_keep INTEGER, in_count INTEGER,
      out_base TEXT, out_base_output INTEGER, out_keep INTEGER, out_count INTEGER, offers TEXT,
      provider TEXT, model TEXT, request_model TEXT, response_id TEXT, finish_reason TEXT, usage_source TEXT,
      cached INTEGER, ttft_ns INTEGER, input_tokens INTEGER, output_tokens INTEGER, cache_read_tokens INTEGER,
      cache_write_tokens INTEGER, reasoning_tokens INTEGER, audio_tokens INTEGER, cost_nano INTEGER, price_source TEXT,
      folded_into TEXT, error_type TEXT, error_message TEXT, stamps TEXT)""",
    "CREATE INDEX t_steps_run ON t_steps(run_id)",
    "CREATE INDEX t_steps_agent ON t_steps(agent, framework) WHERE agent IS NOT NULL",
    "CREATE INDEX t_steps_session ON t_steps(session) WHERE session IS NOT NULL",
    # Questions that are open, by the framework's own id.
    """CREATE INDEX t_steps_asked ON t_steps(native_id) WHERE kind = 'human' AND end_rank = 0
      AND native_id IS NOT NULL""",
    "CREATE INDEX t_steps_open ON t_steps(writer_id) WHERE end_rank = 0",
    "CREATE INDEX t_steps_response ON t_steps(response_id) WHERE response_id IS NOT NULL",
    # Model calls that have no price yet.
    """CREATE INDEX t_steps_unpriced ON t_steps(provider, coalesce(model, request_model)) WHERE cost_nano IS NULL AND input_tokens IS NOT NULL
      AND cached IS NOT 1""",
    """CREATE TABLE t_messages(step_id TEXT NOT NULL, direction INTEGER NOT NULL, position INTEGER NOT NULL,
      payload_id INTEGER, PRIMARY KEY(step_id, direction, position)) WITHOUT ROWID""",
    """CREATE TABLE t_handoffs(handoff_id TEXT PRIMARY KEY, run_id TEXT, step_id TEXT, mode TEXT, source TEXT,
      target TEXT, target_asked TEXT, target_type TEXT, coordinator TEXT, reason TEXT, payload_id INTEGER,
      answer_id INTEGER, status TEXT, refused_by TEXT, error_message TEXT, evidence TEXT, decided_by TEXT,
      decided_evidence TEXT, target_step_id TEXT, framework TEXT, asked_ns INTEGER, requested_ns INTEGER,
      accepted_ns INTEGER, returned_ns INTEGER, stamps TEXT)""",
    "CREATE INDEX t_handoffs_run ON t_handoffs(run_id)",
    """CREATE TABLE t_accesses(seq INTEGER NOT NULL, n INTEGER NOT NULL, run_id TEXT, step_id TEXT, agent TEXT,
      source TEXT, query TEXT, query_id INTEGER, item_id TEXT, score REAL, bytes INTEGER, at_ns INTEGER,
      PRIMARY KEY(seq, n)) WITHOUT ROWID""",
    "CREATE INDEX t_accesses_run ON t_accesses(run_id)",
    """CREATE TABLE t_decisions(decision_id TEXT PRIMARY KEY, run_id TEXT, step_id TEXT, call_id TEXT, agent TEXT,
      action TEXT, resource TEXT, verdict TEXT, rule TEXT, reason TEXT, policy TEXT, policy_version TEXT,
      enforced INTEGER, at_ns INTEGER)""",
    "CREATE INDEX t_decisions_run ON t_decisions(run_id)",
    """CREATE TABLE t_approvals(approval_id TEXT PRIMARY KEY, run_id TEXT, step_id TEXT, agent TEXT, tool TEXT,
      arguments_id INTEGER, status TEXT, asked_ns INTEGER, answered_ns INTEGER, answered_by TEXT, comment TEXT,
      stamps TEXT)""",
    "CREATE INDEX t_approvals_run ON t_approvals(run_id)",
    """CREATE TABLE t_scores(seq INTEGER PRIMARY KEY, run_id TEXT, step_id TEXT, name TEXT, value REAL, label TEXT,
      source TEXT, comment TEXT, at_ns INTEGER)""",
    "CREATE INDEX t_scores_run ON t_scores(run_id)",
    # What resuming runs brought along; `applied` once it has reached the steps that waited for it.
    """CREATE TABLE t_answers(run_id TEXT NOT NULL, at_ns INTEGER NOT NULL, q INTEGER NOT NULL, payload_id INTEGER,
      applied INTEGER NOT NULL DEFAULT 0, PRIMARY KEY(run_id, at_ns, q)) WITHOUT ROWID""",
    "CREATE INDEX t_answers_open ON t_answers(run_id) WHERE applied = 0",
    """CREATE TABLE t_processes(writer_id INTEGER PRIMARY KEY, pid INTEGER, host TEXT, boot TEXT, machine TEXT,
      versions TEXT, frameworks TEXT, started_ns INTEGER, last_ns INTEGER, exit_ns INTEGER, gone_ns INTEGER)""",
    """CREATE TABLE t_troubles(writer_id INTEGER NOT NULL, place TEXT NOT NULL, count INTEGER, error_type TEXT,
      error_message TEXT, at_ns INTEGER, PRIMARY KEY(writer_id, place)) WITHOUT ROWID""",
    # What model calls cost, by day and by who made them: few rows, however many calls.
    """CREATE TABLE t_spending(key TEXT PRIMARY KEY, day INTEGER, agent TEXT, framework TEXT, provider TEXT, model TEXT,
      calls INTEGER, input_tokens INTEGER, input_known INTEGER, output_tokens INTEGER, output_known INTEGER,
      cost_nano INTEGER, priced_calls INTEGER, unpriced_calls INTEGER, unknown_usage_calls INTEGER) WITHOUT ROWID""",
    "CREATE INDEX t_spending_none ON t_spending(calls) WHERE calls = 0",
    "CREATE INDEX t_spending_unpriced ON t_spending(provider, model) WHERE unpriced_calls > 0",
    """CREATE TABLE t_findings(finding_id TEXT PRIMARY KEY, run_id TEXT, step_id TEXT, detector TEXT, severity TEXT,
      summary TEXT, cost_nano INTEGER, at_ns INTEGER)""",
)

_AUDIT: Final = (
    # Full subtrees of the RFC 6962 tree over the leaves: at level L, number n, over 256^L leaves from n * 256^L on.
    """CREATE TABLE tiles(level INTEGER NOT NULL, n INTEGER NOT NULL, hash BLOB NOT NULL,
      PRIMARY KEY(level, n)) WITHOUT ROWID""",
    # Signed notes: how many events there were, and the tree's root over them.
    """CREATE TABLE checkpoints(checkpoint_id INTEGER PRIMARY KEY AUTOINCREMENT, size INTEGER NOT NULL,
      at_ns INTEGER NOT NULL, note TEXT NOT NULL)""",
    # Of an event that went with its old run, the leaf: chain and tree still hold. Its place on the tape keeps it from
    # coming again. The chain's value, where the event after it stays.
    """CREATE TABLE pruned(seq INTEGER PRIMARY KEY, tape_id INTEGER, offset INTEGER, leaf BLOB NOT NULL,
      chain BLOB)""",
    "CREATE UNIQUE INDEX pruned_once ON pruned(tape_id, offset) WHERE tape_id IS NOT NULL",
    """CREATE TABLE t_erasures(seq INTEGER PRIMARY KEY, kind TEXT, run_id TEXT, at_ns INTEGER, erased_by TEXT, reason TEXT,
      what TEXT, events INTEGER, texts INTEGER)""",
    "CREATE INDEX t_erasures_run ON t_erasures(run_id)",
)


def explain(path: str, error: sqlite3.Error | OSError) -> StoreError:
    """Give one sentence for what SQLite or the system said about the store at `path`."""
    said = str(error)
    if isinstance(error, OSError):
        if isinstance(error, PermissionError):
            return StoreError(
                f"{path}: you may not read or write it; ask its owner, or name another with --db."
            )
        return StoreError(f"{path}: {error.strerror or said}.")
    if "malformed" in said:
        return StoreError(
            f"{path} is damaged ({said}); put a copy back in its place, what is on the tapes waits."
        )
    if "not a database" in said:
        return StoreError(f"{path} is not a Counterfoil store ({said}); name another file with --db.")
    if "locked" in said or "busy" in said:
        return StoreError(f"{path} is locked by another program; close it there, or try again.")
    if "full" in said:
        return StoreError(f"{path}: the disk is full; make room, what is on the tapes waits.")
    if "readonly" in said or "read-only" in said:
        return StoreError(f"{path} is read-only; make it writable, or read it only.")
    if "unable to open" in said:
        return StoreError(
            f"{path} cannot be opened; look at its folder's permissions, or name another with --db."
        )
    return StoreError(f"{path}: {said}.")


def check(db: sqlite3.Connection, path: str, schema: str = "main") -> int:
    """Give the version of the store that `db` is connected to (as `schema`), 0 when it is new and empty.

    Raises StoreError when it is somebody else's file, or a newer Counterfoil's.
    """
    version = int(db.execute(f"PRAGMA {schema}.user_version").fetchone()[0])
    mark = int(db.execute(f"PRAGMA {schema}.application_id").fetchone()[0])
    if mark == APPLICATION_ID:
        if version > VERSION:
            raise StoreError(
                f"{path} was written by a newer Counterfoil (schema {version}, this one knows {VERSION}); upgrade."
            )
        return version
    if (
        mark == 0
        and version == 0
        and not db.execute(f"SELECT count(*) FROM {schema}.sqlite_schema").fetchone()[0]
    ):
        return 0
    raise StoreError(f"{path} is an SQLite file of another program; name another file with --db.")


@contextmanager
def unguarded(db: sqlite3.Connection) -> Iterator[None]:
    """Run a block that may delete events, inside a transaction."""
    db.execute("DROP TRIGGER events_are_kept")
    yield
    db.execute(_EVENTS_ARE_KEPT)


def open_writer(path: str, *, timeout: float | None = None) -> sqlite3.Connection:
    """Give a connection that may write, to a store that is made or brought up to date first.

    Waits at most `timeout` seconds for another program's lock. Hold the drain lock. Raises StoreError with one
    sentence.
    """
    timeout = BUSY_SECONDS if timeout is None else timeout
    try:
        if not os.path.exists(path):
            # SQLite would make it readable for everybody; -wal and -shm take their mode from it.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        db = sqlite3.connect(
            path, timeout=timeout, isolation_level=None, check_same_thread=False, cached_statements=256
        )
    except FileNotFoundError:
        raise StoreError(
            f"{path}: the folder does not exist; make it, or name another file with --db."
        ) from None
    except (OSError, sqlite3.Error) as error:
        raise explain(path, error) from None
    try:
        version = check(db, path)
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=NORMAL")
        db.execute("PRAGMA secure_delete=ON")
        if version < VERSION:
            _migrate(db, path)
    except (sqlite3.Error, StoreError) as error:
        db.close()
        raise (error if isinstance(error, StoreError) else explain(path, error)) from None
    return db


def _migrate(db: sqlite3.Connection, path: str) -> None:
    from sqlite_utils import Database, Migrations  # noqa: PLC0415  # a third of a second, once per store

    set_ = Migrations("counterfoil")
    for migration in MIGRATIONS:
        set_(name=migration.__name__)(_applied(migration))
    # Its own BEGIN takes the write lock late: one of 48 processes that start at once fails. Inside ours it nests.
    db.execute("BEGIN IMMEDIATE")
    try:
        if check(db, path) < VERSION:
            set_.apply(Database(db))
            views.recreate(db)
            db.execute(f"PRAGMA application_id={APPLICATION_ID}")
            db.execute(f"PRAGMA user_version={VERSION}")
        db.execute("COMMIT")
    except BaseException:
        db.execute("ROLLBACK")
        raise


def _applied(migration: Callable[[sqlite3.Connection], None]) -> Callable[[Database], Any]:
    def apply(database: Database) -> None:
        migration(database.conn)

    apply.__name__ = migration.__name__
    return apply
