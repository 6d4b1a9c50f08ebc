"""The simulated host: whole worlds in one process, decided by one seed.

Here live the engine that obeys the same rules as every host, the disk, clock and outside world that try to break it,
and the auditor who watches; no real time, file or network. `SimulatedHost` has the embedded host's API on virtual
time; `python -m segue.hosts.simulated` runs seeds. Open `simulation.py` first, then `engine.py` and `auditor.py`.
"""

from segue.hosts.simulated.host import SimulatedHost
from segue.hosts.simulated.reporting import Finding, Report
from segue.hosts.simulated.simulation import World, run_seed

__all__ = ["Finding", "Report", "SimulatedHost", "World", "run_seed"]
