"""The forecaster: network, baselines, and what training needs of them."""
