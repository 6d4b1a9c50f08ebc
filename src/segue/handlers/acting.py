"""What every handler that uses secrets has in common: reveal at the last moment, mask on the way out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from segue.governance import Redactor
from segue.types import EffectContext, TaskFailure


async def act_with_secrets(
    arguments: Any, context: EffectContext, act: Callable[[Any, Redactor], Awaitable[Any]]
) -> Any:
    """Reveal the secrets in `arguments`, act, and mask every revealed value in the result or the failure.

    Raises:
        TaskFailure: What `act` raised, masked; or `authorization`, when a secret cannot be read.
    """
    redactor = Redactor()
    try:
        revealed = await redactor.reveal(arguments, context.secrets)
        return redactor.mask(await act(revealed, redactor))
    except TaskFailure as failed:
        # `from None`: the unmasked exception must not hang on the masked one.
        raise TaskFailure(redactor.mask_failure(failed.failure)) from None
