"""A story for the command line's tests: a real process records it, real commands read it.

Run as a script it records to $COUNTERFOIL_DB what its argument names.
"""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import counterfoil

if TYPE_CHECKING:
    from collections.abc import Iterator

    from click.testing import Result

HOSTILE = "\x1b[2Jgone \u202eevil\u200b [bold]x[/bold] :skull:"
RUN = ["-c", "import sys; sys.argv[0] = 'counterfoil'; from counterfoil.cli import main; main()"]


@counterfoil.tool(reads="kb:policy")
def search_policy(query: str, limit: int = 3) -> list[str]:
    counterfoil.access("kb:billing", query=query, items=["doc-1", "doc-2"])
    return ["Refunds within 30 days", "Charged twice: refund at once"]


@counterfoil.tool
def look_up(customer: int) -> str:
    raise LookupError(f"no customer {customer}")


def call_model(given: int | None, made: int | None, model: str = "gpt-4.1-mini") -> None:
    with counterfoil.step("chat", kind="llm", input="hello") as span:
        usage = None if given is None else counterfoil.Usage(given, made)
        span.set(usage=usage, model=model, provider="openai", output="I will look into it")


@counterfoil.agent
def billing(ticket: str) -> str:
    call_model(900, 70)
    try:
        look_up(7)
    except LookupError:
        call_model(1_200, 90, model="model-without-price")
    return "refunded"


@counterfoil.agent
def follow_up(ticket: str) -> str:
    call_model(300, 30)
    return "mail sent"


@counterfoil.agent(version="2", owner="support")
def triage(ticket: str) -> str:
    call_model(1_234, 85)
    search_policy("double charge", limit=5)
    counterfoil.handoff("billing", mode="escalation", reason="charged twice")
    answer = billing(ticket)
    counterfoil.score("helpful", 0.9, label="good")
    counterfoil.handoff("follow_up", reason="write to the customer")
    return answer


def desk() -> None:
    """Three agents, a tool that fails, an escalation, a transfer, a call without a price."""
    with counterfoil.run(
        "support desk",
        task="refund",
        session="ticket-1",
        labels={"tier": "gold", "region": "eu"},
        input="charged twice",
    ) as span:
        triage("ticket-1")
        follow_up("ticket-1")
        span.set(output="done")


def greet() -> None:
    """One agent, all priced, another label."""
    with counterfoil.run("greeter", task="greet", labels={"tier": "silver", "region": "eu"}):
        counterfoil.agent(name="greeter")(call_model)(10, 5)


def bare() -> None:
    """A model call outside of any agent."""
    call_model(10, 5)


def unknown() -> None:
    """A model call that told nothing about its usage."""
    counterfoil.agent(name="silent")(call_model)(None, None)


def hostile() -> None:
    """Every string that reaches a screen steers terminals."""

    @counterfoil.tool(name=f"tool {HOSTILE}", reads=f"source {HOSTILE}")
    def act(text: str) -> str:
        counterfoil.access(f"source {HOSTILE}", query=HOSTILE, items=[HOSTILE])
        counterfoil.handoff(f"target {HOSTILE}", reason=f"reason {HOSTILE}", mode="escalation")
        counterfoil.score(f"score {HOSTILE}", label=HOSTILE, comment=HOSTILE)
        raise RuntimeError(HOSTILE)

    with counterfoil.run(
        f"run {HOSTILE}", task=HOSTILE, session=HOSTILE, labels={HOSTILE: HOSTILE}, input=HOSTILE
    ) as span:
        try:
            counterfoil.agent(name=f"agent {HOSTILE}")(act)(HOSTILE)
        except RuntimeError:
            with counterfoil.step("m", kind="llm", input=HOSTILE) as call:
                call.set(model=f"model {HOSTILE}", output=HOSTILE, usage=counterfoil.Usage(1, 1))
        with counterfoil.step(f"question {HOSTILE}", kind="human", input=HOSTILE) as human:
            human.set(output=HOSTILE)
        span.set(output=HOSTILE, stop_reason=HOSTILE)


def deep() -> None:
    """Steps inside each other, more than Python's stack allows calls."""
    from contextlib import ExitStack

    with ExitStack() as stack:
        stack.enter_context(counterfoil.run("deep"))
        for number in range(1_500):
            stack.enter_context(counterfoil.step(f"step {number}"))


def asks() -> None:
    """A human is asked: one question is answered, one waits, one is about a tool call."""
    with counterfoil.run("asks") as span:
        with counterfoil.step("colour", kind="human", input="which colour?") as human:
            human.set(output="blue")
        recorder = counterfoil.recorder_at()
        here = recorder.here()
        assert here is not None
        recorder.ask(here, "which size?", name="size")
        recorder.ask(here, "may I?", name="permission", approval=("delete_file", {"path": "/tmp/x"}))
        span.set(status="waiting")


def hangs() -> None:
    """A run that is under way until this process is killed."""
    with counterfoil.run("hanging"), counterfoil.step("work"):
        counterfoil.flush()
        print("ready", flush=True)
        time.sleep(600)


STORIES = {one.__name__: one for one in (desk, greet, bare, unknown, hostile, deep, asks, hangs)}


def environment(**more: str) -> dict[str, str]:
    """Give the environment of a child that finds counterfoil where this process found it."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("COUNTERFOIL_")}
    return {**kept, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path), **more}


@cache
def _recorded(*stories: str) -> Path:
    """Give the folder where a process of its own recorded `stories` to x.db, one after the other."""
    folder = Path(tempfile.mkdtemp(prefix="counterfoil_story."))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    subprocess.run(
        [sys.executable, __file__, *stories],
        check=True,
        env=environment(COUNTERFOIL_DB=str(folder / "x.db")),
        timeout=120,
    )
    return folder


def record(path: object, *stories: str) -> None:
    """Put a store at `path` to which a process recorded `stories`: the same one each time."""
    folder = _recorded(*stories)
    shutil.copy2(folder / "x.db", str(path))
    shutil.copytree(folder / "x.db.tape", f"{path}.tape")


def of_another_user(path: Path) -> None:
    """Take the right to write from this user; root's files become somebody else's, which is the same to us."""
    files = [path, *path.parent.glob(path.name + ".tape"), *path.parent.glob(path.name + ".tape/*")]
    for file in files:
        if os.geteuid() == 0:
            os.chown(file, 65534, 65534)
        else:
            file.chmod(stat.S_IMODE(file.stat().st_mode) & ~0o222)


@contextmanager
def hanging(path: object) -> Iterator[subprocess.Popen[str]]:
    """Give a process that is in the middle of a run recorded to the store at `path`; it is killed at the end."""
    process = subprocess.Popen(
        [sys.executable, __file__, "hangs"],
        env=environment(COUNTERFOIL_DB=str(path)),
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        try:
            yield process
        finally:
            process.kill()


def command(*args: object, **more: Any) -> subprocess.CompletedProcess[str]:
    """Run `counterfoil` as a process of its own; `more` is for subprocess.run."""
    settings = {"capture_output": True, "text": True, "timeout": 120, "env": environment(), **more}
    return subprocess.run([sys.executable, *RUN, *map(str, args)], **settings)


@contextmanager
def begin(*args: object, **more: Any) -> Iterator[subprocess.Popen[str]]:
    """Start `counterfoil` as a process of its own, its output to be read line by line; wait for its end."""
    settings = {
        "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE,
        "text": True,
        "env": environment(),
        # What a shell starts in the background ignores Ctrl-C, and so would its children.
        "preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        **more,
    }
    with subprocess.Popen([sys.executable, *RUN, *map(str, args)], **settings) as process:
        try:
            yield process
            process.wait(timeout=60)
        finally:
            process.kill()


def invoke(*args: object, columns: int | None = None, **more: Any) -> Result:
    """Run `counterfoil` in this process, on a screen of so many columns or on none."""
    from click.testing import CliRunner

    from counterfoil.cli import cli

    env = {
        "COLUMNS": None if columns is None else str(columns),
        "COUNTERFOIL_DB": None,
        "COUNTERFOIL_DEBUG": None,
    }
    env |= more.pop("env", {})
    return CliRunner(env=env).invoke(cli, [str(arg) for arg in args], **more)


if __name__ == "__main__":
    for name in sys.argv[1:]:
        STORIES[name]()
