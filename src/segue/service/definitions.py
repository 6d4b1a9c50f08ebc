"""Documents to plans: what the use cases and the host need to know of published definitions.

What a document refers to and does not hold (functions of catalogues, schemas kept elsewhere) is pinned when it is
published: the same definition compiles to the same plan for ever, whatever the catalogue or a web server says later.
"""

from __future__ import annotations

import asyncio
import base64
import sqlite3
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final

import msgspec

from segue.core import Plan
from segue.dsl import (
    CheckCall,
    CheckOperation,
    DefinitionError,
    Document,
    Environment,
    FunctionDocument,
    PythonFunction,
    check_document,
    compile_plan,
    default_function,
    read_document,
)
from segue.service.errors import Finding, ServiceError
from segue.service.policies import complaints
from segue.service.versions import latest, newest
from segue.store import Conflict, Definition, Store
from segue.store.records import list_definitions, put_meta, read_meta

_PLANS_MAX: Final = 512
_PYTHON: Final = "function:"
"""How a plan's requirements mark Python functions."""

FetchFunction = Callable[[str, "str | None", Any], "FunctionDocument | None"]
FetchResource = Callable[[Any], bytes]


class Signature(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a Python function said of itself: JSON Schemas of its arguments and its result; None: anything goes."""

    parameters: dict[str, Any] | None = None
    result: dict[str, Any] | None = None


class Pins(msgspec.Struct, omit_defaults=True):
    """What a definition was published with.

    Attributes:
        catalogue: Version of each function of the default catalogue that was named without one.
        python: Names of the Python functions it calls.
        signatures: What these said of themselves then. A plan checks by them, so histories replay whatever the
            functions take today; definitions of earlier releases have none, and take today's.
        functions: Functions of other catalogues, by name, version and endpoint as JSON.
        resources: Content of external resources, base64, by endpoint as JSON.
    """

    catalogue: dict[str, str] = {}
    python: list[str] = []
    signatures: dict[str, Signature] = {}
    functions: dict[str, FunctionDocument] = {}
    resources: dict[str, str] = {}


@dataclass(slots=True)
class _Recorder:
    """Resolves for one compilation and remembers what it resolved."""

    fetch_function: FetchFunction | None
    fetch_resource: FetchResource | None
    pins: Pins = field(default_factory=Pins)

    def function(self, name: str, version: str | None, endpoint: Any) -> FunctionDocument | None:
        if endpoint is None:
            found = default_function(name, version)
            if found is not None and version is None:
                self.pins.catalogue[name] = found.version
            return found
        key = _key([name, version, endpoint])
        known = self.pins.functions.get(key)
        if known is None and self.fetch_function is not None:
            known = self.fetch_function(name, version, endpoint)
            if known is not None:
                self.pins.functions[key] = known
        return known

    def resource(self, endpoint: Any) -> bytes:
        key = _key(endpoint)
        if key not in self.pins.resources:
            if self.fetch_resource is None:
                raise OSError("external resources cannot be read here")
            self.pins.resources[key] = base64.b64encode(self.fetch_resource(endpoint)).decode()
        return base64.b64decode(self.pins.resources[key])


@dataclass(frozen=True, slots=True)
class Checked:
    """A document that was read and checked. `plan` is None where a finding is an error."""

    document: Document
    findings: list[Finding]
    plan: Plan | None
    pins: Pins


class Definitions:
    """Compiles documents, and gives the plan of each published definition. What a host knows as its plan source.

    Without `load` it keeps what is published in memory only.

    Args:
        functions: Python functions by name; read at every compilation, so later registrations count.
        allow_processes: An administrator allows tasks to start processes.
        connections: Gives the names of the known connections. check_call: Says what is wrong with a call of one.
        check_operation: Says the same of a call of `openapi`.
        allow_remote_functions: Functions may be called by an absolute address.
        fetch_function, fetch_resource: How things outside the document are read when it is published; called in
            a thread. None refuses them.

    Attributes:
        changes: How many definitions are published: whoever keeps what follows from them looks here.
    """

    def __init__(
        self,
        *,
        functions: Callable[[], Mapping[str, PythonFunction]],
        allow_processes: bool = False,
        connections: Callable[[], Collection[str]] | None = None,
        check_call: CheckCall | None = None,
        check_operation: CheckOperation | None = None,
        fetch_function: FetchFunction | None = None,
        fetch_resource: FetchResource | None = None,
        allow_remote_functions: bool = False,
    ) -> None:
        self._store: Store | None = None
        self._functions = functions
        self._allow_processes = allow_processes
        self._connections = connections
        self._check_call = check_call
        self._check_operation = check_operation
        self._fetch_function = fetch_function
        self._fetch_resource = fetch_resource
        self._allow_remote_functions = allow_remote_functions
        self._published: dict[str, tuple[Definition, Pins]] = {}
        self.changes = 0
        self._names: dict[tuple[str, str], list[Definition]] = {}
        self._latest: dict[tuple[str, str], Definition] = {}
        self._publishing = asyncio.Lock()
        self._plans: OrderedDict[str, Plan] = OrderedDict()

    async def check(self, source: bytes | str, *, file: str) -> Checked:
        """Read, check and compile a document as it would be published now."""
        return await asyncio.to_thread(self._check, source, file)

    def _check(self, source: bytes | str, file: str) -> Checked:
        recorder = _Recorder(self._fetch_function, self._fetch_resource)
        functions = self._functions()
        environment = Environment(
            functions=functions,
            resolve_function=recorder.function,
            resolve_resource=None if self._fetch_resource is None else recorder.resource,
            allow_processes=self._allow_processes,
            allow_remote_functions=self._allow_remote_functions,
            connections=None if self._connections is None else self._connections(),
            check_call=self._check_call,
            check_operation=self._check_operation,
        )
        document = read_document(source, file=file)
        findings = [finding_of(f) for f in (*check_document(document, environment), *complaints(document))]
        if any(f.severity == "error" for f in findings):
            return Checked(document, findings, None, recorder.pins)
        try:
            plan = compile_plan(document, environment)
        except DefinitionError as error:
            return Checked(document, [finding_of(f) for f in error.findings], None, recorder.pins)
        recorder.pins.python = sorted(
            name.removeprefix(_PYTHON) for name in plan.requires if name.startswith(_PYTHON)
        )
        recorder.pins.signatures = {
            name: Signature(_plain(functions[name].parameters), _plain(functions[name].result))
            for name in recorder.pins.python
            if name in functions
        }
        return Checked(document, findings, plan, recorder.pins)

    def load(self, store: Store, reader: sqlite3.Connection) -> None:
        """Read what is published in a data folder. Call it once, before anything else."""
        self._store = store
        for definition in list_definitions(reader):
            text = read_meta(reader, _pins_key(definition.digest))
            self._remember(definition, Pins() if text is None else msgspec.json.decode(text, type=Pins))

    async def add(self, definition: Definition, plan: Plan, pins: Pins) -> bool:
        """Publish a definition; False when exactly this one was published before.

        Raises:
            Conflict: The same name and version has other content.
        """
        # One at a time: two that look before either has written would both write.
        async with self._publishing:
            return await self._add(definition, plan, pins)

    async def _add(self, definition: Definition, plan: Plan, pins: Pins) -> bool:
        if definition.digest in self._published:
            return False
        for known in self.versions(definition.namespace, definition.name):
            if known.version != definition.version:
                continue
            if read_document(known.source).data == read_document(definition.source).data:
                # The same document: only what it is pinned to has a newer release. The older pins stay.
                return False
            raise Conflict(f"{definition.namespace}/{definition.name}:{definition.version} has other content")
        if self._store is not None:
            # The pins first: a crash in between must not leave a definition without them.
            text = msgspec.json.encode(pins).decode()
            named = f"workflow:{definition.namespace}/{definition.name}:{definition.version}"
            self._store.note("workflow.pin", named, data={"sha256": sha256(text.encode()).hexdigest()})
            await self._store.write([put_meta(_pins_key(definition.digest), text)])
            if not await self._store.publish(definition):
                return False
        self._remember(definition, pins)
        self._keep(plan)
        return True

    def plan(self, digest: str) -> Plan:
        """The plan of a published definition.

        Raises:
            LookupError: There is none with this digest.
            ServiceError: `definition-refused` where this release cannot compile it.
        """
        found = self._plans.get(digest)
        if found is not None:
            with suppress(KeyError):  # Another thread may have let it go meanwhile.
                self._plans.move_to_end(digest)
            return found
        if digest not in self._published:
            raise LookupError(f"no definition has the digest {digest}")
        return self._keep(self._compile_stored(*self._published[digest]))

    def resolve(self, namespace: str, name: str, version: str) -> str:
        """The digest of the definition that a name and version mean; `latest` as `versions.latest` says.

        Raises:
            LookupError: There is none.
        """
        definition = self.find(namespace, name, version)
        if definition is not None:
            return definition.digest
        raise LookupError(f"no workflow {namespace}/{name}:{version} is published")

    def versions(self, namespace: str, name: str) -> list[Definition]:
        """All versions of a workflow, highest first; none where nothing of this name is published."""
        return newest(self._names.get((namespace, name), []))

    def find(self, namespace: str, name: str, version: str) -> Definition | None:
        """The definition of this name and version; None where there is none. See `versions.latest`."""
        if version == "latest":
            return self._latest.get((namespace, name))
        found = self._names.get((namespace, name), [])
        return next((definition for definition in found if definition.version == version), None)

    def all(self) -> Iterable[Definition]:
        """Every version of everything that is published."""
        return [definition for definition, _ in self._published.values()]

    def names(self) -> list[tuple[str, str]]:
        """Namespace and name of every published workflow, in order."""
        return sorted(self._names)

    def definition(self, digest: str) -> Definition:
        """The definition with this digest, which must be published."""
        return self._published[digest][0]

    def pins(self, digest: str) -> Pins:
        """What a published definition was published with."""
        return self._published[digest][1]

    def is_scheduled(self, definition: Definition) -> bool:
        """It starts runs by itself."""
        # Read and not compiled: cheap, and works for what this release cannot compile any more.
        return "schedule" in (read_document(definition.source).data or {})

    def starts_on_events(self, namespace: str, name: str) -> bool | None:
        """The latest version of this name starts runs by itself when events come; None where there is none."""
        found = self.find(namespace, name, "latest")
        if found is None:
            return None
        schedule = (read_document(found.source).data or {}).get("schedule")
        return isinstance(schedule, dict) and "on" in schedule

    def _remember(self, definition: Definition, pins: Pins) -> None:
        self._published[definition.digest] = (definition, pins)
        self.changes = len(self._published)
        name = (definition.namespace, definition.name)
        versions = self._names.setdefault(name, [])
        versions.append(definition)
        self._latest[name] = latest(versions)

    def _keep(self, plan: Plan) -> Plan:
        plan.others = self.plan  # the history of a run may have begun under another version
        self._plans[plan.digest] = plan
        while len(self._plans) > _PLANS_MAX:
            self._plans.pop(next(iter(self._plans)), None)
        return plan

    def _compile_stored(self, definition: Definition, pins: Pins) -> Plan:
        recorder = _Recorder(None, None, pins)

        def function(name: str, version: str | None, endpoint: Any) -> FunctionDocument | None:
            if version is None and endpoint is None:
                version = pins.catalogue.get(name)
            return recorder.function(name, version, endpoint)

        # Nothing is forbidden here: it was allowed when it was published, and runs that have begun must go on. What
        # an administrator has forbidden since is refused by the handlers when it is about to happen.
        functions = {**{name: PythonFunction(name) for name in pins.python}, **self._functions()}
        functions |= {
            name: PythonFunction(name, said.parameters, said.result) for name, said in pins.signatures.items()
        }
        environment = Environment(
            functions=functions,
            resolve_function=function,
            resolve_resource=recorder.resource,
            allow_processes=True,
            allow_remote_functions=True,
        )
        name = f"{definition.namespace}/{definition.name}:{definition.version}"
        try:
            plan = compile_plan(read_document(definition.source, file=name), environment)
            # Of an earlier release, whose pins have no signatures, functions may say more today. Runs are pinned to
            # the definition, so its digest stays.
            plan.digest = definition.digest
            return plan
        except DefinitionError as error:
            raise refused(name, [finding_of(f) for f in error.findings]) from None


def refused(file: str, findings: list[Finding]) -> ServiceError:
    """The refusal of a document with these findings."""
    errors = sum(f.severity == "error" for f in findings)
    count = "1 error" if errors == 1 else f"{errors} errors"
    return ServiceError("definition-refused", f"{file} has {count}.", findings=findings)


def finding_of(found: Any) -> Finding:
    """A finding of the linter as the service tells it."""
    return Finding(
        found.rule,
        found.severity,
        found.message,
        found.remedy,
        found.file,
        found.line,
        found.column,
        found.pointer,
    )


def _plain(schema: Mapping[str, Any] | None) -> dict[str, Any] | None:
    return None if schema is None else dict(schema)


def _key(value: Any) -> str:
    return msgspec.json.encode(value, order="deterministic").decode()


def _pins_key(digest: str) -> str:
    return f"pins:{digest}"
