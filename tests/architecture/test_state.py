"""What lives as long as the process is seen by every workspace in it: each such thing is here, with why it may be."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

SOURCE = Path(__file__).parents[2] / "src" / "segue"
CACHES: Final = frozenset({"cache", "lru_cache"})
CONTAINERS: Final = frozenset(
    {
        *("dict", "list", "set", "bytearray", "OrderedDict", "defaultdict", "deque", "Counter", "count"),
        *("WeakKeyDictionary", "WeakValueDictionary", "WeakSet", "ContextVar", "local", "Lock", "Event", "Semaphore"),
        *("Collector", "Queue", "ThreadPoolExecutor"),
    }
)
# Rooms that no server of several workspaces runs.
ELSEWHERE: Final = ("sandbox", "hosts.simulated", "cli")
CONTENT: Final = "a function of its arguments, which are content; what it returns is not changed"
SHIPPED: Final = "what ships with the package"
KNOWN: Final = {
    "dsl.expressions.expression._compile": CONTENT,
    "dsl.expressions.regexes._prepare": CONTENT,
    "dsl.expressions.regex_syntax.property_ranges": CONTENT,
    "dsl.structure._regex": CONTENT,
    "dsl.compiler.checks._check_of": CONTENT,
    "connectors.policy._refuse_address": CONTENT,
    "connectors.policy._network": CONTENT,
    "core.bounds.value_bytes_max_of": CONTENT,
    "core.bounds.hold_for_all_values": CONTENT,
    "service.observe.iso": CONTENT,
    "dsl.functions._read_folder": SHIPPED,
    "governance.policy.shipped": SHIPPED,
    "governance.policy.shipped_policies": SHIPPED,
    "governance.policy._actions": SHIPPED,
    "governance.policy._no_attributes": SHIPPED,
    "governance.policy._no_context": SHIPPED,
    "governance.detection.finding._detectors": SHIPPED,
    "service.control_catalog.shipped_catalogue": SHIPPED,
    "store.folder._empty_file": SHIPPED,
    "dsl.expressions.functions.registry._plain": "filled when it is imported",
    "dsl.expressions.functions.registry._special": "filled when it is imported",
    "dsl.expressions.compiler._values": "filled when it is imported",
    "dsl.expressions.compiler._paths": "filled when it is imported",
    "api.describe._shapes": "shapes of the routes, filled when they are imported",
    "__init__._recorded": "decorated functions; of several workspaces each has those that its settings name",
    "types.identities._acting": "of the context: a request's, and the host's own work has an empty one",
    "types.identities._leave": "of the context",
    "service.access._inside": "of the context, and of the folder whose guard it names",
    "governance.credentials._turns": "how many passwords are hashed at once, and nothing of them",
    "hosts.embedded.collector.COLLECTOR": "counts hosts",
    "hosts.embedded.postman._NO_WAITS": "empty, and only read",
}


def found() -> Iterator[str]:
    for path in sorted(SOURCE.rglob("*.py")):
        module = ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")
        if module.startswith(ELSEWHERE):
            continue
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef) and any(_name(one) in CACHES for one in node.decorator_list):
                yield f"{module}.{node.name}"
            if isinstance(node, ast.Global):
                yield from (f"{module}.{name}" for name in node.names)
        for node in tree.body:
            if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None and _is_kept(node.value):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                yield from (f"{module}.{one.id}" for one in targets if isinstance(one, ast.Name))


def _is_kept(value: ast.expr) -> bool:
    """A container that begins empty is there to be filled; others of constants are tables."""
    if isinstance(value, ast.Dict):
        return not value.keys
    if isinstance(value, ast.List | ast.Set):
        return not value.elts
    return isinstance(value, ast.Call) and _name(value) in CONTAINERS and not _is_table(value)


def _is_table(value: ast.Call) -> bool:
    return _name(value) in ("dict", "list", "set") and bool(value.args or value.keywords)


def _name(node: ast.expr) -> str:
    if isinstance(node, ast.Call):
        node = node.func
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def test_nothing_lives_as_long_as_the_process_but_what_no_workspace_owns() -> None:
    """Whatever is kept by a module is kept for all; state of one data folder stands in an object that it owns."""
    names = {name for name in found() if not name.endswith("__all__")}

    assert names - KNOWN.keys() == set(), "give it to an object of the folder, or say here why all may see it"
    assert KNOWN.keys() - names == set(), "it is gone: take it off the list"
