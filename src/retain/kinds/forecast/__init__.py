"""The kind `forecast`: from a table of time-stamped values to a probabilistic LSTM forecaster."""
