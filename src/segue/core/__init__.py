"""Core: what a run does next, as a pure function of its state and one event.

`plan.py` is the compiled definition, `state.py` what a run remembers, `advance.py` the loop, `machines/` one
small machine per kind of task with its law in its docstring. No clock, no I/O, no randomness: time, ids and the
seed of random draws arrive inside events. Open `plan.py` first, then `advance.py`.
"""
