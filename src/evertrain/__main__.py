"""`python -m evertrain` is the `evertrain` command."""

from evertrain.cli.main import main

main()
