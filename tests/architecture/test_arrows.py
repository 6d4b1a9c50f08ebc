"""The arrows between the rooms, drawn from the real imports (docs/architecture.md has the picture)."""

from __future__ import annotations

import ast
from collections import defaultdict
from functools import cache
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "segue"

# What each room may import, as the architecture page says. Everything may import `types`.
ALLOWED: dict[str, set[str]] = {
    "types": set(),
    "dsl": {"core.plan", "catalog"},
    "core": set(),
    "hosts": {"core", "store"},
    "store": set(),
    "handlers": {"connectors", "data", "ai", "people", "governance"},
    "connectors": {"governance"},
    "data": {"connectors"},
    "ai": set(),
    "people": set(),
    "governance": set(),
    "insight": {"store"},
    "service": {
        "dsl", "core", "hosts", "store", "handlers", "connectors", "data", "ai", "people", "governance", "insight",
        "catalog",
    },
    "api": {"service"},
    "cli": {"service"},
    "mcp": {"service"},
    "catalog": set(),
    "sandbox": set(),
}  # fmt: skip
# `bootstrap.py` wires everything; the package's own `__init__` is the embedding API.
EVERYWHERE = {"bootstrap", "__init__", "__main__"}
VENDOR_EXTRAS = {"onnxruntime", "sklearn", "joblib", "skl2onnx", "numpy"}


def modules() -> list[tuple[str, Path]]:
    return [(".".join(p.relative_to(SOURCE).with_suffix("").parts), p) for p in sorted(SOURCE.rglob("*.py"))]


@cache
def imports_of(path: Path) -> list[str]:
    """Absolute names of what a module imports, also inside functions and under TYPE_CHECKING."""
    found: list[str] = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide the arrows"
            found += [f"{node.module}.{alias.name}" for alias in node.names]
    return found


def room_of(name: str) -> str:
    return name.split(".")[0]


@pytest.mark.parametrize(("name", "path"), modules(), ids=[name for name, _ in modules()])
def test_a_room_imports_only_what_the_house_plan_allows(name: str, path: Path) -> None:
    """An arrow that is not on the plan is how a house becomes one room."""
    room = room_of(name)
    if room in EVERYWHERE:
        return
    for imported in imports_of(path):
        if not imported.startswith("segue."):
            continue
        target = imported.removeprefix("segue.")
        if room_of(target) in (room, "types", "__version__"):
            continue
        if room in ("api", "cli") and room_of(target) == "bootstrap":
            continue  # the two entrances ask for a wired house
        allowed = any(target == a or target.startswith(a + ".") for a in ALLOWED[room])
        assert allowed, f"{name} imports {imported}, but {room} may import only {sorted(ALLOWED[room]) or 'types'}"


@pytest.mark.parametrize(("name", "path"), modules(), ids=[name for name, _ in modules()])
def test_what_is_private_to_a_room_stays_there(name: str, path: Path) -> None:
    """A leading underscore means: this room only."""
    for imported in imports_of(path):
        if imported.startswith("segue.") and room_of(imported.removeprefix("segue.")) != room_of(name):
            private = [part for part in imported.split(".")[1:] if part.startswith("_") and not part.endswith("__")]
            assert not private, f"{name} imports {imported}, which is private to its room"


def test_rooms_do_not_import_each_other_in_a_circle() -> None:
    graph: dict[str, set[str]] = defaultdict(set)
    for name, path in modules():
        for imported in imports_of(path):
            target = room_of(imported.removeprefix("segue.")) if imported.startswith("segue.") else ""
            if target and target != room_of(name) and room_of(name) not in EVERYWHERE and target not in EVERYWHERE:
                graph[room_of(name)].add(target)
    done: set[str] = set()

    def walk(room: str, path: tuple[str, ...]) -> None:
        assert room not in path, " -> ".join((*path, room))
        if room not in done:
            for target in graph[room]:
                walk(target, (*path, room))
            done.add(room)

    # dsl needs the shape of a plan from core, and core nothing from dsl: allowed above, so no circle here either.
    for room in list(graph):
        walk(room, ())


@pytest.mark.parametrize("extra", sorted(VENDOR_EXTRAS))
def test_an_optional_package_is_imported_in_one_module_of_a_room(extra: str) -> None:
    """A plain install must start without it, and one place must know how to do without it."""
    users: dict[str, list[str]] = defaultdict(list)
    for name, path in modules():
        if any(room_of(imported) == extra for imported in imports_of(path)):
            users[room_of(name)].append(name)
    for room, names in users.items():
        assert len(names) <= 1 or extra == "numpy", f"{extra} is imported in {names} of {room}; keep it in one"


def test_the_core_reads_no_clock_and_does_no_io() -> None:
    """The core is a pure function; what it cannot import it cannot use."""
    forbidden = {
        "time",
        "random",
        "os",
        "io",
        "socket",
        "asyncio",
        "threading",
        "sqlite3",
        "secrets",
        "uuid",
        "pathlib",
    }
    for name, path in modules():
        if room_of(name) in ("core", "types"):
            used = {room_of(imported) for imported in imports_of(path)} & forbidden
            assert not used, f"{name} imports {sorted(used)}"


@pytest.mark.parametrize("room", sorted(ALLOWED))
def test_a_room_introduces_itself(room: str) -> None:
    """Five lines at the door: what lives here, what may not, what to open first."""
    door = SOURCE / room / "__init__.py"
    if not door.parent.exists() or not any(door.parent.rglob("*.py")):
        pytest.skip(f"{room} is not built yet")
    docstring = ast.get_docstring(ast.parse(door.read_text())) or ""
    assert 3 <= len([line for line in docstring.splitlines() if line.strip()]) <= 12, f"{room}: {docstring!r}"
