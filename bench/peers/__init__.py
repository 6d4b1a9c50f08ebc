"""Other engines, doing the work of W1: so many runs at once, each of ten durable steps that do nothing.

Each module is a program of its own in the environment `.venv-bench` (`requirements/bench.lock`), so that none of
this is a dependency of the project; it imports nothing of Segue and prints JSON. `_shape.py` holds what they share:
the rounds, the check that the work was done, and the form of the answer. Each module's docstring says how the engine
was set up and when it calls a step durable. Open `_shape.py` first.
"""
