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
import sys
import time
from pathlib import Path

from scripts.campaigns.judge import Judgement, judge
from scripts.campaigns.siege import Record, Siege, campaign_options, percentiles
from scripts.demo.job import ACTIONS, prepare, start_job
from scripts.demo.show import heading, say, table
from scripts.demo.stage import Practice, Server, play


def main() -> int:
    """Run the campaign and tell what came of it."""
    options = _options()
    seed = random.SystemRandom().randrange(1_000_000) if options.seed is None else options.seed
    heading(f"Kill campaign: {options.kills} kills, seed {seed}")

    def story(practice: Practice, server: Server) -> int:
        server.install_model()
        server.start()
        for line in prepare(practice, server):
            say(f"  {line}")
        return _campaign(Siege(practice, server, random.Random(seed)), options, seed)

    return play(options.folder, options.port, story)


def _options() -> argparse.Namespace:
    parser = campaign_options("make kill-campaign", __doc__, "kill-campaign", kills=1000)
    parser.add_argument("--days", type=int, default=14, help="renewals within so many days, in each job")
    return parser.parse_args()


def _campaign(siege: Siege, options: argparse.Namespace, seed: int) -> int:
    began_s = time.monotonic()
    total, jobs = Judgement(), 0
    for job in siege.campaign(options.kills, options.minutes, lambda: start_job(siege.server, options.days)):
        jobs += 1
        found = judge(siege.practice, siege.server, job)
        total.add(found)
        _tell_job(jobs, siege.record, found)
        _write_report(options.folder, siege.record, total, seed, time.monotonic() - began_s)
    seconds = time.monotonic() - began_s
    _tell(siege.record, total, seed, jobs, seconds)
    if total.findings:
        return 1
    return 0 if siege.record.kills >= options.kills else 3


def _tell_job(number: int, record: Record, found: Judgement) -> None:
    parts = ", ".join(f"{name} {count}" for name, count in sorted(found.outcomes.items()))
    verdict = f"[red]{len(found.findings)} findings[/red]" if found.findings else "[green]adds up[/green]"
    say(f"  job {number}: {record.kills} kills so far; {found.total} customers: {parts}; {verdict}")


def _tell(record: Record, total: Judgement, seed: int, jobs: int, seconds: float) -> None:
    rows = [*record.rows(seconds), ("jobs", jobs), ("customers in", total.total)]
    rows += [(f"  {name}", total.outcomes[name]) for name in ("scored", "refused", "held", "faulted")]
    rows += [("of those scored, at risk", total.outcomes["at risk"])]
    rows += [(f"{kind} in {name}, by its own count", total.actions[kind]) for name, kind in ACTIONS.items()]
    rows += [("findings", len(total.findings)), ("seed", seed)]
    table(f"What came of it, after {seconds / 60:.1f} minutes", ("", "number"), rows)
    for reason, count in total.reasons.most_common(10):
        say(f"  faulted {count}: {reason}")
    for finding in total.findings:
        say(f"  [red]finding[/red] {finding}")


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
        "readySeconds": percentiles(record.ready_s),
        "workingSeconds": percentiles(record.working_s),
    }
    (folder / "report.json").write_text(json.dumps(report, indent=2))


if __name__ == "__main__":
    sys.exit(main())
