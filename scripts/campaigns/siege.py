"""The harm: bad weather at the practice company, SIGKILL at random moments, and a clock on how Segue comes back."""

from __future__ import annotations

import argparse
import http.client
import os
import random
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from scripts.demo.job import customers
from scripts.demo.stage import ROOT, Practice, Server, StageError

READY_SECONDS_MAX = 90
QUIET_SECONDS_MAX = 150
_EARLY_SHARE = 0.3
"""How many lives end at a moment drawn from the start-up and the recovery in it; the others from the work after."""

_USUAL_START_S = 2.0
_CALM: dict[str, object] = {
    "latency_ms": 0,
    "fail_rate": 0.0,
    "drop_before_write": 0.0,
    "drop_after_write": 0.0,
    "rate_limit_per_s": None,
}


@dataclass
class Record:
    """What was done, and how long it took to come back.

    Attributes:
        kills: Of Segue. early: Of those, before it was ready. practice_kills: Of the practice company.
        refused: Second servers on the same data folder that were turned away, as they must be.
        ready_s: From the start of the process until it answers.
        working_s: From the start of the process until the next run has ended.
    """

    kills: int = 0
    early: int = 0
    practice_kills: int = 0
    refused: int = 0
    ready_s: list[float] = field(default_factory=list)
    working_s: list[float] = field(default_factory=list)

    def rows(self, seconds: float) -> list[tuple[str, object]]:
        """What every campaign tells at its end."""
        return [
            ("kills of segue serve", self.kills),
            ("  before it was ready", self.early),
            ("kills of the practice company", self.practice_kills),
            ("second servers refused", self.refused),
            ("kills per minute", round(self.kills / seconds * 60, 1)),
            ("ready again after s, p50 / p95 / max", percentiles(self.ready_s)),
            ("next run ended after s, p50 / p95 / max", percentiles(self.working_s)),
        ]


class Siege:
    """One server and one practice company under attack.

    Args:
        draw: Decides everything that is random.
        after_kill: Looks at what the company has, before the server is started again.
        meanwhile: Does what people do, before each kill and while the last runs end; the server answers.
    """

    def __init__(
        self,
        practice: Practice,
        server: Server,
        draw: random.Random,
        *,
        after_kill: Callable[[], None] = lambda: None,
        meanwhile: Callable[[], None] = lambda: None,
    ) -> None:
        self.practice = practice
        self.server = server
        self.draw = draw
        self.record = Record()
        self._after_kill = after_kill
        self._meanwhile = meanwhile
        self._weather: dict[str, dict[str, object]] = {}
        self._started_s = time.monotonic()

    def campaign(self, kills: int, minutes: float | None, start: Callable[[], str]) -> Iterator[str]:
        """Besiege one job after another until there were enough kills; yields each when its runs have ended."""
        end_s = time.monotonic() + minutes * 60 if minutes is not None else float("inf")
        self.try_second_server()
        self.change_weather()
        while self.record.kills < kills and time.monotonic() < end_s:
            self.practice.reset()
            job = start()
            self._besiege(job, kills, end_s)
            yield job

    def _besiege(self, job: str, kills: int, end_s: float) -> None:
        """Kill until every run of the job has ended; without further kills when there were enough."""
        quiet_since_s, last = time.monotonic(), -1
        wanted = None
        while True:
            wanted = customers(self.server, job) if wanted is None else wanted
            closed = self.closed(job)
            if wanted is not None and closed >= wanted:
                return
            if closed != last:
                quiet_since_s, last = time.monotonic(), closed
            elif time.monotonic() - quiet_since_s > QUIET_SECONDS_MAX:
                return  # what hangs is for the judge
            if self.record.kills >= kills or time.monotonic() > end_s:
                self.calm()
                self._meanwhile()
                self.wait_for_work(job, time.monotonic() + 1)
                continue
            if self.draw.random() < 0.04:
                self.kill_practice_alone()
            self.let_work(job)
            if self.draw.random() < 0.01:
                self.try_second_server()
            self._meanwhile()
            self.kill()

    def kill(self) -> None:
        """Kill the server, sometimes the practice company too, and start what was killed."""
        self.server.program.check()
        self._kill_server()
        if self.draw.random() < 0.06:
            self._kill_practice()
        self.change_weather()
        self._start()

    def change_weather(self) -> None:
        """New trouble at each system."""
        for name in self.practice.systems:
            self._weather[name] = self._draw_weather()
        self._apply_weather()

    def calm(self) -> None:
        """No more trouble."""
        self._weather = {name: dict(_CALM) for name in self.practice.systems}
        self._apply_weather()

    def kill_practice_alone(self) -> None:
        """Kill the practice company while the server works, and let it be away for a moment."""
        self._kill_practice()
        self._apply_weather()

    def let_work(self, job: str) -> None:
        """Let the server work on the job for a drawn while: mostly less than a second, sometimes a few."""
        self.wait_for_work(job, time.monotonic() + min(self.draw.expovariate(1.6), 4.0))

    def try_second_server(self) -> None:
        """Start another server on the same data folder, which must be refused."""
        command = [*self.server.program.command[:-1], "0"]  # the last word is the port
        environment = {**os.environ, **self.server.environment}
        try:
            second = subprocess.run(
                command, capture_output=True, text=True, env=environment, timeout=READY_SECONDS_MAX
            )
        except subprocess.TimeoutExpired:
            raise StageError("a second server on the same data folder was not refused") from None
        if second.returncode == 0 or "in use" not in second.stderr:
            raise StageError(f"a second server ended with {second.returncode}: {second.stderr[-200:]}")
        self.record.refused += 1

    def wait_for_work(self, job: str, until_s: float) -> None:
        """Watch the job until this moment; notes when the first run has ended since the start."""
        before = self.closed(job)
        while (now_s := time.monotonic()) < until_s:
            self.server.program.check()
            if self._started_s and self.closed(job) > before:
                self.record.working_s.append(time.monotonic() - self._started_s)
                self._started_s = 0.0
            time.sleep(max(0.0, min(0.1, until_s - now_s)))

    def closed(self, job: str) -> int:
        """How many runs of the job have ended."""
        counts = self.server.get("/runs/counts", parent=job)
        return sum(counts.get(status, 0) for status in ("completed", "faulted", "cancelled"))

    def _start(self) -> None:
        """Start the server; it may be killed again at any moment of its start."""
        while True:
            self._started_s = time.monotonic()
            self.server.program.start()
            if self.draw.random() >= _EARLY_SHARE:
                break
            usual_s = statistics.median(self.record.ready_s[-20:]) if self.record.ready_s else _USUAL_START_S
            time.sleep(self.draw.uniform(0.0, usual_s))
            self.server.program.check()
            self.record.early += not is_ready(self.server.url)
            self._kill_server()
        while not is_ready(self.server.url):
            self.server.program.check()
            if time.monotonic() - self._started_s > READY_SECONDS_MAX:
                raise StageError(
                    f"segue serve was not ready after {READY_SECONDS_MAX} s; see {self.server.program.log}"
                )
            time.sleep(0.02)
        self.record.ready_s.append(time.monotonic() - self._started_s)

    def _kill_server(self) -> None:
        self.server.program.kill()
        self.record.kills += 1
        self._after_kill()

    def _kill_practice(self) -> None:
        self.practice.program.kill()
        self.record.practice_kills += 1
        time.sleep(self.draw.uniform(0.0, 1.5))
        self.practice.start()

    def _apply_weather(self) -> None:
        for name, knobs in self._weather.items():
            self.practice.turn(name, **knobs, draw_seed=self.draw.randrange(1, 1_000_000))

    def _draw_weather(self) -> dict[str, object]:
        draw = self.draw
        kind = draw.choices(("calm", "bad", "pressed", "slow", "out"), (30, 50, 7, 8, 5))[0]
        if kind == "calm":
            return dict(_CALM)
        if kind == "pressed":
            return _CALM | {"rate_limit_per_s": draw.choice((40, 100, 200))}
        if kind == "slow":
            return _CALM | {"latency_ms": draw.choice((50, 150, 400))}
        if kind == "out":
            return _CALM | {"fail_rate": 1.0}
        return {
            "latency_ms": draw.choice((0, 2, 10)),
            "fail_rate": draw.uniform(0.0, 0.1),
            "drop_before_write": draw.uniform(0.0, 0.08),
            "drop_after_write": draw.uniform(0.0, 0.08),
            "rate_limit_per_s": None,
        }


def campaign_options(command: str, about: str | None, folder: str, *, kills: int) -> argparse.ArgumentParser:
    """The options of every campaign; `folder` is below `var`, `kills` how many there are where nothing is said."""
    parser = argparse.ArgumentParser(prog=command, description=about)
    parser.add_argument("--kills", type=int, default=kills)
    parser.add_argument("--minutes", type=float, default=None, help="stop killing after so many minutes")
    parser.add_argument("--seed", type=int, default=None, help="repeats the draws; not the timing of the machine")
    parser.add_argument("--folder", type=Path, default=ROOT / "var" / folder, help="emptied first")
    parser.add_argument("--port", type=int, default=0)
    return parser


def percentiles(times_s: list[float]) -> str:
    """Middle, 95th of a hundred, and largest."""
    if len(times_s) < 2:
        return "-"
    cuts = statistics.quantiles(times_s, n=20, method="inclusive")
    return f"{cuts[9]:.1f} / {cuts[18]:.1f} / {max(times_s):.1f}"


def is_ready(url: str) -> bool:
    """Whether the server answers and takes work. Plain sockets: asked often, beside what is measured."""
    place = urlsplit(url)
    connection = http.client.HTTPConnection(place.hostname or "", place.port or 80, timeout=5)
    try:
        connection.request("GET", "/api/v1/ready")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
