"""Train the practice company's churn model, judge it on customers it has not seen, and write it down.

Writes `churn.onnx`, its card `churn.json`, and the figures as `report.json` and `report.md`, all under
`src/segue/sandbox/model/`. Needs the `train` extra and onnxruntime:

    pip install '.[train,ml]' && python scripts/train_churn_model.py

The inputs are named and valued as the four systems name and value them, so that a workflow hands over what it
collected. What the table says of the person and the household (gender, age, partner, dependents) is left out:
it adds nothing that can be measured (see `with_personal_columns` in the report), and a decision about
money is better without it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from onnx import TensorProto, helper
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from segue.sandbox import billing, support, usage
from segue.sandbox.customers import CONTRACTS, read_rows

FOLDER = Path(__file__).parents[1] / "src/segue/sandbox/model"
VERSION = "1.0.0"
SPLIT = "segue-churn-split-1"
HELD_OUT_SHARE = 0.3
WANTED_PRECISION = 0.6
OUTPUT = "churn_probability"
_OPSET = 17

OPTIONS = sorted(usage.OPTION.values())
# Name: (system, where the value stands in its record, the values of a text or the unit of a number).
FEATURES: dict[str, tuple[str, str, list[str] | str]] = {
    "tenure_months": ("crm", "tenureMonths", "whole months"),
    "contract": ("crm", "contractType", sorted(CONTRACTS.values())),
    "monthly_fee": ("billing", "monthly_fee_cents / 100", "US dollars a month"),
    "billed_to_date": ("billing", "billed_to_date_cents / 100, null as 0", "US dollars"),
    "paperless": ("billing", "paperless, true as 1 and false as 0", "0 or 1"),
    "payment_method": ("billing", "payment_method", sorted(billing.PAYMENT_METHODS.values())),
    "phone": ("usage", "phone", sorted(usage.PHONE.values())),
    "internet": ("usage", "internet", sorted(usage.INTERNET.values())),
    **{name: ("usage", f"options.{name}", OPTIONS) for name in usage.OPTIONS},
    "support_plan": ("support", "support_plan", sorted(support.SUPPORT_PLANS.values())),
}
TEXTS = [name for name, (_, _, domain) in FEATURES.items() if isinstance(domain, list)]
NUMBERS = [name for name in FEATURES if name not in TEXTS]
PERSONAL = ["female", "senior_citizen", "partner", "dependents"]

Row = Mapping[str, str]


def features_of(row: Row) -> dict[str, float | str]:
    """A published row in the words of the four systems."""
    return {
        "tenure_months": float(row["tenure"]),
        "contract": CONTRACTS[row["contract"]],
        "monthly_fee": float(row["monthly_charges"]),
        "billed_to_date": float(row["total_charges"] or 0),
        "paperless": float(row["paperless_billing"]),
        "payment_method": billing.PAYMENT_METHODS[row["payment_method"]],
        "phone": usage.PHONE[row["multiple_lines"]],
        "internet": usage.INTERNET[row["internet_service"]],
        **{name: usage.OPTION[row[name]] for name in usage.OPTIONS},
        "support_plan": support.SUPPORT_PLANS[row["tech_support"]],
    }


def is_held_out(row: Row) -> bool:
    """Whether a row belongs to the part that training never sees; depends on its number alone."""
    draw = hashlib.blake2b(f"{SPLIT}/{row['row']}".encode(), digest_size=4).digest()
    return int.from_bytes(draw, "big") < HELD_OUT_SHARE * 2**32


def split() -> tuple[list[Row], list[Row]]:
    """The rows to train on and the rows to judge by."""
    rows = list(read_rows())
    return [row for row in rows if not is_held_out(row)], [row for row in rows if is_held_out(row)]


def churned(rows: Iterable[Row]) -> Any:
    return np.array([row["churn"] == "Yes" for row in rows])


def table(rows: Iterable[Row], columns: Sequence[str]) -> Any:
    """The rows as one array of objects, a column per feature."""
    return np.array([[{**row, **features_of(row)}[name] for name in columns] for row in rows], dtype=object)


def new_pipeline(columns: Sequence[str]) -> Pipeline:
    numbers = [place for place, name in enumerate(columns) if name in NUMBERS]
    texts = [place for place, name in enumerate(columns) if name not in NUMBERS]
    domains = [FEATURES[columns[place]][2] if columns[place] in FEATURES else ["0", "1"] for place in texts]
    # A value outside its domain is an error: a workflow that mixes two fields up must not get a score.
    encode = OneHotEncoder(categories=domains, handle_unknown="error", sparse_output=False)
    prepare = ColumnTransformer([("numbers", StandardScaler(), numbers), ("texts", encode, texts)])
    return Pipeline([("prepare", prepare), ("score", LogisticRegression(C=1.0, max_iter=2000))])


def to_graph(pipeline: Pipeline) -> bytes:
    """The pipeline as ONNX: an input of shape [N, 1] per feature, and the one output [N, 1]."""
    kinds = [
        (name, FloatTensorType([None, 1]) if name in NUMBERS else StringTensorType([None, 1])) for name in FEATURES
    ]
    model = to_onnx(
        pipeline, initial_types=kinds, options={"zipmap": False}, target_opset={"": _OPSET, "ai.onnx.ml": 3}
    )
    graph = model.graph
    # Of the two classes' probabilities only the second says something; the label would hide the threshold.
    graph.initializer.append(helper.make_tensor("second", TensorProto.INT64, [1], [1]))
    graph.node.append(helper.make_node("Gather", ["probabilities", "second"], [OUTPUT], axis=1))
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [None, 1]))
    graph.name, model.producer_version, model.ir_version = "churn", "", 8
    return bytes(model.SerializeToString())


def score(graph: bytes, rows: Sequence[Row]) -> Any:
    """Churn probability of each row, by the ONNX file."""
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    taken = [features_of(row) for row in rows]
    feed = {
        name: np.array([[one[name]] for one in taken], dtype=np.float32 if name in NUMBERS else object)
        for name in FEATURES
    }
    return session.run([OUTPUT], feed)[0][:, 0].astype(float)


def pick_threshold(probability: Any, actual: Any) -> float:
    """The lowest threshold, in hundredths, from which on the wanted precision holds."""
    for hundredth in range(1, 100):
        flagged = probability >= hundredth / 100
        if flagged.any() and actual[flagged].mean() >= WANTED_PRECISION:
            return hundredth / 100
    raise SystemExit(f"no threshold reaches a precision of {WANTED_PRECISION}")


def at_threshold(probability: Any, actual: Any, threshold: float) -> dict[str, float]:
    flagged = probability >= threshold
    return {
        "threshold": threshold,
        "flagged": int(flagged.sum()),
        "precision": _rounded(actual[flagged].mean()),
        "recall": _rounded(flagged[actual].mean()),
    }


def calibration(probability: Any, actual: Any) -> list[dict[str, float]]:
    """Foretold and observed share of leavers, in tenths of the probability."""
    tenth = np.minimum((probability * 10).astype(int), 9)
    return [
        {
            "from": number / 10,
            "customers": int((tenth == number).sum()),
            "foretold": _rounded(probability[tenth == number].mean()),
            "observed": _rounded(actual[tenth == number].mean()),
        }
        for number in range(10)
        if (tenth == number).any()
    ]


def judge(probability: Any, actual: Any, threshold: float) -> dict[str, Any]:
    """Figures of a model on rows it has not seen."""
    base_rate = actual.mean()
    bins = calibration(probability, actual)
    return {
        "customers": len(actual),
        "base_rate": _rounded(base_rate),
        "auc": _rounded(roc_auc_score(actual, probability)),
        "brier": _rounded(brier_score_loss(actual, probability)),
        "brier_of_base_rate": _rounded(base_rate * (1 - base_rate)),
        "log_loss": _rounded(log_loss(actual, probability)),
        "calibration_error": _rounded(
            sum(one["customers"] * abs(one["foretold"] - one["observed"]) for one in bins) / len(actual)
        ),
        "at_threshold": at_threshold(probability, actual, threshold),
        "at_other_thresholds": [at_threshold(probability, actual, tenth / 10) for tenth in range(2, 8)],
        "calibration": bins,
    }


def auc_with(columns: Sequence[str], train: Sequence[Row], held_out: Sequence[Row]) -> float:
    """What the same kind of model reaches on the held-out rows with these columns."""
    pipeline = new_pipeline(columns).fit(table(train, columns), churned(train))
    return _rounded(roc_auc_score(churned(held_out), pipeline.predict_proba(table(held_out, columns))[:, 1]))


def comparison(train: Sequence[Row], held_out: Sequence[Row]) -> dict[str, Any]:
    """What each system's columns reach alone, and what the personal ones would add."""
    systems = sorted({system for system, _, _ in FEATURES.values()})
    alone = {one: [name for name, (system, _, _) in FEATURES.items() if system == one] for one in systems}
    return {
        "auc_of_one_system_alone": {one: auc_with(columns, train, held_out) for one, columns in alone.items()},
        "auc_of_all_systems": auc_with(list(FEATURES), train, held_out),
        "auc_with_personal_columns": auc_with([*FEATURES, *PERSONAL], train, held_out),
    }


def card(graph: bytes, figures: dict[str, Any], trained_on: int) -> dict[str, Any]:
    """The model card: what a caller, and whoever answers for the model, must know."""
    properties = {
        name: {"type": "string", "enum": domain} if isinstance(domain, list) else {"type": "number", "minimum": 0}
        for name, (_, _, domain) in FEATURES.items()
    }
    return {
        "name": "churn",
        "version": VERSION,
        "file": "churn.onnx",
        "sha256": hashlib.sha256(graph).hexdigest(),
        "kind": "logistic regression; scaling and encoding are inside the ONNX graph",
        "purpose": "The probability that a customer of the practice company leaves (the published column `churn`).",
        "limits": "Sample data that IBM made up; says nothing about real customers. No personal columns are read.",
        "inputs": [
            {
                "name": name,
                "tensor": "float32 [N, 1]" if name in NUMBERS else "string [N, 1]",
                "system": system,
                "from": source,
                **({"values": domain} if isinstance(domain, list) else {"unit": domain}),
            }
            for name, (system, source, domain) in FEATURES.items()
        ],
        "input_schema": {
            "type": "object",
            "required": list(FEATURES),
            "additionalProperties": False,
            "properties": properties,
        },
        "outputs": [{"name": OUTPUT, "tensor": "float32 [N, 1]", "range": [0, 1]}],
        "threshold": figures["at_threshold"]["threshold"],
        "training": {
            "data": "data/telco_customers.csv.gz",
            "customers": trained_on,
            "split": f"a row is held out when the first 4 bytes of blake2b('{SPLIT}/ROW'), "
            f"digest size 4, are below {HELD_OUT_SHARE} of their range",
        },
        "held_out": {name: figures[name] for name in ("customers", "base_rate", "auc", "brier", "at_threshold")},
    }


def as_page(report: dict[str, Any], trained_on: int) -> str:
    """The report for people."""
    figures, compared = report["held_out"], report["comparison"]
    chosen = figures["at_threshold"]
    lines = [
        "# Churn model: figures on the customers it has not seen",
        "",
        f"Written by `scripts/train_churn_model.py`. Trained on {trained_on} customers, judged on "
        f"{figures['customers']}, of whom {figures['base_rate']:.1%} left.",
        "",
        "| figure | value | for comparison |",
        "| --- | --- | --- |",
        f"| area under the ROC curve | {figures['auc']:.3f} | 0.5 is chance |",
        f"| Brier score | {figures['brier']:.3f} | {figures['brier_of_base_rate']:.3f}: always the base rate |",
        f"| calibration error | {figures['calibration_error']:.3f} | 0 is perfect |",
        "",
        f"The threshold {chosen['threshold']} was chosen on the training part as the lowest with a precision of "
        f"{WANTED_PRECISION}. On the held-out part it flags {chosen['flagged']} customers: precision "
        f"{chosen['precision']:.3f}, recall {chosen['recall']:.3f}.",
        "",
        "| threshold | flagged | precision | recall |",
        "| --- | --- | --- | --- |",
        *(
            f"| {one['threshold']} | {one['flagged']} | {one['precision']:.3f} | {one['recall']:.3f} |"
            for one in figures["at_other_thresholds"]
        ),
        "",
        "| probability from | customers | foretold | observed |",
        "| --- | --- | --- | --- |",
        *(
            f"| {one['from']} | {one['customers']} | {one['foretold']:.3f} | {one['observed']:.3f} |"
            for one in figures["calibration"]
        ),
        "",
        "What one system's columns reach alone, trained and judged in the same way:",
        "",
        "| columns of | area under the ROC curve |",
        "| --- | --- |",
        *(f"| {name} | {auc:.3f} |" for name, auc in compared["auc_of_one_system_alone"].items()),
        f"| all four | {compared['auc_of_all_systems']:.3f} |",
        f"| all four, gender, age, partner and dependents added | {compared['auc_with_personal_columns']:.3f} |",
    ]
    return "\n".join(lines) + "\n"


def _rounded(figure: Any) -> float:
    return round(float(figure), 4)


def train() -> tuple[bytes, float]:
    """The trained graph, and the threshold chosen on the training part by predictions out of fold."""
    rows, _ = split()
    columns = list(FEATURES)
    values, actual = table(rows, columns), churned(rows)
    unseen = cross_val_predict(new_pipeline(columns), values, actual, cv=5, method="predict_proba")[:, 1]
    return to_graph(new_pipeline(columns).fit(values, actual)), pick_threshold(unseen, actual)


def main() -> None:
    train_rows, held_out = split()
    graph, threshold = train()
    figures = judge(score(graph, held_out), churned(held_out), threshold)
    report = {"version": VERSION, "held_out": figures, "comparison": comparison(train_rows, held_out)}
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / "churn.onnx").write_bytes(graph)
    (FOLDER / "churn.json").write_text(json.dumps(card(graph, figures, len(train_rows)), indent=2) + "\n")
    (FOLDER / "report.json").write_text(json.dumps(report, indent=2) + "\n")
    (FOLDER / "report.md").write_text(as_page(report, len(train_rows)))
    print(f"{FOLDER}: {len(graph)} bytes, held-out AUC {figures['auc']}, threshold {threshold}")


if __name__ == "__main__":
    main()
