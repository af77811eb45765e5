"""evertrain: training that survives everything."""
