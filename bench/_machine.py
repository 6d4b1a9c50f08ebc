"""The machine and its mood: what must be known to read a figure."""

from __future__ import annotations

import os
import platform
import sqlite3
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any


def describe(folder: Path) -> dict[str, Any]:
    """Processor, memory, disk and versions; the flush is measured in `folder`."""
    flushes = flush_ms(folder)
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
        "file_system": _file_system(folder),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "flush_ms": round(statistics.median(flushes), 3),
        "flush_p95_ms": round(sorted(flushes)[int(len(flushes) * 0.95)], 3),
        "load": os.getloadavg()[0],
    }


def sentence(machine: dict[str, Any]) -> str:
    """The description in two lines."""
    return (
        f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gib']} GiB, {machine['system']},"
        f" {machine['file_system']}; Python {machine['python']}, SQLite {machine['sqlite']}\n"
        f"append and fdatasync of 4 KiB: median {machine['flush_ms']:.2f} ms, 95th percentile"
        f" {machine['flush_p95_ms']:.2f} ms; load at the start {machine['load']:.1f}"
    )


def flush_ms(folder: Path, times: int = 300) -> list[float]:
    """How long the disk takes to make 4 KiB at the end of a file durable, in milliseconds, each time."""
    path = folder / f"flush-{time.monotonic_ns()}"
    page, found = os.urandom(4096), []
    file = os.open(path, os.O_WRONLY | os.O_CREAT)
    try:
        for _ in range(times):
            began = time.perf_counter()
            os.write(file, page)
            os.fdatasync(file)
            found.append((time.perf_counter() - began) * 1000)
    finally:
        os.close(file)
        path.unlink()
    return found


@dataclass(frozen=True, slots=True)
class Ticks:
    """Processor seconds since the machine started: all of them, those in use, and those used by us."""

    total: float
    busy: float
    ours: float

    @classmethod
    def now(cls) -> Ticks:
        """Read them. Children count once they have ended."""
        line = Path("/proc/stat").read_text().split("\n", 1)[0]
        values = [int(v) / os.sysconf("SC_CLK_TCK") for v in line.split()[1:9]]
        used = os.times()
        total = sum(values)
        return cls(total, total - values[3] - values[4], sum(used[:4]))

    def others_since(self, before: Ticks) -> float:
        """Which share of the machine others used since then, from 0 to 1."""
        total = self.total - before.total
        return max(0.0, ((self.busy - before.busy) - (self.ours - before.ours)) / total) if total else 0.0


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def _file_system(folder: Path) -> str:
    best = ("", "unknown file system")
    here = str(folder.resolve())
    for line in Path("/proc/mounts").read_text().splitlines():
        _, place, kind, *_ = line.split(" ")
        if (here == place or here.startswith(place.rstrip("/") + "/")) and len(place) >= len(best[0]):
            best = (place, kind)
    return best[1]


if sys.platform != "linux":
    raise SystemExit("the benchmarks read /proc: they need Linux")
