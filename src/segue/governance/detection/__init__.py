"""Detection of personal data in free text: what stands where, of which kind, and how sure that is.

`detectors.toml` says what is looked for, as data; `checks.py` holds the check digits; `finding.py` looks.
Names of people are found by lists that are given, and by what is written before them (Mr, "my name is", regards).
Open `detectors.toml` first.
"""

from segue.governance.detection.finding import (
    KINDS,
    NAME_WORDS_MAX,
    Detection,
    Names,
    TextTooLong,
    find_in_text,
    replaced,
)

__all__ = ["KINDS", "NAME_WORDS_MAX", "Detection", "Names", "TextTooLong", "find_in_text", "replaced"]
