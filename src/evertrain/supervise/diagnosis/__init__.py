"""Why an attempt died: what is known of its end, and the rules that name the cause.

Imports nothing here: the shim must start fast.
"""
