"""The log of an attempt: what is drawn is collapsed, what is large is cut and packed.

Layer: supervise. Imports monitor and core.
"""
