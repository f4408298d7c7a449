"""Measure everything on this machine: `python -m benchmarks`."""

from __future__ import annotations

import argparse
import re
import time

import pandas as pd

from benchmarks import (
    cohort,
    equivalence,
    quality,
    sampling,
    styling,
    training,
    variants,
)
from benchmarks.measure import RESULTS, Case, in_turns, machine


def peaks(quick: bool = False) -> list[dict]:
    """Matrix product, convolution and memory stream."""
    cases = [
        Case(
            "machine",
            kind,
            f"{kind}, {dtype}",
            {"dtype": dtype},
            {"dtype": dtype},
            "GFLOP/s",
        )
        for kind in ("matmul", "convolution")
        for dtype in ("float32", "bfloat16")
    ]
    cases.append(Case("machine", "stream", "memory stream", unit="GB/s"))
    in_turns(cases, 1 if quick else 3)
    return [case.row() for case in cases]


PARTS = {
    "machine": peaks,
    "training": training.run,
    "scaling": training.scaling,
    "variants": variants.run,
    "styling": styling.run,
    "sampling": sampling.run,
    "cohort": cohort.run,
}

# Long, with training: only when asked for.
STUDIES = {"equivalence": equivalence.run, "quality": quality.run}


def main() -> None:
    """Run the chosen parts and write one CSV for this processor."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=[*PARTS, *STUDIES], action="append")
    parser.add_argument("--quick", action="store_true", help="one round, few steps")
    chosen = parser.parse_args()
    for study in set(chosen.only or ()) & set(STUDIES):
        target = RESULTS / f"{study}.csv"
        RESULTS.mkdir(exist_ok=True)
        STUDIES[study]().to_csv(target, index=False, float_format="%.5g")
        print(f"written: {target}")
    parts = [p for p in chosen.only or PARTS if p in PARTS]
    if not parts:
        return
    about = machine()
    name = re.sub(r"[^a-z0-9]+", "-", about["cpu"].lower()).strip("-")
    target = RESULTS / f"{name}-{about['cores']}-cores.csv"
    RESULTS.mkdir(exist_ok=True)
    for part in parts:
        start = time.perf_counter()
        print(f"{part}:", flush=True)
        rows = pd.DataFrame(PARTS[part](chosen.quick)).assign(**about)
        # Parts measured earlier stay.
        if target.exists():
            before = pd.read_csv(target)
            rows = pd.concat([before[before["benchmark"] != part], rows])
        rows.to_csv(target, index=False, float_format="%.5g")
        print(f"{part}: {time.perf_counter() - start:.0f} s, {target}", flush=True)
    _verdict(pd.read_csv(target))


def _verdict(rows: pd.DataFrame) -> None:
    for row in rows[rows["bar"].notna()].itertuples():
        value = row.ratio if row.ratio == row.ratio else row.value
        word = "holds" if str(row.holds) == "True" else "DOES NOT HOLD"
        print(f"{word}: {row.case}: {value:.3g} (bar {row.bar})")


if __name__ == "__main__":
    main()
