"""Schema: the document's structure as JSON Schema, written as data; one file for each area.

The same definitions serve two readers: editors get the bundle of `document_schema`, and `segue.dsl.structure`
walks them to say precisely what is wrong. Nothing here looks at a document. Open `root.py` first, then `tasks.py`.
"""

from __future__ import annotations

import copy
from typing import Any, Final

from segue.dsl.schema import authentication, calls, common, events, root, tasks
from segue.dsl.schema.build import Schema
from segue.dsl.schema.calls import PROTOCOLS
from segue.dsl.schema.root import ROOT
from segue.dsl.schema.tasks import TASK_KINDS

__all__ = ["DEFS", "PROTOCOLS", "ROOT", "TASK_KINDS", "document_schema"]

DEFS: Final[dict[str, Schema]] = {
    **common.DEFS,
    **authentication.DEFS,
    **events.DEFS,
    **calls.DEFS,
    **tasks.DEFS,
    **root.DEFS,
}


def document_schema() -> dict[str, Any]:
    """The whole schema in one JSON Schema (draft 2020-12), for editors and other tools. The caller owns it.

    It says what the structure of a document is. Names that lead nowhere, expressions and flow are the
    business of `check_document`.
    """
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Segue workflow",
        "description": "A workflow in the Open Workflow DSL 1.0, with Segue's additions.",
        **copy.deepcopy({key: value for key, value in ROOT.items() if key != "title"}),
        "$defs": copy.deepcopy(DEFS),
    }
