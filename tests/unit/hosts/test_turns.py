"""Whose turn it is when not all acts can go."""

from __future__ import annotations

from segue.hosts.embedded.turns import Lane, Turns


def _lane(target: str, workflow: str = "w", handler: str = "connector") -> Lane:
    return Lane(handler, target, workflow)


def _flood(turns: Turns[str], lane: Lane, count: int = 1000) -> int:
    """How many of so many acts hold a place at once."""
    return sum(turns.enter(f"{lane.target}-{lane.workflow}-{number}", lane) for number in range(count))


def _drain(turns: Turns[str]) -> list[str]:
    went = []
    while (item := turns.next()) is not None:
        went.append(item)
    return went


def test_a_target_that_takes_all_it_can_leaves_most_places_to_others() -> None:
    """It may hang, and before its first time-out nobody knows."""
    turns: Turns[str] = Turns(1000)

    assert _flood(turns, _lane("hangs")) == 334
    assert _flood(turns, _lane("another")) == 222


def test_each_of_many_targets_that_hang_leaves_something_to_the_next() -> None:
    """An outage of a data centre takes more than one system down."""
    turns: Turns[str] = Turns(1000)
    for number in range(15):
        _flood(turns, _lane(f"hangs-{number}"))

    assert turns.enter("healthy", _lane("healthy"))


def test_workflows_share_a_target() -> None:
    """A job of ten thousand runs must not hold up the single run of another workflow at the same system."""
    turns: Turns[str] = Turns(100)
    _flood(turns, _lane("crm", "big"))

    assert turns.enter("small", _lane("crm", "small"))


def test_whoever_waits_goes_in_turns_by_target_and_workflow() -> None:
    """Each act that ends makes room, and the room must not always go to the longest queue."""
    turns: Turns[str] = Turns(1)
    assert turns.enter("first", _lane("crm"))
    for item in ("crm-1", "crm-2", "crm-3"):
        turns.enter(item, _lane("crm"))
    turns.enter("crm-other", _lane("crm", "other"))
    turns.enter("erp-1", _lane("erp"))

    order, held = [], _lane("crm")
    for _ in range(5):
        turns.leave(held)
        (item,) = _drain(turns)
        order.append(item)
        held = _lane(item.split("-")[0], "other" if item == "crm-other" else "w")

    assert order == ["crm-1", "erp-1", "crm-other", "crm-2", "crm-3"]
    assert turns.waiting == 0


def test_a_handler_may_have_a_limit_of_its_own() -> None:
    """Programs cost more of the machine than requests."""
    turns: Turns[str] = Turns(100, {"script": 2})

    assert _flood(turns, _lane("", handler="script"), 5) == 2
    turns.leave(_lane("", handler="script"))
    assert len(_drain(turns)) == 1


def test_a_dropped_act_leaves_the_queue() -> None:
    """Ten thousand cancelled runs behind a target that hangs must not stay in memory."""
    turns: Turns[str] = Turns(1)
    turns.enter("first", _lane("crm"))
    turns.enter("second", _lane("crm"))

    turns.drop("second", _lane("crm"))
    turns.drop("second", _lane("crm"))
    turns.leave(_lane("crm"))

    assert turns.waiting == 0
    assert turns.next() is None
