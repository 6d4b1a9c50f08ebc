"""The vendors' documents, and how arguments are read from them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest

from segue.sandbox.company import NAMES
from segue.sandbox.contract import Call, Contract, read_call
from segue.sandbox.http import Refusal, Request

CONTRACTS = {name: Contract(name) for name in NAMES}


def nodes(value: Any) -> Iterator[Any]:
    yield value
    for child in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from nodes(child)


def followed(document: Any, reference: str) -> Any:
    for part in reference.removeprefix("#/").split("/"):
        document = document[part]
    return document


def test_operation_ids_are_unique_over_all_four() -> None:
    """A client may join the four documents into one list of operations."""
    ids = [operation.id for contract in CONTRACTS.values() for operation in contract.operations]

    assert len(ids) == len(set(ids)) == 19


def test_the_documents_cover_the_versions_that_clients_meet() -> None:
    """The job must work over all three generations of the format."""
    documents = {name: contract.document for name, contract in CONTRACTS.items()}
    versions = {name: one.get("openapi") or one["swagger"] for name, one in documents.items()}

    assert versions == {"crm": "3.1.0", "billing": "3.0.3", "usage": "3.1.0", "support": "2.0"}


@pytest.mark.parametrize("name", NAMES)
def test_every_reference_leads_somewhere(name: str) -> None:
    """A dangling reference breaks clients at their first call, not at ours."""
    document = CONTRACTS[name].document
    for node in nodes(document):
        if isinstance(node, dict) and "$ref" in node:
            assert followed(document, node["$ref"])


@pytest.mark.parametrize("name", NAMES)
def test_schemas_say_what_is_required(name: str) -> None:
    """Arguments and results can only be checked against schemas that can refuse something."""
    document = CONTRACTS[name].document
    schemas = document.get("definitions") or document["components"]["schemas"]
    for title, schema in schemas.items():
        jsonschema_rs.meta.validate({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema})
        if schema["type"] == "object":
            assert schema["required"], title
            assert set(schema["required"]) <= set(schema["properties"]), title


@pytest.mark.parametrize("name", NAMES)
def test_every_number_in_an_address_has_bounds(name: str) -> None:
    """SQLite counts in 64 bits; a greater number must be refused by the document, not break the server."""
    for operation in CONTRACTS[name].operations:
        for parameter in operation.parameters:
            assert parameter.type != "integer" or not parameter.validator.is_valid(2**62), parameter.name


@pytest.mark.parametrize("name", NAMES)
def test_a_served_document_names_its_own_address(name: str) -> None:
    """A client that is given only the document's address must find the server by it."""
    contract = CONTRACTS[name]
    served = contract.served_at("http://127.0.0.1:4711")

    if name == "support":
        assert (served["schemes"], served["host"], served["basePath"]) == (["http"], "127.0.0.1:4711", "/desk/api")
    else:
        assert served["servers"] == [{"url": "http://127.0.0.1:4711" + contract.base_path}]


def test_the_token_address_is_absolute_where_it_is_served() -> None:
    """A relative token address means different things to different clients."""
    flows = CONTRACTS["crm"].served_at("http://h:1")["components"]["securitySchemes"]["oauth"]["flows"]

    assert flows["clientCredentials"]["tokenUrl"] == "http://h:1/oauth2/token"


def request(path: str, query: str = "", method: str = "GET", body: bytes = b"") -> Request:
    return Request(method, path, query, {"content-type": "application/json"}, body)


def call(name: str, wanted: Request) -> Call:
    return read_call(CONTRACTS[name].find(wanted), wanted)


def test_absent_parameters_take_their_default() -> None:
    """Clients rely on the defaults that the document states."""
    assert call("crm", request("/api/v1/accounts")).arguments == {
        "renewal_from": None,
        "renewal_before": None,
        "region": None,
        "limit": 50,
        "cursor": None,
    }


def test_path_parameters_are_decoded_once() -> None:
    """A slash in an id must not change which operation is meant."""
    found = call("usage", request("/v2/customers/a%2Fb%2525"))

    assert (found.operation.id, found.arguments) == ("getCustomer", {"customer_ref": "a/b%25"})


@pytest.mark.parametrize(
    ("name", "wanted", "status"),
    [
        ("crm", request("/api/v1/accounts", "limit=0"), 400),
        ("crm", request("/api/v1/accounts", "limit=ten"), 400),
        ("crm", request("/api/v1/accounts", "renewal_before=soon"), 400),
        ("crm", request("/api/v1/accounts", "renewal_before="), 400),
        ("crm", request("/api/v1/accounts", "renewal_befor=2026-01-01"), 400),
        ("crm", request("/api/v1/accounts/nobody"), 400),
        ("support", request("/desk/api/requesters/lookup"), 400),
        ("billing", request("/billing/clients/12345678901234567890123"), 400),
        ("crm", request("/api/v1/nothing"), 404),
        ("crm", request("/api/v1/tasks", method="DELETE"), 405),
        ("billing", request("/billing/alerts", method="POST", body=b"{"), 400),
        ("billing", request("/billing/alerts", method="POST", body=b"{}"), 422),
        ("support", request("/desk/api/outreach", method="POST", body=b'{"template": "none"}'), 422),
    ],
)
def test_what_the_document_does_not_allow_is_refused(name: str, wanted: Request, status: int) -> None:
    """Arguments are checked at the server too, as real vendors do."""
    with pytest.raises(Refusal) as refused:
        call(name, wanted)

    assert refused.value.status == status


def test_a_refused_method_tells_which_ones_there_are() -> None:
    """RFC 9110 asks for it, and a person debugging a client needs it."""
    with pytest.raises(Refusal) as refused:
        call("crm", request("/api/v1/accounts/ACC-000001/tasks", method="PUT"))

    assert refused.value.headers == {"Allow": "GET, POST"}
