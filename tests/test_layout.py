"""The repository's own promises: its folders, its arrows, its dependencies, its wheel."""

import ast
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PARTS = ["engine", "actors", "http", "ops"]
"""Each may import itself and those before it."""

LIBRARIES = {"engine": {"trio", "outcome", "msgspec"}}
"""What a part may import besides the standard library, where that is bounded."""

IGNORED = {".git", ".venv", "build", "dist", "node_modules", "__pycache__", "src"}


def sources(folder: str) -> list[Path]:
    return sorted(ROOT.joinpath(folder).rglob("*.py"))


def imported(path: Path) -> Iterator[str]:
    """The full names of the modules that the file at ``path`` imports, inside functions too."""
    package = ["sluice", *path.relative_to(ROOT).parent.parts]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def files() -> Iterator[Path]:
    """Every file that is written by people."""
    for path in sorted(ROOT.rglob("*")):
        parts = path.relative_to(ROOT).parts
        hidden = any(part.startswith(".") and part != ".ci" for part in parts)
        if path.is_file() and not hidden and not IGNORED & set(parts):
            yield path


@pytest.mark.parametrize("part", PARTS)
def test_a_part_imports_only_itself_and_those_below_it(part: str) -> None:
    allowed = {f"sluice.{below}" for below in PARTS[: PARTS.index(part) + 1]}
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in sources(part)
        for name in imported(path)
        if name.startswith("sluice.") and ".".join(name.split(".")[:2]) not in allowed
    ]
    assert wrong == []


@pytest.mark.parametrize("part", list(LIBRARIES))
def test_the_engine_depends_on_little(part: str) -> None:
    known = LIBRARIES[part] | set(sys.stdlib_module_names) | {"sluice", "__future__"}
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in sources(part)
        for name in imported(path)
        if name.split(".")[0] not in known
    ]
    assert wrong == []


def test_the_engines_private_modules_are_its_own() -> None:
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for folder in [*PARTS[1:], "tests"]
        for path in sources(folder)
        for name in imported(path)
        if name.startswith("sluice.engine._") and path.parent != ROOT / "tests" / "engine"
    ]
    assert wrong == []


def test_nobody_uses_asyncio() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}"
        for folder in PARTS
        for path in sources(folder)
        if any(name.split(".")[0] == "asyncio" for name in imported(path))
    ]
    assert wrong == []


def test_http_is_no_package_of_its_own() -> None:
    assert not (ROOT / "http" / "__init__.py").exists()


def test_the_standard_librarys_http_is_found_from_the_root() -> None:
    program = "import http.client, sluice.http.asgi; print(http.client.OK, sluice.http.__path__)"
    command = [sys.executable, "-c", program]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert told.stdout.startswith("200 ")


@pytest.mark.parametrize("part", PARTS)
def test_every_part_is_linked_under_its_import_name(part: str) -> None:
    link = ROOT / "src" / "sluice" / part
    assert link.is_symlink()
    assert link.resolve() == ROOT / part
    assert (link / "py.typed").exists()


def test_every_dependency_has_its_reason_beside_it() -> None:
    lines = (ROOT / "pyproject.toml").read_text().splitlines()
    project = tomllib.loads("\n".join(lines))
    groups = project["dependency-groups"]
    wanted = [*project["project"]["dependencies"], *groups["dev"], *groups["build"]]
    for requirement in wanted:
        index = next(n for n, line in enumerate(lines) if f'"{requirement}"' in line)
        while not lines[index].strip().startswith("#"):
            assert lines[index].strip(), f"{requirement} has no reason"
            index -= 1


def test_nothing_names_a_place_of_one_machine() -> None:
    places = [f"/{folder}/" for folder in ("root", "home", "work")] + ["." + "pyenv"]
    wrong = [
        f"{path.relative_to(ROOT)}: {place}"
        for path in files()
        for place in places
        if place in path.read_text(errors="replace")
    ]
    assert wrong == []


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock"])
def test_lock_files_hold_hashes_and_name_no_registry(lock: str) -> None:
    text = (ROOT / lock).read_text()
    pinned = re.findall(r"^([a-z0-9-]+)==\S+.*\\\n    --hash=sha256:", text, re.MULTILINE)
    assert len(pinned) == len(re.findall(r"^[a-z]", text, re.MULTILINE))
    assert "://" not in text
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    names = [re.split(r"[<>=[]", one)[0] for one in project["project"]["dependencies"]]
    assert set(names) <= set(pinned)


def test_the_npm_lock_file_names_no_registry() -> None:
    text = (ROOT / "tests" / "real" / "npm" / "package-lock.json").read_text()
    assert '"resolved"' not in text
    assert '"integrity"' in text


def test_the_wheel_holds_all_four_parts_with_their_data(tmp_path: Path) -> None:
    source = tmp_path / "source"
    ignore = shutil.ignore_patterns(*IGNORED - {"src"}, "*.egg-info", ".*")
    shutil.copytree(ROOT, source, symlinks=True, ignore=ignore)
    program = "import sys, setuptools.build_meta as b; b.build_wheel(sys.argv[1])"
    command = [sys.executable, "-c", program, str(tmp_path)]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if not name.count(".dist-info/")}
    wanted = {
        f"sluice/{path.relative_to(ROOT)}"
        for path in files()
        if path.relative_to(ROOT).parts[0] in PARTS
    }
    assert names == wanted
