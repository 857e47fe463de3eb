"""The libraries that retain is measured beside, each in an environment of its own."""
