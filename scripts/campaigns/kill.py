"""The kill campaign: `segue serve` is killed with SIGKILL at random moments, and the practice company counts.

The renewal job runs over the practice company again and again while both fail: requests are refused, answers are lost
before and after the write, systems are slow, pressed or down, the practice company is killed now and then as well.
After each job every write at the systems is laid beside the run that made it: each action of each customer at risk
exists exactly once, no run is lost, in = scored + refused + held + faulted with a reason.

Exit code: 0 without a finding, 1 with one, 3 where fewer kills were done than asked for.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import signal
import statistics
import sys
import time
from pathlib import Path

from scripts.campaigns.judge import Judgement, judge
from scripts.campaigns.siege import QUIET_SECONDS_MAX, Record, Siege
from scripts.demo.job import ACTIONS, customers, prepare, start_job
from scripts.demo.show import heading, say, table
from scripts.demo.stage import ROOT, Practice, Server, StageError, credentials_of


def main() -> int:
    """Run the campaign and tell what came of it."""
    options = _options()
    seed = random.SystemRandom().randrange(1_000_000) if options.seed is None else options.seed
    folder: Path = options.folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    practice = Practice(folder)
    server: Server | None = None
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(130))
    heading(f"Kill campaign: {options.kills} kills, seed {seed}")
    try:
        practice.start()
        server = Server(folder, credentials_of(practice.systems), port=options.port)
        server.install_model()
        server.start()
        for line in prepare(practice, server):
            say(f"  {line}")
        return _campaign(Siege(practice, server, random.Random(seed)), options, seed)
    except StageError as error:
        say(f"[red]{error}[/red]")
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        if server is not None:
            server.program.stop()
        practice.program.stop()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make kill-campaign", description=__doc__)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--minutes", type=float, default=None, help="stop killing after so many minutes")
    parser.add_argument("--seed", type=int, default=None, help="repeats the draws; not the timing of the machine")
    parser.add_argument("--days", type=int, default=14, help="renewals within so many days, in each job")
    parser.add_argument("--folder", type=Path, default=ROOT / "var" / "kill-campaign", help="emptied first")
    parser.add_argument("--port", type=int, default=0)
    return parser.parse_args()


def _campaign(siege: Siege, options: argparse.Namespace, seed: int) -> int:
    began_s = time.monotonic()
    end_s = began_s + options.minutes * 60 if options.minutes is not None else float("inf")
    total, jobs = Judgement(), 0
    siege.try_second_server()
    siege.change_weather()
    while siege.record.kills < options.kills and time.monotonic() < end_s:
        siege.practice.reset()
        job = start_job(siege.server, options.days)
        jobs += 1
        _besiege(siege, job, options.kills, end_s)
        found = judge(siege.practice, siege.server, job)
        total.add(found)
        _tell_job(jobs, siege.record, found)
        _write_report(options.folder, siege.record, total, seed, time.monotonic() - began_s)
    seconds = time.monotonic() - began_s
    _tell(siege.record, total, seed, jobs, seconds)
    if total.findings:
        return 1
    return 0 if siege.record.kills >= options.kills else 3


def _besiege(siege: Siege, job: str, kills: int, end_s: float) -> None:
    """Kill until every run of the job has ended; without further kills when there were enough."""
    draw, quiet_since_s, last = siege.draw, time.monotonic(), -1
    wanted = None
    while True:
        wanted = customers(siege.server, job) if wanted is None else wanted
        closed = siege.closed(job)
        if wanted is not None and closed >= wanted:
            return
        if closed != last:
            quiet_since_s, last = time.monotonic(), closed
        elif time.monotonic() - quiet_since_s > QUIET_SECONDS_MAX:
            return  # what hangs is for the judge
        if siege.record.kills >= kills or time.monotonic() > end_s:
            siege.calm()
            siege.wait_for_work(job, time.monotonic() + 1)
            continue
        if draw.random() < 0.04:
            siege.kill_practice_alone()
        siege.let_work(job)
        if draw.random() < 0.01:
            siege.try_second_server()
        siege.kill()


def _tell_job(number: int, record: Record, found: Judgement) -> None:
    parts = ", ".join(f"{name} {count}" for name, count in sorted(found.outcomes.items()))
    verdict = f"[red]{len(found.findings)} findings[/red]" if found.findings else "[green]adds up[/green]"
    say(f"  job {number}: {record.kills} kills so far; {found.total} customers: {parts}; {verdict}")


def _tell(record: Record, total: Judgement, seed: int, jobs: int, seconds: float) -> None:
    rows: list[tuple[str, object]] = [
        ("kills of segue serve", record.kills),
        ("  before it was ready", record.early),
        ("kills of the practice company", record.practice_kills),
        ("second servers refused", record.refused),
        ("kills per minute", round(record.kills / seconds * 60, 1)),
        ("jobs", jobs),
        ("customers in", total.total),
    ]
    rows += [(f"  {name}", total.outcomes[name]) for name in ("scored", "refused", "held", "faulted")]
    rows += [("of those scored, at risk", total.outcomes["at risk"])]
    rows += [(f"{kind} in {name}, by its own count", total.actions[kind]) for name, kind in ACTIONS.items()]
    for title, times in (("ready again", record.ready_s), ("next run ended", record.working_s)):
        rows += [(f"{title} after s, p50 / p95 / max", _percentiles(times))]
    rows += [("findings", len(total.findings)), ("seed", seed)]
    table(f"What came of it, after {seconds / 60:.1f} minutes", ("", "number"), rows)
    for reason, count in total.reasons.most_common(10):
        say(f"  faulted {count}: {reason}")
    for finding in total.findings:
        say(f"  [red]finding[/red] {finding}")


def _percentiles(times: list[float]) -> str:
    if len(times) < 2:
        return "-"
    cuts = statistics.quantiles(times, n=20, method="inclusive")
    return f"{cuts[9]:.1f} / {cuts[18]:.1f} / {max(times):.1f}"


def _write_report(folder: Path, record: Record, total: Judgement, seed: int, seconds: float) -> None:
    """The state so far, for whoever stops the campaign in the middle."""
    report = {
        "seed": seed,
        "seconds": round(seconds),
        "kills": record.kills,
        "early": record.early,
        "practiceKills": record.practice_kills,
        "secondServersRefused": record.refused,
        "customers": total.total,
        "outcomes": total.outcomes,
        "actions": total.actions,
        "reasons": total.reasons,
        "findings": total.findings,
        "readySeconds": _percentiles(record.ready_s),
        "workingSeconds": _percentiles(record.working_s),
    }
    (folder / "report.json").write_text(json.dumps(report, indent=2))


if __name__ == "__main__":
    sys.exit(main())
