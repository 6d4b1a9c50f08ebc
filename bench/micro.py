"""The core and the expressions alone: no disk, no loop, no handler.

    python -m bench.micro [--quick] [--rounds 5] [--json]

The core stands beside msgspec writing and reading back the event of a step (`bench_core.py` says why). Expressions
stand beside the C implementation of jq with the program compiled before, on the same 2 KB document, given to it as a
Python object and taken back as one, as a host would have to.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from bench import bench_core
from bench._figures import Effort, Figure, command
from segue.dsl.expressions import compile_expression

_EVENT = "msgspec, event to JSON and back"
_JQ = "jq in C, compiled before"

EXPRESSIONS: Mapping[str, str] = {
    "a comparison": ".customer.score > 0.8",
    "an object of four": "{i: .customer.id, n: (.orders | length), t: .customer.tags, high: (.customer.score > 1)}",
    "filter, map and sum of 20": "[.orders[] | select(.paid) | .amount] | add",
}

DOCUMENT: Mapping[str, Any] = {
    "customer": {"id": "c-4711", "name": "Ada", "score": 0.83, "tenure": 17, "tags": ["a", "b"]},
    "orders": [
        {
            "id": f"order-{n}",
            "amount": 10.5 + n,
            "currency": "EUR",
            "paid": n % 3 != 0,
            "items": [n, n + 1],
            "note": "-",
        }
        for n in range(20)
    ],
}


def of_core(effort: Effort) -> list[Figure]:
    """`advance`, per step."""
    bench_core.ROUNDS = 20 if effort.quick else 200
    plans = (("ten acts", bench_core.ten_acts()), ("with set and switch between", bench_core.with_pure_tasks()))
    found = []
    for name, plan in plans:
        pairs = [
            (bench_core.microseconds_per_step(plan, 20), bench_core.microseconds_per_event(200))
            for _ in range(effort.rounds)
        ]
        found.append(Figure.compared("core", f"advance, each step, {name}", "µs", _EVENT, pairs))
    return found


def of_expressions(effort: Effort) -> list[Figure]:
    """Evaluating, on a document of 2 KB."""
    count = 20 if effort.quick else 200
    found = []
    for name, text in EXPRESSIONS.items():
        expression = compile_expression(text, variables=())
        what = f"{name}: {text}" if len(text) < 40 else name
        ours = [_best_us(partial(expression.evaluate, DOCUMENT), count) for _ in range(effort.rounds)]
        peer = _peer(text)
        if peer is None:
            value = sorted(ours)[len(ours) // 2]
            found.append(Figure("expressions", what, value, "µs", note="jq not installed, so not measured"))
            continue
        assert peer() == expression.evaluate(DOCUMENT), text
        pairs = [(mine, _best_us(peer, count // 20)) for mine in ours]
        found.append(Figure.compared("expressions", what, "µs", _JQ, pairs))
    return found


def _peer(text: str) -> Callable[[], Any] | None:
    try:
        import jq
    except ImportError:
        return None
    program = jq.compile(text)
    return lambda: program.input_value(DOCUMENT).first()


def _best_us(work: Callable[[], Any], count: int) -> float:
    """Microseconds of one call: the best of many short rounds, since whatever disturbs only adds."""
    took = []
    for _ in range(200):
        began = time.perf_counter()
        for _ in range(count):
            work()
        took.append(time.perf_counter() - began)
    return min(took) / count * 1e6


def measure(effort: Effort) -> list[Figure]:
    """All figures."""
    return of_core(effort) + of_expressions(effort)


if __name__ == "__main__":
    command(measure, __doc__)
