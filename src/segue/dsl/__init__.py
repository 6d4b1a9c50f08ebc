"""DSL: workflow documents, from text to plan.

`reading.py` turns text into data with places, `schema/` and `structure.py` say what form a document has,
`compiler/` lints it and compiles it in one walk, `expressions/` is the expression language, `functions.py` finds
functions of catalogues. No I/O but reading the package's own catalogue; nothing here runs a workflow.
Open `publishing.py` first, then `compiler/workflow.py`.
"""

from segue.dsl.bundle import document_schema
from segue.dsl.document import Document
from segue.dsl.environment import CheckCall, CheckOperation, Environment, PythonFunction
from segue.dsl.findings import DefinitionError, Finding
from segue.dsl.functions import FunctionDocument, default_function, default_functions, read_function
from segue.dsl.publishing import check_document, compile_plan, digest_of
from segue.dsl.reading import read_document
from segue.types.durations import parse_duration_ms

__all__ = [
    "CheckCall",
    "CheckOperation",
    "DefinitionError",
    "Document",
    "Environment",
    "Finding",
    "FunctionDocument",
    "PythonFunction",
    "check_document",
    "compile_plan",
    "default_function",
    "default_functions",
    "digest_of",
    "document_schema",
    "parse_duration_ms",
    "read_document",
    "read_function",
]
