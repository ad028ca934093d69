"""The house: imports point downwards, files and functions are small, a name means one thing."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import usl

SOURCE = Path(usl.__file__).parent
FILES = sorted(SOURCE.rglob("*.py"))
TESTS = Path(__file__).parent

# From the ground up: a room may import itself and what stands before it.
ROOMS = (
    "core",
    "numeric",
    "data",
    "engine",
    "run",
    "learning",
    "features",
    "pretraining",
    "selection",
    "labeling",
    "training",
    "active",
    "evaluation",
    "benchmarking",
    "report",
    "console",
    "demo",
    "cli",
)
MOST_LINES, MOST_METHOD_LINES, MOST_FUNCTION_LINES = 400, 300, 120
METHOD_ROOMS = (
    "selection/methods",
    "training/frozen",
    "training/networks",
    "pretraining/methods",
    "features/encoders",
    "labeling/formats",
    "active/strategies",
    "active/networks",
)


def module_of(file):
    return ".".join(file.relative_to(SOURCE.parent).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_of(file): file for file in FILES}


def imports(file):
    """The modules of the package that a file imports, inside functions too, but for types alone."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING":
            node.body = []
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            inside = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in MODULES else node.module for name in inside}
    return {name for name in found if name in MODULES}


def room_of(module):
    return module.split(".")[1] if "." in module else "usl"


def floor_of(module):
    """How high a module lies; the package itself, which re-exports, lies on top."""
    room = room_of(module)
    return ROOMS.index(room) if room in ROOMS else len(ROOMS)


def test_every_room_is_named():
    assert {room_of(module) for module in MODULES} - {"usl", "__main__"} == set(ROOMS)


def test_imports_point_downwards():
    up = [
        f"{module} imports {target}"
        for module, file in MODULES.items()
        for target in imports(file)
        if floor_of(target) > floor_of(module)
    ]
    assert up == []


def test_no_circle_of_imports():
    edges = {module: imports(file) for module, file in MODULES.items()}
    done, path = set(), []

    def visit(module):
        if module in path:
            raise AssertionError(" -> ".join([*path[path.index(module) :], module]))
        if module in done:
            return
        path.append(module)
        for target in sorted(edges[module] - {module}):
            visit(target)
        done.add(path.pop())

    for module in edges:
        visit(module)


@pytest.mark.parametrize("name", [name for name in usl.__all__ if name != "__version__"])
def test_no_module_bears_the_name_of_a_public_function(name):
    assert f"usl.{name}" not in MODULES


def test_every_module_imports_and_public_names_are_still_their_own():
    """In a fresh process: importing all modules, in any order, must not shadow a public name."""
    code = (
        "import importlib, random, sys, usl\n"
        "modules = sys.argv[2:]\n"
        "random.Random(int(sys.argv[1])).shuffle(modules)\n"
        "for module in modules: importlib.import_module(module)\n"
        "for name in usl.__all__:\n"
        "    home = usl._HOMES.get(name)\n"
        "    want = getattr(sys.modules[home], name) if home else usl.__version__\n"
        "    assert getattr(usl, name) is want, name\n"
    )
    names = [module for module in MODULES if not module.endswith("__main__")]
    subprocess.run([sys.executable, "-c", code, "0", *names], check=True)


def test_no_two_files_of_tests_share_a_name():
    """Tests are no package: pytest imports each by its bare name."""
    names = [file.name for file in TESTS.rglob("*.py") if file.name != "conftest.py"]
    assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize("file", FILES, ids=module_of)
def test_files_and_functions_are_small(file):
    text = file.read_text(encoding="utf-8")
    room = file.parent.relative_to(SOURCE).as_posix()
    inside = any(room == place or room.startswith(f"{place}/") for place in METHOD_ROOMS)
    assert text.count("\n") <= (MOST_METHOD_LINES if inside else MOST_LINES)
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno - node.lineno < MOST_FUNCTION_LINES, node.name


@pytest.mark.parametrize("file", FILES, ids=module_of)
def test_the_first_line_says_what_a_file_is(file):
    first = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8")))
    assert first
    assert len(first.splitlines()[0]) <= 100
