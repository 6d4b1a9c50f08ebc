"""SCIM 2.0 as a service provider: a company's directory adds, changes, locks and removes people and groups here.

`users.py` and `groups.py` are the use cases, `schemas.py` which attributes there are, `filters.py` and `patches.py`
the two small languages of the protocol, `linking.py` who is who when somebody signs in; `segue.api.scim` is the
transport. What a group is worth here the mapping of the settings decides (`teams.py`), never the directory.
Open `users.py` first, then `linking.py`.
"""

from segue.service.scim.description import ScimDescription
from segue.service.scim.filters import FILTER_MAX
from segue.service.scim.groups import ScimGroups
from segue.service.scim.linking import Found, find_entrant
from segue.service.scim.refusals import ScimRefusal
from segue.service.scim.schemas import COUNT_MAX, ERROR_URN, PREFIX
from segue.service.scim.teams import Teams
from segue.service.scim.users import ScimUsers

__all__ = [
    "COUNT_MAX",
    "ERROR_URN",
    "FILTER_MAX",
    "PREFIX",
    "Found",
    "ScimDescription",
    "ScimGroups",
    "ScimRefusal",
    "ScimUsers",
    "Teams",
    "find_entrant",
]
