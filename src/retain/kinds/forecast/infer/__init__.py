"""`retain add`: what the columns of a table are, and which settings fit it."""
