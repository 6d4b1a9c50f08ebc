"""Documents and openings that the tests of service, API and command line share."""

from __future__ import annotations

from textwrap import dedent

TOKEN = "a-token-for-tests-that-is-long-enough"


def document(
    tasks: str = "- one: {set: {a: 1}}", *, name: str = "flow", version: str = "1.0.0", more: str = ""
) -> str:
    """A workflow document with these tasks; `more` goes to its root."""
    body = "\n".join("  " + line for line in dedent(tasks).strip("\n").splitlines())
    head = f"document: {{dsl: '1.0.3', namespace: demo, name: {name}, version: '{version}'}}"
    return f"{head}\n{dedent(more).strip()}\ndo:\n{body}\n"


WAITS = document(
    """
    - paid:
        listen: {to: {one: {with: {type: order.paid}}}}
    - done:
        set: {paid: true}
    """,
    name="waits",
)
CHECKED = document(
    name="checked",
    more="""
    input:
      schema:
        document: {type: object, required: [id], properties: {id: {type: integer}}}
    """,
)
PAID = {"specversion": "1.0", "id": "1", "source": "/shop", "type": "order.paid", "data": {"order": 7}}
