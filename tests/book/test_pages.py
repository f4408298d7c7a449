"""The built book, page by page, as a reader's browser shows it from a folder."""

from __future__ import annotations

import html.parser
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

import numpy as np
import pytest
from PIL import Image

CHAPTERS = ("01", "03", "04", "05", "06", "07", "09", "13")


def test_book_has_every_chapter_and_page(site):
    names = {p.name.split("_")[0] for p in (site / "notebooks").glob("*.html")}
    assert set(CHAPTERS) <= names
    for page in ("index", "howto", "glossary", "bibliography", "made", "reference"):
        assert (site / f"{page}.html").is_file()


def test_page_loads_without_console_error(visit, page):
    seen = visit(page)
    errors = [line for line in seen.console if line.startswith("SEVERE")]
    assert not errors
    assert seen.facts["title"]
    assert seen.facts["text"] > 40


def test_page_asks_nothing_of_the_network(visit, page):
    outside = [
        url
        for url in visit(page).requests
        if not url.startswith(("file:", "data:", "blob:", "chrome:"))
    ]
    assert not outside


def test_no_markup_is_left_in_the_prose(visit, page):
    prose = visit(page).facts["prose"]
    left = ("```", "~~~", ":::", "{numref}", "{cite}", "{term}", "{eq}", ":name:", "$$")
    assert not [mark for mark in left if mark in prose]


def test_formulas_are_rendered(visit, page):
    facts = visit(page).facts
    assert facts["unrendered"] == 0
    assert facts["matherrors"] == 0
    if page.startswith("notebooks/03"):
        assert facts["formulas"] > 0


def test_pictures_are_not_blank_and_have_alt_texts(visit, page):
    images = visit(page).facts["images"]
    if page.startswith("notebooks/"):
        assert images
    for image in images:
        assert image["width"] > 0, f"{image['src']} did not load"
        assert image["alt"], f"{image['src']} has no alternative text"
        path = Path(unquote(urlsplit(image["src"]).path))
        assert path.stem not in image["alt"], "the file's name is no description"
        if path.suffix == ".png":
            pixels = np.asarray(Image.open(path).convert("L"), dtype=float)
            assert pixels.std() > 2, f"{path} is blank"


def test_page_is_not_wider_than_the_window(visit, page):
    assert visit(page).facts["width"] <= 1


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_page_is_accessible(visit, page, theme):
    assert not visit(page).axe[theme]


class _Links(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = set()

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.anchors |= {values[k] for k in ("id", "name") if values.get(k)}
        for key in ("href", "src"):
            if values.get(key):
                self.links.append(values[key])


@cache
def _parsed(path: Path) -> _Links:
    parser = _Links()
    parser.feed(path.read_text(encoding="utf-8"))
    return parser


def test_internal_links_and_downloads_lead_somewhere(site, page):
    broken = []
    for link in _parsed(site / page).links:
        parts = urlsplit(link)
        if parts.scheme or parts.netloc:
            continue
        target = (site / page).parent / unquote(parts.path) if parts.path else None
        target = (target or site / page).resolve()
        known = target.is_file() and (
            not parts.fragment
            or target.suffix != ".html"
            or unquote(parts.fragment) in _parsed(target).anchors
        )
        if not known:
            broken.append(link)
    assert not broken


def test_downloaded_chapter_has_no_path_of_this_machine(site):
    root = str(site.parents[2])
    for notebook in (site / "_sources" / "notebooks").glob("*.ipynb"):
        assert root not in notebook.read_text(encoding="utf-8"), notebook.name


def test_search_finds_a_word_of_a_chapter(site):
    index = (site / "searchindex.js").read_text(encoding="utf-8")
    assert "amyloid" in index.lower()
