"""One visit of headless Chromium to every page of the built smoke book."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from mri2pet import paths

VENDOR = Path(__file__).parent / "vendor"
COLLECT = """
const content = document.querySelector("main") || document.body;
const prose = content.cloneNode(true);
prose.querySelectorAll("pre, code, .math, script").forEach((node) => node.remove());
const rendered = [...content.querySelectorAll(".math")].map(
  (node) => node.querySelector("mjx-container") !== null);
return {
  title: document.title,
  prose: prose.textContent,
  text: content.innerText.trim().length,
  unrendered: rendered.filter((ok) => !ok).length,
  formulas: rendered.length,
  matherrors: content.querySelectorAll("mjx-merror, [data-mjx-error]").length,
  width: document.documentElement.scrollWidth - window.innerWidth,
  images: [...content.querySelectorAll("img")].map((image) => ({
    src: image.src,
    alt: image.getAttribute("alt"),
    width: image.naturalWidth,
  })),
};
"""
AXE = """
const done = arguments[arguments.length - 1];
axe.run(document, {resultTypes: ["violations"], preload: false}).then(
  (results) => done(results.violations
    .filter((v) => ["serious", "critical"].includes(v.impact))
    .map((v) => `${v.id}: ${v.help}: ` +
      v.nodes.slice(0, 3).map((n) => n.html.slice(0, 120)).join(" | "))),
  (error) => done([`axe failed: ${error}`]));
"""
MATH_READY = """
const done = arguments[arguments.length - 1];
const wait = () => window.MathJax && MathJax.startup && MathJax.startup.promise
  ? MathJax.startup.promise.then(() => done(true)) : setTimeout(wait, 50);
wait();
"""
THEME = """
if (!document.getElementById("still")) {  // colours must not be caught half way
  const style = document.createElement("style");
  style.id = "still";
  style.textContent = "* { transition: none !important; animation: none !important; }";
  document.head.append(style);
}
document.documentElement.dataset.theme = arguments[0];
document.documentElement.dataset.mode = arguments[0];
"""


@dataclass
class Visit:
    """What a browser saw of one page."""

    page: str
    facts: dict[str, Any] = field(default_factory=dict)
    console: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    axe: dict[str, list[str]] = field(default_factory=dict)


def site_folder() -> Path:
    """Return where `make book` puts the smoke book."""
    root = paths.repository_root() or Path.cwd()
    return root / os.environ.get("MRI2PET_RUNS", "runs") / "smoke" / "site"


def pages() -> list[str]:
    """Return every page of the book, the search page and the index included."""
    site = site_folder()
    found = (p.relative_to(site).as_posix() for p in site.rglob("*.html"))
    return sorted(p for p in found if not p.startswith("_static/"))


def pytest_generate_tests(metafunc):
    if "page" in metafunc.fixturenames:
        metafunc.parametrize("page", pages() or ["the site"])


@pytest.fixture(scope="session")
def site() -> Path:
    """The built site; without one there is nothing to look at."""
    folder = site_folder()
    if not (folder / "index.html").is_file():
        pytest.skip(f"{folder}: the smoke book is not built; run `make book` first")
    return folder


@pytest.fixture(scope="session")
def browser(site):
    """Headless Chromium; a built book without a browser is a failure, not a skip."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    binary = shutil.which("chromium") or shutil.which("chromium-browser")
    binary = binary or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if not (binary and driver):
        pytest.fail("Chromium and chromedriver are needed: see README, system needs")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--disable-component-update",
        "--force-color-profile=srgb",
    ):
        options.add_argument(argument)
    options.set_capability(
        "goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"}
    )
    browser = webdriver.Chrome(options=options, service=Service(driver))
    browser.set_script_timeout(60)
    yield browser
    browser.quit()


@pytest.fixture(scope="session")
def visit(site, browser):
    """Return a function that visits a page once and remembers what it saw."""
    seen: dict[str, Visit] = {}
    screenshots = site.parent / "screenshots"
    screenshots.mkdir(exist_ok=True)

    def go(page: str) -> Visit:
        if page not in seen:
            seen[page] = _look(browser, site, page, screenshots)
        return seen[page]

    return go


def _look(browser, site: Path, page: str, screenshots: Path) -> Visit:
    record = Visit(page)
    browser.set_window_size(1300, 1000)
    browser.get((site / page).as_uri())
    if "tex-svg.js" in browser.page_source:
        browser.execute_async_script(MATH_READY)
    record.facts = browser.execute_script(COLLECT)
    record.console = [
        f"{entry['level']} {entry['message'][:300]}"
        for entry in browser.get_log("browser")
    ]
    for entry in browser.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            record.requests.append(message["params"]["request"]["url"])
    height = browser.execute_script("return document.documentElement.scrollHeight")
    browser.set_window_size(1300, min(height + 150, 8000))
    browser.execute_script((VENDOR / "axe.min.js").read_text(encoding="utf-8"))
    for theme in ("light", "dark"):
        browser.execute_script(THEME, theme)
        record.axe[theme] = browser.execute_async_script(AXE)
        name = page.replace("/", "_").replace(".html", f"_{theme}.png")
        browser.save_screenshot(str(screenshots / name))
    return record
