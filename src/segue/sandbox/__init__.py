"""The practice company: CRM, billing, product usage and support as four real HTTP servers.

Here live the simulated vendors, their OpenAPI documents (`openapi/`), the published customer table (`data/`) and
the churn model with its card (`model/`). Nothing of Segue's other rooms is imported: to the product these are
strangers on the network. Open `company.py` first, then `system.py`; `docs/practice-company.md` tells clients how
to use it. From a shell: `python -m segue.sandbox serve --data DIR`.
"""

from segue.sandbox.company import CompanyError, PracticeCompany, RunningSystem
from segue.sandbox.knobs import Knobs

__all__ = ["CompanyError", "Knobs", "PracticeCompany", "RunningSystem"]
