"""The three questions about a document: what is wrong with it, what is its plan, what is its digest."""

from __future__ import annotations

from segue.core.plan import Plan
from segue.dsl.compiler import compile_document
from segue.dsl.document import Document
from segue.dsl.environment import Environment
from segue.dsl.findings import DefinitionError, Finding


def check_document(document: Document, environment: Environment | None = None) -> list[Finding]:
    """Everything that is wrong or doubtful, all at once, in document order.

    Args:
        environment: What the place that publishes it offers; None: the default catalogue and nothing else.
    """
    return compile_document(document, environment or Environment()).findings


def compile_plan(document: Document, environment: Environment | None = None) -> Plan:
    """Compile a document to the plan that the core walks.

    Raises:
        DefinitionError: There are error findings; it carries all findings.
    """
    compiled = compile_document(document, environment or Environment())
    if compiled.plan is None:
        raise DefinitionError(compiled.findings)
    return compiled.plan


def digest_of(document: Document, environment: Environment | None = None) -> str:
    """SHA-256 over the document as canonical JSON and over the functions that it calls by name.

    Layout, comments and the order of keys do not count. A new release of a catalogue's function makes a new
    digest where the document does not name a version.

    Raises:
        DefinitionError: The document has errors, so it has no identity.
    """
    return compile_plan(document, environment).digest
