"""A trained forecaster at work: tables of history in, quantiles out."""
