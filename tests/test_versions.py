"""Which versions of the frameworks are supported: adapters, extras, pages and `.ci/versions` all say the same."""

import importlib
import runpy
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
FRAMEWORKS = ("langchain", "crewai", "llama_index", "autogen")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def first_versions(requirements):
    """Give every distribution that is required from a version on, and that version."""
    return {
        one.name: limit.version
        for one in map(Requirement, requirements)
        for limit in one.specifier
        if limit.operator == ">="
    }


def supported(framework):
    return first_versions(importlib.import_module(f"counterfoil_{framework}.versions").SUPPORTED)


def pins():
    lines = (ROOT / ".ci" / "oldest.txt").read_text().splitlines()
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


def extra(name):
    return first_versions(PROJECT["optional-dependencies"][name])


@pytest.mark.parametrize("framework", FRAMEWORKS)
class TestTheOldest:
    def test_is_what_the_extra_asks_for(self, framework):
        asked = extra(framework.replace("_", "-"))
        assert asked
        assert asked.items() <= supported(framework).items()

    def test_is_what_the_script_installs(self, framework):
        script = runpy.run_path(str(ROOT / ".ci" / "versions"))
        assert script["first_versions"](framework) == supported(framework)
        assert pins().keys().isdisjoint(supported(framework)), "pinned by the adapter's versions.py"

    def test_is_on_its_page(self, framework):
        page = (ROOT / "docs" / f"{framework}.md").read_text()
        (told,) = [part for part in page.split("\n\n") if part.startswith("Supported: ")]
        for name, version in supported(framework).items():
            assert f"`{name}`" in told
            assert f" {version} " in told


@pytest.mark.parametrize("name", ["autogen-ext", "langchain"])
def test_what_goes_with_the_oldest_is_what_the_tests_ask_for_at_least(name):
    assert pins()[name] == extra("dev")[name]
