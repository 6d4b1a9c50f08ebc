"""Where somebody can be sent back to after signing in."""

from __future__ import annotations

import pytest

from segue.api.pages.places import INBOX, is_page, own


@pytest.mark.parametrize(
    "path", ["/desk/inbox", "/desk/tasks/7", "/desk/tasks/7?done=claimed", "/desk/inbox?after=a%3D"]
)
def test_our_own_pages_are_gone_back_to(path: str) -> None:
    """Who came from a task goes on at that task."""
    assert own(path) == path


@pytest.mark.parametrize(
    "path",
    [
        *("", None, "/", "https://evil.example/", "//evil.example", "/\\evil.example", "\\\\evil.example"),
        *(
            "/desk/../../evil",
            "/desk/tasks/1/../..//evil.example",
            "/desk//evil.example",
            "/desk/tasks/1@evil.example",
        ),
        *(
            "javascript:alert(1)",
            "/desk/inbox\r\nX: y",
            "/desk/inbox\n",
            " /desk/inbox",
            "/api/v1/runs",
            "/desk/sign-out",
        ),
        *(
            "/desk/inbox?next=//evil.example/#",
            "/desk/inbox#x",
            "/desk/tasks/x",
            "/desk/tasks/1/decide",
            "/DESK/inbox",
        ),
        *("/desk/inbox%0d%0a", "/desk/tasks/１", "http:/desk/inbox", "/w/other/desk/inbox"),
    ],
)
def test_nothing_but_our_own_pages_is_gone_back_to(path: str | None) -> None:
    """There are more ways to write the address of another server than anybody remembers."""
    assert own(path) == INBOX


def test_a_page_is_told_from_what_begins_alike() -> None:
    """What is no page must pass the guard as the API does."""
    assert is_page("/desk")
    assert is_page("/desk/anything")
    assert not is_page("/desktop")
    assert not is_page("/api/v1/desk/inbox")
