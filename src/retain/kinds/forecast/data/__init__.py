"""From a table of time-stamped values to arrays on a regular grid."""
