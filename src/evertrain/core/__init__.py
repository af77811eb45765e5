"""The only hands that touch the world: disk, clock, processes."""
