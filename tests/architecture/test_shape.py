"""The rules about the code itself, checked like any other behavior."""

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import evertrain

ROOT = Path(evertrain.__file__).parent
MODULES = sorted(ROOT.rglob("*.py"))
MAX_LINES = 300

# Longer files, each with its reason.
LONG = {
    "checkpoint/manifest.py": "one file format, its parser and its checks, read side by side",
    "checkpoint/store.py": "the facade that users type; its methods are docstring and a call",
    "checkpoint/tree/encode.py": "one short function for each kind of leaf",
    "core/proc.py": "the only hands on processes: one seam, one place to review",
    "recipes/structure/config.py": "every number of the recipe with its unit, in one model",
    "run/run.py": "the one face that users type; half of it is docstrings of the public API",
}


def name_of(path: Path) -> str:
    """Return a module's path inside the package."""
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_files_are_small(path: Path) -> None:
    """A file that needs more than 300 lines is two files, or has a reason."""
    lines = len(path.read_text().splitlines())

    assert lines <= MAX_LINES or name_of(path) in LONG


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_files_say_what_they_own(path: Path) -> None:
    """Every module begins with one line of purpose."""
    doc = ast.get_docstring(ast.parse(path.read_text()))

    assert doc
    assert len(doc.splitlines()[0]) <= 100


def test_poor_names_stay_out() -> None:
    """Whoever wants a helper module has not found the noun yet."""
    poor = {"utils", "helpers", "common", "misc", "base", "manager"}

    assert [name_of(path) for path in MODULES if path.stem in poor] == []


WRITING = {"write_text", "write_bytes", "touch", "rmdir", "rename", "symlink_to", "hardlink_to"}


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_only_the_disk_room_writes(path: Path) -> None:
    """No module but core/fs.py (and the public fault injectors) calls what changes files."""
    if name_of(path) == "core/fs.py" or name_of(path).startswith("testing/"):
        pytest.skip("allowed")
    calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]

    assert [ast.unparse(call) for call in calls if _writes(call)] == []


def _writes(call: ast.Call) -> bool:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else ""
    if name in WRITING:
        return True
    is_open = name == "open" or (isinstance(call.func, ast.Name) and call.func.id == "open")
    modes = [arg.value for arg in call.args if isinstance(arg, ast.Constant)]
    return is_open and any(isinstance(mode, str) and set(mode) & set("wax") for mode in modes)


def test_public_names_are_sorted_and_real() -> None:
    """`__all__` is complete enough to read, honest enough to trust, and short."""
    names = evertrain.__all__

    assert sorted(names, key=str.casefold) == names
    assert all(getattr(evertrain, name) is not None for name in names)
    assert len(names) <= 25
    assert set(names) <= set(dir(evertrain))
    with pytest.raises(AttributeError, match="no attribute 'run_everything'"):
        _ = evertrain.run_everything


HEAVY = {"numpy", "torch", "pydantic", "rich", "ruamel", "safetensors", "blake3", "click", "psutil"}


@pytest.mark.slow
def test_import_loads_nothing_heavy() -> None:
    """`import evertrain` costs next to nothing, whatever is installed."""
    code = "import sys, evertrain; print(*{name.partition('.')[0] for name in sys.modules})"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert set(out.stdout.split()) & HEAVY == set()


def test_every_module_can_be_imported_alone() -> None:
    """No module depends on another one having been imported first."""
    frameworks = ("integrations", "recipes")
    for path in MODULES:
        name = ".".join(path.relative_to(ROOT.parent).with_suffix("").parts)
        if not any(f".{room}" in name for room in frameworks) and not name.endswith("__main__"):
            import_module(name)
