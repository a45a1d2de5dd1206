"""Reading a store: drained first where we may write, typed rows, nothing left behind where we may not."""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

import msgspec

from counterfoil.forklock import importing
from counterfoil.recorder import store_path
from counterfoil.store import pricing, resumption, schema, tapes, views
from counterfoil.store.errors import StoreError
from counterfoil.store.forks import Holder
from counterfoil.store.records import (
    Access,
    Agent,
    Approval,
    Cost,
    Decision,
    Erasure,
    Finding,
    Handoff,
    LlmCall,
    Message,
    Messages,
    Node,
    Process,
    Quarantined,
    Run,
    Score,
    Step,
    ToolCall,
    Trouble,
    record,
)  # fmt: skip

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["BARE", "Store", "addresses", "may_write", "nanoseconds", "open", "store_path"]

_T = TypeVar("_T", bound=msgspec.Struct)

#: How long a reader waits for another drainer, and for prices.
WAIT_SECONDS: Final = 5.0

#: Of a row of `runs`: a model or tool called outside of any agent.
BARE: Final = """(agents = 0 AND root_kind IN
  ('llm', 'tool', 'retrieval', 'embedding', 'memory', 'guardrail', 'other'))"""
_ORDER = "ORDER BY started_ns, process_id, process_seq"

#: What cost can be asked by: of all model calls, added up already, and by what only their runs tell.
_SPENDING_KEYS: Final = {
    "agent": "c.agent",
    "model": "c.model",
    "provider": "c.provider",
    "framework": "c.framework",
    "day": "strftime('%Y-%m-%d', c.day * 86400, 'unixepoch')",
}
_CALL_KEYS: Final = {"run": "c.run_id", "task": "root.task", "session": "root.session"}
#: Model calls one by one, with the columns of `t_spending`.
_CALLS: Final = f"""SELECT s.run_id, s.started_ns / 86400000000000 AS day, s.agent, s.framework, s.provider,
    coalesce(s.model, s.request_model) AS model, 1 AS calls, s.input_tokens, s.input_tokens IS NOT NULL AS input_known,
    s.output_tokens, s.output_tokens IS NOT NULL AS output_known, {views.COST} AS cost_nano,
    {views.COST} IS NOT NULL AS priced_calls,
    s.end_rank > 0 AND {views.COST} IS NULL AND (s.status = 'ok' OR s.input_tokens IS NOT NULL) AS unpriced_calls,
    s.kind = 'llm' AND s.end_rank > 0 AND s.status = 'ok' AND (s.input_tokens IS NULL OR s.output_tokens IS NULL)
      AS unknown_usage_calls
  FROM t_steps s WHERE s.kind IN ('llm', 'embedding') AND s.folded_into IS NULL"""

_READS: Final = frozenset({sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_RECURSIVE})
#: Functions of SQLite that reach outside of the database.
_FORBIDDEN_FUNCTIONS: Final = frozenset({"load_extension", "readfile", "writefile", "edit", "fts3_tokenizer"})
_PRAGMAS: Final = frozenset(
    {
        "table_info", "table_xinfo", "table_list", "index_list", "index_info", "index_xinfo", "foreign_key_list",
        "database_list", "compile_options", "function_list", "integrity_check", "quick_check",
    }
)  # fmt: skip
_BARE_PRAGMAS: Final = frozenset(
    {"user_version", "application_id", "page_count", "page_size", "journal_mode", "encoding"}
)


def open(path: str | os.PathLike[str] | None = None, *, drain: bool = True) -> Store:  # noqa: A001  # counterfoil.open
    """Open the store at `path` (default `$COUNTERFOIL_DB`, else `counterfoil.db` here) to read it.

    Drains the tapes first where this user may write and `drain` is true. Raises StoreError with one sentence when
    there is no store, or it cannot be read.
    """
    return Store(store_path(path), drain=drain)


class Store(Holder):
    """A store being read. A context manager.

    `undrained_bytes` of tape are not in what is read; `notices` say in sentences what could not be seen.
    """

    def __init__(self, path: str, *, drain: bool = True) -> None:
        super().__init__(path)
        self.notices: list[str] = []
        self.undrained_bytes = 0
        self._immutable = False
        self._writable = may_write(path)
        self._closed = False
        self.refresh(drain=drain)

    def refresh(self, *, drain: bool = True) -> int:
        """Look again: drain where we may, and give how many events that brought."""
        self.notices = []
        events = 0
        folder = tapes.folder_of(self.path)
        if not os.path.isdir(os.path.dirname(self.path)):
            raise StoreError(
                f"{self.path}: the folder does not exist; make it, or name another file with --db."
            )
        if os.path.isdir(self.path):
            raise StoreError(f"{self.path} is a folder; name a file with --db.")
        if not os.path.exists(self.path) and not (drain and os.path.isdir(folder)):
            raise StoreError(f"{self.path}: nothing has been recorded here; name another file with --db.")
        failed: StoreError | None = None
        if drain and self._writable:
            try:
                if self._is_settled(folder):
                    pass
                elif os.path.isdir(folder):
                    events = self._drain()
                else:
                    schema.open_writer(self.path).close()  # a copy without tapes: brought up to date at most
            except StoreError as error:
                failed = error
        elif drain:
            self.notices.append("You may not write to this store: tapes are not drained.")
        with self.lock:
            if self._immutable:
                self.let_go()  # it would never see what is new
            try:
                db = self._connected()
            except StoreError as error:
                raise failed or error from None
            if failed is not None:
                self.notices.append(f"The tapes were not drained: {failed}")
            self.undrained_bytes = self._undrained(folder, db)
        return events

    def _is_settled(self, folder: str) -> bool:
        """Tell whether a drain would do nothing: no tape, no run to tie to another, no call to price, none to sign."""
        if not tapes.is_bare(folder):
            return False
        with self.lock:
            try:
                db = self._connected()
                return not (resumption.is_wanted(db) or pricing.is_wanted(db) or _is_to_be_signed(db))
            except (StoreError, sqlite3.Error):
                return False  # of an older Counterfoil, say

    def _drain(self) -> int:
        with importing:
            from counterfoil.store.ingest import Drainer  # noqa: PLC0415  # mostly there is nothing to drain
        with Drainer(self.path) as drainer:
            drained = drainer.drain(wait=WAIT_SECONDS, price=True)
        self.notices += drained.notices
        if drained.busy:
            self.notices.append("Another process is writing to the store: the newest events may be missing.")
        return drained.events

    def _undrained(self, folder: str, db: sqlite3.Connection) -> int:
        if os.path.isdir(folder) and not os.access(folder, os.R_OK | os.X_OK):
            self.notices.append(f"{folder} cannot be looked into: what is on the tapes is unknown.")
            return 0
        left = tapes.left_bytes(folder, db)
        if left and not self._writable:
            self.notices.append(
                f"{left} bytes of tape are not in the store yet; its owner's next command brings them in."
            )
        return left

    def _connect(self) -> sqlite3.Connection:
        if not os.path.exists(self.path):
            raise StoreError(f"{self.path}: nothing has been recorded here; name another file with --db.")
        if not os.access(self.path, os.R_OK):
            raise StoreError(f"{self.path}: you may not read it; ask its owner, or name another with --db.")
        tried = addresses(self.path, writable=self._writable)
        self._immutable = False
        for at, uri in enumerate(tried):
            try:
                db = self._checked(uri)
            except StoreError:
                if at == len(tried) - 1:
                    raise
                continue
            self._immutable = "immutable" in uri
            if self._immutable and _size(self.path + "-wal"):
                self.notices.append(
                    "What was written last is in a file that you cannot use (-wal), and is not seen."
                )
            return db
        raise AssertionError

    def _checked(self, uri: str) -> sqlite3.Connection:
        try:
            db = sqlite3.connect(
                uri, uri=True, timeout=schema.BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
        except sqlite3.Error as error:
            raise schema.explain(self.path, error) from None
        try:
            version = schema.check(db, self.path)
            if version < schema.VERSION:
                raise StoreError(
                    f"{self.path}: nothing has been recorded here."
                    if version == 0
                    else f"{self.path} is of an older Counterfoil (schema {version}); its owner's next command updates it."
                )
            db.execute("PRAGMA query_only=ON")
            db.execute("SELECT 1 FROM t_runs LIMIT 1")
            # json_each declares its columns as a table at first use, which the authorizer takes for a write.
            db.execute("SELECT 1 FROM json_each('[]'), json_tree('[]'), pragma_table_info('runs')").fetchall()
            db.set_authorizer(_authorize)
        except (sqlite3.Error, StoreError) as error:
            db.close()
            raise (error if isinstance(error, StoreError) else schema.explain(self.path, error)) from None
        return db

    def _connected(self) -> sqlite3.Connection:
        """Give the connection, opened anew where a fork has closed it. Hold the lock."""
        if self._closed:
            raise StoreError(f"{self.path}: this store has been closed.")
        if self.db is None:
            self.db = self._connect()
        return self.db

    def close(self) -> None:
        """Let go of the store."""
        with self.lock:
            self._closed = True
            self.let_go()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- queries

    def _query(self, query: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with self.lock:
            try:
                return self._connected().execute(query, params).fetchall()
            except sqlite3.Error as error:
                raise schema.explain(self.path, error) from None

    def _all(
        self, kind: type[_T], view: str, where: str = "", params: Sequence[Any] = (), order: str = ""
    ) -> list[_T]:
        rows = self._query(f"SELECT {','.join(kind.__struct_fields__)} FROM {view} {where} {order}", params)
        return [record(kind, row) for row in rows]

    def _of_run(self, kind: type[_T], view: str, run: Run | str | None, order: str) -> list[_T]:
        if run is None:
            return self._all(kind, view, order=order)
        return self._all(kind, view, "WHERE run_id = ?", (self._run_id(run),), order)

    def _run_id(self, run: Run | str) -> str:
        return run.run_id if isinstance(run, Run) else self.run(run).run_id

    def runs(
        self,
        *,
        agent: str | None = None,
        framework: str | None = None,
        task: str | None = None,
        session: str | None = None,
        status: str | None = None,
        label: str | None = None,
        since: int | str | datetime | None = None,
        until: int | str | datetime | None = None,
        limit: int | None = 50,
        all: bool = False,  # noqa: A002  # the option's name
    ) -> list[Run]:
        """Give runs, newest first. Bare model or tool calls, with no agent, only if `all`.

        `label` is `key` or `key=value`. `since` and `until` bound the start: nanoseconds, a datetime, or ISO 8601
        text (UTC unless it says otherwise).
        """
        where: list[str] = [] if all else [f"NOT {BARE}"]
        params: list[Any] = []
        for condition, value in (
            ("EXISTS (SELECT 1 FROM json_each(agent_names) WHERE value = ?)", agent),
            ("EXISTS (SELECT 1 FROM json_each(frameworks) WHERE value = ?)", framework),
            ("task = ?", task),
            ("run_id IN (SELECT run_id FROM t_steps WHERE session = ?) AND session_id = ?", session),
            ("status = ?", status),
            ("started_ns >= ?", None if since is None else nanoseconds(since)),
            ("started_ns < ?", None if until is None else nanoseconds(until)),
        ):
            if value is not None:
                where.append(condition)
                params += [value] * condition.count("?")
        if label is not None:
            key, equals, value = label.partition("=")
            where.append(
                f"EXISTS (SELECT 1 FROM json_each(labels) WHERE key = ?{' AND value = ?' if equals else ''})"
            )
            params += [key, value] if equals else [key]
        condition = f"WHERE {' AND '.join(where)}" if where else ""
        order = "ORDER BY started_ns DESC, run_id DESC"
        if limit is not None:
            order += " LIMIT ?"
            params.append(limit)
        return self._all(Run, "runs", condition, params, order)

    def run(self, ref: str) -> Run:
        """Give the run whose id is `ref` or alone begins with it, or the `last` one."""
        if ref == "last":
            newest = self.runs(limit=1) or self.runs(limit=1, all=True)
            if not newest:
                raise StoreError(f"{self.path}: no run has been recorded.")
            return newest[0]
        return self._all(Run, "runs", "WHERE run_id = ?", (self._found("run", "t_runs", ref),))[0]

    def step(self, ref: str) -> Step:
        """Give the step whose id is `ref`, or alone begins with it."""
        return self._all(Step, "steps", "WHERE step_id = ?", (self._found("step", "t_steps", ref),))[0]

    def _found(self, noun: str, table: str, ref: str) -> str:
        wanted = ref.strip().lower()
        column = f"{noun}_id"
        if not wanted or any(one not in "0123456789abcdef" for one in wanted):
            raise StoreError(f"No {noun} {ref!r}: give the beginning of a {noun}'s id, in hexadecimal.")
        found = self._query(
            f"SELECT {column} FROM {table} WHERE {column} >= ? AND {column} < ? ORDER BY {column} LIMIT 4",
            (wanted, wanted + "g"),
        )
        if not found:
            raise StoreError(f"No {noun} begins with {ref!r}.")
        if len(found) > 1 and found[0][0] != wanted:
            some = ", ".join(str(row[0]) for row in found[:3]) + (", ..." if len(found) > 3 else "")
            raise StoreError(f"More than one {noun} begins with {ref!r}: {some}")
        return str(found[0][0])

    def steps(self, run: Run | str) -> list[Step]:
        """Give a run's steps in the order in which they began."""
        return self._of_run(Step, "steps", run, _ORDER)

    def tree(self, run: Run | str) -> tuple[Node, ...]:
        """Give a run's steps as trees: one, unless a parent is unknown."""
        steps = self.steps(run)
        known = {step.step_id for step in steps}
        below: dict[str | None, list[Step]] = {}
        for step in steps:
            parent = step.parent_id if step.parent_id in known and step.parent_id != step.step_id else None
            below.setdefault(parent, []).append(step)
        return _nodes(steps, below)

    def messages(self, step: Step | LlmCall | str) -> Messages:
        """Give all messages that went into `step`, from the first on, and those that came out of it."""
        step_id = self._found("step", "t_steps", step) if isinstance(step, str) else step.step_id
        row = self._query(
            f"""SELECT CASE WHEN s.in_count IS NOT NULL THEN {views.message_list("s", 0)} END,
            CASE WHEN s.out_count IS NOT NULL THEN {views.message_list("s", 1)} END
            FROM t_steps s WHERE s.step_id = ?""",
            (step_id,),
        )[0]
        return Messages(*(msgspec.json.decode(side) if side else [] for side in row))

    def new_messages(self, run: Run | str | None = None) -> list[Message]:
        """Give the messages that were new to their call: the rows of the view `messages`."""
        return self._of_run(Message, "messages", run, "ORDER BY step_id, position")

    def handoffs(self, run: Run | str | None = None) -> list[Handoff]:
        """Give handoffs of a run, or all, in the order in which they were asked for."""
        return self._of_run(Handoff, "handoffs", run, "ORDER BY requested_ns, handoff_id")

    def llm_calls(self, run: Run | str | None = None) -> list[LlmCall]:
        """Give model calls of a run, or all; two reports of one call are one."""
        return self._of_run(LlmCall, "llm_calls", run, "ORDER BY started_ns, step_id")

    def tool_calls(self, run: Run | str | None = None) -> list[ToolCall]:
        """Give tool calls of a run, or all; without attempts that paused for a human and were made again."""
        return self._of_run(ToolCall, "tool_calls", run, "ORDER BY started_ns, step_id")

    def accesses(self, run: Run | str | None = None) -> list[Access]:
        """Give what data was read, in a run or ever."""
        return self._of_run(Access, "accesses", run, "ORDER BY at_ns")

    def decisions(self, run: Run | str | None = None) -> list[Decision]:
        """Give what policies said, in a run or ever."""
        return self._of_run(Decision, "decisions", run, "ORDER BY at_ns")

    def approvals(self, run: Run | str | None = None) -> list[Approval]:
        """Give what humans were asked to approve, in a run or ever."""
        return self._of_run(Approval, "approvals", run, "ORDER BY asked_ns, approval_id")

    def scores(self, run: Run | str | None = None) -> list[Score]:
        """Give judgements of a run and its steps, or all."""
        return self._of_run(Score, "scores", run, "ORDER BY at_ns")

    def erasures(self, run: Run | str | None = None) -> list[Erasure]:
        """Give what was erased, of a run or ever: when, by whom, and why."""
        return self._of_run(Erasure, "erasures", run, "ORDER BY at_ns")

    def findings(self, run: Run | str | None = None) -> list[Finding]:
        """Give what detectors found, in a run or ever."""
        return self._of_run(Finding, "findings", run, "ORDER BY at_ns")

    def agents(self) -> list[Agent]:
        """Give every agent there was, the last seen first."""
        return self._all(Agent, "agents", order="ORDER BY last_seen_ns DESC, agent")

    def processes(self) -> list[Process]:
        """Give every process that recorded, the newest first."""
        return self._all(Process, "processes", order="ORDER BY started_ns DESC")

    def cost(self, by: str | None = None, *, run: Run | str | None = None) -> list[Cost]:
        """Give what model calls cost: in total, or by `agent`, `model`, `provider`, `framework`, `run`, `task`, `session`, `day`."""
        keys = {**_SPENDING_KEYS, **_CALL_KEYS}
        if by is not None and by not in keys:
            raise StoreError(f"Cost by {by!r} is not known: choose one of {', '.join(keys)}.")
        key, source = "NULL" if by is None else keys[by], "t_spending c"
        params: tuple[str, ...] = ()
        if run is not None or by in _CALL_KEYS:
            only = ""
            if run is not None:
                only, params = "AND s.run_id = ?", (self._run_id(run),)
            source = f"""({_CALLS} {only}) c LEFT JOIN t_runs r ON r.run_id = c.run_id
              LEFT JOIN t_steps root ON root.step_id = r.root_id"""
        rows = self._query(
            f"""SELECT {key} AS key, coalesce(sum(c.calls), 0) AS calls, iif(sum(c.input_known), sum(c.input_tokens), NULL),
              iif(sum(c.output_known), sum(c.output_tokens), NULL),
              iif(sum(c.priced_calls), sum(c.cost_nano) / 1e9, NULL),
              iif(sum(c.priced_calls), sum(c.cost_nano), NULL) AS cost_nano,
              coalesce(sum(c.unpriced_calls), 0), coalesce(sum(c.unknown_usage_calls), 0)
            FROM {source} {"" if by is None else "GROUP BY 1"} ORDER BY cost_nano DESC, calls DESC, key""",
            params,
        )
        return [Cost(*row) for row in rows]

    def troubles(self) -> list[Trouble]:
        """Give the errors of our own that recording processes met."""
        rows = self._query(
            f"""SELECT w.writer, t.place, t.count, t.error_type, t.error_message, {views.iso("t.at_ns")}, t.at_ns
            FROM t_troubles t JOIN writers w USING (writer_id) ORDER BY t.at_ns DESC"""
        )
        return [Trouble(*row) for row in rows]

    def quarantine(self) -> list[Quarantined]:
        """Give the lines of tape that are no events."""
        rows = self._query(
            f"""SELECT printf('%s.%06d.tape', w.writer, t.segment), q.offset, q.reason, q.raw, {views.iso("q.at_ns")}, q.at_ns
            FROM quarantine q JOIN tapes t USING (tape_id) JOIN writers w USING (writer_id) ORDER BY q.at_ns, q.offset"""
        )
        return [Quarantined(*row) for row in rows]

    def sql(
        self, query: str, params: Sequence[Any] | dict[str, Any] = ()
    ) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
        """Run one query and give its columns and rows. Raises StoreError when it is wrong, or would write."""
        try:
            with self.lock:
                cursor = self._connected().execute(query, params)
                rows = cursor.fetchall()
        except (sqlite3.Error, sqlite3.Warning) as error:
            said = str(error).rstrip(".")
            if any(
                sign in said for sign in ("not authorized", "authorization denied", "readonly", "prohibited")
            ):
                raise StoreError(
                    "This query would write, or reach outside of the store: only reading is allowed."
                ) from None
            raise StoreError(f"SQL: {said}.") from None
        if cursor.description is None:
            raise StoreError("This is no query: it gives no rows.")
        return tuple(column[0] for column in cursor.description), rows


def _nodes(steps: Sequence[Step], below: dict[str | None, list[Step]]) -> tuple[Node, ...]:
    """Put together from the leaves up: a run may be deeper than Python's stack."""
    made: dict[str, Node] = {}
    order: list[Step] = []
    waiting = list(below.get(None, ()))
    while waiting:
        step = waiting.pop()
        order.append(step)
        waiting += below.get(step.step_id, ())
    for step in reversed(order):
        made[step.step_id] = Node(step, tuple(made[child.step_id] for child in below.get(step.step_id, ())))
    roots = [made[step.step_id] for step in below.get(None, ())]
    # Steps that are each other's ancestors hang under nothing: show them flat.
    roots += [Node(step, ()) for step in steps if step.step_id not in made]
    return tuple(roots)


def may_write(path: str) -> bool:
    """Only the owner drains: files that another user (root too) makes beside the store would shut the owner out."""
    there = [one for one in (path, tapes.folder_of(path)) if os.path.exists(one)]
    if hasattr(os, "geteuid"):
        with suppress(OSError):
            if any(os.stat(one).st_uid != os.geteuid() for one in there):
                return False
    return all(os.access(one, os.W_OK) for one in there) and os.access(
        os.path.dirname(path), os.W_OK | os.X_OK
    )


def _is_to_be_signed(db: sqlite3.Connection) -> bool:
    if db.execute("SELECT 1 FROM meta WHERE key = 'audit_key'").fetchone() is None:
        return False
    with importing:
        from counterfoil.store import checkpoints  # noqa: PLC0415  # most stores are not signed

    return checkpoints.is_due(db, ends=True) and checkpoints.has_key(db)


def addresses(path: str, *, writable: bool) -> list[str]:
    """Give the URIs to try in turn where the store at `path` is read: none leaves files behind."""
    address = _address(path)
    if writable:
        # A read-only connection would leave -wal and -shm behind: it may not delete them.
        return [address]
    if _size(path + "-wal") and os.access(path + "-shm", os.R_OK):
        return [address + "?mode=ro", address + "?immutable=1"]
    # mode=ro would make files beside the store.
    return [address + "?immutable=1"]


def _address(path: str) -> str:
    """Give a file's URI as https://www.sqlite.org/uri.html asks for it; urllib would cost a command 4 ms."""
    return "file:" + path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


def nanoseconds(when: int | str | datetime) -> int:
    """Give the nanoseconds since the epoch that `when` means; text is ISO 8601, UTC unless it says otherwise."""
    if isinstance(when, int):
        return when
    if isinstance(when, str):
        try:
            when = datetime.fromisoformat(when)
        except ValueError:
            raise StoreError(
                f"{when!r} is no time: write it like 2026-01-31 or 2026-01-31T12:00:00."
            ) from None
    if when.tzinfo is None:
        from datetime import UTC  # noqa: PLC0415  # here alone

        when = when.replace(tzinfo=UTC)
    whole = int(when.timestamp() // 1)
    return whole * 1_000_000_000 + when.microsecond * 1_000


def _authorize(action: int, one: str | None, two: str | None, *_: str | None) -> int:
    if action in _READS:
        return sqlite3.SQLITE_OK
    if action == sqlite3.SQLITE_FUNCTION:
        return sqlite3.SQLITE_DENY if (two or "").lower() in _FORBIDDEN_FUNCTIONS else sqlite3.SQLITE_OK
    if action == sqlite3.SQLITE_PRAGMA:
        # `pragma_table_info('runs')` asks as a function of that name.
        name = (one or "").lower().removeprefix("pragma_")
        return (
            sqlite3.SQLITE_OK
            if name in _PRAGMAS or (name in _BARE_PRAGMAS and not two)
            else sqlite3.SQLITE_DENY
        )
    return sqlite3.SQLITE_DENY
