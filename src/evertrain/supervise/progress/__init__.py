"""How far a command gets that says nothing to evertrain: read from its output or its files.

Layer: supervise. Imports core only.
"""
