"""`segue validate`, `test`, `schema`, `publish` and `version`."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import Parameter

import segue
from segue.cli.ask import Request, ask
from segue.cli.common import AsJson, Data
from segue.cli.inputs import read_file
from segue.cli.output import finding_line, note, paint, print_json, say
from segue.service import (
    EXIT_COMPLETED,
    EXIT_REFUSED,
    Finding,
    Service,
    ServiceError,
    Settings,
    Tested,
    Validation,
    document_schema,
    load_settings,
    open_checker,
    open_tester,
)

Files = Annotated[list[Path], Parameter(help="Workflow documents; `-` is standard input.")]


Processes = Annotated[bool, Parameter(negative="", help="Let documents start processes.")]
Functions = Annotated[
    list[str] | None, Parameter(help="Python function that documents call: module:name or NAME=module:name.")
]
Beside = Annotated[
    Path | None,
    Parameter(name="--data", help="Check calls against the connections of this data folder, or of its server."),
]


def validate(
    files: Files,
    /,
    *,
    json: AsJson = False,
    allow_processes: Processes = False,
    function: Functions = None,
    data: Beside = None,
) -> int:
    """Say everything that is wrong with documents: place, rule and remedy. Ends with 2 where one is refused."""
    settings = _settings(data, allow_processes, function)
    if data is not None:
        found = [_validate_beside(path, data) for path in files]
    else:
        found = asyncio.run(_validate(files, settings))
    if json:
        print_json({"valid": all(v.valid for v in found), "documents": found})
    else:
        for validation in found:
            _tell(validation)
    return EXIT_COMPLETED if all(v.valid for v in found) else EXIT_REFUSED


def _settings(data: Path | None, allow_processes: bool, functions: list[str] | None) -> Settings:
    if data is not None and (allow_processes or functions):
        raise ServiceError("command-refused", "With --data, the settings of the folder say what documents may do.")
    return load_settings(None, flags={"allow_processes": allow_processes or None, "functions": functions or None})


async def _validate(files: list[Path], settings: Settings) -> list[Validation]:
    found = []
    async with open_checker(settings) as check:
        for path in files:
            try:
                content = read_file(path)
            except ServiceError as error:
                found.append(_unreadable(path, error))
                continue
            found.append(await check(content, path))
    return found


def _validate_beside(path: Path, data: Path) -> Validation:
    try:
        content = read_file(path)
    except ServiceError as error:
        return _unreadable(path, error)

    async def local(service: Service) -> object:
        return await service.workflows.validate(content, file=str(path))

    answer = ask(data, Request("POST", "/validate", body=content, media="application/yaml"), local)
    told = msgspec.convert(answer, Validation)
    # A server does not know what the file is called here.
    findings = [msgspec.structs.replace(finding, file=str(path)) for finding in told.findings]
    return Validation(file=str(path), valid=told.valid, findings=findings)


def _unreadable(path: Path, error: ServiceError) -> Validation:
    """One file that is missing must not hide what is wrong with the others."""
    finding = Finding("file-unreadable", "error", error.detail, error.remedy, str(path))
    return Validation(file=str(path), valid=False, findings=[finding])


def _tell(validation: Validation) -> None:
    for finding in validation.findings:
        say(finding_line(finding, sys.stdout))
    errors = sum(f.severity == "error" for f in validation.findings)
    warnings = len(validation.findings) - errors
    verdict = paint("valid", "green") if validation.valid else paint("refused", "red")
    counts = [f"{n} {word}{'' if n == 1 else 's'}" for n, word in ((errors, "error"), (warnings, "warning")) if n]
    say(f"{validation.file}: {verdict}" + (f" ({', '.join(counts)})" if counts else ""))


def play(
    files: Files,
    /,
    *,
    json: AsJson = False,
    allow_processes: Processes = False,
    function: Functions = None,
    data: Beside = None,
) -> int:
    """Play the tests that documents declare; nothing acts or is kept. Ends with 2 where one does not pass."""
    settings = _settings(data, allow_processes, function)
    beside = None if data is None else [_test_beside(path, data) for path in files]
    found = asyncio.run(_test(files, settings)) if beside is None else beside
    if json:
        print_json({"passed": all(t.passed for t in found), "documents": found})
    else:
        for tested in found:
            _tell_tested(tested)
    return EXIT_COMPLETED if all(t.passed for t in found) else EXIT_REFUSED


async def _test(files: list[Path], settings: Settings) -> list[Tested]:
    async with open_tester(settings) as test:
        return [await test(read_file(path), path) for path in files]


def _test_beside(path: Path, data: Path) -> Tested:
    content = read_file(path)

    async def local(service: Service) -> object:
        return await service.workflows.test(content, file=str(path))

    told = msgspec.convert(ask(data, Request("POST", "/test", body=content, media="application/yaml"), local), Tested)
    findings = [msgspec.structs.replace(finding, file=str(path)) for finding in told.findings]
    return msgspec.structs.replace(told, file=str(path), findings=findings)


def _tell_tested(tested: Tested) -> None:
    for finding in tested.findings:
        say(finding_line(finding, sys.stdout))
    for case in tested.cases:
        word = paint("passed", "green") if case.passed else paint("failed", "red")
        say(f"{word}  {case.name}" + ("" if case.why is None else f": {case.why}"))
    passed = sum(case.passed for case in tested.cases)
    version = f" ({tested.digest[:12]})" if tested.digest else ""
    say(f"{tested.file}: {passed} of {len(tested.cases)} passed{version}")


def schema() -> None:
    """Print the JSON Schema of workflow documents, for the completion of editors."""
    print_json(document_schema())


def publish(files: Files, /, *, data: Data = None, json: AsJson = False) -> None:
    """Publish documents. The same version with other content is refused; the same content again is no error."""
    for path in files:
        content = read_file(path)
        request = Request("POST", "/workflows", body=content, media="application/yaml")

        async def local(service: Service, content: bytes = content, path: Path = path) -> object:
            return await service.workflows.publish(content, file=str(path))

        answer = ask(data, request, local)
        if json:
            print_json(answer)
            continue
        for warning in answer["warnings"]:
            note(finding_line(msgspec.convert({**warning, "file": str(path)}, Finding)))
        workflow = answer["workflow"]
        word = "published" if answer["created"] else "already published"
        say(f"{word} {workflow['namespace']}/{workflow['name']}:{workflow['version']} {workflow['digest'][:12]}")


def version(*, json: AsJson = False) -> None:
    """Print the version."""
    if json:
        print_json({"version": segue.__version__})
    else:
        say(f"segue {segue.__version__}")
