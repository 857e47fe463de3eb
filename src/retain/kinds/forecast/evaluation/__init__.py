"""How good a forecaster is: scores, figures, report."""
