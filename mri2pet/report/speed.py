"""The page "How fast": committed measurements of `benchmarks/`, drawn and judged."""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from mri2pet import paths

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GRID = "16x48x48"
# Cases of the figure, from slow to fast: text before the first comma of a case's name,
# the rest of it, and what a reader should see.
_ORDER = (
    ("released design", "float32", "released design as its authors run it"),
    ("MONAI", "float32", "MONAI's diffusion U-Net"),
    ("MONAI", "bfloat16", "MONAI's diffusion U-Net, bfloat16"),
    ("PublishedUNet", "float32", "released design in our loop"),
    ("SpatialUNet, global", "float32", "our body, MRI as a vector"),
    ("SpatialUNet, global", "bfloat16", "our body, MRI as a vector, bfloat16"),
    ("SpatialUNet, spatial", "float32", "our body, MRI in place"),
    ("SpatialUNet, spatial", "bfloat16", "our body, MRI in place, bfloat16"),
)


def results_dir() -> Path:
    """Folder of the committed measurements, one CSV per machine."""
    return paths.project_root() / "benchmarks" / "results"


def write_speed_page(folder: Path, results: Path | None = None) -> None:
    """Write `speed.md` and one figure per measured machine into a folder.

    Parameters
    ----------
    folder : pathlib.Path
        It exists.
    results : pathlib.Path, optional
        Folder of the CSVs; the committed ones by default.
    """
    import matplotlib.pyplot as plt

    results = results_dir() if results is None else results
    parts = []
    for path in sorted(results.glob("*-cores.csv")):
        table = pd.read_csv(path)
        lines = [f"## {table['cpu'].iloc[0]}, {table['cores'].iloc[0]} cores", ""]
        chosen = _training(table)
        if len(chosen):
            fig = draw_training(chosen)
            fig.savefig(folder / f"{path.stem}.png", dpi=120, facecolor="white",
                        bbox_inches="tight", metadata={"Software": None})  # fmt: skip
            plt.close(fig)
            lines += _figure_lines(f"{folder.name}/{path.stem}.png", chosen)
        lines += _bar_lines(path.stem, table)
        lines += _variant_lines(path.stem, table) + _scaling_lines(path.stem, table)
        parts.append("\n".join(lines))
    for name, lines_of in (
        ("quality", _quality_lines),
        ("equivalence", _equivalence_lines),
    ):
        measured = results / f"{name}.csv"
        if measured.exists():
            parts.append("\n".join(lines_of(pd.read_csv(measured))))
    text = "\n\n".join(parts) or "This copy of the book was built without measurements."
    (folder / "speed.md").write_text(text + "\n", encoding="utf-8")


def _training(table: pd.DataFrame) -> pd.DataFrame:
    """Milliseconds per sample of the cases of the figure, slow ones first."""
    rows = table[(table["benchmark"] == "training") & (table["grid"] == GRID)]
    if "against" in rows:
        rows = rows[rows["against"].isna()]
    found = []
    for start, dtype, label in _ORDER:
        match = rows[rows["case"].str.startswith(start) & (rows["dtype"] == dtype)]
        if len(match):
            row = match.iloc[0]
            found.append((label, *(1000 * row[k] for k in ("value", "low", "high"))))
    return pd.DataFrame(found, columns=["label", "ms", "low", "high"])


def draw_training(chosen: pd.DataFrame) -> Figure:
    """Draw bars of milliseconds per sample, with how many times faster each one is."""
    import matplotlib.pyplot as plt

    fig, ax = plt.subplots(figsize=(8, 3.6), layout="constrained")
    ours = chosen["label"].str.startswith("our")
    colours = ["#0072B2" if mine else "#999999" for mine in ours]
    places = range(len(chosen))
    ax.barh(places, chosen["ms"], color=colours)
    for place, row in zip(places, chosen.itertuples(), strict=True):
        ratio = chosen["ms"].iloc[0] / row.ms
        text = f" {row.ms:.0f} ms" + (f", {ratio:.1f} times faster" if place else "")
        ax.text(row.ms, place, text, va="center", fontsize=9)
    ax.set_yticks(places, chosen["label"])
    ax.invert_yaxis()
    ax.set(xlabel="time of a training step per sample [ms]", xlim=(0, None))
    ax.margins(x=0.35)
    ax.spines[["top", "right"]].set_visible(False)
    return fig


def _figure_lines(image: str, chosen: pd.DataFrame) -> list[str]:
    # The page that includes this text lies one folder above the image.
    slow, fast = chosen.iloc[0], chosen.loc[chosen["ms"].idxmin()]
    alt = ", ".join(f"{r.label} {r.ms:.0f} ms" for r in chosen.itertuples())
    return [
        f"~~~{{figure}} {image}",
        f":name: speed-{Path(image).stem}",
        f":alt: Bars of milliseconds per sample. {alt}.",
        "",
        f"A training step per sample, PET {GRID} and MRI twice as fine, batch 8, two "
        f"threads. The fastest takes {fast['ms']:.0f} ms, the released design "
        f"{slow['ms']:.0f} ms. Blue: the network of this book.",
        "~~~",
        "",
    ]


def _bar_lines(name: str, table: pd.DataFrame) -> list[str]:
    bars = table[table["bar"].notna()] if "bar" in table else table.iloc[:0]
    if bars.empty:
        return []
    lines = [
        "~~~{table} Bars that this machine was held to; in brackets the slowest and "
        "the fastest round.",
        f":name: bars-{name}",
        "",
        "| What | measured | bar | holds |",
        "| :--- | ---: | ---: | :--- |",
    ]
    for row in bars.itertuples():
        if pd.notna(getattr(row, "ratio", float("nan"))):
            found = f"{row.ratio:.1f} x [{row.ratio_low:.1f}, {row.ratio_high:.1f}]"
        else:
            found = f"{row.value:.3g} {row.unit}"
        verdict = "yes" if str(row.holds) == "True" else "**no**"
        where = f" (PET {row.grid})" if isinstance(row.grid, str) else ""
        lines.append(f"| {row.case}{where} | {found} | {row.bar} | {verdict} |")
    return [*lines, "~~~"]


def _variant_lines(name: str, table: pd.DataFrame) -> list[str]:
    """Where the time of a step goes, and what else was tried."""
    rows = table[table["benchmark"] == "variants"]
    if rows.empty:
        return []
    is_share = rows["case"].str.startswith("share of ")
    shares = rows[is_share].sort_values("value", ascending=False)
    spent = ", ".join(
        f"{case.removeprefix('share of ')} {100 * value:.0f} %"
        for case, value in zip(shares["case"], shares["value"], strict=True)
    )
    lines = [
        "",
        "### What else was tried",
        "",
        f"Where the processor's time of a step goes: {spent}. Each line below changes "
        "one thing. Rows marked *bound* leave a part out: no faster version of that "
        "part can save more. A wider or coarser network is another network, and would "
        "have to be judged by its pictures too.",
        "",
        "~~~{table} One change at a time; in brackets the slowest and fastest round.",
        f":name: variants-{name}",
        "",
        "| Change | ms a sample | times as fast | parameters |",
        "| :--- | ---: | ---: | ---: |",
    ]
    lines += [
        f"| {row.case} | {1000 * row.value:.1f} "
        f"| {row.ratio:.2f} [{row.ratio_low:.2f}, {row.ratio_high:.2f}] "
        f"| {row.parameters:,.0f} |"
        for row in rows[~is_share].itertuples()
    ]
    return [*lines, "~~~"]


def _scaling_lines(name: str, table: pd.DataFrame) -> list[str]:
    """Time of a sample by batch, grid and processes."""
    rows = table[table["benchmark"] == "scaling"]
    if rows.empty:
        return []
    lines = [
        "",
        "### Batch, grid and processes",
        "",
        "~~~{table} A training step per sample of the tutorial's network.",
        f":name: scaling-{name}",
        "",
        "| Varied | PET grid | batch | ms a sample | µs a 1,000 voxels |",
        "| :--- | :--- | ---: | ---: | ---: |",
    ]
    for row in rows.itertuples():
        voxels = prod(int(n) for n in row.grid.split("x"))
        lines.append(
            f"| {row.case.split(', 16x')[0]} | {row.grid} | {row.batch:.0f} "
            f"| {1000 * row.value:.1f} | {1e9 * row.value / voxels:.0f} |"
        )
    return [*lines, "~~~"]


def _quality_lines(table: pd.DataFrame) -> list[str]:
    n, seen = table["people"].iloc[0], table["samples_seen"].iloc[0]
    lines = [
        "## What does the speed cost?",
        "",
        f"Every arm has seen {seen:,} samples in fine-tuning and is scored inside the "
        f"brain of {n} phantoms. Gains are paired differences to the first row, with "
        "95 % intervals over people; one training run each. Before that each arm had "
        "the short pre-training of its row, which is not counted.",
        "",
        "~~~{table} Quality at equal samples seen, PET 16x32x32.",
        ":name: bars-quality",
        "",
        "| Arm | measure | value | gain | holds |",
        "| :--- | :--- | ---: | :--- | :--- |",
    ]
    for row in table.itertuples():
        first = row.arm == table["arm"].iloc[0]
        gain = f"{row.gain:+.3f} [{row.gain_low:+.3f}, {row.gain_high:+.3f}]"
        verdict = "" if first else "yes" if row.holds else "**no**"
        lines.append(
            f"| {row.arm} | `{row.metric}` | {row.value:.3f} "
            f"| {'' if first else gain} | {verdict} |"
        )
    return [*lines, "~~~"]


def _equivalence_lines(table: pd.DataFrame) -> list[str]:
    n, k = table["people"].iloc[0], table["samples"].iloc[0]
    lines = [
        "## Is a sampler of few calls as good as 999?",
        "",
        f"The same network, {n} phantoms, {k} samples each, against DDPM with 999 "
        "calls. Scores of images alone may reward few calls, so detail (`hf_ratio`, "
        "energy of the finest detail over that of the real PET) and the spread between "
        "a person's samples (`sample_sd`, SUVR) count as much. A row holds if its "
        "whole 95 % interval over people lies inside the margin.",
        "",
        "~~~{table} Samplers of few calls against DDPM with 999 calls.",
        ":name: bars-equivalence",
        "",
        "| Sampler | calls | measure | few | 999 | compared | margin | holds |",
        "| :--- | ---: | :--- | ---: | ---: | :--- | :--- | :--- |",
    ]
    lines += [
        f"| {row.sampler} | {row.calls} | `{row.metric}` | {row.few:.3f} "
        f"| {row.many:.3f} | {row.unit} {row.value:.3f} "
        f"[{row.low:.3f}, {row.high:.3f}] | {row.bar} "
        f"| {'yes' if row.holds else '**no**'} |"
        for row in table.itertuples()
    ]
    passed = table.groupby(["sampler", "calls"], sort=False)["holds"].all()
    names = [f"`{name}` with {calls} calls" for name, calls in passed[passed].index]
    verdict = (
        f"Equal to 999 calls on all four measures: {', '.join(names)}."
        if names
        else "No sampler is equal to 999 calls on all four measures."
    )
    return [*lines, "~~~", "", verdict]
