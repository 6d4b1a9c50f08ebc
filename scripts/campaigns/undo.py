"""The undo campaign: `segue serve` is killed with SIGKILL while it takes back what runs did.

Each run acts five times at three systems, each act with an `undo`; then a `try` catches its failure, or it faults, or
somebody cancels it, at any moment. Systems fail and lose answers as in the kill campaign, so undos fail too, stand in
the exception inbox, and are started again there while the server lives. After each job the journals say whether each
act was taken back exactly once, after all acts and in their reverse order, or stands in the inbox.

Exit code: 0 without a finding, 1 with one, 3 where fewer kills were done than asked for.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from pathlib import Path

import httpx

from scripts.campaigns.siege import Record, Siege, campaign_options
from scripts.campaigns.taken_back import Judgement, is_undo, journal, judge
from scripts.demo.job import prepare, runs, start_run
from scripts.demo.show import heading, say, table
from scripts.demo.stage import Practice, Server, play

DOCUMENTS = Path(__file__).parent / "documents"
_CANCELLED_AT_ONCE = 2
_STARTED_AGAIN_AT_ONCE = 20


def main() -> int:
    """Run the campaign and tell what came of it."""
    parser = campaign_options("make undo-campaign", __doc__, "undo-campaign", kills=200)
    parser.add_argument("--customers", type=int, default=45, help="runs in each job")
    options = parser.parse_args()
    seed = random.SystemRandom().randrange(1_000_000) if options.seed is None else options.seed
    heading(f"Undo campaign: {options.kills} kills, seed {seed}")

    def story(practice: Practice, server: Server) -> int:
        server.start()
        for line in prepare(practice, server, [DOCUMENTS / "taken-back.yaml", DOCUMENTS / "take-back-each.yaml"]):
            say(f"  {line}")
        return Campaign(practice, server, options, seed).run()

    return play(options.folder, options.port, story)


class Campaign:
    """One campaign: its siege, the people who act meanwhile, and the counts."""

    def __init__(self, practice: Practice, server: Server, options: argparse.Namespace, seed: int) -> None:
        self._practice, self._server, self._options, self._seed = practice, server, options, seed
        self._draw = random.Random(seed + 1)
        self._siege = Siege(
            practice, server, random.Random(seed), after_kill=self._look_after_kill, meanwhile=self._act_as_people
        )
        self._job = ""
        self._inside = self._again = 0
        self._refused: dict[str, str] = {}
        self._total = Judgement()

    def run(self) -> int:
        """Returns the exit code."""
        began_s, options, record = time.monotonic(), self._options, self._siege.record
        siege = self._siege.campaign(options.kills, options.minutes, self._start)
        for number, job in enumerate(siege, start=1):
            found = judge(self._practice, self._server, job)
            self._total.add(found)
            verdict = f"[red]{len(found.findings)} findings[/red]" if found.findings else "[green]adds up[/green]"
            counts = ", ".join(f"{name} {count}" for name, count in sorted(found.outcomes.items()))
            say(f"  job {number}: {record.kills} kills so far; {counts}; {verdict}")
            self._write_report(record)
        self._tell(record, time.monotonic() - began_s)
        if self._total.findings:
            return 1
        return 0 if record.kills >= options.kills else 3

    def _start(self) -> str:
        self._job = start_run(self._server, "campaign/take-back-each", {"customers": self._options.customers})
        return self._job

    def _look_after_kill(self) -> None:
        """Count the kill if some run had taken a part of what it did back, and not all of it."""
        halves = 0
        for writes in journal(self._practice).values():
            undone = sum(write.undo for write in writes)
            halves += 0 < undone < len(writes) - undone
        self._inside += halves > 0

    def _act_as_people(self) -> None:
        """Cancel a few runs, wherever they are, and start undos again that failed."""
        live = [run["id"] for run in runs(self._server, self._job) if run["status"] not in _CLOSED]
        for run in self._draw.sample(live, min(len(live), self._draw.randint(0, _CANCELLED_AT_ONCE))):
            self._do(f"/runs/{run}/cancel", "the campaign cancels")
        inbox = self._server.get("/exceptions", state="open", kind="held", limit=_STARTED_AGAIN_AT_ONCE)
        for failed in filter(is_undo, inbox["items"]):
            # A look-up that failed too: it goes out again under its key, and is looked up again before.
            choice = "repeat" if failed["outcomeUnknown"] else "retry"
            self._again += self._do(f"/exceptions/{failed['id']}/{choice}", "the campaign tries again")

    def _do(self, path: str, reason: str) -> bool:
        """Decide, unless what it is about has ended meanwhile."""
        try:
            self._server.post(path, {"reason": reason})
        except httpx.HTTPStatusError as error:
            if error.response.status_code >= 500:
                raise
            if path not in self._refused:
                self._refused[path] = error.response.text
            return False
        return True

    def _tell(self, record: Record, seconds: float) -> None:
        total = self._total
        rows = [*record.rows(seconds), ("  while a run was being taken back", self._inside)]
        rows += [(f"runs {name}", count) for name, count in sorted(total.outcomes.items())]
        rows += [("acts, by the systems' own count", total.acts), ("taken back", total.undone)]
        rows += [("left to the inbox, as unknown", total.unknown), ("undos started again there", self._again)]
        rows += [("findings", len(total.findings)), ("seed", self._seed)]
        table(f"What came of it, after {seconds / 60:.1f} minutes", ("", "number"), rows)
        for finding in total.findings:
            say(f"  [red]finding[/red] {finding}")

    def _write_report(self, record: Record) -> None:
        """The state so far, for whoever stops the campaign in the middle."""
        total = self._total
        report = {
            "seed": self._seed,
            "kills": record.kills,
            "early": record.early,
            "inside": self._inside,
            "outcomes": total.outcomes,
            "acts": total.acts,
            "undone": total.undone,
            "unknown": total.unknown,
            "startedAgain": self._again,
            "refused": self._refused,
            "findings": total.findings,
        }
        (self._options.folder / "report.json").write_text(json.dumps(report, indent=2))


_CLOSED = frozenset({"completed", "faulted", "cancelled"})

if __name__ == "__main__":
    sys.exit(main())
