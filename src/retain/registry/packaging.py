"""A trained model as MLflow keeps it: code, config and weights, without a pickle."""

from importlib.metadata import version
from pathlib import Path
from typing import Any

from retain.project import fingerprint
from retain.tracking import store
from retain.tracking.offline_run import OfflineRun

# What a server needs to run a registered model, at the versions it was trained with.
RUNTIME = (
    "mlflow",
    "torch",
    "numpy",
    "pandas",
    "pyarrow",
    "pydantic",
    "ruamel.yaml",
    "safetensors",
    "holidays",
)


def log_model(
    run: OfflineRun, root: Path, name: str, folder: Path, predictor: Any
) -> tuple[str, str]:
    """Log the model in `folder` into its run; return its address and its id."""
    import mlflow
    from mlflow.models import infer_signature

    example = predictor.example(root / "data" / "prepared" / name)
    # Of the inputs it says nothing: MLflow would then drop unknown columns in silence and word
    # errors itself. The model checks its table and names row, column and remedy.
    signature = infer_signature(model_output=predictor.predict(example))
    package = Path(__file__).parents[1]
    with store.guarded(root), mlflow.start_run(run_id=run.run_id):
        info = mlflow.pyfunc.log_model(
            name="model",
            python_model=str(package / "registry" / "mlflow_model.py"),
            artifacts={"model": str(folder)},
            code_paths=[str(package)],
            signature=signature,
            metadata={"columns": predictor.columns()},
            model_config={"model_md5": fingerprint.folder_md5(folder)},  # mlflow_model.py checks it
            input_example=example,
            # A local build's mark (+cpu) means nothing to a package index.
            pip_requirements=[f"{name}=={version(name).partition('+')[0]}" for name in RUNTIME],
        )
    return str(info.model_uri), str(info.model_id)
