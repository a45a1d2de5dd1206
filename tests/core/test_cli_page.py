"""docs/cli.md: every command, its options and its JSON keys, no more and no less."""

import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import click
import pytest

from cli_story import invoke, record
from counterfoil.cli import cli
from counterfoil.cli.group import COMMANDS
from counterfoil.store import views

PAGE = (Path(__file__).parents[2] / "docs" / "cli.md").read_text()
SECTIONS = dict(re.findall(r"(?ms)^## (\w+)\n(.*?)(?=^## |\Z)", PAGE))
EVERYWHERE = {"--db PATH", "--json", "-h", "--help"}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "counterfoil.db"
    record(path, "desk")
    return path


def answer(store, *args):
    return invoke(*args, "--json", "--db", store).stdout


def keys(name):
    """The keys that the section's table of keys names."""
    table = SECTIONS[name].split("| key | |\n", 1)[1].split("\n\n", 1)[0]
    return re.findall(r"(?m)^\| `(\w+)` \|", table)


def options(command):
    """The command's options, as the page writes them: `--limit N`."""
    context = click.Context(command)
    written = set()
    for option in command.params:
        if isinstance(option, click.Option):
            metavar = "" if option.is_flag else f" {option.make_metavar(context)}"
            written |= {f"{name}{metavar}" for name in option.opts}
    return written - EVERYWHERE


def test_every_command_has_its_section_in_the_order_of_the_help():
    assert list(SECTIONS) == list(COMMANDS)
    assert cli.list_commands(click.Context(cli))[: len(COMMANDS)] == list(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_on_the_page_and_no_other(name):
    command = cli.get_command(click.Context(cli), name)
    documented = {
        option
        for row in re.findall(r"(?m)^\| (`-.*?) \|", SECTIONS[name])
        for option in re.findall(r"`(-.+?)`", row)
    }
    assert documented == options(command)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_db_and_json_and_its_line_in_the_help(name):
    command = cli.get_command(click.Context(cli), name)
    everywhere = {"run": {"--db"}, "merge": {"--json"}}.get(name, {"--db", "--json"})
    assert everywhere <= {opt for option in command.params for opt in option.opts}
    assert command.get_short_help_str(200) == COMMANDS[name]
    assert all(option.help for option in command.params if isinstance(option, click.Option))


def test_runs_and_show_give_the_columns_of_the_views(store):
    (run,) = json.loads(answer(store, "runs"))
    shown = json.loads(answer(store, "show", "--full"))
    columns = {
        name: json.loads(answer(store, "sql", f"PRAGMA table_info({name})"))
        for name in (*shown, "runs")
        if name in views.VIEWS
    }
    named = {name: {row["name"] for row in rows} for name, rows in columns.items()}
    assert set(run) == named["runs"] - {"input", "output"}
    assert set(shown["run"]) == named["runs"]
    for name in keys("show")[1:]:
        assert all(set(row) == named[name] for row in shown[name]), name


def test_show_gives_its_keys(store):
    assert list(json.loads(answer(store, "show", "--full"))) == keys("show")
    assert list(json.loads(answer(store, "show"))) == keys("show")[:-1]


def test_payloads_that_show_leaves_out_are_named(store):
    whole, short = json.loads(answer(store, "show", "--full")), json.loads(answer(store, "show"))
    left_out = {
        key
        for name in short
        for one, other in zip(rows(whole, name), rows(short, name), strict=True)
        for key in one.keys() - other.keys()
    }
    named = SECTIONS["show"].split("are left out: ")[1].split(".\n")[0]
    assert left_out == set(re.findall(r"`(\w+)`", named))


def rows(shown, name):
    return [shown[name]] if isinstance(shown[name], dict) else shown[name]


def test_tail_gives_its_keys(store):
    lines = answer(store, "tail", "--no-follow").splitlines()
    assert all(list(json.loads(line)) == keys("tail") for line in lines)


def test_cost_gives_its_keys(store):
    told = json.loads(answer(store, "cost", "--by", "model"))
    assert list(told) == ["by", "total", "parts"]
    assert [list(part) for part in told["parts"]] == [keys("cost")] * 2
    assert list(told["total"]) == keys("cost")[1:]


def test_merge_export_import_and_rebuild_give_their_keys(store, tmp_path):
    told = json.loads(answer(store, "export", "last", tmp_path / "one.db"))
    assert list(told) == keys("export")
    merged = invoke("merge", tmp_path / "all.db", tmp_path / "one.db", "--json").stdout
    imported = answer(tmp_path / "all.db", "import", tmp_path / "one.db")
    for told in (json.loads(merged), json.loads(imported)):
        assert list(told) == ["store", "from"]
        assert [list(one) for one in told["from"]] == [keys("merge")]
    with closing(sqlite3.connect(tmp_path / "all.db")) as db:
        db.execute("DELETE FROM t_runs")
        db.commit()
    told = json.loads(answer(tmp_path / "all.db", "rebuild"))
    assert list(told) == ["store", "events", "changed"]
    assert [list(one) for one in told["changed"]] == [keys("rebuild")]


def test_drain_doctor_and_plugins_give_their_keys(store):
    assert list(json.loads(answer(store, "drain"))) == keys("drain")
    told = json.loads(answer(store, "doctor"))
    assert list(told) == ["store", "problems", "checks"]
    assert all(list(check) == keys("doctor") for check in told["checks"])
    assert list(json.loads(answer(store, "plugins"))) == keys("plugins")
