"""Nothing that a programmer gets wrong stops the application: it is recorded as what it is, or said and left out."""

import pytest

import child
import counterfoil
from tape_reading import lines, outline


@pytest.fixture
def db(default_db):
    return default_db


HUGE = "x" * 3_000_000


class Raising:
    def __str__(self):
        raise ValueError("no")

    __repr__ = __str__


@pytest.mark.parametrize(
    "odd", [None, 5, b"bytes", "\ud800", HUGE, ["a"], {"a": 1}, Raising()], ids=lambda odd: type(odd).__name__
)
def test_odd_arguments_are_recorded_as_what_they_are(db, tmp_path, odd):
    @counterfoil.tool(name=odd)
    def work(given):
        return given

    with counterfoil.run(
        odd, task=odd, session=odd, labels={odd: odd} if isinstance(odd, str) else {"a": odd}, input=odd
    ) as span:
        span.set(output=odd, model=odd, stop_reason=odd)
        with counterfoil.step(odd, input=odd):
            assert work(odd) is odd
        counterfoil.access(odd, query=odd, items=[odd], size=odd)
        counterfoil.score(odd, odd, label=odd, comment=odd)
        counterfoil.handoff(odd, reason=odd, payload=odd)
    assert [one.head.kind for one in lines(db, "start")] == ["workflow", "other", "tool"]
    assert len(lines(db, "end", "access", "score")) == 5


@pytest.mark.parametrize("db", [5, object(), "with\0null", ["list"]], ids=lambda db: type(db).__name__)
def test_a_store_that_is_none_is_said_and_the_block_runs(troubled, db):
    ran = []
    with counterfoil.run("desk", db=db) as span:
        span.set(output=1)
        span.score("good", 1)
        ran.append((span.run_id, span.step_id))
    with counterfoil.step("work", db=db):
        ran.append("step")
    counterfoil.access("kb", db=db)
    counterfoil.handoff("b", db=db)
    counterfoil.score("good", 1, db=db)
    assert counterfoil.traceparent(db) is None
    assert counterfoil.flush(db) is False
    assert ran == [("", ""), "step"]
    assert "counterfoil.spans.Block.begin" in troubled


def test_odd_kinds_labels_statuses_modes_and_usage_are_said_and_the_block_runs(troubled, tmp_path):
    with counterfoil.run("desk", labels=["a"], traceparent=5) as span:
        span.set(status="done")
        span.set(usage=5)
        span.set(usage={"tokens": 5})
        span.set(nonsense=5)
        with counterfoil.step("odd", kind="banana"):
            pass
        counterfoil.handoff("b", mode="banana")
        counterfoil.access("kb", items=5)
    assert outline(tmp_path / "x.db") == "workflow desk ok\n  other odd ok"
    assert len(troubled) == 5


def test_a_working_folder_that_is_gone_is_said_and_the_block_runs(tmp_path):
    code = """
        import os, sys
        import counterfoil
        os.mkdir(sys.argv[1])
        os.chdir(sys.argv[1])
        os.rmdir(sys.argv[1])
        del os.environ["COUNTERFOIL_DB"]
        with counterfoil.run("desk"):
            print("ran")
    """
    with child.start(code, tmp_path / "gone", db=tmp_path / "x.db") as process:
        printed, complained = process.communicate(timeout=child.SECONDS)
    assert (process.returncode, printed) == (0, "ran\n")
    assert complained.count("Traceback") == 0


def test_what_cannot_be_decorated_is_left_as_it_is_and_said(troubled):
    class Tool:
        def __call__(self):
            return 1

    made = Tool()
    assert counterfoil.tool(made) is made
    assert counterfoil.agent(Tool) is Tool
    assert counterfoil.tool(5) == 5
    assert troubled == {"counterfoil.tool": 2, "counterfoil.agent": 1}


def test_a_name_given_as_the_only_argument_is_the_name(db):
    @counterfoil.tool("lookup")
    def search():
        return 1

    @counterfoil.agent("desk")
    def ask():
        return search()

    assert ask() == 1
    assert outline(db) == "agent desk [desk] ok\n  tool lookup [desk] ok"


@pytest.mark.parametrize("reads", [5, None])
def test_reads_that_are_none_are_said_and_the_tool_works(troubled, tmp_path, reads):
    @counterfoil.tool(reads=reads)
    def search():
        return 1

    assert search() == 1
    assert lines(tmp_path / "x.db", "end")[0].head.status == "ok"


def test_where_nothing_can_be_recorded_everything_still_works(troubled, monkeypatch, tmp_path):
    monkeypatch.setenv("COUNTERFOIL_DB", str(tmp_path / "missing" / "x.db"))

    @counterfoil.tool
    def work(n):
        return n

    @counterfoil.tool
    def stream():
        heard = yield 1
        yield heard

    with counterfoil.run("desk"):
        assert work(1) == 1
        generator = stream()
        assert (next(generator), generator.send(5)) == (1, 5)
    assert list(troubled.values()) == [1]
