"""People: who may decide a human task, who is told of it and when, and what decisions teach.

Pure rules over plain data: authority and deputies (`authority.py`), working hours and channels (`profiles.py`,
`notices.py`), clocks of wishes (`wishes.py`), one-time codes (`codes.py`), overrule rates (`figures.py`). What a task
itself promises is law of the core; rows are kept by the store; nothing here reads a clock, a file or the network.
Open `authority.py` first.
"""

from segue.people.authority import OWNER, Granted, Refused, audience_of, authority_at, member_of, permission
from segue.people.codes import CODE_LIFE_MS, hash_code, new_code
from segue.people.figures import Figures, figures_of
from segue.people.notices import (
    KINDS,
    Notice,
    Told,
    audience_of_owner,
    digest_text,
    notices_of,
    text_of,
    text_of_exception,
    text_of_wish,
)
from segue.people.profiles import Absence, Channel, Profile, Quiet, is_absent, next_waking
from segue.people.wishes import (
    Step,
    Turn,
    agenda_of,
    lapses_after,
    reminders_sent,
    roles_asked,
    turn_of,
)

__all__ = [
    "CODE_LIFE_MS",
    "KINDS",
    "OWNER",
    "Absence",
    "Channel",
    "Figures",
    "Granted",
    "Notice",
    "Profile",
    "Quiet",
    "Refused",
    "Step",
    "Told",
    "Turn",
    "agenda_of",
    "audience_of",
    "audience_of_owner",
    "authority_at",
    "digest_text",
    "figures_of",
    "hash_code",
    "is_absent",
    "lapses_after",
    "member_of",
    "new_code",
    "next_waking",
    "notices_of",
    "permission",
    "reminders_sent",
    "roles_asked",
    "text_of",
    "text_of_exception",
    "text_of_wish",
    "turn_of",
]
