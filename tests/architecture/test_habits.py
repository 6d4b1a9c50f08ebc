"""Habits of the house that a program can check."""

from __future__ import annotations

import re
import subprocess
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import segue

ROOT = Path(__file__).parents[2]
REGISTRIES = ("pypi" + ".org", "pythonhosted" + ".org", "npmjs" + ".org", "deb.debian" + ".org")


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    return [ROOT / name for name in listed.decode().split("\0") if name and (ROOT / name).is_file()]


def texts() -> list[tuple[Path, str]]:
    found = []
    for path in tracked():
        try:
            found.append((path.relative_to(ROOT), path.read_text()))
        except UnicodeDecodeError:
            continue
    return found


def test_no_file_names_a_registry() -> None:
    """Whoever installs decides where packages come from."""
    named = [str(path) for path, text in texts() for host in REGISTRIES if host in text]
    assert not named, f"these files name the host of a package registry: {named}"


def test_no_file_carries_a_path_of_one_machine() -> None:
    """What works only where it was written is a bug."""
    pattern = re.compile(r"(?<![\w.$}])/(?:home/\w+|root|work|Users/\w+)/")
    found = [f"{path}: {m.group()}" for path, text in texts() for m in [pattern.search(text)] if m]
    assert not found, found


def test_nothing_is_left_for_later_without_saying_so() -> None:
    """A marker in the code is a promise nobody keeps; unfinished work is written in the documentation."""
    pattern = re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME|XX" + r"X)\b")
    found = [str(path) for path, text in texts() if path.suffix == ".py" and pattern.search(text)]
    assert not found, found


def test_logs_say_nothing_that_an_exception_says() -> None:
    """Messages of exceptions quote data and secrets. Remedy: `whereabouts` of `segue.types`."""
    pattern = re.compile(r"exc_info=|_log\.exception\(|format_exc|print_exc")
    found = {str(path) for path, text in texts() if path.parts[0] == "src" and pattern.search(text)}
    assert not found, found


def test_the_host_does_nothing_in_the_name_of_a_request() -> None:
    """A task or callback that inherits who acts would lend their rights to others' work. Remedy: `own.py`."""
    pattern = re.compile(r"\bcreate_task\(|\.call_soon\(")
    host = [(path, text) for path, text in texts() if "embedded" in path.parts and path.parts[0] == "src"]
    assert {path.name for path, text in host if pattern.search(text)} == {"own.py"}


def test_the_host_knows_no_clock_but_the_engine_s_and_the_loop_s() -> None:
    """What measures real time makes a simulated world another one on a slow machine. Remedy: `loop.time()`."""
    pattern = re.compile(r"^(?:import|from) (?:time|random|uuid)\b", re.MULTILINE)
    rooms = {"core", "embedded"}
    inside = [(path, text) for path, text in texts() if path.parts[0] == "src" and rooms & {*path.parts}]
    assert inside
    assert not [str(path) for path, text in inside if pattern.search(text)]


def test_every_name_that_a_package_offers_is_there() -> None:
    """One that is not breaks whoever takes all of them, and nobody before."""
    packages = [
        segue,
        *(import_module(f"segue.{found.name}") for found in iter_modules(segue.__path__) if found.ispkg),
    ]
    missing = [f"{p.__name__}.{name}" for p in packages for name in getattr(p, "__all__", ()) if not hasattr(p, name)]
    assert not missing
