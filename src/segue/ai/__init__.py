"""AI: models that a task can call, with a card that says what goes in and what comes out.

Here live the model registry and the runners for ONNX files, scikit-learn files and Python functions. Nothing here
knows of runs, performs an effect or decides what a score means: thresholds and people belong to the workflow.
Importing this room loads neither onnxruntime nor scikit-learn. Open `registry.py` first, then `cards.py`.
"""

from segue.ai.cards import ModelCard, Prediction
from segue.ai.registry import Model, ModelRegistry

__all__ = ["Model", "ModelCard", "ModelRegistry", "Prediction"]
