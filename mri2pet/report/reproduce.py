"""The whole way of a profile: stages, chapters, site, and where the time went."""

from __future__ import annotations

import datetime
import json
import os
import resource
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from mri2pet import provenance
from mri2pet.artifacts import hold, write_text
from mri2pet.config import load_profile
from mri2pet.report.book import build_site, chapter_names
from mri2pet.report.together import execute_together
from mri2pet.stages.plan import CHAPTERS, estimate, people_of
from mri2pet.stages.questions import unanswered

if TYPE_CHECKING:
    from mri2pet.run import Run

PROGRESS_EVERY = 20.0  # seconds between two lines about one stage


def reproduce(run: Run, chapters: Iterable[str] | None = None) -> None:
    """Run all stages in order, then the chapters, then build the site.

    Stages run in this process and use all threads. Chapters run in kernels of their
    own that find the stages done, two at a time: they mostly import and draw. When a
    stage fails, the chapters before it are still made. A chapter whose question the
    cohort cannot answer (`mri2pet.stages.questions`) is left out, and named.

    Parameters
    ----------
    run : Run
    chapters : iterable of str, optional
        Only these chapters, and only the stages they need.
    """
    wanted = list(chapters) if chapters else chapter_names()
    unknown = sorted(set(wanted) - set(chapter_names()))
    if unknown:
        raise ValueError(
            f"chapter {unknown[0]!r}: expected one of {', '.join(chapter_names())}"
        )
    busy = (
        f"run directory {run.path}: process {{who}} is already reproducing there; "
        "wait for it or use another --run-dir"
    )
    with hold(run.path / ".reproducing", str(os.getpid()), busy):
        _announce(run)
        run.progress = _Progress()
        begin = time.perf_counter()
        left_out = _left_out(run, wanted)
        wanted = [name for name in wanted if name not in left_out]
        seconds, failure = _all_stages(run, wanted)
        start = time.perf_counter()
        print("Chapters:", flush=True)
        outcomes = execute_together(run, seconds)
        chapters_took = time.perf_counter() - start
        if failure is not None:
            raise failure
        start = time.perf_counter()
        build_site(run, wanted if chapters or left_out else None)
        rows = [(o.chapter, seconds[o.chapter], o.seconds) for o in outcomes]
        rows.append(("site", 0.0, time.perf_counter() - start))
        write_run_json(run, rows, left_out)
    _where_the_time_went(rows, chapters_took, time.perf_counter() - begin)


def _left_out(run: Run, wanted: list[str]) -> dict[str, str]:
    """Print and return the chapters that this cohort has no answer for."""
    found = {k: v for k, v in unanswered(run).items() if k in wanted}
    for name, reason in found.items():
        print(f"{name} is left out: {reason}", flush=True)
    return found


def _all_stages(
    run: Run, wanted: list[str]
) -> tuple[dict[str, float], Exception | None]:
    """Seconds of each chapter's stages, up to the first that fails."""
    seconds: dict[str, float] = {}
    for name in wanted:
        print(f"{name}:", flush=True)
        start = time.perf_counter()
        try:
            CHAPTERS[name](run)
        except Exception as error:  # noqa: BLE001 - raised again by the caller
            print(f"  stopped: {error}", flush=True)
            return seconds, error
        seconds[name] = time.perf_counter() - start
        write_run_json(run)
    return seconds, None


def plan_lines(profile_name: str, data: str | None = None) -> list[str]:
    """Return what `reproduce` would do, in lines; nothing is computed."""
    from mri2pet.run import Run

    profile = load_profile(profile_name, store=data)
    run = Run(profile, Path(profile.name))  # a plan only: nothing is created
    lines = [f"Profile {profile.name}: {profile.description}"]
    lines += [f"  {name}: {CHAPTERS[name].__doc__}" for name in CHAPTERS]
    voxels = 4 * (_size(profile.grids.mri) + 2 * _size(profile.grids.pet))
    people = people_of(run)
    scans = people.unpaired + people.train + people.val + people.test
    lines.append(f"Disk, before compression: {voxels * scans / 1e9:.1f} GB")
    if profile.device == "cuda":
        lines += _gpu_lines(profile)
    else:
        lines += _estimate_lines(run)
    return lines


def write_run_json(
    run: Run,
    rows: list[tuple[str, float, float]] | None = None,
    left_out: dict[str, str] | None = None,
) -> None:
    """Write `run.json`: provenance, stage keys, times, and chapters left out."""
    path = run.path / "run.json"
    times = _earlier_times(path)
    # What was up to date keeps the time that it took when it was made.
    times |= {n: {"stages": s, "chapter": c} for n, s, c in rows or [] if c > 0}
    content = {
        "profile": run.profile.name,
        "seed": run.profile.seed,
        "threads": run.profile.threads,
        "dtype": run.profile.dtype,
        **provenance.environment(),
        "written": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "stage_keys": run.stage_keys(),
        "stage_seconds": run.stage_seconds(),
        "times": times,
        "left_out": left_out or {},
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }
    write_text(path, json.dumps(content, indent=1))


def _earlier_times(path: Path) -> dict[str, dict[str, float]]:
    try:
        return json.loads(path.read_text(encoding="utf-8")).get("times", {})
    except (OSError, json.JSONDecodeError):
        return {}


class _Progress:
    """A line now and then, so that a log shows that something moves."""

    def __init__(self) -> None:
        self.last = time.monotonic()

    def __call__(self, name: str, done: int, total: int, loss: float) -> None:
        now = time.monotonic()
        if now - self.last < PROGRESS_EVERY:
            return
        self.last = now
        tail = f", loss {loss:.4f}" if loss == loss else ""  # noqa: PLR0124 - NaN
        print(f"    {name}: {done} of {total}{tail}", flush=True)


def _announce(run: Run) -> None:
    print(f"Profile {run.profile.name}: {run.profile.description}")
    for line in _estimate_lines(run):
        print(line, flush=True)


def _estimate_lines(run: Run) -> list[str]:
    parts = estimate(run)
    total = sum(parts.values())
    detail = ", ".join(f"{k} {_time(v)}" for k, v in parts.items())
    return [
        f"Estimate, if nothing is done yet: {_time(total)} on this machine ({detail})"
    ]


def _gpu_lines(profile) -> list[str]:
    """GPU-hours from counted operations at an assumed sustained 20 TFLOP/s."""
    flop = 108_423_598_080  # a forward pass of PublishedUNet, counted in the tests
    plan = profile.training
    training = 3 * flop * plan.batch_size
    test = profile.cohort.test + profile.cohort.test_two_visits
    work = {
        "pre-training, three of the published design": 3
        * training
        * plan.pretrain_steps,
        "fine-tuning, six rows of the published design": 6
        * training
        * plan.finetune_steps,
        "sampling the test scans, six rows": 6 * test * 999 * flop,
    }
    lines = ["GPU-hours at an assumed sustained 20 TFLOP/s, published network:"]
    return lines + [f"  {k}: {v / 20e12 / 3600:.0f}" for k, v in work.items()]


def _where_the_time_went(
    rows: list[tuple[str, float, float]], chapters: float, total: float
) -> None:
    print("\nWhere the time went (seconds: stages, chapter)")
    for name, stages, chapter in rows:
        print(f"  {name:<22}{stages:8.1f}{chapter:8.1f}")
    stages = sum(s for _, s, _ in rows)
    print(f"  {'together':<22}{stages:8.1f}{chapters:8.1f}  (chapters two at a time)")
    print(f"  {'from start to end':<22}{total:16.1f}", flush=True)


def _size(shape: tuple[int, ...]) -> int:
    total = 1
    for n in shape:
        total *= n
    return total


def _time(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
