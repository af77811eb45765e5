"""The rooms where frameworks are imported: torch, Stable-Baselines3."""
