"""The classical base under every forecast: smoothing and autoregression experts, blended."""
