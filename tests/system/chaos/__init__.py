"""Kills the training stage wherever it could hurt, and looks whether it ends as if left alone."""
