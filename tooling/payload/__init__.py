"""What runs inside the ML Job: trains with ArcticTraining, generates, scores, and leaves the results in Snowflake.

Uploaded with each run next to its `run.json`. Rows, prompts and predictions stay in tables and logs; `results.json`,
the ledger and exception messages carry counts, classes and names only.
"""
