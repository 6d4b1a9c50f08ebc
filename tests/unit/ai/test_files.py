"""ONNX and scikit-learn files, made here and run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from segue.ai import Model, ModelRegistry
from segue.types import TaskFailure

pytestmark = pytest.mark.ml
onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


def _onnx(folder: Path, inputs: list[Any], nodes: list[Any], outputs: list[Any], /, **card: Any) -> Model:
    """A registered ONNX file with these inputs, nodes and outputs."""
    graph = onnx.helper.make_graph(nodes, "g", inputs, outputs)
    opsets = [onnx.helper.make_opsetid("", 18), onnx.helper.make_opsetid("ai.onnx.ml", 3)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=opsets, ir_version=9), folder / "m.onnx")
    return _model(folder, file="m.onnx", **card)


def _model(folder: Path, **card: Any) -> Model:
    (folder / "m.json").write_bytes(msgspec.json.encode({"name": "m", "version": "1.0.0"} | card))
    registry = ModelRegistry()
    registry.add_folder(folder)
    return registry.get("m")


def _tensor(name: str, kind: str, shape: list[Any]) -> Any:
    return onnx.helper.make_tensor_value_info(name, getattr(onnx.TensorProto, kind), shape)


def _node(kind: str, inputs: list[str], outputs: list[str], **attributes: Any) -> Any:
    return onnx.helper.make_node(kind, inputs, outputs, **attributes)


async def _value(model: Model, given: Any) -> tuple[Any, Any]:
    result = await model.predict(given)
    return result["value"], result["confidence"]


@pytest.fixture
def sum_of_two(tmp_path: Path) -> Model:
    inputs = [_tensor("a", "FLOAT", [None, 1]), _tensor("b", "FLOAT", [None, 1])]
    return _onnx(tmp_path, inputs, [_node("Add", ["a", "b"], ["sum"])], [_tensor("sum", "FLOAT", [None, 1])])


async def test_an_object_becomes_one_tensor_for_each_named_input(sum_of_two: Model) -> None:
    """Whole numbers, fractions and booleans are numbers to a model."""
    assert await _value(sum_of_two, {"a": 1, "b": 2.5}) == (3.5, None)
    assert await _value(sum_of_two, {"a": True, "b": 0}) == (1.0, None)


@pytest.mark.parametrize("given", [{}, {"a": 1}, {"a": 1, "b": "2"}, {"a": [1], "b": 2}, [1, 2], None, 5])
async def test_an_input_that_does_not_fit_the_file_is_a_validation_failure(sum_of_two: Model, given: Any) -> None:
    """Also where the card has no schema: the file itself says what it reads."""
    with pytest.raises(TaskFailure) as caught:
        await sum_of_two.predict(given)

    assert caught.value.failure.type.endswith("/validation")


async def test_text_inputs_are_read(tmp_path: Path) -> None:
    """Encoders inside the graph take the words as they are."""
    model = _onnx(
        tmp_path,
        [_tensor("word", "STRING", [None, 1])],
        [_node("Identity", ["word"], ["out"])],
        [_tensor("out", "STRING", [None, 1])],
    )

    assert await _value(model, {"word": "fiber"}) == ("fiber", None)
    with pytest.raises(TaskFailure):
        await model.predict({"word": 5})


async def test_a_wide_input_is_filled_in_the_order_of_the_card(tmp_path: Path) -> None:
    """The order of an object's keys must not matter."""
    model = _onnx(
        tmp_path,
        [_tensor("x", "FLOAT", [None, 3])],
        [_node("Identity", ["x"], ["y"])],
        [_tensor("y", "FLOAT", [None, 3])],
        inputs=["a", {"name": "b", "unit": "days"}, "c"],
    )

    assert await _value(model, {"c": 3, "a": 1, "b": 2}) == ([1.0, 2.0, 3.0], None)
    assert await _value(model, [1, 2, 3]) == ([1.0, 2.0, 3.0], None)
    with pytest.raises(TaskFailure):
        await model.predict({"a": 1})


async def test_a_probability_is_as_sure_as_the_likelier_class(tmp_path: Path) -> None:
    """0.1 says 'no' as firmly as 0.9 says 'yes'."""
    card = {"outputs": [{"name": "y", "range": [0, 1]}]}
    inputs = [_tensor("x", "FLOAT", [None, 1])]
    model = _onnx(tmp_path, inputs, [_node("Identity", ["x"], ["y"])], [_tensor("y", "FLOAT", [None, 1])], **card)

    for given, confidence in ((0.25, 0.75), (0.75, 0.75), (0.5, 0.5)):
        assert await _value(model, {"x": given}) == (given, confidence)


def _classifier(folder: Path, **card: Any) -> Model:
    """Two outputs, as converted classifiers have: the label and the probabilities."""
    classifier = _node(
        "LinearClassifier",
        ["x"],
        ["label", "shares"],
        domain="ai.onnx.ml",
        coefficients=[-1.0, 1.0],
        intercepts=[0.0, 0.0],
        classlabels_ints=[0, 1],
        post_transform="SOFTMAX",
    )
    outputs = [_tensor("label", "INT64", [None]), _tensor("shares", "FLOAT", [None, 2])]
    return _onnx(folder, [_tensor("x", "FLOAT", [None, 1])], [classifier], outputs, **card)


async def test_a_classifier_answers_its_label_with_its_probability(tmp_path: Path) -> None:
    """Label and probability come from two outputs of the file."""
    value, confidence = await _value(_classifier(tmp_path), {"x": 2})

    assert value == 1
    assert confidence == pytest.approx(0.982, abs=0.001)


async def test_a_card_may_name_the_classes_and_ask_for_one(tmp_path: Path) -> None:
    """Thresholds want the probability of one class, whichever is likelier."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    named = _classifier(tmp_path / "a", labels=["stays", "leaves"])
    asked = _classifier(tmp_path / "b", labels=["stays", "leaves"], positive="leaves")

    assert (await _value(named, {"x": -2}))[0] == "stays"
    value, confidence = await _value(asked, {"x": -2})
    assert (value, confidence) == (pytest.approx(0.018, abs=0.001), pytest.approx(0.982, abs=0.001))


async def test_a_file_that_is_no_model_is_a_configuration_failure(tmp_path: Path) -> None:
    """A truncated download, usually."""
    (tmp_path / "m.onnx").write_bytes(b"not a model")

    with pytest.raises(TaskFailure, match="cannot be loaded") as caught:
        await _model(tmp_path, file="m.onnx").predict({})

    assert caught.value.failure.type.endswith("/configuration")


def _joblib(folder: Path, estimator: Any, **card: Any) -> Model:
    joblib = pytest.importorskip("joblib")
    joblib.dump(estimator, folder / "m.joblib")
    return _model(folder, file="m.joblib", **card)


async def test_a_scikit_learn_classifier_runs(tmp_path: Path) -> None:
    """Classes by the names they were trained with."""
    linear = pytest.importorskip("sklearn.linear_model")
    estimator = linear.LogisticRegression().fit(
        [[0, 0], [1, 1], [2, 2], [3, 3]], ["stays", "stays", "leaves", "leaves"]
    )
    model = _joblib(tmp_path, estimator, inputs=["a", "b"])

    value, confidence = await _value(model, {"b": 3, "a": 3})

    assert value == "leaves"
    assert 0.5 < confidence < 1
    with pytest.raises(TaskFailure, match="does not fit its schema"):
        await model.predict({"a": 1})
    with pytest.raises(TaskFailure, match="cannot read its input"):
        await model.predict([1, 2, 3])


async def test_a_scikit_learn_regressor_runs(tmp_path: Path) -> None:
    """A number without a confidence."""
    linear = pytest.importorskip("sklearn.linear_model")
    model = _joblib(tmp_path, linear.LinearRegression().fit([[0], [1]], [0, 2]), inputs=["a"])

    value, confidence = await _value(model, {"a": 4})

    assert (value, confidence) == (pytest.approx(8), None)


async def test_a_file_that_holds_no_estimator_is_refused(tmp_path: Path) -> None:
    """Any object can be dumped."""
    with pytest.raises(TaskFailure, match="holds nothing that predicts"):
        await _joblib(tmp_path, {"a": 1}).predict([1])
