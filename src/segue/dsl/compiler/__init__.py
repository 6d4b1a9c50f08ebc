"""Compiler: one walk over a document that lints it and builds its plan.

`workflow.py` is the entrance and handles the root; `tasks.py`, `forks.py`, `calls.py` and `runs.py` make the nodes,
`programs.py` the expressions and templates, `flow.py` looks at jumps. `build.py` is what they all carry along.
Nothing here evaluates data or calls out. Open `build.py` first, then `workflow.py`.
"""

from segue.dsl.compiler.workflow import Compiled, compile_document

__all__ = ["Compiled", "compile_document"]
