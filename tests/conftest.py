"""Settings for every test: one thread per library, and no color."""

import os

# Two cores are shared by whatever the tests start; threads that spin for each other cost minutes.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["NO_COLOR"] = "1"
for name in [each for each in os.environ if each.startswith("EVERTRAIN_")]:
    del os.environ[name]
