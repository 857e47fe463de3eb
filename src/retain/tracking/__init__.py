"""MLflow's runs, also while the store is away."""
