"""What `verify` says to each attack is what docs/audit.md says; all that can be seen is seen."""

from __future__ import annotations

import pytest

from attacks import ATTACKS, BUILT, Scene, Verdict, build, edit_built, opened
from attacks_page import PAGE, rows, written

ON_THE_PAGE = written(PAGE.read_text())

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    return build(tmp_path_factory.mktemp("attacked") / "template")


@pytest.fixture
def scene(template, tmp_path):
    with opened(template, tmp_path / "copy") as scene:
        yield scene


def files(scene: Scene):
    return {path: path.read_bytes() for path in sorted(scene.folder.rglob("*")) if path.is_file()}


def test_a_store_that_nobody_attacked_is_anchored_and_without_its_anchor_consistent(scene):
    assert scene.verify(with_anchor=True) == Verdict(0, None, None, ())
    assert scene.verify(with_anchor=False) == Verdict(2, None, None, ())
    assert scene.verify(with_anchor=True, is_stranger=True) == Verdict(0, None, None, ())


def test_verify_writes_nothing(scene):
    before = files(scene)
    scene.verify(with_anchor=True)
    assert {path.name for path in files(scene)} == {path.name for path in before}
    assert files(scene) == before


def test_the_page_has_a_row_for_every_attack_and_no_other():
    assert sorted(ON_THE_PAGE) == sorted((one.group, one.title) for one in ATTACKS)


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda one: f"{one.group}: {one.title}")
def test_what_verify_says_is_on_the_page(scene, attack):
    attack.do(scene)
    found = [scene.verify(with_anchor=one, is_stranger=attack.is_stranger) for one in (False, True)]
    assert rows(attack, *found) == ON_THE_PAGE[attack.group, attack.title], (
        "python tests/attacks_page.py writes it"
    )
    # Without a reason why it cannot be seen, an anchor shows it; what is seen without one is seen with one.
    assert (found[1].code == 1) is not bool(attack.unseen)
    assert found[1].code == 1 or found[0].code == 2


@pytest.mark.parametrize("table", BUILT)
def test_an_edited_row_is_found_in_every_built_table(scene, table):
    edit_built(scene, table)
    assert scene.verify(with_anchor=True) == Verdict(1, "tables", None, ())
