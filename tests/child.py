"""Python in a process of its own: a host application that records, and may come to harm."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from textwrap import dedent
from typing import Any

ROOT = Path(__file__).parents[1]
SECONDS = 60


def environment(db: Path | None, **more: str) -> dict[str, str]:
    """Give the environment of a process that records to `db`, with nothing drained unless a reader does."""
    paths = [str(ROOT / "core"), str(ROOT / "tests"), *(path for path in sys.path if path)]
    ours = {"PYTHONPATH": os.pathsep.join(paths), "COUNTERFOIL_DRAIN": "off", "COUNTERFOIL_PLUGINS": ""}
    if db is not None:
        ours["COUNTERFOIL_DB"] = str(db)
    return {**os.environ, **ours, **more}


def start(code: str, *arguments: object, db: Path | None = None, **more: Any) -> subprocess.Popen[str]:
    """Start a process that runs `code`; capital names in `more` go to its environment, the rest to Popen.

    `python` is another interpreter than ours.
    """
    variables = {name: str(more.pop(name)) for name in list(more) if name.isupper()}
    command = [
        str(more.pop("python", sys.executable)),
        "-W",
        "error",
        "-c",
        dedent(code),
        *map(str, arguments),
    ]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, env=environment(db, **variables), text=True, **{**pipes, **more})


def run(code: str, *arguments: object, db: Path | None = None, **more: Any) -> str:
    """Run `code` in a process that must end well; give what it printed. It and its children are gone afterwards."""
    with start(code, *arguments, db=db, start_new_session=True, **more) as process:
        try:
            printed, complained = process.communicate(timeout=SECONDS)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 0, complained
    return printed
