"""Retraining: what CI runs every night and a person runs by hand (`pipelines/retrain.py`)."""
