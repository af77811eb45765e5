"""Hangs: silence, limits that are learned, a verdict, and what is kept of the dead.

`silence`, `limits` and `verdict` are pure; `signs` and `stacks` look at processes, `watch`
puts them together for the shim.
"""
