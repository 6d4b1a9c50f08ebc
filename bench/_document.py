"""Real documents for the workloads: compiled by the compiler, with expressions in every step.

Every step reads its arguments from the data by expressions, has a condition, shapes its output, and passes a switch:
what a workflow that somebody wrote does between two acts. The acts are calls of a registered Python function through
the handler that everybody's functions go through.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from segue import Segue, Settings

CUSTOMER = {"id": "c-4711", "name": "Ada", "tenure": 17, "charges": 74.4, "contract": "month", "tags": ["a", "b"]}
INPUT = {"customer": CUSTOMER, "score": 0.5}

_HEAD = "document: {{ dsl: '1.0.3', namespace: bench, name: {name}, version: '1.0.0' }}\ndo:\n"

_STEP = """\
  - step{n}:
      if: .customer.charges > 20
      call: bench-step
      with:
        step: {n}
        customer: ${{ .customer.id }}
        charges: ${{ .customer.charges * (1 + .score) }}
      output:
        as: '${{ {{ customer: $input.customer, score: .score, step: .step }} }}'
  - check{n}:
      switch:
        - lost: {{ when: .score > 2, then: end }}
        - kept: {{ when: .step == {n}, then: continue }}
"""

_BRANCH = """\
          - branch{n}:
              call: bench-step
              with:
                step: {n}
                customer: ${{ .customer.id }}
                charges: ${{ .customer.charges * (1 + .score) }}
"""


def chain(steps: int) -> str:
    """Steps one after another."""
    return _HEAD.format(name="chain") + "".join(_STEP.format(n=n) for n in range(steps))


def fan_out(branches: int) -> str:
    """All branches at once, then their join."""
    head = _HEAD.format(name="fan") + "  - fan:\n      fork:\n        branches:\n"
    return head + "".join(_BRANCH.format(n=n) for n in range(branches))


class Calls:
    """Counts the calls of the function, so that a benchmark can check that the work was done."""

    def __init__(self) -> None:
        self.number = 0

    def __call__(self, step: int, customer: str, charges: float) -> dict[str, Any]:
        """What a step does: nothing, and answer."""
        self.number += 1
        return {"step": step, "score": 0.75}


@asynccontextmanager
async def opened(folder: Path, document: str) -> AsyncIterator[tuple[Segue, Calls]]:
    """Segue as anybody opens it from Python, with this document published."""
    calls = Calls()
    async with Segue.open(folder, settings=Settings(), alone=True) as house:
        # `inline` because the function takes no time; it still goes through the handler of functions.
        house.function(name="bench-step", inline=True)(calls.__call__)
        await house.publish(document.encode())
        yield house, calls
