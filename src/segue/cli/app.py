"""The commands by name. Each is imported when it is called."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final, NoReturn

import segue
from segue.cli.crash import crash

if TYPE_CHECKING:
    from cyclopts import App

STDIN: Final = "/dev/stdin"
"""What `-` stands for."""
EXIT_INTERRUPTED: Final = 130
"""The usual code of a process that Ctrl-C ended."""

_COMMANDS: Final = {
    "run": ("segue.cli.run:run", "Run one document to its end."),
    "serve": ("segue.cli.serve:serve", "Serve a data folder over HTTP."),
    "validate": ("segue.cli.documents:validate", "Say everything that is wrong with documents."),
    "test": ("segue.cli.documents:play", "Play the tests of documents."),
    "schema": ("segue.cli.documents:schema", "Print the JSON Schema of documents, for editors."),
    "publish": ("segue.cli.documents:publish", "Publish documents."),
    "stop": ("segue.cli.switches:stop", "Stop an agent, model, tool, connection, workflow or workspace at once."),
    "release": ("segue.cli.switches:release", "Let it go on."),
    "limits": ("segue.cli.limits:list_", "Show how much of each limit on acts is used."),
    "switches": ("segue.cli.switches:list_", "List what is stopped."),
    "login": ("segue.cli.login:login", "Sign in to a server."),
    "logout": ("segue.cli.login:logout", "End the session at a server."),
    "whoami": ("segue.cli.login:whoami", "Show who you are and what you may do."),
    "waiting": ("segue.cli.waiting:waiting", "List what waits for you."),
    "wishes": ("segue.cli.waiting:wishes", "List what waits for anybody's approval or consent."),
    "timeline": ("segue.cli.timeline:timeline", "Show everything about one subject."),
    "changes": ("segue.cli.timeline:changes", "List what changed how the installation behaves."),
    "backup": ("segue.cli.backup:backup", "Back up a data folder, also a busy one."),
    "restore": ("segue.cli.backup:restore", "Make a data folder from a backup."),
    "version": ("segue.cli.documents:version", "Print the version."),
}
_GROUPS: Final = {
    "workflows": (
        "Published workflows.",
        {
            "list": ("segue.cli.workflows:list_", "List workflows."),
            "show": ("segue.cli.workflows:show", "Show one workflow."),
            "leaving": ("segue.cli.workflows:leaving", "Tell what a workflow can send out."),
            "adjustable": ("segue.cli.adjusting:adjustable", "Show the values that may be adjusted."),
            "adjust": ("segue.cli.adjusting:adjust", "Change values without a new version."),
        },
    ),
    "adjustments": (
        "Changes of adjustable values.",
        {
            "list": ("segue.cli.adjusting:list_", "List changes, newest first."),
            "approve": ("segue.cli.adjusting:approve", "Let one count that waits."),
            "refuse": ("segue.cli.adjusting:refuse", "Do not let it count."),
        },
    ),
    "runs": (
        "Runs of workflows.",
        {
            "start": ("segue.cli.runs:start", "Start a run."),
            "list": ("segue.cli.runs:list_", "List runs, newest first."),
            "show": ("segue.cli.runs:show", "Show one run."),
            "tasks": ("segue.cli.runs:tasks", "List the tasks of a run."),
            "data": ("segue.cli.values:data", "Print what went in and what came out."),
            "history": ("segue.cli.runs:history", "Print the events of a run."),
            "tail": ("segue.cli.tail:tail", "Follow a run until it ends."),
            "cancel": ("segue.cli.runs:cancel", "End a run and everything below it."),
            "pause": ("segue.cli.runs:pause", "Let a run start nothing new."),
            "resume": ("segue.cli.runs:resume", "Let a paused run go on."),
            "retry": ("segue.cli.steering:retry", "Let a run go back to a task."),
            "skip": ("segue.cli.steering:skip", "Give a task of a run its output."),
            "terminate": ("segue.cli.steering:terminate", "End a run, saying why."),
            "migrate": ("segue.cli.migrate:migrate", "Let live runs go on under another version."),
            "fork": ("segue.cli.steering:fork", "Start a run with the past of another one."),
        },
    ),
    "exceptions": (
        "Failures that wait for a decision.",
        {
            "list": ("segue.cli.exceptions:list_", "List failures, newest first or by cause."),
            "show": ("segue.cli.exceptions:show", "Show one failure."),
            "retry": ("segue.cli.exceptions:retry", "Start the task again."),
            "skip": ("segue.cli.exceptions:skip", "Give the task its output."),
            "give-up": ("segue.cli.exceptions:give_up", "Let the run fault."),
            "happened": ("segue.cli.exceptions:happened", "Say that an unknown act has happened."),
            "repeat": ("segue.cli.exceptions:repeat", "Say that it has not: it goes out again."),
        },
    ),
    "tasks": (
        "Tasks that wait for people.",
        {
            "list": ("segue.cli.tasks:list_", "List tasks, newest first."),
            "show": ("segue.cli.tasks:show", "Show one task with everything that a decision needs."),
            "claim": ("segue.cli.tasks:claim", "Take a task."),
            "release": ("segue.cli.tasks:release", "Put a claimed task back."),
            "delegate": ("segue.cli.tasks:delegate", "Hand a task to another person."),
            "reassign": ("segue.cli.tasks:reassign", "Offer a task to other people."),
            "decide": ("segue.cli.tasks:decide", "Decide a task."),
            "send-back": ("segue.cli.tasks:send_back", "Send a task back."),
            "resubmit": ("segue.cli.tasks:resubmit", "Resubmit a task that was sent back."),
            "queues": ("segue.cli.tasks:queues", "Count tasks by audience and person."),
            "stats": ("segue.cli.tasks:stats", "Show overrule rates and times to decide."),
            "labels": ("segue.cli.tasks:labels", "List what decisions say about models."),
        },
    ),
    "people": (
        "How people are reached.",
        {
            "list": ("segue.cli.people:list_", "List profiles."),
            "set": ("segue.cli.people:set_", "Set somebody's profile."),
            "me": ("segue.cli.people:me", "Change your own profile."),
            "remove": ("segue.cli.people:remove", "Forget how somebody is reached."),
            "notices": ("segue.cli.people:notices", "List what you were told."),
        },
    ),
    "effects": (
        "What runs did outside.",
        {
            "list": ("segue.cli.effects:list_", "List acts that must not simply be repeated."),
            "show": ("segue.cli.effects:show", "Show all attempts at one act."),
            "trace": ("segue.cli.timeline:trace", "Show what led to an act."),
        },
    ),
    "events": (
        "Events that runs wait for.",
        {"send": ("segue.cli.events:send", "Send CloudEvents.")},
    ),
    "connections": (
        "Connections to other systems.",
        {
            "add": ("segue.cli.connections:add", "Add a connection."),
            "list": ("segue.cli.connections:list_", "List connections."),
            "test": ("segue.cli.connections:try_", "Try a connection."),
            "describe": ("segue.cli.connections:describe", "Show the operations of a connection."),
            "own": ("segue.cli.owning:own", "Say whom a connection belongs to."),
            "remove": ("segue.cli.connections:remove", "Remove a connection."),
        },
    ),
    "consents": (
        "What owners of connections consented to.",
        {
            "list": ("segue.cli.owning:list_", "List uses of owned connections, newest first."),
            "grant": ("segue.cli.owning:grant", "Consent to a use."),
            "revoke": ("segue.cli.owning:revoke", "Refuse it, or take the consent back."),
        },
    ),
    "users": (
        "People and service accounts.",
        {
            "add": ("segue.cli.users:add", "Add a person or a service account."),
            "list": ("segue.cli.users:list_", "List people and service accounts."),
            "show": ("segue.cli.users:show", "Show one person or account."),
            "change": ("segue.cli.users:change", "Change roles, groups, limits or password."),
            "lock": ("segue.cli.users:lock", "Lock somebody out at once."),
            "unlock": ("segue.cli.users:unlock", "Let somebody in again."),
            "remove": ("segue.cli.users:remove", "Remove somebody."),
            "changes": ("segue.cli.users:changes", "List what waits for a second administrator."),
            "approve": ("segue.cli.users:approve", "Let such a change be made."),
            "refuse": ("segue.cli.users:refuse", "Do not let it be made."),
        },
    ),
    "publications": (
        "What waits for a second pair of eyes.",
        {
            "list": ("segue.cli.publications:list_", "List publications that wait for approval."),
            "show": ("segue.cli.publications:show", "Show one with its document."),
            "approve": ("segue.cli.publications:approve", "Publish it."),
            "refuse": ("segue.cli.publications:refuse", "Do not publish it."),
        },
    ),
    "policy": (
        "The rules that say who may do what.",
        {
            "list": ("segue.cli.policy:list_", "List policy files, and rules that contradict each other."),
            "show": ("segue.cli.policy:show", "Print one policy file."),
            "set": ("segue.cli.policy:set_", "Set a policy file."),
            "reset": ("segue.cli.policy:reset", "Go back to what ships."),
            "test": ("segue.cli.policy:try_", "Try a table of cases."),
            "explain": ("segue.cli.policy:explain", "Say whether somebody may do something, and why."),
            "history": ("segue.cli.policy:history", "Every change of a policy."),
        },
    ),
    "tokens": (
        "What programs hold to be let in.",
        {
            "make": ("segue.cli.users:make_token", "Make a token; it is shown once."),
            "list": ("segue.cli.users:list_tokens", "List tokens."),
            "revoke": ("segue.cli.users:revoke_token", "End a token at once."),
        },
    ),
    "retention": (
        "How long what is kept.",
        {
            "show": ("segue.cli.retention:show", "Show what is kept how long, and the space it takes."),
            "run": ("segue.cli.retention:run", "Remove now what is no longer kept."),
        },
    ),
    "audit": (
        "What was asked, decided and done.",
        {
            "list": ("segue.cli.audit:list_", "List records, newest first."),
            "show": ("segue.cli.audit:show", "Show one record."),
            "verify": ("segue.cli.audit:verify", "Check that nothing was altered."),
            "sign": ("segue.cli.audit:sign", "Sign where the chain ends."),
            "export": ("segue.cli.audit:export", "Send records to a file, syslog or OTLP."),
            "prune": ("segue.cli.audit:prune", "Remove old records, up to a checkpoint."),
        },
    ),
    "controls": (
        "What is claimed, what shows it, what has to be explained.",
        {
            "list": ("segue.cli.controls:list_", "List controls."),
            "report": ("segue.cli.controls:report", "Report on a period."),
            "review": ("segue.cli.controls:review", "Sign a control off, or object."),
        },
    ),
    "keys": (
        "Keys of an encrypted data folder.",
        {
            "init": ("segue.cli.keys:init", "Let a new data folder be encrypted."),
            "encrypt": ("segue.cli.keys:encrypt", "Make an encrypted data folder of one that is not."),
            "remove-plain": ("segue.cli.keys:remove_plain_", "Remove the old file, which is not encrypted."),
            "list": ("segue.cli.keys:list_", "List data keys, never what they are."),
            "rewrite": ("segue.cli.keys:rewrite", "Seal anew what older keys sealed."),
            "rotate": ("segue.cli.keys:rotate", "Rotate keys; what is there stays readable."),
        },
    ),
    "secrets": (
        "Secrets kept in an encrypted data folder.",
        {
            "set": ("segue.cli.vault:set_", "Keep a secret; its value comes from standard input."),
            "list": ("segue.cli.vault:list_", "List secrets, never their values."),
            "allow": ("segue.cli.vault:allow", "Say who may use one."),
            "remove": ("segue.cli.vault:remove", "Forget a secret."),
        },
    ),
    "subjects": (
        "Whom runs are about.",
        {
            "export": ("segue.cli.subjects:export", "Print everything that is held about one."),
            "erase": ("segue.cli.subjects:erase", "Destroy its keys."),
            "hold": ("segue.cli.subjects:hold", "Put a legal hold on it, or lift it."),
        },
    ),
    "workspaces": (
        "Several workspaces of one server.",
        {
            "create": ("segue.cli.workspaces:create", "Make a workspace."),
            "list": ("segue.cli.workspaces:list_", "List workspaces."),
            "remove": ("segue.cli.workspaces:remove", "Close a workspace and put it aside."),
        },
    ),
    "models": (
        "Registered models.",
        {
            "list": ("segue.cli.models:list_", "List models."),
            "own": ("segue.cli.owning:own_model", "Say whom a model belongs to."),
        },
    ),
}


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and end the process with the command's exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s", stream=sys.stderr)
    try:
        here = _answer_here(given)
        code = _dispatch(given) if here is None else here
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our output has enough; a second error at exit would only add noise.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    raise SystemExit(code)


def _answer_here(given: list[str]) -> int | None:
    """The overview of commands, and the version, without importing anything: they are asked for most."""
    if given in (["--version"], ["version"]):
        print(f"segue {segue.__version__}")
    elif given in ([], ["--help"], ["-h"], ["help"]):
        rows = {name: text for name, (_, text) in _COMMANDS.items()}
        rows |= {f"{name} …": f"{about} {', '.join(commands)}." for name, (about, commands) in _GROUPS.items()}
        width = max(map(len, rows))
        print("Usage: segue COMMAND [OPTIONS]\n\nRun workflow documents durably.\n\nCommands:")
        print("\n".join(f"  {name.ljust(width)}  {text}" for name, text in rows.items()))
        print("\n`segue COMMAND --help` tells more. Exit codes: 0 completed, 1 faulted, 2 refused, 3 cancelled.")
    else:
        return None
    return 0


def _dispatch(given: list[str]) -> int:
    # Imported here and below: `segue --help` needs the first only.
    from cyclopts import App, CycloptsError, Parameter

    app = App(
        name="segue",
        help="Run workflow documents durably.",
        version=segue.__version__,
        help_format="plaintext",
        # Otherwise every option that may be repeated gets a second one that empties it.
        default_parameter=Parameter(negative_iterable=()),
        result_action="return_value",
        exit_on_error=False,
        print_error=False,
        suppress_keyboard_interrupt=False,
    )
    _register(app, _COMMANDS)
    for name, (about, commands) in _GROUPS.items():
        group = App(name=name, help=about)
        _register(group, commands)
        app.command(group)
    try:
        # The parser takes a lone hyphen for an option.
        result = app([STDIN if word == "-" else word for word in given])
    except (SystemExit, BrokenPipeError):
        raise
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except CycloptsError as error:
        _refuse_usage(str(error), given)
    except BaseException as error:
        _end(error, given)
    return result if isinstance(result, int) else 0


def _register(app: App, commands: Mapping[str, tuple[str, str]]) -> None:
    for name, (target, text) in commands.items():
        app.command(target, name=name, help=text)


def _refuse_usage(message: str, given: list[str]) -> NoReturn:
    from segue.cli.output import refuse
    from segue.service import ServiceError

    words = [word for word in given if not word.startswith("-")][:2]
    known = words[:1] if words and words[0] in _COMMANDS else words if words and words[0] in _GROUPS else []
    remedy = f"`{' '.join(['segue', *known])} --help` shows what it takes."
    refuse(ServiceError("command-refused", message, remedy=remedy), as_json="--json" in given)


def _end(error: BaseException, given: list[str]) -> NoReturn:
    try:
        from segue.cli.output import refuse
        from segue.service import as_refusal

        refusal = as_refusal(error)
    except Exception as second:
        crash(second)
    if refusal is None:
        crash(error)
    refuse(refusal, as_json="--json" in given)
