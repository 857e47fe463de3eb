"""The model registry: versions, aliases, provenance."""
