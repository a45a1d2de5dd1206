"""`counterfoil plugins`, and the commands that plugins add."""

import json
import os
import re

import pytest

from cli_story import command, environment


@pytest.fixture
def plugged(tmp_path):
    """Give a function that installs a plugin, as pip would, and the environment in which it is found."""
    site = tmp_path / "site"
    site.mkdir()

    def plug(name, source):
        (site / f"{name}_plugin.py").write_text(source)
        info = site / f"{name}_plugin-1.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}-plugin\nVersion: 1.2\n")
        (info / "entry_points.txt").write_text(f"[counterfoil]\n{name} = {name}_plugin\n")
        names.append(name)
        return environment(
            PYTHONPATH=os.pathsep.join([str(site), environment()["PYTHONPATH"]]),
            COUNTERFOIL_PLUGINS=",".join(names),
        )

    names = []
    return plug


GREETER = """
import click
from counterfoil import hookimpl

@click.command(help="Say hello.")
def hello():
    click.echo("hello from a plugin")

@hookimpl
def register_commands(cli):
    cli.add_command(hello)
"""
ADAPTER = """
from counterfoil import hookimpl
from counterfoil.adapters import Adapter

@hookimpl
def register_adapters():
    requires = ("click>=8", "no-such-distribution>=3")
    return [Adapter(name="clickish", requires=requires, attach=__name__)]
"""


def test_a_plugin_s_command_runs_and_stands_in_the_help(plugged):
    env = plugged("greeter", GREETER)
    assert command("hello", env=env).stdout == "hello from a plugin\n"
    assert re.search("^  hello +Say hello.$", command("--help", env=env).stdout, re.MULTILINE)


def test_a_plugin_s_command_never_stands_in_for_one_of_ours(plugged):
    env = plugged("greeter", GREETER.replace("def hello", "def plugins"))
    assert command("plugins", "--json", env=env).stdout.startswith("{")
    assert command("--help", env=env).stdout.count("\n  plugins ") == 1


def test_plugins_and_their_hooks_are_listed(plugged):
    done = command("plugins", "--json", env=plugged("greeter", GREETER))
    assert done.returncode == 0
    assert json.loads(done.stdout)["plugins"] == [
        {
            "name": "greeter",
            "module": "greeter_plugin",
            "distribution": "greeter-plugin",
            "version": "1.2",
            "hooks": ["register_commands"],
            "error": None,
        }
    ]
    shown = command("plugins", env=plugged("adapter", ADAPTER)).stdout
    assert "  greeter  greeter_plugin  greeter-plugin 1.2\n    hooks: register_commands\n" in shown


def test_an_adapter_is_listed_with_what_it_supports_and_what_is_installed(plugged):
    done = command("plugins", "--json", env=plugged("adapter", ADAPTER))
    (adapter,) = json.loads(done.stdout)["adapters"]
    assert adapter["name"] == "clickish"
    assert adapter["requires"][0]["requirement"] == "click>=8"
    assert adapter["requires"][0]["installed"][0].isdigit()
    assert adapter["requires"][1] == {"requirement": "no-such-distribution>=3", "installed": None}
    shown = command("plugins", env=plugged("greeter", GREETER)).stdout
    assert "  clickish\n    supports click>=8; here: " in shown
    assert "supports no-such-distribution>=3; here: not installed" in shown


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("raise RuntimeError('\\x1b[2J')", "RuntimeError: \x1b[2J"),
        ("from counterfoil import hookimpl\n@hookimpl\ndef register_comands(cli): pass", "there is no hook"),
    ],
    ids=["raises", "misspelt hook"],
)
def test_a_broken_plugin_is_named_with_its_error_and_stops_no_other(plugged, source, error):
    plugged("broken", source)
    env = plugged("greeter", GREETER)
    done = command("plugins", "--json", env=env)
    assert done.returncode == 1
    found = {plugin["name"]: plugin for plugin in json.loads(done.stdout)["plugins"]}
    assert error in found["broken"]["error"]
    assert found["greeter"]["error"] is None
    done = command("hello", env=env)
    assert (done.returncode, done.stdout) == (0, "hello from a plugin\n")
    assert done.stderr.startswith("counterfoil: plugin broken failed: ")
    assert "\x1b" not in done.stderr
    assert "    ! left out: " in command("plugins", env=env).stdout


def test_a_hook_that_fails_is_named_and_stops_no_other(plugged):
    plugged("broken", "from counterfoil import hookimpl\n@hookimpl\ndef register_commands(cli): 1 / 0")
    plugged("broken_adapter", "from counterfoil import hookimpl\n@hookimpl\ndef register_adapters(): 1 / 0")
    env = plugged("greeter", GREETER)
    assert command("hello", env=env).stdout == "hello from a plugin\n"
    done = command("plugins", "--json", env=env)
    assert done.returncode == 1
    assert json.loads(done.stdout)["failing_hooks"] == ["plugin broken_adapter: register_adapters"]


def test_without_plugins_it_says_so():
    done = command("plugins", env=environment(COUNTERFOIL_PLUGINS=""))
    assert (done.returncode, done.stdout) == (0, "Plugins\n  none\n\nAdapters\n  none\n")
