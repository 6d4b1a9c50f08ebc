"""`python -m segue.sandbox serve --data DIR`: run the practice company until told to stop.

`python -m segue.sandbox env --data DIR` prints where it is and how to sign in, for a shell.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from datetime import date
from pathlib import Path

from segue.sandbox.company import CompanyError, PracticeCompany
from segue.sandbox.shell import exports


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m segue.sandbox", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    env = commands.add_parser("env", help="Print addresses and credentials as `export NAME=VALUE`, for eval.")
    env.add_argument("--data", type=Path, required=True, metavar="DIR", help="what the company was started with")
    serve = commands.add_parser("serve", help="Start the four systems; prints one line of JSON when they are ready.")
    serve.add_argument("--data", type=Path, required=True, metavar="DIR", help="where its files are kept")
    serve.add_argument("--port-base", type=int, default=0, metavar="N", help="use ports N to N+3")
    serve.add_argument("--today", type=date.fromisoformat, metavar="DATE", help="the company's date")
    return parser.parse_args()


async def _serve(arguments: argparse.Namespace) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    company = PracticeCompany(arguments.data, today=arguments.today, port_base=arguments.port_base)
    async with company:
        print(json.dumps(company.described()), flush=True)
        await stop.wait()


def main() -> int:
    """Run the command line; 0 when told to stop, 2 when the company cannot start."""
    try:
        arguments = _arguments()
        if arguments.command == "env":
            sys.stdout.write(exports(arguments.data))
        else:
            asyncio.run(_serve(arguments))
    except CompanyError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
