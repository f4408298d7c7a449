"""Run directories: keys, reasons, locks, overrides, and what a kill leaves."""

import fcntl
import json

import pandas as pd
import pytest

from mri2pet import provenance
from mri2pet.run import Run, RunBusyError, newest_checkpoint


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setenv("MRI2PET_RUNS", str(tmp_path))
    return Run.open("smoke", quiet=True)


def make(run, name="a", *, settings=None, inputs=(), text="x", calls=None):
    def build(work):
        if calls is not None:
            calls.append(name)
        (work / "out").mkdir(exist_ok=True)
        (work / "out" / f"{name}.txt").write_text(text)

    return run.stage(
        name,
        module="mri2pet.loss",
        settings=settings or {"k": 1},
        inputs=list(inputs),
        outputs=[f"out/{name}.txt"],
        build=build,
    )


def test_a_finished_stage_is_not_computed_again(run):
    calls = []
    first = make(run, calls=calls)
    again = make(run, calls=calls)
    assert calls == ["a"]
    assert again == first
    assert first.path().read_text() == "x"


def test_changes_are_named(run):
    lines = []
    run.log = lines.append
    make(run)
    make(run, settings={"k": 2})
    one = make(run, "up", text="1")
    make(run, "down", inputs=[one])
    two = make(run, "up", settings={"k": 9}, text="2")
    make(run, "down", inputs=[two])
    assert "not there yet" in lines[0]
    assert "setting k changed" in lines[1]
    assert "input up changed" in lines[-1]


def test_equal_content_upstream_changes_nothing_downstream(run):
    calls = []
    one = make(run, "up", text="same")
    make(run, "down", inputs=[one], calls=calls)
    two = make(run, "up", settings={"k": 9}, text="same")
    make(run, "down", inputs=[two], calls=calls)
    assert calls == ["down"]


def test_a_missing_output_is_made_again(run):
    calls = []
    make(run, calls=calls).path().unlink()
    lines = []
    run.log = lines.append
    make(run, calls=calls)
    assert calls == ["a", "a"]
    assert "missing out/a.txt" in lines[0]


def test_a_failure_leaves_the_old_result_and_the_work(run):
    make(run, text="old")

    def broken(work):
        (work / "half").write_text("half")
        raise OSError(28, "No space left on device")

    kwargs = {"module": "mri2pet.loss", "inputs": [], "outputs": ["out/a.txt"]}
    with pytest.raises(OSError, match="No space"):
        run.stage("a", settings={"k": 2}, build=broken, **kwargs)
    assert (run.path / "out/a.txt").read_text() == "old"
    assert list((run.path / "work").glob("*/half"))


def test_a_half_written_record_means_again(run):
    calls = []
    make(run, calls=calls)
    (run.path / "stages/a.json").write_text('{"key": ')
    make(run, calls=calls)
    assert calls == ["a", "a"]


def test_a_second_process_is_told(run):
    with (run.path / ".computing").open("a+") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        with pytest.raises(RunBusyError, match="another process"):
            make(run)


def test_an_override_gets_its_own_directory_and_reuses_equal_stages(run, capsys):
    calls = []
    make(run, calls=calls)
    own = Run.open("smoke", finetune_steps=3)
    assert "finetune_steps=3" in capsys.readouterr().out
    assert own.path != run.path
    assert own.path.name.startswith("smoke-")
    found = make(own, calls=calls)
    assert calls == ["a"]  # taken from the original
    assert found.root == run.path
    make(own, settings={"k": 3}, text="mine", calls=calls)
    assert (run.path / "out/a.txt").read_text() == "x"  # not overwritten


def test_neutral_overrides_change_nothing(run):
    assert Run.open("smoke", finetune_steps=0, rho=None, quiet=True).path == run.path
    same = run.profile.training.finetune_steps
    assert Run.open("smoke", finetune_steps=same, quiet=True).path == run.path


def test_a_directory_of_another_profile_is_refused(run):
    with pytest.raises(ValueError, match="belongs to profile 'smoke'"):
        Run.open("tutorial", run.path, quiet=True)


def test_reopen_and_its_mistakes(run, tmp_path):
    assert Run.reopen(run.path).profile == run.profile
    with pytest.raises(ValueError, match=r"profile\.json"):
        Run.reopen(tmp_path / "nowhere")
    (run.path / "profile.json").write_text(json.dumps({"name": "smoke"}))
    with pytest.raises(ValueError, match=r"profile\.json"):
        Run.reopen(run.path)


def test_an_unwritable_directory_is_named(tmp_path):
    blocker = tmp_path / "file"
    blocker.write_text("")
    with pytest.raises(ValueError, match="cannot be written"):
        Run.open("smoke", blocker / "run", quiet=True)


def test_results_go_out_and_come_back(run):
    frame = pd.DataFrame({"row": ["mri2pet"], "value": [0.1234567], "design": [""]})
    run.save_result("t", frame)
    pd.testing.assert_frame_equal(run.results("t"), frame)
    with pytest.raises(ValueError, match="not made yet"):
        run.results("nothing")


def test_no_checkpoint_says_how_to_make_one(run):
    with pytest.raises(ValueError, match="mri2pet reproduce"):
        newest_checkpoint()


def test_prose_does_not_change_a_source_hash_but_code_does(tmp_path, monkeypatch):
    package = tmp_path / "mri2pet"
    package.mkdir()
    monkeypatch.setattr(provenance, "_PACKAGE_DIR", package)

    def hashes(a, b="y = 1\n"):
        (package / "a.py").write_text(a)
        (package / "b.py").write_text(b)
        provenance.source_hashes.cache_clear()
        return provenance.source_hashes("mri2pet.a")

    base = hashes('"""Doc."""\nfrom mri2pet import b\n\n\ndef f():\n    """D."""\n')
    assert set(base) == {"mri2pet.a", "mri2pet.b"}
    prose = hashes("from mri2pet import b  # why\n\n\ndef f():\n    '''Other.'''\n")
    assert prose == base
    code = hashes("from mri2pet import b\n\n\ndef f():\n    return 1\n")
    assert code["mri2pet.a"] != base["mri2pet.a"]
    deep = hashes('from mri2pet import b\n\n\ndef f():\n    """D."""\n', "y = 2\n")
    assert deep["mri2pet.b"] != base["mri2pet.b"]
    provenance.source_hashes.cache_clear()


def test_a_stage_computes_with_the_threads_of_its_profile(tmp_path, tiny_profile):
    """A chapter may set one thread for its toys; that must not reach a stage."""
    import torch

    run = Run.open(tiny_profile, tmp_path / "threads", quiet=True)
    run.log = lambda text: None
    seen = []

    def build(work):
        seen.append(torch.get_num_threads())
        (work / "out").write_text("x")

    torch.set_num_threads(2)
    try:
        run.stage(
            "counted",
            module="mri2pet.cohort.scaling",
            settings={},
            inputs=[],
            outputs=["out"],
            build=build,
        )
        assert seen == [run.profile.threads] == [1]
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)
