"""The repository's own papers: they agree, and a wheel lives without them."""

from __future__ import annotations

import ast
import re
import stat
import subprocess
import sys
import tomllib
import venv
from pathlib import Path

import yaml
from packaging.requirements import Requirement
from packaging.version import Version

import mri2pet
from mri2pet import paths

ROOT = paths.repository_root()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
EXTRAS = PROJECT["project"]["optional-dependencies"]


def _locked() -> dict[str, Version]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    for pin in pins:
        assert re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", pin), pin
    return {_name(p.split("==")[0]): Version(p.split("==")[1]) for p in pins}


def _name(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _required(*extras: str) -> list[Requirement]:
    texts = list(PROJECT["project"]["dependencies"])
    for extra in extras:
        texts += EXTRAS[extra]
    return [Requirement(t) for t in texts if not t.startswith("mri2pet")]


def test_lock_holds_everything_that_is_required():
    locked = _locked()
    for requirement in _required("imaging", "book", "test"):
        assert _name(requirement.name) in locked, requirement.name
        version = locked[_name(requirement.name)]
        assert requirement.specifier.contains(version), (
            f"{requirement} against {version}"
        )


def test_lock_names_no_build_and_no_path():
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    pins = [line for line in text.splitlines() if not line.startswith("#")]
    assert not [p for p in pins if "+" in p or "@" in p or "/" in p]
    assert "torch==2.13.0" in pins
    assert not [p for p in pins if p.startswith(("torchvision", "antspyx", "nvidia"))]


def test_each_library_is_justified_by_a_comment():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    block = text[text.index("dependencies = [") : text.index("[project.scripts]")]
    for line in block.splitlines():
        if line.strip().startswith('"') and "mri2pet[" not in line:
            assert re.search(r"# \S", line), line


def test_conda_environment_agrees():
    content = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    plain = [d for d in content["dependencies"] if isinstance(d, str)]
    (python,) = [d for d in plain if d.startswith("python")]
    assert python == f"python{PROJECT['project']['requires-python']}"
    for spec in plain:
        Requirement(spec)  # conda's plain specs are written as pip writes them
    (pip,) = [d["pip"] for d in content["dependencies"] if isinstance(d, dict)]
    assert "--constraint constraints.txt" in pip
    assert "--editable .[book,test]" in pip
    assert content["name"] == PROJECT["project"]["name"]


def test_version_and_licence_agree():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == mri2pet.__version__
    assert citation["license"] == PROJECT["project"]["license"] == "BSD-3-Clause"
    assert "BSD 3-Clause" in (ROOT / "LICENSE").read_text(encoding="utf-8")
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"[{mri2pet.__version__}]" in changelog


def test_citation_has_what_the_format_demands():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["cff-version"] == "1.2.0"
    assert {"message", "title", "authors", "type"} <= set(citation)
    assert all("name" in a or "family-names" in a for a in citation["authors"])


def test_codecheck_manifest_lists_what_chapters_make():
    content = yaml.safe_load((ROOT / "codecheck.yml").read_text(encoding="utf-8"))
    assert content["version"].startswith("https://codecheck.org.uk/spec/config/")
    assert content["manifest"]
    code = "".join(
        p.read_text(encoding="utf-8")
        for folder in ("notebooks", "mri2pet/stages", "mri2pet/evaluation")
        for p in (ROOT / folder).rglob("*")
        if p.suffix in (".ipynb", ".py")
    )
    for entry in content["manifest"]:
        path = Path(entry["file"])
        assert entry["comment"]
        assert path.parts[:2] == ("runs", "smoke")
        assert re.search(rf'"{path.stem}\\?"', code), f"nothing makes {path}"


def test_command_line_is_installed():
    name, function = PROJECT["project"]["scripts"]["mri2pet"].split(":")
    source = ROOT / (name.replace(".", "/") + ".py")
    tree = ast.parse(source.read_text(encoding="utf-8"))
    assert function in {n.name for n in tree.body if isinstance(n, ast.FunctionDef)}


def test_makefile_has_the_promised_targets():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in ("book", "test", "test-slow", "lab", "figures", "benchmark", "lint"):
        assert re.search(rf"^{target}: \$\(READY\)$", makefile, flags=re.MULTILINE), (
            target
        )
    assert re.search(r"^clean:", makefile, flags=re.MULTILINE)


def test_ci_script_runs_book_check_and_tests_in_order():
    script = ROOT / ".ci" / "run"
    assert script.stat().st_mode & stat.S_IXUSR
    text = script.read_text(encoding="utf-8")
    places = [
        text.index(s) for s in ("\nmake book", "mri2pet check --run", "\nmake test")
    ]
    assert places == sorted(places)
    done = subprocess.run(["bash", "-n", str(script)], check=False)
    assert done.returncode == 0


def test_workflows_are_valid_yaml_and_use_the_ci_script():
    folder = ROOT / ".github" / "workflows"
    texts = {p.name: p.read_text(encoding="utf-8") for p in folder.glob("*.yml")}
    assert {"ci.yml", "nightly.yml"} <= set(texts)
    for text in texts.values():
        assert yaml.safe_load(text)["jobs"]
    assert "bash .ci/run" in texts["ci.yml"]
    assert "deploy-pages" in texts["ci.yml"]
    assert "make test-slow" in texts["nightly.yml"]


def test_book_configuration_knows_no_strange_keys():
    """Jupyter Book takes a misspelt key without a word."""
    import jupyter_book

    folder = Path(jupyter_book.__file__).parent
    known = yaml.safe_load((folder / "default_config.yml").read_text(encoding="utf-8"))
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    allowed = set(known) | {"bibtex_bibfiles"}
    assert set(config) <= allowed
    for section in ("execute", "html", "parse", "sphinx", "launch_buttons"):
        assert set(config.get(section, {})) <= set(known.get(section, {})), section
    assert config["execute"]["execute_notebooks"] == "off"


def test_vendored_mathjax_is_the_named_version():
    script = ROOT / "book" / "vendor" / "mathjax" / "tex-svg.js"
    text = script.read_text(encoding="utf-8")
    assert '"3.2.2"' in text
    assert (script.parent / "LICENSE").is_file()


def test_readme_answers_a_strangers_questions():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for answer in (
        "make book",
        "make test",
        "pip install -c constraints.txt",
        "mri2pet reproduce --profile smoke",
        "mri2pet synthesize",
        "Phantoms are not",
        "System needs",
        "How to cite",
        "download.pytorch.org/whl/cpu",
    ):
        assert answer in text, answer
    for link in re.findall(r"\]\((?!http)([^)#]+)\)", text):
        assert (ROOT / link).exists(), f"README links to {link}"


def test_pages_and_profiles_are_found_from_the_clone():
    assert paths.project_root() == ROOT
    assert (paths.profiles_dir() / "smoke.yaml").is_file()
    assert (paths.data_dir() / "published" / "table1.csv").is_file()
    assert paths.lock_file().is_file()


def test_wheel_installs_and_imports_without_the_repository(tmp_path):
    python = sys.executable
    build = [python, "-m", "pip", "wheel", "--quiet", "--no-deps"]
    build += ["--no-build-isolation", "-w", str(tmp_path), str(ROOT)]
    subprocess.run(build, check=True)
    (wheel,) = tmp_path.glob("mri2pet-*.whl")
    # The libraries are those of this environment; the package is the wheel's only.
    venv.create(tmp_path / "venv", with_pip=False, symlinks=True)
    theirs = tmp_path / "venv" / "bin" / "python"
    target = tmp_path / "installed"
    install = [python, "-m", "pip", "install", "--quiet", "--no-deps", "--target"]
    subprocess.run([*install, str(target), str(wheel)], check=True)
    libraries = Path(yaml.__file__).parents[1]
    code = f"""
import sys
sys.path[:0] = [{str(target)!r}]
sys.path.append({str(libraries)!r})
import mri2pet
from mri2pet import paths
from mri2pet.config import load_profile
assert mri2pet.__file__.startswith({str(target)!r}), mri2pet.__file__
assert paths.repository_root() is None
assert load_profile("smoke").name == "smoke"
assert (paths.data_dir() / "published" / "table1.csv").is_file()
assert (paths.book_dir() / "vendor" / "mathjax" / "tex-svg.js").is_file()
assert list(paths.notebooks_dir().glob("[0-9][0-9]_*.ipynb"))
assert paths.lock_file().is_file()
print("alone")
"""
    done = subprocess.run(
        [str(theirs), "-I", "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == "alone", done.stderr
