"""`call: find-personal-data`: where personal data stands in free text, and the text without it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import Executor
from typing import Any, Final

import msgspec

from segue.governance import Redactor, mentions_secret
from segue.governance.detection import KINDS, Names, TextTooLong, find_in_text, replaced
from segue.handlers.acting import act_with_secrets
from segue.types import NOT_DONE, EffectContext, Perform, Recovery, fail

FOUND_MAX: Final = 10_000
"""Places that are told of one value; more are counted and masked."""


class PersonalDataHandler:
    """Looks through texts, in a thread: a megabyte takes a few seconds.

    Args:
        threads: Where it looks; the event loop's default pool when left out.
    """

    def __init__(self, threads: Executor | None = None) -> None:
        self._threads = threads

    async def perform(self, command: Perform, context: EffectContext) -> Any:
        """`{any, found, kinds}`, and `value` where it is to be masked."""
        if mentions_secret(command.arguments):
            return await act_with_secrets(command.arguments, context, self._act_with_secrets)
        return await self._act(command.arguments)

    def target(self, command: Perform) -> str:
        """Nothing outside."""
        return ""

    def recovery(self, command: Perform) -> Recovery:
        """Looking changes nothing, so it is repeated."""
        return "repeat"

    async def verify(self, command: Perform, context: EffectContext) -> Any:
        """Never needed: looking is repeated."""
        return NOT_DONE

    async def _act_with_secrets(self, arguments: dict[str, Any], redactor: Redactor) -> Any:
        return await self._act(arguments)

    async def _act(self, arguments: dict[str, Any]) -> Any:
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._threads, lambda: looked_through(**arguments))
        except TextTooLong as error:
            raise fail("validation", f"Personal data is not looked for: {error}. Split the text.") from None
        except ValueError as error:
            raise fail("validation", f"Personal data is not looked for: {error}.") from None


def looked_through(
    value: Any,
    *,
    kinds: Iterable[str] = KINDS,
    least: float = 0.5,
    names: Iterable[str] = (),
    mask: bool = False,
) -> dict[str, Any]:
    """What stands in the texts of a value.

    Raises:
        TextTooLong: One of them is too long to be looked through.
        ValueError: A name has too many words to be looked for.
    """
    found: list[dict[str, Any]] = []
    counts: Counter[str] = Counter()
    wanted, known = frozenset(kinds), Names(names)

    def look(part: Any, at: str) -> Any:
        if isinstance(part, dict):
            return {
                key: look(held, f"{at}/{key.replace('~', '~0').replace('/', '~1')}") for key, held in part.items()
            }
        if isinstance(part, list):
            return [look(held, f"{at}/{place}") for place, held in enumerate(part)]
        if not isinstance(part, str):
            return part
        there = find_in_text(part, kinds=wanted, least=least, names=known)
        counts.update(one.kind for one in there)
        found.extend({"at": at, **msgspec.to_builtins(one)} for one in there[: FOUND_MAX - len(found)])
        return replaced(part, there)

    masked = look(value, "")
    told: dict[str, Any] = {"any": bool(counts), "found": found, "kinds": dict(sorted(counts.items()))}
    return {**told, "value": masked} if mask else told
