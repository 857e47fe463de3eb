"""The model as MLflow serves it: "model from code", so the registry holds no pickle.

MLflow runs this file when a registered model is loaded; it is not imported by anything else.
"""

from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.protos.databricks_pb2 import BAD_REQUEST
from mlflow.pyfunc import PythonModel, PythonModelContext

from retain.config.kind import PLUGINS
from retain.errors import ModelError, RetainError
from retain.model_files import load_model, read_config
from retain.project import fingerprint


class RetainModel(PythonModel):  # type: ignore[misc]
    """Reads the artifact `final`, the refitted model, or else `model`; answers with tables."""

    def load_context(self, context: PythonModelContext) -> None:
        """Read the model that forecasts, if all folders are those that were registered.

        Raises:
            ModelError: its files are others, damaged or missing.
        """
        folders = {key: Path(place) for key, place in context.artifacts.items()}
        for key, folder in folders.items():
            recorded = (context.model_config or {}).get(f"{key}_md5")
            if recorded is not None and recorded != (found := fingerprint.folder_md5(folder)):
                raise ModelError(
                    f"the model in {folder} is not the one that was registered: its md5 is "
                    f"{found}, recorded is {recorded}"
                )
        folder = folders.get("final", folders["model"])
        if manifest := (context.model_config or {}).get("manifest"):  # the kind of a project
            PLUGINS[read_config(folder)["kind"]] = manifest
        self.served = load_model(folder)

    def predict(
        self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Answer a request; what is wrong with its table comes back as a 400 with a sentence."""
        try:
            answer: pd.DataFrame = self.served.predict(model_input)
            return answer
        except RetainError as error:
            raise MlflowException(str(error), error_code=BAD_REQUEST) from None


set_model(RetainModel())
