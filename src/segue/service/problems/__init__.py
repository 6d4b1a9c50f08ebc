"""Problems: every way in which the service refuses something, by name.

One table, in the order of the HTTP statuses: problem documents, exit codes and the list in the docs are made from it.
`kind.py` says what stands in it. A new way goes where its status belongs; what `errors.py` raises names one.
"""

from typing import Final

from segue.service.problems.asking import ASKING
from segue.service.problems.conditions import CONDITIONS
from segue.service.problems.conflicts import CONFLICTS
from segue.service.problems.contents import CONTENTS
from segue.service.problems.kind import ProblemKind
from segue.service.problems.missing import MISSING

PROBLEMS: Final[dict[str, ProblemKind]] = {**ASKING, **MISSING, **CONFLICTS, **CONTENTS, **CONDITIONS}

__all__ = ["PROBLEMS", "ProblemKind"]
