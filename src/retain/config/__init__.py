"""params.yaml as frozen, checked objects, and the manifest of a kind."""
