"""One person, exported whole and erased whole: whatever room their data went through."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.integration.cli_support import Cli
from tests.integration.service_support import document

from segue.governance import KeyRing, find_key
from segue.handlers import FunctionRegistry
from segue.service import (
    NewDecision,
    NewErasure,
    NewIdentity,
    NewPurge,
    NewSwitch,
    RunFilter,
    Service,
    ServiceError,
    Settings,
    backup_of_folder,
    init_keys,
    open_service,
    restore_folder,
)
from segue.service.functions import register
from segue.store.folder import open_reader
from segue.types import Identity, acting_as, fail

BOB = Identity(kind="person", id="bob", roles=frozenset({"approver", "admin", "operator"}))
ABOUT = "metadata: {segue: {subject: '${ .name }', history_max_events: 100}}"
TASKS = """
    - taken:
        listen: {to: {one: {with: {type: order.paid}}}}
    - told:
        emit: {event: {with: {source: /s, type: told, data: '${ $workflow.input }'}}}
    - charge: {call: charge, with: {who: '${ $workflow.input.text + "-effect" }'}}
    - ask:
        call: human-task
        with:
          title: '${ $workflow.input.text + "-title" }'
          assign: {person: [bob, '${ $workflow.input.text + "-asked" }']}
          requester: '${ $workflow.input.text + "-requester" }'
          data: {note: '${ $workflow.input.text + "-form" }'}
          about: {model: risk, version: '3', input: '${ $workflow.input.text + "-label" }', value: low}
          outcomes: [approve, edit]
    - breaks: {call: breaks, with: {who: '${ $workflow.input.text + "-failure" }'}}
"""
ORDER = document(TASKS, name="order", more="input: {from: '${ . }'}").replace(
    "version: '1.0.0'}", f"version: '1.0.0', {ABOUT}}}"
)
STARTED = document(
    "- done: {set: {got: '${ .[0] }'}}",
    name="started",
    more="schedule: {on: {one: {with: {type: sign.up}}}}",
).replace("version: '1.0.0'}", "version: '1.0.0', metadata: {segue: {subject: '${ .[0].name }'}}}")
LONG = document(
    """
    - taken: {listen: {to: {one: {with: {type: order.paid}}}}}
    - turn: {set: {n: '${ ($context.n // 0) + 1 }'}, export: {as: '${ . }'}}
    - act: {call: charge, with: {who: '${ $workflow.input.text }'}}
    - again: {switch: [{on: {when: '$context.n < 150', then: turn}}]}
    """,
    name="long",
    more="input: {from: '${ . }'}",
).replace("version: '1.0.0'}", f"version: '1.0.0', {ABOUT}}}")


def charge(who: str) -> dict[str, str]:
    return {"receipt": who}


def breaks(who: str) -> None:
    raise fail("validation", f"{who} cannot be charged")


@asynccontextmanager
async def opened(folder: Path, key: Path) -> AsyncIterator[Service]:
    functions = FunctionRegistry()
    register(functions, charge, "charge", recovery="ask")
    register(functions, breaks, "breaks")
    async with open_service(folder, Settings(failures="hold", key_file=str(key)), functions=functions) as service:
        yield service


def event(name: str, kind: str, number: int) -> dict[str, Any]:
    data = {"name": name, "text": f"canary-{name}-event-{number}"}
    return {
        "specversion": "1.0",
        "id": str(number),
        "source": f"/{name}#a",
        "type": kind,
        "datacontenttype": "application/json",
        "data": data,
    }


async def first(ask: Any) -> Any:
    for _ in range(400):
        page = await ask()
        if page.items:
            return page.items[0]
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come")


async def story(service: Service, name: str) -> None:
    """Runs of every kind about somebody, all of them ended; whatever they carry begins with `canary-NAME`."""
    given = {"name": name, "text": f"canary-{name}"}
    for source in (ORDER, STARTED, LONG):
        await service.workflows.publish(source)
    run, _ = await service.runs.start("demo/order", input=given)
    await service.events.send([event(name, "order.paid", 1)])
    task = await first(lambda: service.tasks.page(run=run.id))
    with acting_as(BOB):
        said = {"note": f"canary-{name}-decided"}, f"canary-{name}-said"
        seen = (await service.tasks.get(task.id)).seen
        await service.tasks.decide(task.id, NewDecision(outcome="edit", seen=seen, data=said[0], comment=said[1]))
    broken = await first(lambda: service.exceptions.page(run=run.id))
    with acting_as(BOB):
        await service.exceptions.decide(broken.id, "give-up", reason=f"canary-{name}-reason", by="bob")
    await service.runs.wait(run.id)
    long, _ = await service.runs.start("demo/long", input=given)
    await service.events.send([event(name, "order.paid", 2)])
    await service.runs.wait(long.id)
    await service.events.send([event(name, "sign.up", 3)])
    started = await first(lambda: service.runs.page(RunFilter(workflow="demo/started")))
    await service.runs.wait(started.id)


CARRIED = [
    *("canary-anna", "canary-anna-event-1", "canary-anna-event-2", "canary-anna-event-3", "canary-anna-effect"),
    *("canary-anna-title", "canary-anna-label", "canary-anna-decided", "canary-anna-said"),
    *("canary-anna-failure", "canary-anna-reason", "canary-anna-asked"),
]


def readable(folder: Path, key: Path) -> dict[str, str]:
    """What whoever has all keys can still read in each table."""
    ring = KeyRing(folder / "segue.keys", find_key(key, {}))
    found = {}
    with closing(open_reader(folder / "segue.db", ring)) as reader:
        tables = [n for (n,) in reader.execute("SELECT name FROM main.sqlite_schema WHERE type = 'table'")]
        for table in tables:
            rows = reader.execute(f"SELECT * FROM {table}").fetchall()
            found[table] = repr([ring.unseal(row[7]) for row in rows] if table == "audit" else rows)
    return found


async def test_an_export_holds_everything_about_one_person_and_nobody_else(tmp_path: Path) -> None:
    """C122: runs, events, tasks, decisions, failures, acts, labels and records."""
    data, key = tmp_path / "data", tmp_path / "kek"
    init_keys(data, key)
    async with opened(data, key) as service:
        await story(service, "anna")
        await story(service, "ben")

        made = await service.subjects.export("anna")

        text = msgspec.json.encode(made).decode()
        assert [word for word in CARRIED if f'"{word}' not in text and word not in text] == []
        assert "canary-ben" not in text
        assert (len(made.runs), made.masked, made.user) == (3, False, None)
        order = next(run for run in made.runs if run["name"] == "order")
        assert [task["by"] for task in order["tasks"]] == ["bob"]
        assert {record["action"] for record in order["audit"]} >= {"run.start", "task.decide", "effect.intend"}
        assert [event["event"]["id"] for event in made.events if event["event"]["source"] == "/anna#a"] == [
            *("1", "2", "3")
        ]
        assert [label["input"] for label in made.labels] == ["canary-anna-label"]
        assert "subject.export" not in {record.action for record in made.audit}
        assert (await service.subjects.export("anna")).audit[-1].action == "subject.export"


async def test_whoever_may_not_see_a_class_gets_an_export_that_says_so(tmp_path: Path) -> None:
    """An export is one more place where values leave."""
    admin = Identity(kind="person", id="eve", roles=frozenset({"admin"}))
    async with opened(tmp_path, tmp_path / "none") as service:
        await story(service, "anna")
        with acting_as(admin):
            made = await service.subjects.export("anna")
        assert made.masked
        assert made.labels[0]["input"] is None


async def test_what_is_erased_is_nowhere_even_for_whoever_has_all_keys(tmp_path: Path) -> None:
    """But for the audit, which says what people wrote as reasons, and for others."""
    data, key = tmp_path / "data", tmp_path / "kek"
    init_keys(data, key)
    async with opened(data, key) as service:
        await story(service, "anna")
        await story(service, "ben")
    before = readable(data, key)
    assert {table for table, rows in before.items() if "canary-anna" in rows} >= {
        *("run", "history", "event", "effect", "incident", "human_task", "label", "human_task_audience"),
    }
    async with opened(data, key) as service:
        done = await service.subjects.erase(NewErasure(subject="anna", reason="asked", dry_run=False))
        assert (done.runs, done.labels, done.keys) == (3, 1, 1)
        assert done.events >= 4
        await service.audit.sign()
        assert (await service.audit.verify()).problems == []
        gone = await service.subjects.export("anna")
        assert "canary-anna" not in msgspec.json.encode([gone.runs, gone.events, gone.labels]).decode().replace(
            "canary-anna-reason", ""
        )
    after = readable(data, key)
    assert {table for table, rows in after.items() if "canary-anna" in rows} <= {"audit"}
    assert b"canary-anna" not in b"".join(path.read_bytes() for path in data.glob("segue.db*"))
    assert "canary-anna-reason" in after["audit"]
    assert after["label"].count("canary-ben-label") == 1


async def test_whoever_decided_about_themselves_is_erased_too(tmp_path: Path) -> None:
    """A user whose own case it was is named by nothing beside the runs; others who decided stay on record."""
    data, key = tmp_path / "data", tmp_path / "kek"
    init_keys(data, key)
    async with opened(data, key) as service:
        await story(service, "bob")
        done = await service.subjects.erase(NewErasure(subject="bob", reason="asked", dry_run=False))
        assert done.runs == 3
        with closing(open_reader(data / "segue.db")) as reader:
            rows = reader.execute("SELECT owner, by, requester, audience FROM main.human_task").fetchall()
            rows += reader.execute("SELECT owner, by FROM main.human_task_change").fetchall()
        assert rows[0][1:] == ("erased", "erased", '{"people":["erased"]}')
        assert "bob" not in repr(rows)
        assert (await service.audit.verify()).problems == []


async def test_labels_of_runs_that_are_gone_are_found(tmp_path: Path) -> None:
    """Retention takes runs and leaves what models learn from."""
    data, key = tmp_path / "data", tmp_path / "kek"
    init_keys(data, key)
    async with opened(data, key) as service:
        await story(service, "anna")
        await story(service, "ben")
        await service.store.write([("UPDATE run SET ended_at = 1 WHERE ended_at IS NOT NULL", ())])
        await service.retention.run(NewPurge(dry_run=False))
        made = await service.subjects.export("anna")
        assert (made.runs, [label["input"] for label in made.labels]) == ([], ["canary-anna-label"])
        await service.subjects.erase(NewErasure(subject="anna", reason="asked", dry_run=False))
    after = readable(data, key)
    assert "canary-anna" not in after["label"]
    assert "canary-ben" in after["label"]


async def test_what_somebody_did_as_a_user_is_told_without_what_it_was_about(tmp_path: Path) -> None:
    """They have a right to what is kept of them, and not to the data of those whom they served."""
    async with opened(tmp_path, tmp_path / "none") as service:
        await service.accounts.add(NewIdentity(id="bob", display="Bob B.", password="correct horse battery"))
        await story(service, "anna")
        with acting_as(BOB):
            await service.switches.stop(NewSwitch(kind="connection", name="crm", reason="too slow"))

        made = await service.subjects.export(person="bob")

        assert made.user is not None
        assert made.user["identity"]["display"] == "Bob B."
        assert [(task["outcome"], task["by"]) for task in made.user["tasks"]] == [("approve", "bob")]
        assert {change["change"] for change in made.user["taskChanges"]} >= {"decided"}
        assert [row["action"] for row in made.user["exceptions"]] == ["give-up"]
        assert [row["reason"] for row in made.user["switches"]] == ["too slow"]
        assert {record["action"] for record in made.user["audit"]} >= {"task.decide", "switch.stop"}
        assert "identity.change" in {record["action"] for record in made.user["named"]}
        text = json.dumps(msgspec.to_builtins(made.user))
        assert "canary-anna-title" not in text
        assert "correct horse" not in text
        assert "argon2" not in text
        with pytest.raises(ServiceError) as refused:
            await service.subjects.export(person="nobody")
        assert refused.value.kind == "identity-unknown"
        with pytest.raises(ServiceError, match="Neither"):
            await service.subjects.export()


async def test_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Both at once, where a customer is a user too."""
    data = tmp_path / "data"
    async with opened(data, tmp_path / "none") as service:
        await service.accounts.add(NewIdentity(id="anna", password="correct horse battery"))
        await story(service, "anna")
    made = (
        await asyncio.to_thread(Cli(capsys), "subjects", "export", "anna", "--person", "anna", "--data", data)
    ).json
    assert (made["format"], made["subject"], made["person"]) == ("segue.subject-export/2", "anna", "anna")
    assert set(made) == {
        *("format", "madeAt", "masked", "subject", "person", "runs", "events", "labels", "audit", "user")
    }


WAITS = document("- w: {listen: {to: {one: {with: {type: go}}}}}", name="waits").replace(
    "version: '1.0.0'}", f"version: '1.0.0', {ABOUT}}}"
)
DONE = document("- w: {set: {a: 1}}", name="done").replace("version: '1.0.0'}", f"version: '1.0.0', {ABOUT}}}")


async def test_a_run_that_nobody_can_read_keeps_no_folder_shut(tmp_path: Path) -> None:
    """A backup from before somebody was erased may hold an open run of theirs: nothing could start again."""
    data, again = tmp_path / "data", tmp_path / "again"
    init_keys(data, tmp_path / "kek")
    settings = Settings(key_file=str(tmp_path / "kek"))
    async with open_service(data, settings) as service:
        await service.workflows.publish(WAITS)
        ann, _ = await service.runs.start("demo/waits", input={"name": "ann"})
        ben, _ = await service.runs.start("demo/waits", input={"name": "ben"})
    backup_of_folder(data, tmp_path / "monday.db")
    async with open_service(data, settings) as service:
        await service.runs.control(ann.id, "cancel")
        await asyncio.sleep(0.2)
        done = await service.subjects.erase(NewErasure(subject="ann", reason="asked", dry_run=False))
        assert done.keys == 1
    restore_folder(tmp_path / "monday.db", again)
    for key in data.glob("*keys*"):
        (again / key.name).write_bytes(key.read_bytes())

    async with open_service(again, settings) as service:
        assert (await service.runs.get(ben.id)).status == "waiting"
        (told,) = (await service.exceptions.page()).items
        assert told.run == ann.id
        await service.runs.control(ann.id, "cancel", reason="their data is gone")
        assert (await service.runs.get(ann.id)).input == "erased"
    async with open_service(again, settings) as service:
        assert not (await service.exceptions.page()).items


async def test_nobody_is_erased_while_a_run_about_them_begins(tmp_path: Path) -> None:
    """It would be sealed with a key that is gone, and could be neither read nor gone on with."""
    init_keys(tmp_path / "data", tmp_path / "kek")
    async with open_service(tmp_path / "data", Settings(key_file=str(tmp_path / "kek"))) as service:
        await service.workflows.publish(WAITS)
        await service.workflows.publish(DONE)
        first, _ = await service.runs.start("demo/done", input={"name": "ann"})
        await asyncio.wait_for(service.runs.wait(first.id), 10)
        wanted = NewErasure(subject="ann", reason="asked", dry_run=False)

        async def later(turns: int) -> str:
            for _ in range(turns):
                await asyncio.sleep(0)
            return (await service.runs.start("demo/waits", input={"name": "ann"}))[0].id

        erased, *begun = await asyncio.gather(
            service.subjects.erase(wanted), *map(later, range(12)), return_exceptions=True
        )
        assert isinstance(erased, ServiceError), erased
        assert erased.kind == "run-open"
        for run in begun:
            assert isinstance(run, str)
            assert (await service.runs.get(run)).status == "waiting"
