"""The forecaster: network, baselines, and their training."""
