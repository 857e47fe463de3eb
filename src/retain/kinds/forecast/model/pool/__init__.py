"""The classical base under every forecast: exponential smoothing experts, blended."""
