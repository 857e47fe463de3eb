"""A forecaster over time: drift, and backtests of retraining."""
