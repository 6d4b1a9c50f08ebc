"""Types: the words every room shares, as frozen structs and protocols.

Ids, events, commands, failures, secret references and the contracts between hosts, handlers and the store
live here. Nothing here imports another room, does I/O or decides anything.
Open `events.py` first, then `commands.py`.
"""

from segue.types.secrets import SecretText

__all__ = ["SecretText"]
