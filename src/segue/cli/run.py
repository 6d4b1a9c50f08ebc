"""`segue run`: one document, to its end."""

from __future__ import annotations

import asyncio
import signal
import sys
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import msgspec
from cyclopts import Parameter

from segue.cli.app import STDIN
from segue.cli.attending import Attendant, somebody_is_there
from segue.cli.common import AsJson
from segue.cli.inputs import read_file, read_json
from segue.cli.output import CLEAR, clean, has_colour, note, paint, print_json
from segue.cli.runs import show_ending, show_tasks
from segue.service import EXIT_CANCELLED, EXIT_OF_STATUS, RunReport, Service, load_settings, run_document


def run(
    file: Annotated[Path, Parameter(help="Workflow document; `-` is standard input.")],
    /,
    *,
    input: Annotated[str | None, Parameter(help="JSON, @FILE, or @- for standard input.")] = None,
    json: AsJson = False,
    allow_processes: Annotated[
        bool, Parameter(negative="", help="Let the document start processes (run.script, run.shell).")
    ] = False,
    function: Annotated[
        list[str] | None, Parameter(help="Python function that it calls: module:name or NAME=module:name.")
    ] = None,
    event: Annotated[
        list[str] | None, Parameter(help="CloudEvent to send once it runs: JSON or @FILE; may be repeated.")
    ] = None,
    others: Annotated[
        list[Path] | None, Parameter(name="--with", help="Document that it starts with run.workflow.")
    ] = None,
    data: Annotated[Path | None, Parameter(help="Data folder; a temporary one where it is left out.")] = None,
) -> int:
    """Run one document to its end: 0 completed, 1 faulted, 2 refused, 3 cancelled (Ctrl-C cancels)."""
    flags = {"allow_processes": allow_processes or None, "functions": function}
    # A person who runs a document at a terminal can reach this machine anyway.
    settings = load_settings(data, flags=flags, defaults={"outbound": {"allow_loopback": True}})
    attendant = Attendant(asks=not json and str(file) != STDIN and somebody_is_there(), alone=data is None)
    source: Path | bytes = read_file(file) if str(file) == STDIN else file
    if isinstance(source, Path):
        read_file(source)
    running = run_document(
        source,
        input=read_json(input, "--input"),
        settings=settings,
        events=[read_json(one, "--event") for one in event or []],
        others=[read_file(one) for one in others or []],
        data=data,
        on_started=partial(_started, attendant, shows=not json and has_colour(sys.stderr)),
        in_portions=True,
    )
    try:
        report = asyncio.run(_until_ended(running))
    except asyncio.CancelledError:
        return _cancelled_early(json)
    if json:
        print_json(report)
    else:
        _tell(report)
    return EXIT_OF_STATUS[report.status]


async def _until_ended(running: Any) -> RunReport:
    """Run it; Ctrl-C and SIGTERM cancel the run, and its report still comes."""
    task: asyncio.Task[RunReport] = asyncio.ensure_future(running)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    return await task


def _cancelled_early(json: bool) -> int:
    """The signal came before there was a run."""
    if json:
        print_json({"status": "cancelled", "output": None, "error": None, "events": [], "tasks": []})
    note("cancelled before the run began")
    return EXIT_CANCELLED


def _started(attendant: Attendant, service: Service, run_id: str, *, shows: bool) -> asyncio.Task[None]:
    if shows:
        _progress(service, run_id)
    return asyncio.get_running_loop().create_task(attendant.watch(service, run_id))


def _progress(service: Service, run_id: str) -> None:
    """Show on the terminal, on one line, which task started last."""

    async def follow() -> None:
        try:
            async for event in await service.runs.follow(run_id):
                if event["type"].endswith(".task.started.v1"):
                    _show(f"{CLEAR}{paint('running', 'blue', sys.stderr)} {clean(event['data']['task'])}")
        finally:
            _show(CLEAR)

    task = asyncio.get_running_loop().create_task(follow())
    _following.add(task)
    task.add_done_callback(_following.discard)


def _show(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()


_following: set[asyncio.Task[None]] = set()


def _tell(report: RunReport) -> None:
    show_tasks(msgspec.to_builtins(report.tasks), msgspec.to_builtins(report.skipped))
    for event in report.events:
        note(f"emitted {event['type']}")
    show_ending({"status": report.status, "output": report.output, "error": report.error})
