"""The command line: it reads arguments, asks the service (here or on a running server) and prints the answer.

No rule lives here. Results go to standard output, everything else to standard error; `--json` prints the shapes of
`segue.service.shapes`. A command's file is imported when the command is called, so `segue --help` is quick.
Open `app.py` first, then `ask.py` for how a command finds its data.
"""

from segue.cli.app import main

__all__ = ["main"]
