"""retain: LSTM models of sequences that can be retrained, compared and proved."""

__version__ = "0.1.0"
