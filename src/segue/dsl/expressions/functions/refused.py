"""Functions of jq that may not run here: what they would do, and what to write instead."""

from __future__ import annotations

from typing import Final

_ENVIRONMENT = ("reads the environment of the server", "pass configuration in as input, and secrets as $secrets")
_INPUT = ("reads input from outside", "the data is ., the input of the run is $workflow.input")
_OUTPUT = ("prints and changes nothing", "leave it out; inputs and outputs of every task are recorded")
_STOP = ("stops the program", "use error(...) to fail, or empty for no result")
_LOCAL = ("depends on the time zone of the server", "use the function for UTC: gmtime, strftime, todate")
_MODULES = ("reads modules, and modules are not available", "define the function in place with def")

REFUSED: Final[dict[str, tuple[str, str]]] = {
    "env": _ENVIRONMENT,
    "input": _INPUT,
    "inputs": _INPUT,
    "input_filename": _INPUT,
    "input_line_number": _INPUT,
    "debug": _OUTPUT,
    "stderr": _OUTPUT,
    "halt": _STOP,
    "halt_error": _STOP,
    "localtime": _LOCAL,
    "strflocaltime": _LOCAL,
    "get_search_list": _MODULES,
    "modulemeta": _MODULES,
    "get_jq_origin": _MODULES,
    "get_prog_origin": _MODULES,
    "getenv": _ENVIRONMENT,
}
"""By name, whatever the number of arguments."""
