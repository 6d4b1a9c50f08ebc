"""What really happened outside, beside what may happen: the auditor's own ledger of acts."""

from __future__ import annotations

from segue.hosts.simulated.reach import require

Place = tuple[str, int]
"""A run's id and a command's."""


class Effects:
    """Acts of a whole world.

    Attributes:
        intents: Commands whose intent is on disk.
        happened: How often an act really happened, by run and command.
        held: Effects that an outside system holds, by effect key.
        doubts: Effect keys under which an act was asked for whose end is not known yet, with the command; until then
            it must be looked up, or a person asked, before it is asked for again.
        refused: Acts of which the system said that it would not do them.
        silent: Acts whose look-up failed; that they failed then says nothing about what happened.
        mistakes: How often an effect had happened when a person said that it had not.
        denied, affirmed: Effects of which a person said that they did not happen, or did.
        noted: Effects of which the ledger on disk has said that they are done.
    """

    def __init__(self) -> None:
        self.intents: set[Place] = set()
        self.happened: dict[Place, int] = {}
        self.held: dict[str, list[Place]] = {}
        self.doubts: dict[str, int] = {}
        self.refused: set[Place] = set()
        self.silent: set[Place] = set()
        self.mistakes: dict[str, int] = {}
        self.denied: set[str] = set()
        self.affirmed: set[str] = set()
        self.noted: set[str] = set()

    def asked(self, place: Place, name: str, key: str, recovery: str) -> None:
        """The host calls the outside."""
        if recovery == "repeat":
            return
        require(place in self.intents, f"{name!r} ({recovery}) is performed without an intent on disk")
        is_open = key in self.doubts and key not in self.denied
        blind = f"{name!r} ({recovery}) of {place[0]!r} is asked for again blindly"
        require(not is_open and self._may_happen(key), blind)
        self.doubts[key] = place[1]
        self.denied.discard(key)

    def happens(self, place: Place, name: str, key: str, recovery: str) -> None:
        """The act takes place outside."""
        self.happened[place] = self.happened.get(place, 0) + 1
        once = recovery == "repeat" or self._may_happen(key)
        require(once, f"{name!r} ({recovery}) of {place[0]!r} was performed twice")
        self.held.setdefault(key, []).append(place)

    def answered(self, place: Place, key: str, *, succeeded: bool, in_doubt: bool) -> None:
        """The answer to an act is on disk."""
        if succeeded:
            done = self.happened.get(place) or self.held.get(key) or key in self.affirmed
            require(done, f"act {place[1]} of {place[0]!r} is said to have succeeded, but never happened")
        elif not in_doubt and place not in self.silent and self.doubts.get(key) == place[1]:
            del self.doubts[key]

    def settled(self, place: Place, key: str, state: str) -> None:
        """The ledger on disk says how an act ended; of one that its run no longer waits for, nothing else does."""
        if state == "done":
            self.noted.add(key)
        if state == "failed" and place in self.refused and self.doubts.get(key) == place[1]:
            del self.doubts[key]

    def cleared(self, key: str) -> None:
        """A system says that an act did not happen."""
        self.doubts.pop(key, None)

    def said(self, key: str, *, happened: bool) -> None:
        """A person says whether an act happened, and may be wrong."""
        if happened:
            self.affirmed.add(key)
        else:
            self.denied.add(key)
            self.mistakes[key] = len(self.held.get(key, ()))

    def in_doubt(self, run_id: str) -> list[str]:
        """Effect keys of a run about which a person may be asked."""
        return [key for key in self.doubts if key.startswith(f"{run_id}:")]

    def check_row(self, place: Place, key: str, state: str) -> None:
        """What the host's ledger says at rest must be true, as far as anybody could know."""
        require(state != "intent", f"the ledger still has act {place[1]} of {place[0]!r} under way")
        told = self.is_told(key)
        if state == "done":
            require(self.held.get(key) or told, f"the ledger says that {key!r} is done, but it never happened")
        elif state == "failed":
            require(not self.happened.get(place) or told, f"the ledger says that {key!r} failed, but it happened")

    def is_told(self, key: str) -> bool:
        """A person has said whether it happened, rightly or not."""
        return key in self.denied or key in self.affirmed or key in self.mistakes

    def _may_happen(self, key: str) -> bool:
        """It has not happened over all attempts, or only where a person then said that it had not."""
        return len(self.held.get(key, ())) <= self.mistakes.get(key, 0)
