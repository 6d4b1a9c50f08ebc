"""Expressions beside the jq library: microseconds per evaluation, measured in the same run.

    python bench/bench_expressions.py [--json]

The library converts its input to text and parses it on every call, which is part of what it costs here, and is
why the ratio is largest where an expression reads little of a large object.
"""

from __future__ import annotations

import argparse
import json
import sys
import timeit
from collections.abc import Callable
from typing import Any

import jq

from segue.dsl.expressions import compile_expression
from segue.dsl.expressions.expression import _compile

DATA: dict[str, Any] = {
    "a": {"b": 0.9},
    "status": "active",
    "items": [{"price": n * 1.5, "qty": n, "name": f"n{n}", "on": n % 2 == 0} for n in range(36)],
}
"""About 2 KB as JSON."""

VARIABLES = {"context": {"limit": 3}}
PROGRAMS = [
    ".a.b > 0.8",
    '.status == "active"',
    ".a.b",
    "$context.limit + 1",
    '.a.b > 0.8 and .status == "active"',
    "{x: .a.b, y: .status}",
    'if .a.b > 0.5 then "x" else "y" end',
    ".a.b // 1",
    '"status: \\(.status)"',
    ". + {z: 1}",
    ".a.c = 1",
    ".items[0].name",
    ".items | length",
    '.status | test("^act")',
    "[.items[] | select(.on) | .price]",
    ".items | map(.price * .qty) | add",
    ".items | sort_by(-.price) | .[0].name",
    ".items | group_by(.on) | map(length)",
    "reduce .items[] as $i (0; . + $i.qty)",
    "with_entries(.key |= ascii_upcase)",
    "[.. | numbers] | add",
]
ROUNDS = 5
ROUND_SECONDS = 0.05


def microseconds(call: Callable[[], Any]) -> float:
    """The best of a few rounds, per call."""
    timer = timeit.Timer(call)
    number = 1
    while timer.timeit(number) < ROUND_SECONDS:
        number *= 2
    return min(timer.repeat(ROUNDS, number)) / number * 1e6


def measure(program: str) -> dict[str, Any]:
    """One program in both."""
    ours = compile_expression(program, variables=VARIABLES)
    theirs = jq.compile(program, args=VARIABLES)
    assert theirs.input_value(DATA).first() == ours.evaluate(DATA, VARIABLES), program
    own = microseconds(lambda: ours.evaluate(DATA, VARIABLES))
    library = microseconds(lambda: theirs.input_value(DATA).first())
    return {"program": program, "us": round(own, 3), "jq_us": round(library, 1), "ratio": round(library / own, 1)}


def compile_cost(program: str) -> float:
    """Microseconds to compile a program that is not cached."""

    def compile_afresh() -> None:
        _compile.cache_clear()
        compile_expression(program, variables=VARIABLES)

    return microseconds(compile_afresh)


def main() -> int:
    """Print the table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    as_json = parser.parse_args().json
    rows = [measure(program) for program in PROGRAMS]
    compiling = {"program": PROGRAMS[4], "us": round(compile_cost(PROGRAMS[4]), 1)}
    if as_json:
        print(json.dumps({"input_bytes": len(json.dumps(DATA)), "evaluate": rows, "compile": compiling}))
        return 0
    print(f"input: {len(json.dumps(DATA))} bytes of JSON\n")
    print(f"{'expression':44}{'us':>9}{'jq us':>9}{'ratio':>8}")
    for row in rows:
        print(f"{row['program']:44}{row['us']:9.2f}{row['jq_us']:9.1f}{row['ratio']:8.1f}")
    print(f"\ncompiling {compiling['program']}: {compiling['us']} us, once per text")
    return 0


if __name__ == "__main__":
    sys.exit(main())
