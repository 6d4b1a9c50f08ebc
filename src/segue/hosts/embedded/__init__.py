"""The embedded host: asyncio, one process, one SQLite file.

`engine.py` is the loop that everything goes through; around it `performer.py` acts, `timekeeper.py` keeps time,
`postman.py` delivers events, `children.py` connects runs, `scheduler.py` starts them, `parking.py` moves them out of
memory and back, `feed.py` tells who watches. `host.py` wires them and is the door. Open `engine.py` first.
"""

from segue.hosts.embedded.feed import Subscription
from segue.hosts.embedded.host import EmbeddedHost
from segue.hosts.embedded.operator import Control

__all__ = ["Control", "EmbeddedHost", "Subscription"]
