"""PATCH: what each operation does, in the shapes that directories send."""

from __future__ import annotations

from typing import Any

import pytest

from segue.service.scim.patches import OPERATIONS_MAX, patched
from segue.service.scim.refusals import ScimRefusal
from segue.service.scim.resources import kept_of
from segue.service.scim.schemas import GROUPS, USERS, Kind

ANN: dict[str, Any] = {
    "userName": "ann@example.com",
    "displayName": "Ann",
    "name": {"givenName": "Ann", "familyName": "Other"},
    "active": True,
    "emails": [{"value": "ann@example.com", "type": "work"}, {"value": "a@home.example", "type": "home"}],
}
TEAM: dict[str, Any] = {"displayName": "Ops", "members": [{"value": "a"}, {"value": "b"}, {"value": "c"}]}
EXTENSION = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"


def after(kept: dict[str, Any], *operations: Any, kind: Kind = USERS) -> dict[str, Any]:
    return patched(kept, {"schemas": [], "Operations": list(operations)}, kind)


def members(*operations: Any) -> list[str]:
    return [item["value"] for item in after(TEAM, *operations, kind=GROUPS).get("members", ())]


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "replace", "path": "active", "value": False},
        {"op": "Replace", "value": {"active": False}},
        {"op": "Replace", "path": "active", "value": "False"},
        {"op": "add", "path": "urn:ietf:params:scim:schemas:core:2.0:User:active", "value": False},
        {"OP": "REPLACE", "Path": "ACTIVE", "Value": False},
    ],
)
def test_somebody_is_locked_out_however_a_directory_writes_it(operation: Any) -> None:
    """What is not understood leaves somebody in who left the company."""
    assert after(ANN, operation)["active"] is False


def test_parts_and_single_values_are_changed_and_the_rest_stays() -> None:
    """Paths with filters reach one value of several."""
    changed = after(
        ANN,
        {"op": "Replace", "path": 'emails[type eq "work"].value', "value": "ann@new.example"},
        {"op": "Add", "path": "name.familyName", "value": "Moved"},
        {"op": "remove", "path": 'emails[type eq "home"]'},
        {"op": "remove", "path": "displayName"},
    )

    assert changed["emails"] == [{"value": "ann@new.example", "type": "work"}]
    assert changed["name"] == {"givenName": "Ann", "familyName": "Moved"}
    assert "displayName" not in changed
    assert ANN["emails"][0]["value"] == "ann@example.com"


def test_an_address_that_is_not_there_yet_is_made_from_the_path() -> None:
    """Entra ID replaces `emails[type eq "work"].value` of people who have no address."""
    kept = {"userName": "ann"}

    changed = after(kept, {"op": "Replace", "path": 'emails[type eq "work"].value', "value": "ann@example.com"})

    assert changed["emails"] == [{"value": "ann@example.com", "type": "work"}]
    with pytest.raises(ScimRefusal) as refused:
        after(kept, {"op": "replace", "path": 'emails[type ne "work"].value', "value": "x"})
    assert refused.value.scim_type == "noTarget"


def test_names_with_dots_and_of_extensions_come_in_one_value() -> None:
    """What is known is kept, what is known to others is dropped."""
    value = {"name.givenName": "Anna", "displayName": "Anna", f"{EXTENSION}:department": "Sales", "title": "Dr"}

    changed = after(ANN, {"op": "Add", "value": value})

    assert changed == {**ANN, "displayName": "Anna", "name": {"givenName": "Anna", "familyName": "Other"}}
    for path in (f"{EXTENSION}:manager", 'addresses[type eq "work"].country', "roles", "preferredLanguage"):
        assert after(ANN, {"op": "Replace", "path": path, "value": "x"}) == ANN


def test_members_come_and_go_one_by_one_and_all_together() -> None:
    """A `remove` that is taken for all members empties a team."""
    assert members({"op": "remove", "path": 'members[value eq "b"]'}) == ["a", "c"]
    assert members({"op": "Remove", "path": "members", "value": [{"value": "b"}, {"value": "c"}]}) == ["a"]
    assert members({"op": "Remove", "path": "members", "value": {"value": "b"}}) == ["a", "c"]
    assert members({"op": "remove", "path": "members"}) == []
    assert members({"op": "add", "path": "members", "value": [{"value": "d", "display": "D"}, {"value": "a"}]}) == [
        *("a", "b", "c"),
        "d",
    ]
    assert members({"op": "replace", "path": "members", "value": [{"value": "z"}]}) == ["z"]
    assert members({"op": "replace", "value": {"id": "x", "displayName": "New"}}) == ["a", "b", "c"]
    assert members({"op": "remove", "path": 'members[value eq "b" or value eq "c"]'}) == ["a"]


@pytest.mark.parametrize(
    ("operation", "scim_type"),
    [
        ({"op": "replace", "path": "id", "value": "other"}, "mutability"),
        ({"op": "add", "path": "groups", "value": [{"value": "admins"}]}, "mutability"),
        ({"op": "replace", "path": "salary", "value": 1}, "invalidPath"),
        ({"op": "replace", "path": ["active"], "value": 1}, "invalidPath"),
        ({"op": "remove"}, "noTarget"),
        ({"op": "move", "path": "active"}, "invalidSyntax"),
        ({"op": "replace", "value": "x"}, "invalidValue"),
        ({"op": "replace", "path": "active", "value": "perhaps"}, "invalidValue"),
        ({"op": "replace", "path": "userName", "value": {"a": 1}}, "invalidValue"),
        ({"op": "replace", "path": "userName", "value": "x" * 501}, "invalidValue"),
        ({"op": "replace", "path": "displayName", "value": "a\nb"}, "invalidValue"),
        ({"op": "replace", "path": "emails", "value": [{"value": f"{n}@x"} for n in range(51)]}, "invalidValue"),
        ({"op": "remove", "path": "userName"}, "invalidValue"),
        ("active", "invalidSyntax"),
    ],
)
def test_what_cannot_be_done_is_refused_in_the_words_of_the_standard(operation: Any, scim_type: str) -> None:
    """A directory shows its administrator the `scimType`; and nothing of the request has happened."""
    with pytest.raises(ScimRefusal) as refused:
        after(ANN, {"op": "replace", "path": "displayName", "value": "Other"}, operation)

    assert refused.value.scim_type == scim_type
    assert ANN["displayName"] == "Ann"


def test_a_body_has_operations_and_not_endlessly_many() -> None:
    """One request is bounded work."""
    for body in (None, [], {}, {"Operations": []}, {"Operations": {}}):
        with pytest.raises(ScimRefusal):
            patched(ANN, body, USERS)
    with pytest.raises(ScimRefusal):
        after(ANN, *[{"op": "remove", "path": "displayName"}] * (OPERATIONS_MAX + 1))


def test_a_body_is_read_in_any_case_and_keeps_what_is_needed() -> None:
    """A password, a phone number, roles that somebody claims: none of it is kept."""
    body = {
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User", EXTENSION],
        "id": "root",
        "USERNAME": " ann@example.com ",
        "Active": "true",
        "password": "correct horse battery",
        "roles": [{"value": "owner"}],
        "phoneNumbers": [{"value": "1"}],
        "groups": [{"value": "admins"}],
        "emails": "ann@example.com",
        "name": {"GIVENNAME": "Ann", "honorificPrefix": "Dr"},
        EXTENSION: {"department": "Sales"},
    }

    assert kept_of(body, USERS) == {
        "userName": "ann@example.com",
        "active": True,
        "emails": [{"value": "ann@example.com"}],
        "name": {"givenName": "Ann"},
    }
    with pytest.raises(ScimRefusal):
        kept_of({"displayName": "nobody"}, USERS)
