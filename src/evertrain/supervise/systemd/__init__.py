"""Under systemd: the unit that starts a supervisor, and what the supervisor tells back.

Layer: supervise. Imports core only.
"""
