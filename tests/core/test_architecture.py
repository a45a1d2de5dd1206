"""The shape of the code: floors, rooms, reasons, and what the package says of itself."""

import importlib.util
import io
import itertools
import os
import re
import shutil
import subprocess
import sys
import tokenize
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = PYPROJECT["project"]
EXTRAS = PROJECT["optional-dependencies"]
CONTRACTS = {contract["type"]: contract for contract in PYPROJECT["tool"]["importlinter"]["contracts"]}
INTEGRATIONS = sorted(folder.name for folder in (ROOT / "integrations").glob("counterfoil_*"))
SOURCES = sorted(file for folder in ("core", "integrations") for file in (ROOT / folder).rglob("*.py"))

MOST_LINES = 600
#: Files that are longer, and why one file is right.
LONGER: dict[str, str] = {}
#: Names that say nothing of what is inside.
NAMELESS = {"base", "common", "core", "helper", "helpers", "misc", "shared", "util", "utils"}

needs_import_linter = pytest.mark.skipif(
    importlib.util.find_spec("importlinter") is None, reason="import-linter comes with the extra dev"
)


def lint_imports(folder):
    command = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"
    path = os.pathsep.join([str(folder / "core"), str(folder / "integrations")])
    return subprocess.run(
        [sys.executable, "-c", command],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
    )


# -- floors


@needs_import_linter
def test_imports_keep_to_the_floors():
    done = lint_imports(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
@needs_import_linter
@pytest.mark.parametrize(
    ("importer", "imported"),
    [
        ("counterfoil.events", "counterfoil.recorder"),
        ("counterfoil.recorder", "counterfoil.store"),
        ("counterfoil.store.read", "counterfoil.cli"),
        ("counterfoil_langchain.plugin", "counterfoil.tape"),
        ("counterfoil_crewai.plugin", "counterfoil.store"),
    ],
)
def test_an_import_upwards_is_found(tmp_path, importer, imported):
    for name in ("core", "integrations"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (file,) = tmp_path.glob(f"*/{importer.replace('.', '/')}.py")
    file.write_text(f"{file.read_text()}\nimport {imported}\n")
    done = lint_imports(tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    assert re.search(rf"(?m)^- +{importer} -> {imported}\b", done.stdout), done.stdout


def test_every_module_of_the_core_stands_on_a_floor():
    floors = {name for layer in CONTRACTS["layers"]["layers"] for name in re.findall(r"\w+", layer)}
    modules = {
        one.stem for one in (ROOT / "core" / "counterfoil").iterdir() if one.suffix == ".py" or one.is_dir()
    }
    assert modules - {"__init__", "__pycache__"} == floors


def test_every_integration_is_under_contract():
    assert set(PYPROJECT["tool"]["importlinter"]["root_packages"]) == {"counterfoil", *INTEGRATIONS}
    assert set(CONTRACTS["forbidden"]["source_modules"]) == set(INTEGRATIONS)


# -- rooms


def test_files_have_at_most_six_hundred_lines():
    lengths = {str(file.relative_to(ROOT)): len(file.read_text().splitlines()) for file in SOURCES}
    assert {
        name: length for name, length in lengths.items() if length > MOST_LINES and name not in LONGER
    } == {}
    assert [name for name in LONGER if lengths[name] <= MOST_LINES] == []


def test_every_file_is_named_after_what_is_inside():
    folders = ("core", "integrations", "tests", "examples", "benchmarks")
    files = [file for folder in folders for file in (ROOT / folder).rglob("*.py")]
    assert [file for file in files if file.stem.strip("_") in NAMELESS] == []


def test_no_folder_of_tests_is_a_package():
    assert list((ROOT / "tests").rglob("__init__.py")) == []


# -- reasons


def exceptions_without_a_reason(source):
    directive = re.compile(r"#\s*(?:noqa|type:\s*ignore)[^#]*")
    named = re.compile(r"# (?:noqa: [A-Z]+\d+(?:, [A-Z]+\d+)*|type: ignore\[[a-z-]+(?:, [a-z-]+)*\])\s*")
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT and (said := directive.findall(token.string)):
            rest = directive.sub("", token.string)
            if not all(map(named.fullmatch, said)) or not re.fullmatch(r"# \S.*", rest):
                yield f"{token.start[0]}: {token.string}"


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: str(file.relative_to(ROOT)))
def test_every_exception_from_a_rule_is_named_and_has_its_reason_beside_it(file):
    assert list(exceptions_without_a_reason(file.read_text())) == []


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("x = 1  # noqa: E501  # a table", False),
        ("x = 1  # type: ignore[a-b]  # noqa: E501  # a table", False),
        ("x = 1  # noqa: E501", True),
        ("x = 1  # noqa  # a table", True),
        ("x = 1  # type: ignore  # a table", True),
        ("x = 1  # type: ignore[a-b]", True),
        ("x = '# noqa'", False),
    ],
)
def test_the_search_for_reasons_sees(line, found):
    assert bool(list(exceptions_without_a_reason(line + "\n"))) is found


def test_every_ignored_rule_of_the_linter_has_its_reason_beside_it():
    lines = (ROOT / "pyproject.toml").read_text().splitlines()
    ignored = [line for line in lines if re.match(r'    "[A-Z]+\d*",?( |$)', line)]
    assert ignored
    assert [line for line in ignored if not re.search(r",\s+# \S", line)] == []


# -- the package


def brought_by(extra):
    """What `extra` asks for, the extras that it names included."""
    names = {extra}
    for one in map(Requirement, EXTRAS[extra]):
        if one.name == PROJECT["name"]:
            for other in one.extras:
                names |= brought_by(other)
    return names


def test_all_brings_every_extra_but_dev():
    assert brought_by("all") == set(EXTRAS) - {"dev"}


def test_dev_brings_all():
    assert "all" in brought_by("dev")


def test_every_integration_is_packaged():
    packages = PYPROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert set(packages) == {"core/counterfoil", *(f"integrations/{name}" for name in INTEGRATIONS)}


@pytest.mark.parametrize("integration", INTEGRATIONS)
def test_every_integration_is_a_plugin(integration):
    short = integration.removeprefix("counterfoil_")
    assert PROJECT["entry-points"]["counterfoil"][short] == f"{integration}.plugin"
    assert (ROOT / "integrations" / integration / "plugin.py").is_file()


@pytest.mark.parametrize("integration", INTEGRATIONS)
def test_every_framework_has_an_extra_of_its_name(integration):
    assert integration.removeprefix("counterfoil_").replace("_", "-") in EXTRAS


def constraints():
    return (ROOT / "constraints.txt").read_text().splitlines()


def test_constraints_are_names_and_versions_only():
    assert constraints()
    assert [
        line for line in constraints() if not re.fullmatch(r"[A-Za-z0-9][\w.-]*==[0-9][\w.+!-]*", line)
    ] == []


def test_constraints_pin_what_the_project_asks_for_to_a_version_that_it_allows():
    pinned = {
        canonicalize_name(name): version
        for name, _, version in (line.partition("==") for line in constraints())
    }
    asked = map(Requirement, itertools.chain(PROJECT["dependencies"], *EXTRAS.values()))
    wanted = [one for one in asked if one.name != PROJECT["name"]]
    assert [one.name for one in wanted if canonicalize_name(one.name) not in pinned] == []
    assert [str(one) for one in wanted if pinned[canonicalize_name(one.name)] not in one.specifier] == []
