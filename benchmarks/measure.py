"""Cases in processes of their own, in turns, and their ratios.

A case is a function of a benchmark module that returns numbers as a dictionary. It runs
in a fresh process, so that its memory is its own and no allocator or thread setting of
one case reaches another.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import statistics
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

THREADS = 2
RESULTS = Path(__file__).parent / "results"


@dataclass
class Case:
    """One thing to measure: ``benchmarks.<module>.<function>(**arguments)``."""

    module: str
    function: str
    name: str
    arguments: dict[str, Any] = field(default_factory=dict)
    labels: dict[str, Any] = field(default_factory=dict)
    unit: str = "s"
    processes: int = 1
    rounds: list[dict[str, float]] = field(default_factory=list)

    def run(self) -> None:
        """Measure once more, in a new process."""
        call = json.dumps([self.module, self.function, self.arguments])
        command = [sys.executable, "-m", "benchmarks.measure", call]
        if self.processes > 1:
            launcher = ["-m", "torch.distributed.run", "--standalone"]
            launcher.append(f"--nproc_per_node={self.processes}")
            command[1:1] = launcher
        # Spinning threads of an earlier case are gone; these two may spin.
        threads = str(THREADS // self.processes)
        environment = {**os.environ, "OMP_NUM_THREADS": threads}
        done = subprocess.run(
            command, capture_output=True, text=True, env=environment, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{self.name}: {done.stderr.strip()[-2000:]}")
        self.rounds.append(json.loads(done.stdout.splitlines()[-1]))

    def values(self, key: str = "value") -> list[float]:
        return [r[key] for r in self.rounds]

    def row(self) -> dict[str, Any]:
        """One line of the CSV."""
        return {
            "benchmark": self.module,
            "case": self.name,
            **self.labels,
            "value": statistics.median(self.values()),
            "low": min(self.values()),
            "high": max(self.values()),
            "unit": self.unit,
            "memory_mb": round(max(r.get("memory_mb", 0) for r in self.rounds)),
        }


def in_turns(cases: list[Case], rounds: int) -> None:
    """Measure all cases once, then all again: drift hits all alike."""
    for i in range(rounds):
        for case in cases:
            case.run()
            value = case.rounds[-1]["value"]
            print(f"  round {i + 1}: {case.name}: {value:.4g} {case.unit}", flush=True)


def compare(
    slow: Case, fast: Case, bar: float, label: str, *, key: str = "value"
) -> dict[str, Any]:
    """How many times as much ``slow`` takes, round by round, against a bar."""
    ratios = [a / b for a, b in zip(slow.values(key), fast.values(key), strict=True)]
    ratio = statistics.median(ratios)
    return {
        **fast.row(),
        "case": label,
        "against": slow.name,
        "ratio": ratio,
        "ratio_low": min(ratios),
        "ratio_high": max(ratios),
        "bar": f">= {bar:g}",
        "holds": ratio >= bar,
    }


def at_most(case: Case, key: str, bar: float, label: str) -> dict[str, Any]:
    """Whether a number of a case stays below a bar in every round."""
    value = max(case.values(key))
    return {
        **case.row(),
        "case": label,
        "value": value,
        "low": min(case.values(key)),
        "high": value,
        "unit": key,
        "bar": f"<= {bar:g}",
        "holds": value <= bar,
    }


def machine() -> dict[str, str]:
    """Return what the numbers were measured on."""
    import torch

    from mri2pet.provenance import environment

    about = environment()
    return {
        "cpu": str(about["cpu"]),
        "cores": str(about["cores"]),
        "threads": str(THREADS),
        "torch": torch.__version__,
        "system": platform.platform(),
        "commit": str(about["commit"]),
        "instructions": torch.backends.cpu.get_cpu_capability(),
    }


def _one_case(call: str) -> None:
    from importlib import import_module

    import torch

    module, function, arguments = json.loads(call)
    torch.set_num_threads(THREADS // int(os.environ.get("WORLD_SIZE", "1")))
    found = getattr(import_module(f"benchmarks.{module}"), function)(**arguments)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    if os.environ.get("RANK", "0") == "0":
        print(json.dumps({"memory_mb": peak, **found}))


if __name__ == "__main__":
    _one_case(sys.argv[1])
