"""`run`: scripts, commands, containers and other workflows.

Source: Open Workflow DSL 1.0.x, "Run"; rulings R3 and R20.
"""

from __future__ import annotations

import re
from typing import Any, Final

from segue.core.plan import ActNode, Node, SetNode
from segue.dsl.compiler.authentication import warn_inline_secret
from segue.dsl.compiler.build import DEFINITION, Build, CompileKind, Scope, as_object, below
from segue.dsl.compiler.common import resource
from segue.dsl.compiler.programs import NOTHING, combine, constant_value, template
from segue.dsl.expressions import is_wrapped

_WITH_SECRETS: Final = DEFINITION.with_secrets()
_LANGUAGES: Final = {"python": "python", "js": "js", "javascript": "js"}
_SECRET_NAME: Final = re.compile(r"TOKEN|SECRET|PASSWORD|PASSWD|API_?KEY|PRIVATE_?KEY", re.IGNORECASE)


def _run(build: Build, task: dict[str, Any], pointer: str, scope: Scope, common: dict[str, Any]) -> Node:
    run, at = as_object(task["run"]), below(pointer, "run")
    kind = next((kind for kind in _KINDS if kind in run), None)
    common = {**common, "wait": run.get("await", True) is not False}
    if kind is None:
        common.pop("wait")
        if "container" in run:
            _lint_lifetime(build, as_object(run["container"]), below(at, "container"))
            message = "`run.container` is not supported yet"
            build.error(
                "not-yet-supported", below(at, "container"), message, "use `script`, `shell` or a call", key=True
            )
        return SetNode(value=NOTHING, **common)
    build.tally.requires.add(kind)
    return _KINDS[kind](build, run, at, scope, common)


def _lint_lifetime(build: Build, container: dict[str, Any], pointer: str) -> None:
    lifetime, at = as_object(container.get("lifetime")), below(pointer, "lifetime")
    if (lifetime.get("cleanup") == "eventually") != ("after" in lifetime) and build.is_sound(at) and lifetime:
        message = "`after` goes with `cleanup: eventually`, and only with it"
        build.error("container-lifetime", at, message, "give both or neither")


def _process_parts(
    build: Build, written: dict[str, Any], run: dict[str, Any], at: str, scope: Scope
) -> dict[str, Any]:
    if not build.environment.allow_processes:
        message = "tasks may not start processes here: the administrator has not allowed it"
        build.error("processes-not-allowed", at, message, "ask an administrator to allow it", key=True)
    for name, value in as_object(written.get("environment")).items():
        if isinstance(value, str) and value and not is_wrapped(value) and _SECRET_NAME.search(name):
            warn_inline_secret(build, below(at, "environment", name), f"environment variable {name!r}")
    return {
        "stdin": template(build, written.get("stdin"), below(at, "stdin"), scope, DEFINITION),
        "arguments": template(build, written.get("arguments", []), below(at, "arguments"), scope, DEFINITION),
        "environment": template(
            build, written.get("environment", {}), below(at, "environment"), scope, _WITH_SECRETS
        ),
        "return": run.get("return", "stdout"),
    }


def _script(build: Build, run: dict[str, Any], pointer: str, scope: Scope, common: dict[str, Any]) -> Node:
    written, at = as_object(run["script"]), below(pointer, "script")
    language = _LANGUAGES.get(str(written.get("language")).lower())
    if language is None and build.is_sound(below(at, "language")) and "language" in written:
        message = f"scripts in {written['language']!r} cannot be run"
        build.error("unknown-script-language", below(at, "language"), message, "use python or js")
    parts = {"language": language, **_process_parts(build, written, run, at, scope)}
    if "source" in written:
        parts["source"] = resource(build, written["source"], below(at, "source"), scope)
    else:
        parts["code"] = written.get("code")
        if isinstance(written.get("code"), str) and is_wrapped(written["code"]):
            message = "a script's code is taken as it stands; data never becomes code"
            build.error(
                "code-from-data", below(at, "code"), message, "write the code here, and pass data in `arguments`"
            )
    return ActNode(handler="script", arguments=combine(parts), **common)


def _shell(build: Build, run: dict[str, Any], pointer: str, scope: Scope, common: dict[str, Any]) -> Node:
    written, at = as_object(run["shell"]), below(pointer, "shell")
    if isinstance(written.get("arguments"), dict):
        message = "a command takes a list of arguments; how an object would become options is not defined"
        build.error("arguments-not-a-list", below(at, "arguments"), message, "write ['--key', 'value']")
    command = template(build, written.get("command"), below(at, "command"), scope, DEFINITION)
    parts = {"command": command, **_process_parts(build, written, run, at, scope)}
    return ActNode(handler="shell", arguments=combine(parts), **common)


def _workflow(build: Build, run: dict[str, Any], pointer: str, scope: Scope, common: dict[str, Any]) -> Node:
    written, at = as_object(run["workflow"]), below(pointer, "workflow")
    parts = {
        key: template(build, written.get(key), below(at, key), scope, DEFINITION)
        for key in ("namespace", "name", "version")
    }
    named = (constant_value(parts["namespace"]), constant_value(parts["name"]))
    known = build.environment.workflows
    if known is not None and None not in named and named not in known:
        message = f"the workflow {named[0]}/{named[1]} is not published here"
        build.warn("unknown-workflow", at, message, "publish it before this one runs")
    given = template(build, written.get("input", {}), below(at, "input"), scope, DEFINITION)
    return ActNode(handler="workflow", arguments=combine({**parts, "input": given}), **common)


_KINDS: Final[dict[str, CompileKind]] = {"script": _script, "shell": _shell, "workflow": _workflow}

KINDS: dict[str, CompileKind] = {"run": _run}
