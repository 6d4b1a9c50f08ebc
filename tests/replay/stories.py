"""Stories of our own: what a run can go through, a few things at a time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

from tests.replay.stage import HANGS, After, Fails, Stage, Story

from segue.types import (
    DecisionMade,
    FailureReleased,
    RunCancelled,
    RunPaused,
    RunResumed,
    TaskAssigned,
    TaskRestarted,
    TaskSkipped,
)

HEAD: Final = "document: {dsl: '1.0.3', namespace: golden, name: NAME, version: 1.0.0}\n"
FUNCTIONS: Final = ("f", "g")


def _document(name: str, body: str) -> str:
    return HEAD.replace("NAME", name) + body


STORIES: list[Story] = []
_Play = Callable[[Stage], Awaitable[Any]]


def _story(name: str, *bodies: str, **more: Any) -> Callable[[_Play], _Play]:
    def keep(play: _Play) -> _Play:
        documents = [_document(name if place == 0 else f"{name}-{place}", body) for place, body in enumerate(bodies)]
        STORIES.append(Story(name, play.__doc__ or "", documents, play, functions=FUNCTIONS, **more))
        return play

    return keep


@_story(
    "queued",
    """
do:
- first: {call: f}
""",
    answers={"first": [HANGS]},
    limit=1,
)
async def _queued(stage: Stage) -> None:
    """One run at a time: the others wait, are paused and cancelled, and get their turn."""
    for name in ("main", "second", "third", "fourth"):
        await stage.start({"of": name}, name=name)
    await stage.control(RunPaused(0), "second")
    await stage.control(RunCancelled(0), "third")
    await stage.control(RunCancelled(0), "main")
    await stage.control(RunResumed(0), "second")


@_story(
    "retries",
    """
use:
  retries:
    patient:
      delay: {milliseconds: 100}
      backoff: {exponential: {}}
      jitter: {from: {milliseconds: 0}, to: {milliseconds: 90}}
      limit: {attempt: {count: 4}}
do:
- first:
    try: [{a: {call: f, with: {n: '${ .n }'}}}, {b: {call: f, with: {of: '${ . }'}}}]
    catch: {retry: patient}
- second:
    try: [{c: {call: f}}]
    catch:
      as: caught
      retry: {delay: PT1S, backoff: {linear: {}}, limit: {attempt: {count: 2, duration: PT20S}, duration: PT5M}}
      do: [{mend: {set: {why: '${ $caught.status }'}}}]
- third:
    try: [{d: {call: f}}]
    catch: {errors: {with: {status: 404}}, then: last}
- last: {set: {after: '${ . }'}}
""",
    answers={
        "b": [Fails(), Fails(), {"n": 2}],
        "c": [Fails(), After(30_000, 1), Fails("runtime")],
        "d": [Fails(status=404)],
    },
)
async def _retries(stage: Stage) -> None:
    """Lists tried again with jitter, until it works, until the attempts are spent; a catch by its filter."""
    await stage.start({"n": 1})
    for _ in range(4):
        await stage.pass_by(40_000)


@_story(
    "clocks",
    """
timeout: {after: P10D}
do:
- pause: {wait: {seconds: 90}}
- race:
    fork:
      compete: true
      branches:
      - slow: {call: f}
      - quick: {do: [{nap: {wait: PT5S}}, {won: {set: {winner: quick}}}]}
- limited:
    try: [{hang: {call: f, timeout: {after: PT2S}}}]
    catch: {errors: {with: {status: 408}}, do: [{note: {set: {late: true}}}]}
- again: {for: {in: '[1, 2, 3]'}, do: [{step: {wait: {milliseconds: 250}}}]}
- last: {set: {now: '${ now | type }', at: '${ $task.startedAt.epoch.seconds }', was: '${ . }'}}
""",
    answers={"slow": [HANGS], "hang": [HANGS]},
)
async def _clocks(stage: Stage) -> None:
    """Waits, a race that a timer wins, a time-out that is caught, a loop of waits, and the recorded time."""
    await stage.start({})
    for _ in range(2):
        await stage.pass_by(60_000)


@_story(
    "messages",
    """
do:
- early: {listen: {to: {one: {with: {type: order.made}}}}}
- both:
    listen:
      to:
        all:
        - {with: {type: order.paid}, correlate: {order: {from: .data.order}}}
        - {with: {type: order.sent}, correlate: {order: {from: .data.order}}}
- stream:
    listen: {to: {any: [{with: {type: note}}], until: {one: {with: {type: stop}}}}, read: envelope}
    foreach:
      item: note
      do: [{handle: {call: f, with: {of: '${ $note.data }'}}}]
      output: {as: '${ .of.n }'}
- tell: {emit: {event: {with: {type: told, source: /golden/told, data: '${ . }'}}}}
- last: {listen: {to: {one: {with: {type: never}}}}, timeout: {after: PT1H}}
""",
)
async def _messages(stage: Stage) -> None:
    """Events from before the wait, all of several with correlation, a stream handled one by one until a stop."""
    await stage.start()
    await stage.tell("order.made", {"order": 1})
    await stage.tell("order.paid", {"order": 1})
    await stage.tell("order.sent", {"order": 2})
    await stage.tell("order.sent", {"order": 1})
    for n in range(3):
        await stage.tell("note", {"n": n})
    await stage.crash()
    await stage.tell("note", {"n": 3})
    await stage.tell("stop")
    await stage.pass_by(1_000)


@_story(
    "branches",
    """
do:
- begin: {set: {n: 1}, export: {as: '${ {seen: .n} }'}}
- graph:
    fork:
      branches:
      - a: {call: f, with: {n: 1}, export: {as: '${ $context + {a: .n} }'}}
      - b: {call: f, with: {n: 2}}
      - c: {do: [{c1: {call: f, with: {n: '${ .a.n + .b.n }'}}}], needs: [a, b]}
      - d: {set: {n: '${ .c.n * 10 }'}, needs: [c]}
- inner:
    for: {in: '[3, 4]', each: x, at: i}
    while: $i < 2
    do:
    - pair:
        fork:
          branches:
          - left: {call: f, with: {n: '${ $x }'}}
          - right: {try: [{r: {call: g}}], catch: {do: [{saved: {set: {n: '${ $x * 2 }'}}}]}}
    - sum: {set: {total: '${ map(.n) | add }'}}
- jump: {switch: [{again: {when: .total < 20, then: more}}, {done: {then: end}}]}
- more: {set: {total: '${ .total + 6 }'}, then: jump}
""",
    answers={"r": [Fails(), {"n": 7}], "a": [After(50, {"n": 1})]},
)
async def _branches(stage: Stage) -> None:
    """A graph of branches, branches in a loop, contexts, names across lists, and jumps back and forward."""
    await stage.start({})
    await stage.pass_by(200)


@_story(
    "wrapped",
    """
use:
  functions:
    twice: {do: [{x: {set: {n: '${ .n * 2 }'}}}, {y: {call: f, with: {n: '${ .n }'}}}]}
  extensions:
  - log:
      extend: call
      before: [{said: {set: {n: '${ .n + 1 }'}}}]
      after: [{heard: {call: g, with: {n: '${ .n }'}}}]
  errors: {own: {type: 'https://example.com/own', status: 422, title: Own, detail: '${ "n is \\(.n)" }'}}
do:
- one: {call: twice, with: {n: '${ .n }'}, then: three}
- two: {set: {never: true}}
- three: {if: .n > 0, set: {n: '${ .n }'}}
- four: {if: .n > 99, call: f}
- five: {do: [{deep: {try: [{six: {raise: {error: own}}}], catch: {errors: {with: {status: 500}}}}}]}
""",
    answers={"let-go": [After(5_000, {"n": 0})]},
)
async def _wrapped(stage: Stage) -> None:
    """Functions, extensions, conditions, an act that nobody waits for, and an error that ends the run."""
    await stage.start({"n": 3})
    await stage.pass_by(10_000)


@_story(
    "crashes",
    """
do:
- safe: {call: f, with: {n: 1}}
- found: {call: f, with: {n: 2}}
- asked: {try: [{manual: {call: f, with: {n: 3}}}], catch: {as: e, do: [{say: {set: {why: '${ $e.detail }'}}}]}}
- list:
    try: [{paid: {call: f, with: {n: 4}}}, {sent: {call: f, with: {n: 5}}}]
    catch: {retry: {delay: PT1S, limit: {attempt: {count: 3}}}}
- nap: {wait: PT30S}
""",
    care={"found": "verify", "manual": "ask", "paid": "verify"},
    answers={
        "safe": [HANGS, 1],
        "found": [HANGS, 2],
        "manual": [HANGS, 3],
        "paid": [Fails(lost=True), "paid twice"],
        "sent": [Fails(), 5],
    },
)
async def _crashes(stage: Stage) -> None:
    """The process dies in each kind of act and in a wait; an answer is lost inside a list that is tried again."""
    await stage.start()
    for _ in range(3):
        await stage.crash()
    await stage.pass_by(8_000)
    await stage.crash()
    await stage.pass_by(60_000)


@_story(
    "held",
    """
do:
- read: {call: f, with: {id: '${ .id }'}}
- sides:
    fork:
      branches:
      - left: {call: f, with: {id: '${ .id }'}}
      - right: {try: [{r1: {call: f}}, {r2: {call: f}}], catch: {retry: {delay: PT1S, limit: {attempt: {count: 1}}}}}
      - third: {do: [{t1: {set: {n: '${ .id.x }'}}}]}
- close: {call: f, with: {all: '${ . }'}}
- done: {set: {ok: true}}
""",
    holds=True,
    answers={
        "read": [Fails("validation", 400), {"id": 5}],
        "left": [Fails(), "left"],
        "r2": [Fails()],
        "close": [Fails()],
    },
)
async def _held(stage: Stage) -> None:
    """Failures wait for a person: mended and started again, gone back from, skipped; others go on meanwhile."""
    await stage.start({"id": "x"})
    await stage.control(
        TaskRestarted(0, await stage.live("read"), input={"id": 5}, by="eva", reason="the id was text")
    )
    await stage.pass_by(3_000)
    await stage.crash()
    await stage.control(RunPaused(0))
    await stage.control(TaskRestarted(0, await stage.live("left")))
    await stage.control(RunResumed(0))
    await stage.control(TaskRestarted(0, await stage.live("right"), stage.node("r2"), "again"))
    await stage.pass_by(3_000)
    await stage.control(TaskSkipped(0, await stage.live("right"), "by hand", by="eva"))
    await stage.control(TaskSkipped(0, await stage.live("t1"), {"n": 0}))
    await stage.control(TaskRestarted(0, 1, stage.node("sides"), {"id": 6}))
    await stage.pass_by(5_000)
    for task in ("right", "t1"):
        await stage.control(TaskSkipped(0, await stage.live(task), 1))
    await stage.control(TaskSkipped(0, await stage.live("close"), "closed by hand"))


@_story(
    "given-up",
    """
do:
- guard:
    try: [{inside: {do: [{a: {call: f}}]}}]
    catch: {errors: {with: {status: 404}}, do: [{b: {set: {x: 1}}}]}
""",
    holds=True,
    answers={"a": [Fails()]},
)
async def _given_up(stage: Stage) -> None:
    """A person gives up on a held failure, and the run faults with it."""
    await stage.start()
    await stage.control(FailureReleased(0, await stage.live("a"), by="eva", reason="the order is void"))


@_story(
    "controls",
    "do: [{a: {call: f}}, {b: {wait: PT1H}}, {c: {call: f}}]\n",
    answers={"a": [After(1_000, 1)]},
)
async def _controls(stage: Stage) -> None:
    """Paused in an act, resumed, and cancelled in a wait; and one that is left waiting."""
    await stage.start()
    await stage.start(name="left")
    await stage.control(RunPaused(0, by="eva", reason="audit"))
    await stage.pass_by(2_000)
    await stage.control(RunResumed(0, by="eva"))
    await stage.control(RunCancelled(0, by="eva", reason="enough"))


@_story(
    "families",
    """
do:
- waits: {run: {workflow: {namespace: golden, name: families-1, version: 1.0.0, input: {n: '${ .n }'}}}}
- alone: {run: {workflow: {namespace: golden, name: families-1, version: latest, input: {n: 0}}, await: false}}
- saved:
    try: [{bad: {run: {workflow: {namespace: golden, name: families-1, version: 1.0.0, input: {n: -1}}}}}]
    catch: {as: e, do: [{note: {set: {status: '${ $e.status }'}}}]}
""",
    """
do:
- check: {switch: [{bad: {when: .n < 0, then: refuse}}, {good: {then: work}}]}
- refuse: {raise: {error: {type: 'https://example.com/negative', status: 422}}}
- work: {call: f, with: {n: '${ .n + 1 }'}}
""",
)
async def _families(stage: Stage) -> None:
    """A run waits for another, starts one on its own, and catches the failure of a third."""
    await stage.start({"n": 1})
    await stage.pass_by(1_000)


@_story("long", "do: [{l: {for: {in: '[range(150)]'}, do: [{a: {call: f, with: {n: '${ $item }'}}}]}}]\n")
async def _long(stage: Stage) -> None:
    """Many iterations: the names of acts count on."""
    await stage.start()
    for _ in range(20):
        await stage.settle()


@_story(
    "people",
    r"""
do:
- two:
    call: human-task
    with:
      title: '${ "Pay \(.amount)?" }'
      assign: {role: approver, person: [eva]}
      requester: rita
      form: {type: object, required: [amount], properties: {amount: {type: number}}}
      data: {amount: '${ .amount }'}
      about: {model: risk, version: '3', input: {a: 1}, value: low, confidence: 0.7}
      outcomes: [approve, edit, reject, send-back]
      approvals: 2
      send_back: {person: rita}
      reminders: {every: PT1H, times: 3}
      escalate: [{after: PT5H, to: {manager: true, group: finance}}]
      deadline: {after: P2D, outcome: expired}
- which: {switch: [{good: {when: '.outcome == "approve"', then: sampled}}, {bad: {then: end}}]}
- sampled:
    call: human-task
    with: {title: Look, assign: {group: g}, data: 5, review: {confidence: 0.99, threshold: 0.9, sample: 0}}
- last: {call: human-task, with: {title: Keep, assign: {agent: c}, outcomes: [keep, drop]}, timeout: {after: P9D}}
""",
)
async def _people(stage: Stage) -> None:
    """Sent back and resubmitted, claimed, handed on, edited and approved by two; one expires, one waits."""
    hour = 3_600_000
    await stage.start({"amount": 5})
    await stage.start({"amount": 7}, name="late")
    task = await stage.live("two")
    await stage.attend(DecisionMade(0, task, "send-back", by="eva", comment="which year?"))
    await stage.pass_by(2 * hour)
    await stage.attend(DecisionMade(0, task, "resubmit", {"amount": 6}, by="rita"))
    await stage.pass_by(2 * hour)
    await stage.attend(TaskAssigned(0, task, "claim", "eva", by="eva"))
    await stage.attend(TaskAssigned(0, task, "delegate", "bob", by="eva", reason="away"))
    await stage.attend(TaskAssigned(0, task, "release", by="bob"))
    await stage.attend(DecisionMade(0, task, "approve", by="eva"))
    await stage.attend(TaskAssigned(0, task, "reassign", audience={"people": ["cem", "dan"]}, by="eva"))
    await stage.attend(DecisionMade(0, task, "edit", {"amount": 4}, by="cem", seen="d", policy="p", via="code"))
    await stage.attend(DecisionMade(0, task, "approve", by="dan", comment="fine", allowed=("approver",)))
    await stage.pass_by(60 * hour)


@_story(
    "undone",
    """
do:
- first:
    call: connector:1.1.0@default
    with: {use: c, operation: a, undo: {operation: b, arguments: {id: '${ .id }'}}}
- part:
    try:
    - second: {call: 'connector:1.1.0@default', with: {use: c, operation: d, undo: {operation: e}}}
    - bad: {raise: {error: {type: 'https://example.com/no', status: 409}}}
    catch: {do: [{note: {set: {n: 1}}}]}
- third: {call: 'connector:1.1.0@default', with: {use: c, operation: f, undo: {operation: g}}}
- waits: {wait: PT1H}
""",
    answers={"first": [{"id": 1}], "undo third": [Fails(), None]},
)
async def _undone(stage: Stage) -> None:
    """A caught list is undone, a cancelled run too; one undo fails, waits for a person, and is started again."""
    await stage.start()
    await stage.control(RunCancelled(0, by="eva", reason="enough"))
    await stage.control(TaskRestarted(0, await stage.live("undo third"), by="eva", reason="it is up again"))


async def _moved(stage: Stage) -> None:
    """A run in a retried list goes on under another version, and a second time; acts keep their names."""
    await stage.start()
    for plan in (stage.plans[1], stage.plans[0]):
        found = await stage.world.host.migrate("main", plan.digest, by="eva", reason="mended")
        assert found.obstacles == []
        await stage.pass_by(2_000)


@_story(
    "withheld",
    """
do:
- pay:
    try: [{act: {call: f, with: {n: 7}}}]
    catch: {errors: {with: {status: 503}}, retry: {delay: PT1S, limit: {attempt: {count: 2}}}}
- last: {call: g}
""",
    answers={"act": [Fails(), 1]},
    withholds=("act",),
)
async def _withheld(stage: Stage) -> None:
    """Acts wait for approval: over a crash, approved in a paused run and retried; one refused, one left waiting."""
    for name in ("main", "refused", "waiting"):
        await stage.start(name=name)
    act = await stage.live("act")
    await stage.attend(TaskAssigned(0, act, "claim", "bob", by="bob"))
    await stage.crash()
    await stage.control(RunPaused(0))
    await stage.attend(DecisionMade(0, act, "approve", by="bob"))
    await stage.pass_by(1_000)
    await stage.control(RunResumed(0))
    await stage.attend(
        DecisionMade(0, await stage.live("act", "refused"), "refuse", by="ann", comment="no"), "refused"
    )
    await stage.pass_by(5_000)


_MOVED = """
do:
FRONT- list:
    try: [{a: {call: f}}, {b: {call: g}}]
    catch: {retry: {delay: PT1S, limit: {attempt: {count: 5}}}}
- last: {call: f, with: {say: WORD}}
"""

STORIES.append(
    Story(
        "moved",
        _moved.__doc__ or "",
        [
            _document("moved", _MOVED.replace("FRONT", "").replace("WORD", "old")),
            _document("moved", _MOVED.replace("FRONT", "- front: {call: f}\n").replace("WORD", "new")).replace(
                "version: 1.0.0", "version: 2.0.0"
            ),
        ],
        _moved,
        functions=FUNCTIONS,
        answers={"b": [Fails(), Fails(), Fails(), Fails(), 1]},
    )
)
