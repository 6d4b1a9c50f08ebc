"""Segue: durable, governed orchestration of AI models, data, business systems and people.

`Segue` (the embedding API) and `function` (the decorator) are what most programs need;
`segue.cli` is the command line. The rooms of the house are listed in `docs/architecture.md`.
"""

__version__ = "0.1.0"
