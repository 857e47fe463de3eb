"""What a program or a notebook does with retain: train, predict, save, load.

    import retain

    model = retain.train(frame, horizon=28)
    model.predict()

Nothing is logged to MLflow, and no file stays but what `save` writes. The settings, the networks,
the calibration and the floors are those of `retain add` and of the pipeline. `Project` does what
the commands do.
"""

from retain.api.evaluation import Evaluation
from retain.api.model import Model, load
from retain.api.project import Project, Registered
from retain.api.training import train

__all__ = ["Evaluation", "Model", "Project", "Registered", "load", "train"]
