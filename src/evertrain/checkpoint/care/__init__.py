"""Care for a run from outside, also while it trains: prune, remove, archive, export."""
