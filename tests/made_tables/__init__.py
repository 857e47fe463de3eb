"""Tables as people have them, each with the truth beside it, for a test of `retain add`.

`recipes` says what a table is like, `tables` writes its file, `truth` holds what the file means,
and `judge` asks `retain add` and answers what it asks. `python -m tests.made_tables` prints how
many tables of each kind were right at once, asked for or refused.
"""
