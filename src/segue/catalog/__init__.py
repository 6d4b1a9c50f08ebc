"""Catalog: the default functions and the workflow templates, as documents.

Data only: `functions/NAME/SEMVER/function.yaml` describes one version of one function (title, description, JSON
Schemas of its `with` and of its result, and who performs it). `segue.dsl` reads the folder; adding a function is
adding a folder, changing one is adding a version. No code lives here. Open `functions/connector/1.0.0` first.
"""

__all__: list[str] = []
