"""Programs in processes of their own, forked from one that has imported a framework: seconds less for each."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from textwrap import dedent
from types import ModuleType
from typing import NamedTuple, Self

TESTS = Path(__file__).parent

#: What programs that use LangChain need; nothing is recorded by importing it, no thread started.
LANGCHAIN = ("langchain.agents", "langchain_openai", "counterfoil_langchain.handler", "office")

#: Warnings of CrewAI 1.15 itself: its lazy package of embedders, and its own use of fields that it calls deprecated.
CREWAI_WARNS = (
    "ignore:Cannot set an attribute on 'crewai.rag':ImportWarning",
    "ignore:function_calling_llm is deprecated:DeprecationWarning",
    "ignore:deprecated:DeprecationWarning",
)

#: LlamaIndex 0.14 looks through every attribute of an agent, pydantic's deprecated ones among them.
LLAMA_INDEX_WARNS = (
    "ignore:The `__fields__` attribute is deprecated:DeprecationWarning",
    "ignore:The `__fields_set__` attribute is deprecated:DeprecationWarning",
    "ignore:Accessing the 'model_fields' attribute on the instance:DeprecationWarning",
    "ignore:Accessing the 'model_computed_fields' attribute on the instance:DeprecationWarning",
    "ignore:is_running called from within a step:DeprecationWarning",
)


class Done(NamedTuple):
    """What a program came to; `status` is negative for the signal that ended it."""

    status: int
    stdout: str
    stderr: str


class Nursery:
    """Runs programs that find `modules` imported. A context manager."""

    def __init__(self, *modules: str) -> None:
        paths = [TESTS.parent / "core", TESTS.parent / "integrations", TESTS.parent / "examples", TESTS]
        filters = [word for warning in (*CREWAI_WARNS, *LLAMA_INDEX_WARNS) for word in ("-W", warning)]
        self._process = subprocess.Popen(
            [sys.executable, "-W", "error", *filters, __file__, *(modules or LANGCHAIN)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(map(str, paths))},
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.stdin.close()
        self._process.stdout.close()
        assert self._process.wait(60) == 0

    def _ask(self, **request: object) -> int:
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def start(self, program: str, folder: Path, output: Path | None = None, **environment: str) -> int:
        """Start a program in `folder`, and give its process id. Its output goes to `output` and `output`.err."""
        return self._ask(
            program=program, folder=str(folder), output=str(output or os.devnull), environment=environment
        )

    def wait(self, pid: int) -> int:
        """Wait for the end of the process, and give its status."""
        return os.waitstatus_to_exitcode(self._ask(wait=pid))

    def run(self, *programs: str, folder: Path, **environment: str) -> Done:
        """Run the programs, one after the other in one process, to the end."""
        with tempfile.TemporaryDirectory() as place:
            output = Path(place, "output")
            status = self.wait(self.start("\n".join(map(dedent, programs)), folder, output, **environment))
            return Done(status, output.read_text(), output.with_suffix(".err").read_text())


def _main() -> None:
    for module in sys.argv[1:]:
        importlib.import_module(module)
    for line in sys.stdin:
        request = json.loads(line)
        if "wait" in request:
            answer = os.waitpid(request["wait"], 0)[1]
        else:
            answer = os.fork()
            if answer == 0:
                _become(request)
                return  # the way out of a program that has come to its end
        sys.stdout.write(f"{answer}\n")
        sys.stdout.flush()


def _become(request: dict) -> None:
    output = request["output"]
    error = output if output == os.devnull else f"{output}.err"
    for stream, path in ((0, os.devnull), (1, output), (2, error)):
        fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        os.dup2(fd, stream)
        os.close(fd)
    os.chdir(request["folder"])
    os.environ.update(request["environment"])
    main = sys.modules["__main__"] = ModuleType("__main__")  # where pickle looks for the program's functions
    exec(compile(request["program"], "program", "exec"), vars(main))


if __name__ == "__main__":
    _main()
