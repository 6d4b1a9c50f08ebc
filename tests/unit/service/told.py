"""Helpers: plans from documents, and histories made by hand."""

from __future__ import annotations

from textwrap import indent

from segue.core import Plan
from segue.dsl import compile_plan, read_document
from segue.types import Event, RunStarted

HEAD = """
document:
  dsl: '1.0.3'
  namespace: demo
  name: told
  version: '1.2.3'
do:
"""


def plan_of(tasks: str) -> Plan:
    """The plan of a document with these tasks."""
    return compile_plan(read_document(HEAD + indent(tasks.strip("\n"), "  ")))


def started(at: int = 1_000, given: object = None) -> Event:
    """The first event of a run."""
    return RunStarted(at=at, run_id="r1", definition="d", input=given, seed="s")
