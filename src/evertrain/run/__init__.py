"""The user's loop, continued exactly."""
