"""Forecasters as programs of ONNX or torch, with everything that runs them without retain."""
