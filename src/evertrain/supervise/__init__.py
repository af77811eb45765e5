"""Supervision: any command, restarted until it is done.

Imports nothing here: the shim must start fast. Use `evertrain.supervise.loop.supervise`.
"""
