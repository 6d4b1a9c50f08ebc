"""A few plans as people write them, beside the random ones."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Final

from segue.core.plan import Flow, Plan
from segue.hosts.simulated import building as b
from segue.hosts.simulated.generating import with_undos


def renewal_risk() -> Plan:
    """Collect from several systems at once, score, and act on a high score in three places at the same time."""
    high = b.program(lambda score, v: isinstance(score, int) and score > 50)
    collect = b.fork(
        "collect",
        *(b.act(name, handler="read", timeout=60_000) for name in ("crm", "billing", "usage", "support")),
        output_as=b.program(lambda found, v: len(found)),
    )
    tell = b.fork(
        "tell",
        *(b.act(name, handler="keyed") for name in ("crmTask", "financeAlert", "outreach")),
        output_as=b.program(lambda told, v: len(told)),
    )
    return b.plan(
        b.attempt("gather", collect, retry=b.retry(delay=1_000, backoff="exponential", count=3), handle=()),
        b.act("score", handler="model"),
        b.switch("decide", (high, 3), (None, Flow.END)),
        b.attempt("safely", tell, retry=b.retry(delay=500, count=2), handle=(b.act("escalate", handler="manual"),)),
        name="renewal-risk",
    )


def approval() -> Plan:
    """A person decides within three days; a reminder in between; otherwise somebody else is told."""
    decision = b.listen("decision", b.one("order.paid"), output_as=b.constant("decided"))
    reminder = b.do("remind", b.wait("aDay", 86_400_000), b.act("mail", handler="lookup"), b.wait("long", 10**9))
    return b.plan(
        b.act("offer", handler="keyed"),
        b.attempt(
            "decide",
            b.fork("either", decision, reminder, compete=True, timeout=3 * 86_400_000),
            handle=(b.act("escalate", handler="manual"),),
        ),
        b.act("record", handler="keyed"),
        name="approval",
    )


def order_saga() -> Plan:
    """Three acts that must all hold; what was done is undone when a later one fails."""
    return b.plan(
        b.attempt(
            "book",
            b.act("reserve", handler="lookup"),
            b.act("charge", handler="keyed"),
            b.act("ship", handler="manual"),
            handle=(b.act("refund", handler="keyed"), b.act("release", handler="lookup")),
        ),
        b.emit("tell", {"type": "order.made", "data": 1, "order": 1}),
        b.act("log", handler="read", wait=False),
        name="order-saga",
    )


def digest_of_notes() -> Plan:
    """Handle notes one by one as they come, until somebody says stop or the day is over."""
    handle = b.each(b.act("summarise", handler="model"), b.act("file", handler="keyed"))
    gather = b.listen("notes", b.any_of("note", until=b.one("stop")), foreach=handle, timeout=86_400_000)
    return b.plan(b.attempt("day", gather), b.act("send", 1, handler="lookup"), name="digest-of-notes")


def graph() -> Plan:
    """Work with needs: a diamond behind a loop over customers."""
    needs = ((), (0,), (0,), (1, 2))
    diamond = b.fork(
        "diamond",
        *(
            b.act(name, 1, handler=handler)
            for name, handler in zip("abcd", ("read", "keyed", "lookup", "model"), strict=True)
        ),
        needs=needs,
        output_as=b.constant(1),
    )
    return b.plan(b.loop("customers", [1, 2, 3], diamond, timeout=10**8), name="graph")


def order_batch() -> Plan:
    """Orders one by one, each tried again from its start when anything in it fails."""
    again = b.retry(delay=50, count=3)
    order = b.attempt(
        "order",
        b.act("reserve", handler="lookup", timeout=400),
        b.act("book", handler="manual"),
        b.act("notify", handler="lookup", wait=False),
        b.act("confirm", handler="keyed"),
        retry=again,
    )
    return b.plan(b.loop("orders", [1, 2], order, output_as=b.constant(1)), name="order-batch")


def payout() -> Plan:
    """Two payments side by side, each tried again until the time for all is spent; what fails is for a person."""
    again = b.retry(delay=20, backoff="exponential", count=5, attempt_duration=1_000, duration=60_000)
    branches = (
        b.attempt("bank", b.act("transfer", handler="lookup"), b.act("book", handler="read"), retry=again),
        b.attempt("cheque", b.act("print", handler="manual"), b.act("post", handler="manual"), retry=again),
    )
    return b.plan(b.fork("pay", *branches, output_as=b.constant(1)), b.act("close", handler="lookup"), name="payout")


def outing(rng: Random) -> Plan:
    """Book a trip, part of it side by side; what is booked is taken back where the rest fails, and booked anew."""
    ride = b.attempt(
        "ride",
        b.act("train", handler="lookup"),
        b.act("seat", handler="keyed"),
        b.act("meal", handler="manual", timeout=rng.choice((None, 400))),
        handle=(b.act("walk", handler="read"),),
    )
    sleep = b.do("sleep", b.act("room", handler="lookup"), b.act("bed", handler="keyed"))
    both = b.fork("both", ride, sleep, output_as=b.constant(1), timeout=rng.choice((None, 1_000)))
    again = b.retry(delay=rng.choice((0, 50)), count=3)
    handle = None if rng.random() < 0.3 else (b.act("tell", handler="read"),)
    booked = b.attempt("book", both, b.act("guide", handler="manual"), retry=again, handle=handle)
    last = b.act("insure", handler="lookup")
    return with_undos(rng, b.plan(b.act("ask", handler="read"), booked, last, name="outing"), likely=0.8)


def race(rng: Random) -> Plan:
    """Hold something in several ways at once; the first that is whole wins, while another still gives back."""
    full = b.attempt(
        "full",
        b.act("hold", handler="lookup"),
        b.act("pay", handler="keyed"),
        b.act("sign", handler="manual"),
        b.throw("none"),
        handle=(b.throw("gone"),),
    )
    turn = b.wait("turn", rng.choice((0, 20, 300, 5_000)))
    slow = b.do("slow", b.act("queue", handler="read"), turn, b.act("take", handler="keyed"))
    ways = b.fork("ways", *rng.sample((full, slow), 2), compete=True, timeout=rng.choice((None, 10_000)))
    rest = rng.choice((b.wait("rest", 20_000), b.listen("rest", b.one("note"), output_as=b.constant(1))))
    again = b.retry(delay=50, count=1)
    won = b.attempt("won", ways, rest, b.act("use", handler="manual"), retry=again, handle=(b.put("none", 0),))
    return with_undos(rng, b.plan(won, name="race"), likely=0.8)


def patrol() -> Plan:
    """Look every few minutes whether all is well, for half an hour."""
    rounds = b.loop("rounds", list(range(12)), b.wait("pause", 150_000), b.act("look", handler="read"))
    return b.plan(b.attempt("safely", rounds, retry=b.retry(delay=1_000, count=3), handle=()), name="patrol")


CAREFUL: Final[tuple[Callable[[], Plan], ...]] = (order_batch, payout)
"""What must not happen twice, in lists that are tried again."""

REALISTIC: Final[tuple[Callable[[], Plan], ...]] = (renewal_risk, approval, order_saga, digest_of_notes, graph)
