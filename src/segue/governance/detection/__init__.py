"""Detection of personal data in free text: what stands where, of which kind, and how sure that is.

`detectors.toml` says what is looked for, as data; `checks.py` holds the check digits; `finding.py` looks.
Names of people are found only by lists that are given; addresses of houses are not found at all.
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
