"""Profiles: every shipped one loads, every mistake gets one clear line."""

import pytest

from mri2pet import paths
from mri2pet.config import DESIGNS, Design, load_profile

NAMES = ["smoke", "tutorial", "tutorial_small", "study", "paper"]


@pytest.mark.parametrize("name", NAMES)
def test_shipped_profiles_load_and_keep_their_name(name):
    profile = load_profile(name)
    assert profile.name == name
    for design in DESIGNS:
        assert isinstance(profile.design(design), Design)


def test_every_profile_on_disk_is_tested():
    assert sorted(NAMES) == sorted(p.stem for p in paths.profiles_dir().glob("*.yaml"))


def test_extends_changes_only_what_it_states():
    small, full = load_profile("tutorial_small"), load_profile("tutorial")
    assert small.grids != full.grids
    assert small.training == full.training
    assert small.cohort.test == full.cohort.test


def test_designs_differ_in_every_switch():
    one, other = DESIGNS["published"], DESIGNS["corrected"]
    assert all(one[key] != other[key] for key in one)


def test_paper_has_the_published_hyperparameters():
    paper = load_profile("paper")
    assert paper.training.batch_size == 16 * paper.training.accumulation_steps
    assert paper.training.learning_rate == 1e-4
    assert paper.sampling.published_calls == 999
    assert paper.grids.mri == (64, 144, 144)
    assert paper.grids.pet == (32, 128, 128)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("extends: smoke\nnonsense: 1\n", "unknown key nonsense"),
        ("extends: smoke\ntraining:\n  finetune_steps: 0\n", "finetune_steps"),
        ("extends: smoke\ntraining:\n  finetune_steps: many\n", "'many'"),
        ("extends: smoke\ngrids:\n  pet: [8, 32, 32]\n", "multiple of 16"),
        ("extends: smoke\ndesigns:\n  corrected:\n    gram: none\n", "gram"),
        ("extends: smoke\nstyle:\n  volumes: 999\n", "999"),
        ("extends: nowhere\n", "nowhere"),
        ("- a\n- b\n", "expected keys and values"),
        ("name: !!python/object/apply:os.system ['true']\n", "not plain YAML"),
        ("name: [unclosed\n", "not plain YAML"),
    ],
)
def test_a_wrong_profile_is_one_line_with_the_file(tmp_path, text, message):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"mine\.yaml|nowhere") as caught:
        load_profile(path)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_circle_of_extends_is_refused(tmp_path):
    (tmp_path / "a.yaml").write_text("extends: b\n")
    (tmp_path / "b.yaml").write_text("extends: a\n")
    with pytest.raises(ValueError, match="circle"):
        load_profile(tmp_path / "a.yaml")


def test_overrides_find_their_one_place():
    assert load_profile("smoke", finetune_steps=7).training.finetune_steps == 7
    assert load_profile("smoke", seed=9).seed == 9
    assert load_profile("smoke", rho=0.0).cohort.rho == 0.0
    with pytest.raises(ValueError, match="no single key 'batch_size'"):
        load_profile("smoke", batch_size=2)  # three sections have one
    with pytest.raises(ValueError, match="no single key 'typo'"):
        load_profile("smoke", typo=2)


def test_profiles_are_frozen():
    profile = load_profile("smoke")
    with pytest.raises(ValueError, match="frozen"):
        profile.seed = 5
