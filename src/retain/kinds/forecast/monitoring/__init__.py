"""What becomes of a forecaster over time: drift, and back-tests of retraining."""
