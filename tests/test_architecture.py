"""Imports run downwards only (docs/architecture.md), `--help` loads nothing heavy, public names have docstrings."""

import ast
import re
from dataclasses import dataclass
from pathlib import Path

import networkx
import pytest

SOURCE = Path(__file__).resolve().parents[1] / "src" / "scanweave"
LEVELS = (
    ("errors",),
    ("external", "locks", "wording"),
    ("files",),
    ("spreadsheet_cells",),
    ("studies", "physics", "nets", "augment", "tumours"),
    ("engine", "measures", "report"),
    ("framework",),
    ("systems", "simulate"),
    ("configuration", "exported_models", "predictions", "run_features", "audit"),
    ("api",),
    ("devices", "experiments", "exporting", "pruning", "reading", "searching", "synthesizing", "system_check"),
    ("web",),
    ("cli",),
    ("__main__", "__init__"),
)
"""Rooms from the ground up; a room imports only from levels below it, and from itself."""
LEVEL = {room: level for level, rooms in enumerate(LEVELS) for room in rooms}
HEAVY = {
    "accelerate",
    "matplotlib",
    "monai",
    "networkx",
    "nibabel",
    "pandas",
    "pyarrow",
    "scipy",
    "skimage",
    "sklearn",
    "statsmodels",
    "torch",
    "torchvision",
}
LIGHT = ("scanweave", "scanweave.api", "scanweave.cli", "scanweave.systems.registry")
"""Modules, and packages with all that is in them, that must load without a heavy library."""


UNIX_ONLY = {"crypt", "fcntl", "grp", "nis", "posix", "pty", "pwd", "resource", "spwd", "syslog", "termios", "tty"}
"""Modules of Python that Windows does not have."""


@dataclass(frozen=True)
class Import:
    """One import: `eager` if it happens when its module is loaded, `windows` if it may happen on Windows."""

    target: str
    line: int
    eager: bool
    windows: bool = True


def read_modules(source):
    """The imports of every module below `source`, by the module's dotted name."""
    modules = {}
    for path in sorted(source.rglob("*.py")):
        parts = ("scanweave", *path.relative_to(source).with_suffix("").parts)
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        modules[name] = list(_imports(ast.parse(path.read_text(encoding="utf-8")), name, path.name == "__init__.py"))
    return modules


def _imports(tree, name, package):
    lazy = {id(inner) for node in ast.walk(tree) if _is_lazy(node) for inner in ast.walk(node)}
    elsewhere = {id(inner) for node in ast.walk(tree) if _spares_windows(node) for inner in node.body}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            home = node.module or ""
            if node.level:
                above = name.split(".")[: len(name.split(".")) - node.level + package]
                home = ".".join([*above, home]).strip(".")
            targets = [f"{home}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "scanweave":
            targets = [f"scanweave.{node.attr}"]
        else:
            continue
        eager, windows = id(node) not in lazy, id(node) not in elsewhere
        yield from (Import(target, node.lineno, eager, windows) for target in targets)


def _is_lazy(node):
    if isinstance(node, ast.If):
        return "TYPE_CHECKING" in ast.unparse(node.test)
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)


def _spares_windows(node):
    return isinstance(node, ast.If) and ast.unparse(node.test) == "sys.platform != 'win32'"


def room_of(target):
    """The room that a dotted name lies in; public names of the package count as its top."""
    parts = target.split(".")
    if len(parts) == 1:
        return None
    return parts[1] if parts[1] in LEVEL else "__init__"


def upward(modules):
    """Every import that runs upwards or sideways, as `module:line imports target`."""
    found = []
    for name, imports in modules.items():
        room = name.split(".")[1] if "." in name else "__init__"
        for one in imports:
            if not one.target.startswith("scanweave.") or one.target == "scanweave.__version__":
                continue
            target = room_of(one.target)
            own_system, other_system = (".".join(path.split(".")[:3]) for path in (name, one.target))
            to_another = room == target == "systems" and own_system != other_system and _is_system(own_system)
            if to_another or (target != room and LEVEL[target] >= LEVEL.get(room, -1)):
                found.append(f"{name}:{one.line} imports {one.target}")
    return found


def _is_system(name):
    return name.count(".") == 2 and name != "scanweave.systems.registry"


def heavy(modules):
    """Every heavy library that a light module loads, by whatever way, as `module loads library through module`."""
    lights = [name for name in modules if any(name == light or name.startswith(f"{light}.") for light in LIGHT[1:])]
    found = []
    for name in [
        "scanweave",
        *lights,
        *(n for n in modules if n.startswith("scanweave.systems.") and n[-7:] == ".config"),
    ]:
        for loaded in _loaded(modules, name):
            libraries = {one.target.split(".")[0] for one in modules[loaded] if one.eager} & HEAVY
            found += [f"{name} loads {library} through {loaded}" for library in sorted(libraries)]
    return found


def _loaded(modules, start):
    """All modules of the package that importing `start` loads."""
    seen, waiting = set(), [start]
    while waiting:
        parts = waiting.pop().split(".")
        for length in range(1, len(parts) + 1):
            name = ".".join(parts[:length])
            if name in modules and name not in seen:
                seen.add(name)
                waiting += [one.target for one in modules[name] if one.eager and one.target.startswith("scanweave")]
    return seen


@pytest.fixture(scope="module")
def modules():
    return read_modules(SOURCE)


def test_every_room_is_known(modules):
    assert {name.split(".")[1] for name in modules if "." in name} <= set(LEVEL)


def test_imports_run_downwards(modules):
    assert upward(modules) == []


def test_command_line_is_light(modules):
    assert heavy(modules) == []


def unix_only(modules):
    """Every import of a module that Windows does not have, as `module imports target`."""
    return [
        f"{name} imports {one.target}"
        for name in modules
        for one in modules[name]
        if one.target in UNIX_ONLY and one.windows
    ]


def test_nothing_is_imported_that_windows_lacks(modules, tmp_path):
    assert unix_only(modules) == []
    assert len(unix_only(_tree(tmp_path, {"files.py": "def lock():\n    import fcntl"}))) == 1
    spared = 'def limit():\n    if sys.platform != "win32":\n        import resource\n    else:\n        import fcntl'
    assert unix_only(_tree(tmp_path, {"files.py": spared})) == ["scanweave.files imports fcntl"]


def _tree(tmp_path, files):
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return read_modules(tmp_path)


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("engine/loop.py", "from scanweave.systems.seq2seq.system import Seq2Seq"),
        ("engine/loop.py", "def train():\n    from scanweave.systems import registry"),
        ("studies/plan.py", "import scanweave.engine.run"),
        ("studies/plan.py", "from ..engine import run"),
        ("physics/mr.py", "from scanweave.studies.scan import Scan"),
        ("errors.py", "from scanweave import cli"),
        ("engine/run.py", "import scanweave\nscanweave.fit"),
        ("systems/mim/system.py", "from scanweave.systems.seq2seq.network import Seq2SeqNetwork"),
        ("systems/mim/system.py", "from scanweave.systems.registry import systems"),
        ("simulate/brain.py", "from scanweave import cli"),
    ],
)
def test_planted_arrow_is_found(tmp_path, file, text):
    assert len(upward(_tree(tmp_path, {file: text}))) == 1


def test_downward_arrow_is_no_fault(tmp_path):
    files = {
        "engine/run.py": "import scanweave\nscanweave.__version__\nfrom scanweave.files import write_json",
        "systems/mim/system.py": "from scanweave.systems.mim.network import Mim\nfrom scanweave.engine.run import Run",
        "systems/registry.py": "from scanweave.errors import ScanweaveError",
        "cli/fit.py": "from scanweave.systems.registry import systems\nfrom scanweave import api",
    }
    assert upward(_tree(tmp_path, files)) == []


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("import torch", 1),
        ("from scanweave.studies.cohort import Cohort", 1),
        ("from scanweave.studies import cohort", 1),
        ("def run():\n    import torch", 0),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import pandas", 0),
    ],
)
def test_planted_weight_is_found(tmp_path, text, count):
    files = {"__init__.py": "", "cli/fit.py": text, "studies/__init__.py": "", "studies/cohort.py": "import pandas"}
    assert len(heavy(_tree(tmp_path, files))) == count


def circles(modules):
    """Import circles, those for type checkers counted: lists of modules that import each other by some way."""
    graph = networkx.DiGraph()
    for name, imports in modules.items():
        for one in imports:
            target = one.target if one.target in modules else one.target.rpartition(".")[0]
            # A package's own `__init__` may name what lies in it, and is loaded before it anyway.
            if target in modules and target != name and not target.startswith(f"{name}."):
                graph.add_edge(name, target)
    found = (sorted(component) for component in networkx.strongly_connected_components(graph))
    return [component for component in found if len(component) > 1]


def test_no_import_circle(modules):
    inside = {
        name: [one for one in imports if not name.startswith(f"{one.target}.")] for name, imports in modules.items()
    }
    assert circles(inside) == []


def test_planted_circle_is_found(tmp_path):
    files = {
        "systems/mim/system.py": "from scanweave.systems.mim.report import write",
        "systems/mim/report.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n"
        "    from scanweave.systems.mim.system import Mim",
    }
    assert circles(_tree(tmp_path, files)) == [["scanweave.systems.mim.report", "scanweave.systems.mim.system"]]


QUESTION_WORDS = {"How", "What", "When", "Where", "Whether", "Which", "Who", "Whose", "Why"}


def definitions(path):
    """Yield the module, classes and functions of a file, each as name, node, and whether it is public."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    yield path.name, tree, True
    yield from _inner(tree, f"{path.name}:", shown=True)


def _inner(node, above, shown):
    for child in ast.iter_child_nodes(node):
        name, is_public = above, shown
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            name = f"{above}{child.name}"
            is_public = shown and not child.name.startswith("_")
            overloads = any(ast.unparse(one).split(".")[-1] == "overload" for one in child.decorator_list)
            yield name, child, is_public and not overloads
            name, is_public = f"{name}.", is_public and isinstance(child, ast.ClassDef)
        yield from _inner(child, name, is_public)


def questions(folder):
    """List what in a folder has a docstring that begins with a question word."""
    return [
        name
        for path in sorted(folder.rglob("*.py"))
        for name, node, _ in definitions(path)
        if set(re.findall(r"\w+", ast.get_docstring(node) or "")[:1]) & QUESTION_WORDS
    ]


def undocumented(folder):
    """List the public modules, classes, methods and functions in a folder that have no docstring."""
    return [
        name
        for path in sorted(folder.rglob("*.py"))
        for name, node, is_public in definitions(path)
        if is_public and not ast.get_docstring(node)
    ]


@pytest.mark.parametrize("folder", ["src", "tools", "benchmarks", "tests"])
def test_no_docstring_begins_with_a_question_word(folder):
    assert questions(SOURCE.parents[1] / folder) == []


def test_every_public_name_has_a_docstring():
    assert undocumented(SOURCE) == []


def test_planted_docstrings_are_found(tmp_path):
    (tmp_path / "scan.py").write_text(
        '"""Scans."""\n\n'
        'class Scan:\n    """Scan of a study."""\n\n    def held(self):\n        """Whether it is held."""\n\n'
        "    def shape(self):\n        def inner(): ...\n\n    def _hidden(self): ...\n\n"
        "    @typing.overload\n    def read(self): ...\n\n"
        "if True:\n\n    def load(): ...\n\n"
        'def _why():\n    """Why, in words."""\n'
    )
    assert questions(tmp_path) == ["scan.py:Scan.held", "scan.py:_why"]
    assert undocumented(tmp_path) == ["scan.py:Scan.shape", "scan.py:load"]
