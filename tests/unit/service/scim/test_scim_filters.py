"""Filters and paths of SCIM: what they find, and that no text is more than a filter."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segue.service.scim.filters import FILTER_MAX, matches, parse_filter, parse_path
from segue.service.scim.refusals import ScimRefusal
from segue.service.scim.schemas import GROUPS, USERS

ANN: dict[str, Any] = {
    "id": "ann",
    "userName": "Ann@Example.com",
    "externalId": "A-1",
    "displayName": "Ann Other",
    "name": {"givenName": "Ann", "familyName": "Other"},
    "active": True,
    "emails": [
        {"value": "ann@example.com", "type": "work", "primary": True},
        {"value": "ann@home.example", "type": "home"},
    ],
    "meta": {"lastModified": "2026-11-21T18:00:00.000Z"},
}
FITS = [
    'userName eq "ann@example.com"',
    'USERNAME EQ "ANN@EXAMPLE.COM"',
    'urn:ietf:params:scim:schemas:core:2.0:User:userName sw "ann"',
    'externalId eq "A-1"',
    'id eq "ann"',
    "active eq true",
    'active eq "True"',
    "displayName pr",
    'displayName co "other"',
    'name.familyName ew "HER"',
    'emails eq "ann@home.example"',
    'emails.type eq "work"',
    'emails[type eq "work" and value sw "ann@example"]',
    'userName eq "bob" or displayName co "ann"',
    'userName sw "a" and (displayName co "x" or active eq true)',
    'not (userName eq "bob")',
    'meta.lastModified gt "2026-01-01T00:00:00Z"',
    'userName ne "bob"',
    "name.formatted eq null",
    "userName ne null",
    'displayName eq "Ann\\u0020Other"',
]
FITS_NOT = [
    'userName eq "ann"',
    'externalId eq "a-1"',
    "active eq false",
    "externalId pr and name.formatted pr",
    'emails[type eq "home" and value sw "ann@example"]',
    'userName eq "bob" or userName eq "eve" and active eq true',
    'not (displayName co "ann")',
    'userName ne "ANN@example.com"',
    "userName eq null",
]


@pytest.mark.parametrize("text", FITS)
def test_a_filter_finds_whom_it_describes(text: str) -> None:
    """Directories ask whether somebody is there before they add them: a miss makes them twice."""
    assert matches(parse_filter(text, USERS), ANN)


@pytest.mark.parametrize("text", FITS_NOT)
def test_a_filter_finds_nobody_else(text: str) -> None:
    """A wrong hit lets a directory change somebody else; `and` binds closer than `or`."""
    assert not matches(parse_filter(text, USERS), ANN)


@pytest.mark.parametrize(
    "text",
    [
        *("", "userName", "userName eq", 'userName is "x"', 'eq "x"', "userName eq x", 'userName eq "x', "()"),
        *('(userName eq "x"', 'userName eq "x")', "not userName pr", "salary pr", "name.salary pr", 'active gt "x"'),
        *("userName eq 5", "userName co null", 'displayName[type eq "x"]', 'emails[type eq "x"', 'emails[x eq "x"]'),
        *('userName eq "x" and', 'userName eq "x" userName pr', "userName eq {}", '__import__("os")', "userName pr;"),
        "(" * 11 + "userName pr" + ")" * 11,
        " or ".join(["userName pr"] * 61),
        'userName eq "' + "x" * FILTER_MAX + '"',
    ],
)
def test_what_is_no_filter_is_refused_with_a_reason(text: str) -> None:
    """A filter that is read as something else shows, or changes, the wrong people."""
    with pytest.raises(ScimRefusal) as refused:
        parse_filter(text, USERS)
    assert refused.value.scim_type == "invalidFilter"
    assert len(refused.value.detail) < 300


@given(st.text(alphabet='userNam eq"\\()[]. andotprcx5{}é', max_size=60))
def test_no_text_is_more_than_a_filter(text: str) -> None:
    """Whatever is typed is a filter or is refused; nothing else happens."""
    try:
        assert matches(parse_filter(text, USERS), ANN) in (True, False)
    except ScimRefusal:
        pass


@given(st.text(max_size=40))
def test_a_value_is_compared_as_it_was_written(text: str) -> None:
    """Quotation marks, brackets and operators in a name are letters."""
    import msgspec

    wanted = parse_filter(f"externalId eq {msgspec.json.encode(text).decode()}", USERS)

    assert matches(wanted, {"externalId": text}) == (text != "")
    assert not matches(wanted, {"externalId": text + "x"})


def test_paths_name_an_attribute_a_part_and_a_filter() -> None:
    """The four forms of RFC 7644, figure 7, and the schema before them."""
    simple = parse_path("urn:ietf:params:scim:schemas:core:2.0:User:DISPLAYNAME", USERS)
    part = parse_path("name.familyName", USERS)
    both = parse_path('emails[type eq "work"].value', USERS)
    member = parse_path('members[value eq "ann"]', GROUPS)

    assert (simple.attribute.name, simple.sub, simple.inner) == ("displayName", None, None)
    assert part.sub is not None
    assert (part.attribute.name, part.sub.name) == ("name", "familyName")
    assert both.inner is not None
    assert both.sub is not None
    assert both.sub.name == "value"
    assert member.inner is not None
    for wrong in ("", "salary", "name.salary", "members[value eq", 'members[value eq "a"].salary', "name name"):
        with pytest.raises(ScimRefusal) as refused:
            parse_path(wrong, GROUPS if wrong.startswith("members") else USERS)
        assert refused.value.scim_type == "invalidPath"
