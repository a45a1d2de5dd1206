"""`counterfoil.install()` and `counterfoil run`: one line, or none, for every framework that a program uses."""

import importlib
import json
import os
import signal
import subprocess
import sys

import pytest

import child
import cli_story
import counterfoil

#: A framework of two lines, and its adapter.
FRAMEWORK = "listener = None\ndef work(name):\n    if listener:\n        listener(name)\n"
ATTACH = """
import {framework}
from counterfoil.recorder import recorder_at

def install(db=None, *, capture=None, redactors=(), quiet=None):
    recorder = recorder_at(db, capture=capture, redactors=redactors)
    {framework}.listener = lambda name: recorder.end(recorder.start("agent", name, framework="{name}", input="hello"))

def uninstall():
    {framework}.listener = None

def installed():
    return {framework}.listener is not None
"""
PLUGIN = """
from counterfoil import hookimpl
from counterfoil.adapters import Adapter

@hookimpl
def register_adapters():
    return [Adapter(name="{name}", requires=("{name}-agents>=1,<2",), attach="counterfoil_{name}.attach")]
"""


def test_the_store_named_to_install_is_that_of_runs_that_name_none(tmp_path, monkeypatch):
    monkeypatch.setenv("COUNTERFOIL_DB", str(tmp_path / "other.db"))
    counterfoil.install(tmp_path / "named.db", quiet=True)
    try:
        with counterfoil.run("inside"):
            pass
    finally:
        counterfoil.uninstall()
    with counterfoil.run("after"):
        pass
    for name, ran in (("named.db", "inside"), ("other.db", "after")):
        with counterfoil.open(tmp_path / name) as store:
            assert [run.name for run in store.runs(all=True)] == [ran]


@pytest.fixture
def site(tmp_path):
    """A folder with two frameworks, `red_agents` and `blue_agents`, and an adapter for each, as pip would install them."""
    where = tmp_path / "site"
    where.mkdir()
    for name in ("red", "blue"):
        (where / f"{name}_agents.py").write_text(FRAMEWORK)
        package = where / f"counterfoil_{name}"
        package.mkdir()
        (package / "__init__.py").write_text("")
        (package / "attach.py").write_text(ATTACH.format(framework=f"{name}_agents", name=name))
        (package / "plugin.py").write_text(PLUGIN.format(name=name))
        info = where / f"{name}_adapter-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}-adapter\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[counterfoil]\n{name} = counterfoil_{name}.plugin\n")
    return where


@pytest.fixture
def db(tmp_path):
    return tmp_path / "counterfoil.db"


def settings(site, **more):
    path = os.pathsep.join([str(site), str(child.ROOT / "core"), *filter(None, sys.path)])
    return {"PYTHONPATH": path, "COUNTERFOIL_PLUGINS": "red,blue", **more}


@pytest.fixture
def run(site, db):
    def run(*code, **more):
        return child.run("\n".join(code), db=db, **settings(site, COUNTERFOIL_RAISE="1", **more))

    return run


def recorded(db):
    with counterfoil.open(db) as store:
        return sorted((step.framework, step.name) for run in store.runs() for step in store.steps(run))


INSTALL = "counterfoil.install(__import__('os').environ['DB'], quiet=True)"
WORK = "import red_agents; red_agents.work('clerk')"


class TestInstall:
    def test_a_framework_imported_later_is_recorded(self, run, db):
        run("import counterfoil", INSTALL, WORK, DB=str(db))
        assert recorded(db) == [("red", "clerk")]

    def test_a_framework_imported_before_is_recorded(self, run, db):
        run("import counterfoil, red_agents", INSTALL, WORK, DB=str(db))
        assert recorded(db) == [("red", "clerk")]

    def test_it_imports_no_framework(self, run, db):
        shown = run(
            "import sys, counterfoil",
            INSTALL,
            "print([name for name in sys.modules if name.endswith('_agents') or name.endswith('.attach')])",
            "print(counterfoil.attached())",
            "import blue_agents",
            "print(counterfoil.attached())",
            DB=str(db),
        )
        assert shown.splitlines() == ["[]", "{'red': False, 'blue': False}", "{'red': False, 'blue': True}"]

    def test_only_some_may_be_wanted(self, run, db):
        run(
            "import counterfoil, os",
            "counterfoil.install(os.environ['DB'], only=['blue'], quiet=True)",
            WORK,
            "import blue_agents; blue_agents.work('carrier')",
            DB=str(db),
        )
        assert recorded(db) == [("blue", "carrier")]

    def test_one_that_nobody_knows_is_said_in_a_sentence(self, run, db):
        shown = run(
            "import counterfoil, os",
            "try: counterfoil.install(os.environ['DB'], only=['green'])",
            "except ValueError as error: print(error)",
            DB=str(db),
        )
        assert shown == "no adapter is called green; there are: blue, red\n"

    def test_again_with_another_store_records_there_from_then_on(self, run, db, tmp_path):
        run(
            "import counterfoil, red_agents",
            f"counterfoil.install({str(tmp_path / 'first.db')!r}, quiet=True)",
            "red_agents.work('one')",
            f"counterfoil.install({str(db)!r}, quiet=True)",
            "red_agents.work('two')",
        )
        assert recorded(tmp_path / "first.db") == [("red", "one")]
        assert recorded(db) == [("red", "two")]

    def test_uninstall_detaches_and_waits_for_nothing_more(self, run, db):
        shown = run(
            "import counterfoil, sys, red_agents",
            "before = list(sys.meta_path)",
            INSTALL,
            "red_agents.work('one')",
            "counterfoil.uninstall(); counterfoil.uninstall()",
            "red_agents.work('two')",
            "import blue_agents; blue_agents.work('three')",
            "print(sys.meta_path == before, counterfoil.attached())",
            DB=str(db),
        )
        assert shown == "True {}\n"
        assert recorded(db) == [("red", "one")]

    def test_an_adapter_that_cannot_attach_stops_nothing(self, site, db):
        (site / "counterfoil_red" / "attach.py").write_text("raise RuntimeError('wrong version')\n")
        code = ("import counterfoil", INSTALL, WORK, "import blue_agents; blue_agents.work('carrier')")
        child.run("\n".join(code), db=db, **settings(site, DB=str(db)))
        assert recorded(db) == [("blue", "carrier")]

    def test_the_adapters_of_this_suite_name_the_module_that_is_imported(self):
        found = {
            adapter.name: adapter.module
            for plugin in (child.ROOT / "integrations").glob("counterfoil_*/plugin.py")
            for adapter in importlib.import_module(f"{plugin.parent.name}.plugin").register_adapters()
        }
        assert found == {
            "autogen": "autogen_agentchat",
            "crewai": "crewai",
            "langchain": "langchain_core",
            "llama_index": "llama_index_instrumentation",
        }


@pytest.fixture
def counterfoil_run(site, tmp_path):
    """A function that runs `counterfoil run`, as a shell would."""

    def run(*words, **more):
        environment = cli_story.environment(**settings(site, **more))
        command = [sys.executable, "-c", "from counterfoil.cli import main; main()", "run", *map(str, words)]
        return subprocess.run(
            command, capture_output=True, text=True, timeout=60, cwd=tmp_path, env=environment
        )

    return run


@pytest.fixture
def app(tmp_path):
    file = tmp_path / "app.py"
    file.write_text(f"import sys\n{WORK}\nprint('worked', *sys.argv[1:])\nsys.exit(3)\n")
    return file


class TestRun:
    @pytest.mark.slow
    def test_a_program_is_recorded_as_it_is(self, counterfoil_run, app, db):
        done = counterfoil_run("--db", db, "--", sys.executable, app, "--db", "its own")
        assert (done.stdout, done.returncode) == ("worked --db its own\n", 3)
        assert done.stderr == f"counterfoil records to {db}\n"
        assert recorded(db) == [("red", "clerk")]

    @pytest.mark.slow
    def test_without_a_store_it_is_the_usual_one(self, counterfoil_run, app, db):
        counterfoil_run(sys.executable, app)
        assert recorded(db) == [("red", "clerk")]

    @pytest.mark.slow
    def test_a_python_that_the_program_starts_is_recorded_too(self, counterfoil_run, app, db, tmp_path):
        outer = tmp_path / "outer.py"
        outer.write_text(f"import subprocess, sys\nsubprocess.run([sys.executable, {str(app)!r}])\n")
        assert counterfoil_run("--db", db, sys.executable, outer).returncode == 0
        assert recorded(db) == [("red", "clerk")]

    @pytest.mark.slow
    def test_only_and_capture(self, counterfoil_run, tmp_path, db):
        app = tmp_path / "both.py"
        app.write_text(f"{WORK}\nimport blue_agents; blue_agents.work('carrier')\n")
        counterfoil_run("--db", db, "--only", "blue", "--capture", "metadata", sys.executable, app)
        with counterfoil.open(db) as store:
            (only,) = store.runs()
            assert (only.name, only.input) == ("carrier", None)

    @pytest.mark.slow
    def test_the_user_s_own_sitecustomize_runs(self, counterfoil_run, app, db, site):
        (site / "sitecustomize.py").write_text("import os\nprint('mine', os.environ.get('COUNTERFOIL_DB'))\n")
        done = counterfoil_run("--db", db, sys.executable, app)
        assert done.stdout == f"mine None\nmine {db}\nworked\n"  # the first is the command's own
        assert recorded(db) == [("red", "clerk")]

    def test_a_signal_reaches_the_program(self, counterfoil_run, tmp_path, db):
        app = tmp_path / "dies.py"
        app.write_text(f"import os, signal\n{WORK}\nos.kill(os.getpid(), signal.SIGKILL)\n")
        assert counterfoil_run("--db", db, sys.executable, app).returncode == -signal.SIGKILL
        assert recorded(db) == [("red", "clerk")]

    @pytest.mark.parametrize(
        ("words", "sentence"),
        [
            ((), "Missing argument 'PROGRAM...'."),
            (("no-such-program-anywhere",), "there is no program no-such-program-anywhere"),
            (("--only", "green", "--", "python"), "no adapter is called green; there are: blue, red"),
        ],
    )
    def test_what_cannot_be_run_is_said_in_a_sentence(self, counterfoil_run, words, sentence):
        done = counterfoil_run(*words)
        assert done.returncode == 2
        assert sentence in done.stderr
        assert "Traceback" not in done.stderr

    def test_a_python_without_counterfoil_runs_and_says_that_it_is_not_recorded(
        self, counterfoil_run, app, site
    ):
        (site / "counterfoil").mkdir()
        (site / "counterfoil" / "frameworks.py").write_text("raise ImportError('not here')\n")
        (site / "counterfoil" / "__init__.py").write_text("")
        env = {"PYTHONPATH": os.pathsep.join([str(child.ROOT / "core/counterfoil/cli/startup"), str(site)])}
        done = subprocess.run([sys.executable, app], capture_output=True, text=True, env=os.environ | env)
        assert (done.stdout, done.returncode) == ("worked\n", 3)
        assert done.stderr == f"counterfoil: {sys.executable} is not recorded: not here\n"


class TestDoctor:
    """What `counterfoil doctor` says of each framework after a process has recorded."""

    @pytest.fixture
    def doctor(self, site, db):
        def says():
            command = [sys.executable, "-c", "from counterfoil.cli import main; main()", "doctor", "--json"]
            environment = cli_story.environment(**settings(site, COUNTERFOIL_DB=str(db)))
            done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment)
            checks = {check["name"]: check for check in json.loads(done.stdout)["checks"]}
            return {name: (checks[name]["level"], checks[name]["says"]) for name in ("red", "blue")}

        return says

    @pytest.fixture
    def process(self, site, db):
        """A function that runs a program which records by itself too, and gives how `doctor` calls it."""

        def run(*code):
            lines = (*code, "import os", "with counterfoil.run('desk'): print(os.getpid())")
            shown = child.run("\n".join(lines), db=db, **settings(site, DB=str(db)))
            with counterfoil.open(db) as store:
                (found,) = (one for one in store.processes() if str(one.pid) == shown.split()[-1])
            return f"process {found.pid} of {found.started_at[:19]}Z"

        return run

    @pytest.mark.slow
    def test_none_used(self, process, doctor):
        process("import counterfoil")
        assert doctor() == {
            "red": ("ok", "red-agents is not installed for this Python."),
            "blue": ("ok", "blue-agents is not installed for this Python."),
        }

    @pytest.mark.slow
    def test_attached_and_not_imported(self, process, doctor):
        called = process("import counterfoil", INSTALL, WORK)
        assert doctor() == {
            "red": ("ok", f"{called} is attached to it."),
            "blue": ("ok", f"{called} is to attach to it when it imports blue_agents, and has not."),
        }

    @pytest.mark.slow
    def test_attached_after_the_first_event(self, process, doctor):
        called = process("import counterfoil", "with counterfoil.run('before'): pass", INSTALL, WORK)
        assert doctor()["red"] == ("ok", f"{called} is attached to it.")

    @pytest.mark.slow
    def test_detached_at_the_end_it_was_attached(self, process, doctor):
        called = process(
            "import atexit, counterfoil", INSTALL, WORK, "atexit.register(counterfoil.uninstall)"
        )
        assert doctor()["red"] == ("ok", f"{called} is attached to it.")

    def test_left_out(self, process, doctor):
        called = process("import counterfoil", INSTALL.replace("quiet", "only='blue', quiet"), WORK)
        assert doctor()["red"] == (
            "note",
            f"{called} imported it, but `only` left it out of counterfoil.install().",
        )

    @pytest.mark.slow
    def test_imported_and_nobody_asked(self, process, doctor):
        called = process("import counterfoil", WORK)
        level, says = doctor()["red"]
        assert level == "note"
        assert says.startswith(f"{called} imported it, but nothing attached to it; counterfoil.install()")

    @pytest.mark.slow
    def test_the_adapter_failed(self, site, process, doctor):
        (site / "counterfoil_red" / "attach.py").write_text("raise RuntimeError('wrong version')\n")
        called = process("import counterfoil", INSTALL, WORK)
        assert doctor()["red"] == ("problem", f"{called} could not attach to it: RuntimeError: wrong version")
