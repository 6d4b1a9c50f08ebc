"""The shipped churn model does what its report says."""

from __future__ import annotations

import hashlib
import json
from importlib import import_module
from importlib.resources import files
from importlib.util import find_spec
from typing import Any

import pytest

np = pytest.importorskip("numpy")
onnxruntime = pytest.importorskip("onnxruntime")
if find_spec("skl2onnx") is None:
    pytest.skip("training needs the extra `train`", allow_module_level=True)

pytestmark = pytest.mark.ml

MODEL = files("segue.sandbox").joinpath("model")
GRAPH = MODEL.joinpath("churn.onnx").read_bytes()
CARD = json.loads(MODEL.joinpath("churn.json").read_text(encoding="utf-8"))
REPORT = json.loads(MODEL.joinpath("report.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def training() -> Any:
    """The script, which takes seconds to import: whoever only collects tests does without."""
    return import_module("scripts.train_churn_model")


def test_the_report_s_figures_come_out_again(training: Any) -> None:
    """The figures are claims about this very file on customers it has not seen."""
    _, held_out = training.split()
    figures = training.judge(training.score(GRAPH, held_out), training.churned(held_out), CARD["threshold"])

    assert flat(figures) == pytest.approx(flat(REPORT["held_out"]), abs=2e-4)
    assert figures["auc"] > 0.83
    assert figures["brier"] < 0.75 * figures["brier_of_base_rate"]
    assert figures["calibration_error"] < 0.04


def flat(figures: object) -> list[float]:
    """All the numbers of a report, in order."""
    if isinstance(figures, dict):
        return [number for value in figures.values() for number in flat(value)]
    if isinstance(figures, list):
        return [number for value in figures for number in flat(value)]
    return [float(figures)]  # type: ignore[arg-type]


def test_training_again_gives_the_same_model(training: Any) -> None:
    """Nobody has to trust a file that nobody can make again."""
    graph, threshold = training.train()
    _, held_out = training.split()

    assert threshold == CARD["threshold"]
    assert np.abs(training.score(graph, held_out) - training.score(GRAPH, held_out)).max() < 1e-4


def test_no_customer_is_both_trained_on_and_judged_by(training: Any) -> None:
    """Otherwise the figures flatter."""
    trained, held_out = ({row["row"] for row in part} for part in training.split())

    assert not trained & held_out
    assert len(trained) + len(held_out) == 7043
    assert (len(trained), len(held_out)) == (CARD["training"]["customers"], CARD["held_out"]["customers"])


def test_joined_data_beats_the_data_of_any_one_system(training: Any) -> None:
    """The reason for asking four systems is a figure, not a slogan."""
    train, held_out = training.split()
    compared = training.comparison(train, held_out)

    assert flat(compared) == pytest.approx(flat(REPORT["comparison"]), abs=2e-4)
    assert compared["auc_of_all_systems"] > max(compared["auc_of_one_system_alone"].values()) + 0.02


def test_the_card_describes_the_file_beside_it() -> None:
    """A caller builds its inputs from the card alone."""
    session = onnxruntime.InferenceSession(GRAPH)
    kinds = {"tensor(float)": "float32 [N, 1]", "tensor(string)": "string [N, 1]"}

    assert hashlib.sha256(GRAPH).hexdigest() == CARD["sha256"]
    assert [(one.name, kinds[one.type]) for one in session.get_inputs()] == [
        (one["name"], one["tensor"]) for one in CARD["inputs"]
    ]
    assert [one.name for one in session.get_outputs()] == [one["name"] for one in CARD["outputs"]]
    assert list(CARD["input_schema"]["properties"]) == [one["name"] for one in CARD["inputs"]]
    assert len(GRAPH) < 300_000


def test_a_value_outside_its_domain_gets_no_score(training: Any) -> None:
    """A workflow that mixes two fields up must hear of it."""
    features = {**training.features_of(next(iter(training.split()[0]))), "contract": "fiber"}
    feed = {
        name: np.array([[value]], dtype=np.float32 if name in training.NUMBERS else object)
        for name, value in features.items()
    }

    with pytest.raises(Exception, match=r"(?i)categor"):
        onnxruntime.InferenceSession(GRAPH).run(None, feed)
