"""docs/adapters.md: its example is a distribution that pip installs, and that records as the page says.

It stands here and not among core's tests because hatchling builds it, which the extra dev brings.
"""

import importlib
import json
import os
import re
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest
from inline_snapshot import snapshot

import child
import cli_story
from counterfoil.recorder import Recorder
from outline import outline, outlines

pytestmark = pytest.mark.slow

PAGE = (child.ROOT / "docs" / "adapters.md").read_text()
FILES = dict(re.findall(r"(?ms)^<!-- file: (\S+) -->\n```\w+\n(.*?)^```$", PAGE))
DESK = FILES["desk.py"]
ANSWER = "We are sorry. 60 are on their way.\n"


def install(folder, files=FILES):
    """Write the page's distribution into `folder`, build it and install it with pip; give where it is installed."""
    for name, content in files.items():
        file = folder / "source" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    site = folder / "site"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-index"]
    command = [*pip, "--no-deps", "--no-build-isolation", "--target", str(site), str(folder / "source")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return site


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    return install(tmp_path_factory.mktemp("toy"))


@pytest.fixture
def db(tmp_path):
    return tmp_path / "counterfoil.db"


def settings(site, **more):
    """The environment in which the distribution at `site` is found, and no other plugin."""
    path = os.pathsep.join([str(site), str(child.ROOT / "core"), *filter(None, sys.path)])
    return {"PYTHONPATH": path, "COUNTERFOIL_PLUGINS": "toy", "COUNTERFOIL_QUIET": "1", **more}


@pytest.fixture
def run(site, db):
    """A function that runs an application which may use Toy Agents; an error of our own ends it."""

    def run(*code, site=site, **more):
        with_errors = {"COUNTERFOIL_RAISE": "1", **more}
        return child.run("\n".join(code), db=db, **settings(site, **with_errors))

    return run


def command(site, *args):
    return cli_story.command(*args, env=cli_story.environment(**settings(site, COLUMNS="200")))


def query(db, sql):
    with closing(sqlite3.connect(db)) as connection:
        return connection.execute(sql).fetchall()


def test_pip_installs_its_two_packages(site):
    assert {one.name for one in site.iterdir()} == {
        "counterfoil_toy",
        "toy_agents",
        "toy_agents-1.0.dist-info",
    }


# -- what the page's application leaves


def test_its_application_is_recorded_as_the_mapping_has_it(run, db):
    assert run(DESK) == ANSWER
    assert outline(db) == snapshot("""\
workflow desk
  agent triage
    llm script-1 [triage]
    tool find_order [triage] error (UnknownTool)
    llm script-1 [triage]
    tool ask_billing [triage]
      agent billing
        llm script-1 [billing]
        tool refund [billing]
          human human [billing]
        llm script-1 [billing]
    llm script-1 [triage]
    tool hand_over [triage]
  agent follow-up
    llm script-1 [follow-up]
triage -> billing escalation returned inferred: A-17 was charged twice
billing -> human escalation returned native to a human
triage -> follow-up transfer accepted native: tell the customer\
""")


def shown(text):
    """What `counterfoil show` says, but for times, ids and the width of the columns."""
    text = re.sub(r"<?[\d.]+m?s\b", "TIME", text)
    return re.sub(r" +", " ", re.sub(r"step \w{16}", "step ID", text))


def test_the_page_shows_what_counterfoil_shows(run, site, db):
    run(DESK)
    told = command(site, "show", "last", "--db", db).stdout
    (page,) = re.findall(r"(?ms)^<!-- shown -->\n```text\n(.*?)\n```$", PAGE)
    assert shown(page) in shown(told)


def test_tokens_are_those_that_the_model_told(run, db):
    run(DESK)
    outline(db)
    assert query(db, "SELECT agent, input_tokens, output_tokens FROM llm_calls ORDER BY started_at") == [
        ("triage", 120, 12),
        ("triage", 150, 20),
        ("billing", 310, 24),
        ("billing", 350, 9),
        ("triage", 190, 15),
        ("follow-up", None, None),
    ]
    assert query(db, "SELECT input_tokens, output_tokens, unknown_usage_calls, session_id FROM runs") == [
        (1120, 80, 1, "customer-7")
    ]


def test_each_handoff_is_decided_by_the_model_call_that_asked_for_it(run, db):
    run(DESK)
    outline(db)
    decided = "SELECT target, m.tool_calls FROM handoffs h JOIN messages m ON m.step_id = decided_by"
    asked = query(db, f"{decided} WHERE direction = 'output' ORDER BY requested_at")
    assert [(target, [call["name"] for call in json.loads(calls)]) for target, calls in asked] == [
        ("billing", ["ask_billing"]),
        ("human", ["refund"]),
        ("follow-up", ["hand_over"]),
    ]


# -- attached and let go


def test_counterfoil_plugins_lists_it_with_what_it_supports(site):
    told = json.loads(command(site, "plugins", "--json").stdout)
    assert told == {
        "plugins": [
            {
                "name": "toy",
                "module": "counterfoil_toy.plugin",
                "distribution": "toy-agents",
                "version": "1.0",
                "hooks": ["register_adapters"],
                "error": None,
            }
        ],
        "adapters": [
            {"name": "toy", "requires": [{"requirement": "toy-agents>=1,<2", "installed": "1.0"}]},
        ],
        "failing_hooks": [],
    }


def test_core_attaches_it_and_imports_the_framework_no_sooner(run, db):
    run("""
        import sys
        from counterfoil import plugins
        (toy,) = plugins.collect_adapters()
        assert not toy.installed()
        assert "toy_agents" not in sys.modules
        toy.install()
        assert toy.installed()
        from toy_agents import Agent, Reply
        Agent("greeter", [Reply("hello")]).run("hi")
    """)
    assert outline(db) == "agent greeter\n  llm script-1 [greeter]"


GREETER = """
import counterfoil, counterfoil_toy, toy_agents
from toy_agents import Agent, Handoff, Reply, Team

def greet(name="greeter"):
    Agent(name, [Reply("hello")]).run("hi")
"""


def test_uninstall_leaves_the_framework_as_it_was(run, db):
    run(
        GREETER,
        "mine = [].append; toy_agents.listeners.append(mine)",
        "counterfoil_toy.install(); counterfoil_toy.install(); greet('first')",
        "counterfoil_toy.uninstall(); counterfoil_toy.uninstall(); greet('second')",
        "assert toy_agents.listeners == [mine]",
        "counterfoil_toy.install(); greet('third')",
    )
    assert [told.splitlines()[0] for told in outlines(db).split("\n--\n")] == ["agent first", "agent third"]


def test_install_again_names_the_store_from_then_on(run, db):
    other = db.with_name("other.db")
    run(
        GREETER,
        "counterfoil_toy.install(); greet('first')",
        "counterfoil_toy.install('other.db'); greet('second')",
        "counterfoil_toy.uninstall(); greet('third')",
        cwd=db.parent,
    )
    assert outlines(db) == "agent first\n  llm script-1 [first]"
    assert outlines(other) == "agent second\n  llm script-1 [second]"


def test_two_listeners_on_one_store_record_once_and_two_stores_in_full(run, db):
    other = db.with_name("other.db")
    run(
        GREETER,
        "from counterfoil_toy import ToyListener",
        "toy_agents.listeners += [ToyListener(), ToyListener(), ToyListener('other.db')]",
        "greet()",
        cwd=db.parent,
    )
    assert outlines(db) == outlines(other) == "agent greeter\n  llm script-1 [greeter]"


def test_it_says_once_where_it_records(site, db):
    code = f"{GREETER}\nfor _ in range(2): counterfoil_toy.install()"
    with child.start(code, db=db, **settings(site, COUNTERFOIL_QUIET="")) as process:
        assert process.communicate(timeout=child.SECONDS) == ("", f"counterfoil records to {db}\n")


def test_without_content_only_names_and_numbers_are_recorded(run, db):
    run(DESK.replace("counterfoil_toy.install()", "counterfoil_toy.install(capture='metadata')"))
    assert len(outline(db).splitlines()) == 18
    assert query(db, "SELECT count(input), count(output) FROM steps") == [(0, 0)]


# -- in a host that does more than one thing


def test_runs_at_once_in_threads_are_apart_and_nothing_is_kept_of_them(run, db):
    run(
        GREETER,
        """
import threading
from counterfoil_toy import ToyListener

listener = ToyListener()
toy_agents.listeners.append(listener)
together = threading.Barrier(8)

def wait():
    together.wait()
    return "done"

def work(number):
    Agent(f"agent {number}", [Reply("", (("c", "wait", {}),)), Reply("ok")], (wait,)).run("go")

threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
for one in threads: one.start()
for one in threads: one.join()
assert listener.known.entries == {}
""",
    )
    told = outlines(db).split("\n--\n")
    assert sorted(told) == [
        f"agent agent {number}\n  llm script-1 [agent {number}]\n  tool wait [agent {number}]\n"
        f"  llm script-1 [agent {number}]"
        for number in range(8)
    ]


def test_what_the_host_records_itself_stands_where_it_happens(run, db):
    run(
        GREETER,
        """
counterfoil_toy.install()

def look_up(number):
    counterfoil.access("orders", items=[number])
    with counterfoil.step("ask around"):
        greet()

with counterfoil.run("ticket"):
    Agent("clerk", [Reply("", (("c", "look_up", {"number": "A-17"}),)), Reply("ok")], (look_up,)).run("go")
""",
    )
    assert outline(db) == snapshot("""\
workflow ticket
  agent clerk
    llm script-1 [clerk]
    tool look_up [clerk]
      other ask around [clerk]
        agent greeter
          llm script-1 [greeter]
    llm script-1 [clerk]
clerk -> greeter escalation returned inferred: A-17\
""")
    assert query(db, "SELECT agent, source, item_id FROM accesses") == [("clerk", "orders", "A-17")]


def test_an_error_is_told_at_the_deepest_step_and_a_cancellation_is_none(run, db):
    run(
        GREETER,
        """
counterfoil_toy.install()

def leave():
    raise KeyboardInterrupt

def pass_on():
    return Handoff("nobody", "gone home")

for team in (
    Team("speechless", [Agent("mute", [])]),
    Team("interrupted", [Agent("busy", [Reply("", (("c", "leave", {}),))], (leave,))]),
    Team("lost", [Agent("clerk", [Reply("", (("c", "pass_on", {}),))], (pass_on,))]),
):
    try:
        team.run("go")
    except (LookupError, KeyboardInterrupt):
        pass
    else:
        raise AssertionError
""",
    )
    assert outlines(db) == snapshot("""\
workflow speechless error
  agent mute error
    llm script-1 [mute] error (IndexError)
run: error
--
workflow interrupted cancelled
  agent busy cancelled
    llm script-1 [busy]
    tool leave [busy] cancelled
run: cancelled
--
workflow lost error (KeyError)
  agent clerk
    llm script-1 [clerk]
    tool pass_on [clerk]
run: error
clerk -> nobody transfer failed native: gone home\
""")


def test_a_tool_is_on_the_tape_before_its_body_runs(run, db):
    run(
        GREETER,
        """
import tape_reading

counterfoil_toy.install()

def charge(amount):
    (line,) = tape_reading.lines(counterfoil.recorder_at().path, "start")[-1:]
    assert (line.text.name, line.parts) == ("charge", {"input": {"amount": 60}})
    return "charged"

Agent("clerk", [Reply("", (("c", "charge", {"amount": 60}),)), Reply("ok")], (charge,)).run("go")
""",
    )
    outline(db)
    assert query(db, "SELECT tool, status, result FROM tool_calls") == [("charge", "ok", '"charged"')]


# -- an adapter that fails


@pytest.mark.parametrize("method", ["_starts", "_ends"])
def test_an_adapter_that_fails_changes_nothing_for_the_application(tmp_path, run, db, method):
    listener = FILES["counterfoil_toy/listener.py"]
    broken = re.sub(rf"(def {method}\(.*\n)", r"\1        raise RuntimeError('a bug of ours')\n", listener)
    assert broken != listener
    folder = install(tmp_path, FILES | {"counterfoil_toy/listener.py": broken})
    with child.start(DESK, db=db, **settings(folder)) as process:
        printed, complained = process.communicate(timeout=child.SECONDS)
    assert (process.returncode, printed) == (0, ANSWER)
    place = "counterfoil_toy.listener.ToyListener.__call__"
    said = f"{place} failed: RuntimeError: a bug of ours (the application goes on; said once)"
    assert complained.splitlines() == [said]
    if method == "_ends":  # where nothing was recorded there is no store to say it
        assert place in command(folder, "doctor", "--db", db).stdout
    with pytest.raises(AssertionError, match="a bug of ours"):
        run(DESK, site=folder)  # as the adapter's own tests run it


# -- the page


def test_every_verb_of_the_recorder_is_on_the_page():
    (table,) = re.findall(r"(?ms)^## The recorder\n(.*?)^## ", PAGE)
    not_for_adapters = {
        "add_redactors",
        "attached",
        "capture",
        "close",
        "dropped",
        "durability",
        "events",
        "in_use",
        "outlive_power",
        "restrict",
        "trouble",
    }
    verbs = {name for name in dir(Recorder) if name[0] != "_"} - not_for_adapters
    assert set(re.findall(r"(?m)^\| `(\w+)` \|", table)) == verbs


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`(counterfoil\.[a-z]+\.\w+)`", PAGE))))
def test_what_the_page_names_is_there(name):
    module, _, attribute = name.rpartition(".")
    assert attribute in importlib.import_module(module).__all__


PYPROJECT = str(child.ROOT / "pyproject.toml")


@pytest.mark.parametrize(
    "linter",
    [
        ["mypy", "--config-file", PYPROJECT, "--follow-imports=silent", "-p", "counterfoil_toy"],
        ["ruff", "check", "--config", PYPROJECT, "--config", "src=['.']", "--no-cache", "counterfoil_toy"],
        ["ruff", "format", "--config", PYPROJECT, "--check", "--no-cache", "."],
    ],
    ids=["mypy", "ruff check", "ruff format"],
)
def test_its_adapter_is_as_clean_as_ours(site, tmp_path, linter):
    done = subprocess.run(
        [sys.executable, "-m", *linter],
        cwd=site,
        env=os.environ | {"MYPYPATH": str(child.ROOT / "core"), "MYPY_CACHE_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
