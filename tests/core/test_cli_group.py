"""`counterfoil` itself: help, version, and what is no command."""

import pytest

from cli_story import invoke
from counterfoil import __version__
from counterfoil.cli.group import COMMANDS

WIDEST = max(map(len, COMMANDS))


@pytest.mark.parametrize("args", [[], ["--help"], ["-h"]], ids=["nothing", "--help", "-h"])
def test_help_lists_every_command(args):
    result = invoke(*args)
    assert result.exit_code == 0
    for name, does in COMMANDS.items():
        assert f"  {name:<{WIDEST}}  {does}\n" in result.stdout


def test_the_version_is_told():
    assert invoke("--version").stdout == f"counterfoil {__version__}\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_of_its_own(name):
    result = invoke(name, "--help", columns=80)
    assert result.exit_code == 0
    assert f"\n\n  {COMMANDS[name]}\n" in result.stdout


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (["rums"], "No such command 'rums'"),
        (["--bogus"], "No such option"),
        (["show", "one", "two"], "unexpected extra argument"),
        (["sql"], "Missing argument 'QUERY'"),
        (["runs", "--db"], "Option '--db' requires an argument"),
        (["runs\x1b[2J"], r"No such command 'runs\x1b[2J'"),
    ],
)
def test_a_mistake_is_one_sentence_that_names_the_help_and_exit_code_2(args, sentence):
    result = invoke(*args)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("counterfoil: ")
    assert sentence in result.stderr
    assert "--help`." in result.stderr
    assert result.stderr.count("\n") == 1
