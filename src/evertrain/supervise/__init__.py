"""The supervise room."""
