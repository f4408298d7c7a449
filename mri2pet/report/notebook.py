"""What a chapter shows: figures, tables, sources and sentences made from results.

Each output carries two forms. The web book takes the MyST form, so figures and
tables get a number, a caption, an alternative text and can be referred to with
`{numref}`. JupyterLab takes the HTML form and shows the same thing at once.
"""

from __future__ import annotations

import base64
import html
import inspect
import io
import json
import os
import re
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mri2pet.report.markup import (
    cell_text,
    highlighted,
    inline_html,
    is_plain,
    reference_label,
    simple_html,
    table_html,
    table_markdown,
    without_sections,
)
from mri2pet.report.whose import TITLE, data_words
from mri2pet.stages.cohort import stands_in

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from mri2pet.run import Run

RUN_DIR_VARIABLE = "MRI2PET_RUN_DIR"  # set by the runner for every chapter
STAGES_VARIABLE = "MRI2PET_STAGES_READ"  # a file that receives the stages asked for
DPI = 120  # 8 inches are 960 pixels: sharp in a page of 720

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_current: dict[str, Path] = {}


def use_run(run: Run) -> None:
    """Save the figures that follow under this run, and note the stages it serves.

    Parameters
    ----------
    run : mri2pet.run.Run
        Its folder `figures/` receives one PNG file per figure.
    """
    _current["run"] = Path(run.path)
    log = os.environ.get(STAGES_VARIABLE)
    shell = _shell()
    if log and shell is not None:

        def note(*_: Any) -> None:
            Path(log).write_text("\n".join(sorted(run.used)), encoding="utf-8")

        shell.events.register("post_run_cell", note)


def chapter_banner(run: Run) -> None:
    """Say what the numbers of this page are made from.

    Parameters
    ----------
    run : mri2pet.run.Run
        The run that the chapter has opened; figures are saved under it.
    """
    use_run(run)
    profile, data = run.profile, data_words(run)
    size = (
        "The profile is sized for a first look: networks train for seconds, so the "
        "pictures and numbers are *illustrative*."
        if profile.illustrative
        else "Every number on this page was computed by this run."
    )
    kind = "caution" if profile.illustrative else "note"
    facts = (
        f"Profile `{profile.name}`, seed {profile.seed}, {profile.threads} threads, "
        f"{profile.dtype}."
    )
    lines = [f":::{{admonition}} Profile {profile.name}", f":class: {kind}", ""]
    plain = f"{data} {size}\n\n{facts}"
    markdown = "\n".join([*lines, plain, ":::"])
    _publish(markdown, simple_html(plain), plain)


def mark_phantoms(run: Run, what: str, why: str) -> None:
    """Say above figures of phantoms that they are not about the run's own people.

    Where the run's people are phantoms who can be made again, nothing is said.

    Parameters
    ----------
    run : mri2pet.run.Run
    what : str
        What follows, as the beginning of a sentence: "The next figure is".
    why : str
        What it needs that the cohort has not.
    """
    if not stands_in(run):
        return
    text = f"{what} about the book's phantoms, not about your cohort: {why}."
    markdown = f":::{{admonition}} {TITLE}\n:class: important\n\n{text}\n:::"
    _publish(markdown, simple_html(f"**{TITLE}.** {text}"), f"{TITLE}. {text}")


def say(markdown: str) -> None:
    """Show a paragraph of Markdown that was made from results.

    Parameters
    ----------
    markdown : str
        MyST Markdown; numbers are formatted in by the caller.
    """
    text = textwrap.dedent(markdown).strip()
    if not text:
        raise ValueError("say(''): there is nothing to say")
    _display({"text/markdown": text, "text/plain": text})


def show_figure(fig: Figure, name: str, caption: str, alt: str) -> None:
    """Show a figure with its number, caption and alternative text, and save it.

    Parameters
    ----------
    fig : matplotlib.figure.Figure
        It is saved as `figures/NAME.png` of the run and then closed.
    name : str
        Label for ``{numref}`NAME` ``, unique in the whole book.
    caption : str
        What the reader should see, in MyST Markdown.
    alt : str
        The same for a reader who cannot see it, made from the data.

    Raises
    ------
    ValueError
        Unusable name, or an empty caption or alternative text.
    """
    import matplotlib.pyplot as plt

    name = _checked_name(name)
    caption, alt = _one_line(caption, "caption", name), _one_line(alt, "alt", name)
    buffer = io.BytesIO()
    # Without the metadata the same figure gives the same bytes.
    fig.savefig(
        buffer,
        format="png",
        dpi=DPI,
        bbox_inches="tight",
        facecolor="white",
        metadata={"Software": None},
    )
    plt.close(fig)  # or the notebook would draw it a second time
    png = buffer.getvalue()
    folder = _run_dir()
    encoded = base64.b64encode(png).decode("ascii")
    page = (
        f'<figure style="background:#fff;color:#111"><img alt="{html.escape(alt)}" '
        f'style="max-width:100%" src="data:image/png;base64,{encoded}">'
        f"<figcaption>{inline_html(caption)}</figcaption></figure>"
    )
    if folder is None:
        _publish("", page, caption)
        return
    target = folder / "figures" / f"{name}.png"
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(".png.partial")
    partial.write_bytes(png)
    partial.replace(target)
    markdown = (
        f"~~~{{figure}} ../figures/{name}.png\n:name: {name}\n"
        f":alt: {json.dumps(alt, ensure_ascii=False)}\n\n{caption}\n~~~"
    )
    _publish(markdown, page, f"{caption} (figures/{name}.png)")


def show_table(
    frame: pd.DataFrame,
    name: str,
    caption: str,
    *,
    floatfmt: str | dict[str, str] = ".3f",
) -> None:
    """Show a data frame as a numbered table.

    Parameters
    ----------
    frame : pandas.DataFrame
        Its index is shown when it has a name or is not a plain 0, 1, 2...
    name : str
        Label for ``{numref}`NAME` ``, unique in the whole book.
    caption : str
        What the table shows, in one line.
    floatfmt : str or dict of str, default=".3f"
        Format of floats, for all columns or per column. Missing values are empty.

    Raises
    ------
    ValueError
        Unusable name, empty caption or empty table.
    """
    name = _checked_name(name)
    caption = _one_line(caption, "caption", name)
    if frame.empty:
        raise ValueError(f"table {name!r}: the data frame is empty")
    plain_index = frame.index.name is None and is_plain(frame.index)
    shown = frame if plain_index else frame.reset_index()
    formats = floatfmt if isinstance(floatfmt, dict) else {}
    default = ".3f" if isinstance(floatfmt, dict) else floatfmt
    columns = [str(column) for column in shown.columns]
    cells = [
        [
            cell_text(value, formats.get(column, default))
            for value, column in zip(row, columns, strict=True)
        ]
        for row in shown.itertuples(index=False, name=None)
    ]
    numeric = [shown.iloc[:, i].dtype.kind in "iuf" for i in range(len(columns))]
    _publish(
        table_markdown(name, caption, columns, cells, numeric),
        table_html(caption, columns, cells, numeric),
        caption,
    )


def show_source(obj: Any) -> None:
    """Show the source of an imported object: what runs, not a copy of it.

    Of its docstrings the words are shown; parameters and examples are in the reference,
    which is linked.

    Parameters
    ----------
    obj : function, class, method or module
        Something that lives in the package `mri2pet`.

    Raises
    ------
    ValueError
        The object has no Python source, or is not the package's.
    """
    obj = inspect.unwrap(obj)
    module = inspect.getmodule(obj)
    if module is None or module.__name__.split(".")[0] != "mri2pet":
        raise ValueError(f"show_source({obj!r}): expected an object of mri2pet")
    lines, start = inspect.getsourcelines(obj)
    source = without_sections(textwrap.dedent("".join(lines)).rstrip())
    where = "mri2pet/" + "/".join(module.__name__.split(".")[1:]) + ".py"
    if inspect.ismodule(obj):
        title, label = module.__name__, reference_label(module.__name__)
    else:
        title = f"{module.__name__}.{obj.__qualname__}"
        # A method is documented with its class.
        top = obj.__qualname__.split(".")[0]
        label = reference_label(f"{module.__name__}.{top}")
    place = f"{where}, line {max(start, 1)}"
    fence = "````" if "```" in source else "```"
    # What the API reference leaves out cannot be linked to.
    public = not re.search(r"\._|\.exercises\b", title)
    link = f"{{ref}}`{title} <{label}>`" if public else f"`{title}`"
    markdown = f"Source of {link} ({place}):\n\n{fence}python\n{source}\n{fence}"
    page = f"<p>Source of <code>{title}</code> ({place}):</p>{highlighted(source)}"
    _publish(markdown, page, f"{title} ({place})")


def _shell() -> Any:
    from IPython import get_ipython

    return get_ipython()


def _run_dir() -> Path | None:
    if "run" in _current:
        return _current["run"]
    value = os.environ.get(RUN_DIR_VARIABLE, "")
    return Path(value) if value else None


def _checked_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(f"name {name!r}: letters, digits, `-` and `_` only")
    return name


def _one_line(text: str, what: str, name: str) -> str:
    line = " ".join(text.split())
    if not line:
        raise ValueError(f"{name!r} has no {what}; every reader needs one")
    return line


def _publish(markdown: str, page: str, plain: str) -> None:
    bundle = {"text/html": page, "text/plain": plain}
    if markdown:
        bundle["text/markdown"] = markdown
    _display(bundle)


def _display(bundle: dict[str, str]) -> None:
    from IPython.display import display

    display(bundle, raw=True)
