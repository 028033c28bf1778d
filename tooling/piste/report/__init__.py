"""Reports: what git keeps of runs. Pure: the same ledger and documents give the same bytes."""
