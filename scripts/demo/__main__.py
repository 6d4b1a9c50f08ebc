"""The story of `make run`.

Part one runs the renewal job over every customer whose renewal nears and counts, at the systems themselves, what
came of it. Then a small job meets stale data, and refuses to score. Part two runs the whole job again with systems
that fail and lose answers, kills Segue with SIGKILL in the middle, starts it again, and counts again: every action
exists exactly once.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from pathlib import Path

from scripts.demo.job import ACTIONS, customers, prepare, runs, start_job
from scripts.demo.show import heading, progress, save_picture, say, table
from scripts.demo.stage import ROOT, Practice, Server, play


def main() -> int:
    """Tell the story; 0 when every count adds up."""
    options = _options()
    heading("The practice company opens: CRM, billing, product usage, support")
    return play(options.folder, options.port, lambda practice, server: _story(practice, server, options))


def _story(practice: Practice, server: Server, options: argparse.Namespace) -> int:
    for name, system in practice.systems.items():
        say(f"  {name:8} {system['url']:38} {system['credentials']['kind']}")
    _prepare(practice, server)
    good = _first_job(practice, server, options.days)
    good &= _stale_job(practice, server)
    good &= _second_job(practice, server, options.days)
    _closing(server, good)
    if options.picture is not None:
        save_picture(options.picture)
    if good and not options.no_wait:
        _wait(server, practice)
    return 0 if good else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make run", description=__doc__)
    parser.add_argument("--folder", type=Path, default=ROOT / "var" / "demo", help="emptied first")
    parser.add_argument("--port", type=int, default=8420)
    parser.add_argument("--days", type=int, default=31, help="renewals within so many days")
    parser.add_argument("--picture", type=Path, help="save what was told as an SVG")
    parser.add_argument("--no-wait", action="store_true", help="stop everything at the end")
    return parser.parse_args()


def _prepare(practice: Practice, server: Server) -> None:
    heading("Segue starts: one process, one SQLite file")
    server.install_model()
    server.start()
    say(f"  {server.url}, data in {_short(server.folder)}")
    for line in prepare(practice, server):
        say(f"  {line}")


def _first_job(practice: Practice, server: Server, days: int) -> bool:
    heading(f"The renewal job: every customer whose contract renews within {days} days")
    started = time.monotonic()
    job = start_job(server, days)
    _follow(server, job)
    seconds = time.monotonic() - started
    outcomes = _outcomes(server, job)
    return _account(practice, outcomes, customers(server, job), seconds, "What came of it")


def _stale_job(practice: Practice, server: Server) -> bool:
    heading("A small job while the usage system shows an old state")
    practice.reset()
    practice.turn("usage", stale_as_of="2026-01-31T00:00:00Z")
    started = time.monotonic()
    job = start_job(server, 2)
    _follow(server, job)
    practice.turn("usage", stale_as_of=None)
    seconds = time.monotonic() - started
    return _account(practice, _outcomes(server, job), customers(server, job), seconds, "What came of it")


def _second_job(practice: Practice, server: Server, days: int) -> bool:
    heading("The same job on a bad day: failures, lost answers, and a kill -9 in the middle")
    practice.reset()
    for name in ACTIONS:
        practice.turn(name, fail_rate=0.02, drop_after_write=0.02)
    say("  2 % of requests fail; 2 % of writes are done, and then the connection is cut before the answer")
    started = time.monotonic()
    job = start_job(server, days)
    _follow(server, job, kill_at=0.5)
    for name in ACTIONS:
        practice.turn(name, fail_rate=0.0, drop_after_write=0.0)
    seconds = time.monotonic() - started
    outcomes = _outcomes(server, job)
    return _account(practice, outcomes, customers(server, job), seconds, "What came of it, with the kill")


def _follow(server: Server, job: str, kill_at: float | None = None) -> None:
    """Watch until every run of the job is closed; kill the server once at this share of them."""
    with progress() as bar:
        task = bar.add_task("runs", total=None)
        while True:
            server.program.check()
            total = customers(server, job)
            counts = server.get("/runs/counts", parent=job)
            closed = sum(counts.get(status, 0) for status in ("completed", "faulted", "cancelled"))
            bar.update(task, total=total, completed=closed)
            if total is not None and closed >= total:
                return
            if kill_at is not None and total is not None and closed >= total * kill_at:
                kill_at = None
                server.program.kill()
                bar.console.print(f"  [red]kill -9[/red] after {closed} of {total} runs; starting again")
                began = time.monotonic()
                server.start()
                bar.console.print(f"  ready again after {time.monotonic() - began:.1f} s; the job goes on")
            time.sleep(0.25)


def _outcomes(server: Server, job: str) -> Counter[str]:
    """What the runs of a job say of themselves."""
    found: Counter[str] = Counter()
    for run in runs(server, job):
        output = run.get("output") or {}
        if run["status"] != "completed":
            found[run["status"]] += 1
            continue
        found[output["outcome"]] += 1
        found["at risk"] += output.get("actions", 0) > 0
    return found


def _account(practice: Practice, outcomes: Counter[str], total: int | None, seconds: float, title: str) -> bool:
    """The closing table. Actions are counted at the systems, not by us."""
    assert total is not None
    parts = ("scored", "refused", "held", "faulted", "cancelled")
    rows = [("customers in", total)]
    rows += [(f"  {part}", outcomes[part]) for part in parts if outcomes[part] or part in parts[:3]]
    rows += [("of those scored, at risk", outcomes["at risk"])]
    table(title, ("", "customers"), rows)
    stats = practice.stats()
    counted = []
    good = total == sum(outcomes[part] for part in ("scored", "refused", "held"))
    for name, kind in ACTIONS.items():
        kept = stats[name]["writes"][kind]
        done, doubled = kept["created"], kept["duplicates"]
        good &= done == outcomes["at risk"] and doubled == 0
        counted.append((f"{kind} in {name}", outcomes["at risk"], done, doubled, stats[name]["requests"]))
    table("Counted at the systems themselves", ("action", "expected", "found", "doubled", "requests"), counted)
    verdict = "[green]adds up[/green]" if good else "[red]does not add up[/red]"
    say(f"\n  in = scored + refused + held, and every action once: {verdict} ({total / seconds:.0f} customers/s)")
    return good


def _closing(server: Server, good: bool) -> None:
    heading("Look at any run" if good else "Something does not add up; the data is kept")
    sample = server.get("/runs", workflow="sales/renewal-risk", limit=1)["items"][0]["id"]
    data = _short(server.folder)
    for words in ("runs list", f"runs show {sample}", f"runs history {sample}", "connections list"):
        say(f"  .venv/bin/segue {words} --data {data}")


def _short(folder: Path) -> Path:
    return folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder


def _wait(server: Server, practice: Practice) -> None:
    say(f"\n  {server.url} stays up; Ctrl-C stops it and the practice company.")
    while True:
        server.program.check()
        practice.program.check()
        time.sleep(0.5)


if __name__ == "__main__":
    sys.exit(main())
