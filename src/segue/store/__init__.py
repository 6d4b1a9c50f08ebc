"""Store: everything that lasts, in one SQLite file: runs, history, events, definitions, connections.

`folder.py` opens a data folder, `migrations/` holds its tables, `batch.py` and `commit.py` write it, `reading.py` and
the records read it, `codec.py` is the one place between values and their stored form. `mark.py` notices an older
file, `backup.py` copies one. No rule of workflows lives here: the store does not know what an event means.
Open `store.py` first, then `batch.py`.
"""

from segue.store import (
    codec,
    effects,
    human_tasks,
    incidents,
    notices,
    places,
    records,
    runs,
    snapshots,
    wishes,
)
from segue.store.backup import BACKUPS_NAME, Manifest, back_up, restore
from segue.store.batch import Batch
from segue.store.commit import GroupCommit, Write, Written
from segue.store.errors import BackupRefused, Conflict, DiskLow, ErasedData, FolderInUse, FolderNotUsable, HostError
from segue.store.folder import new_memory
from segue.store.records import Definition, EffectRecord, ScheduleRecord, StoredEvent
from segue.store.retention import DAY_MS, Purged, Rules, Space, count_due, purge, space, workflows
from segue.store.runs import PAGE_MAX, Residence, RunFilter, RunPage, RunRecord
from segue.store.snapshots import Head, HostPart, Kept, Snapshot
from segue.store.store import Store

__all__ = [
    "BACKUPS_NAME",
    "DAY_MS",
    "PAGE_MAX",
    "BackupRefused",
    "Batch",
    "Conflict",
    "Definition",
    "DiskLow",
    "EffectRecord",
    "ErasedData",
    "FolderInUse",
    "FolderNotUsable",
    "GroupCommit",
    "Head",
    "HostError",
    "HostPart",
    "Kept",
    "Manifest",
    "Purged",
    "Residence",
    "Rules",
    "RunFilter",
    "RunPage",
    "RunRecord",
    "ScheduleRecord",
    "Snapshot",
    "Space",
    "Store",
    "StoredEvent",
    "Write",
    "Written",
    "back_up",
    "codec",
    "count_due",
    "effects",
    "human_tasks",
    "incidents",
    "new_memory",
    "notices",
    "places",
    "purge",
    "records",
    "restore",
    "runs",
    "snapshots",
    "space",
    "wishes",
    "workflows",
]
