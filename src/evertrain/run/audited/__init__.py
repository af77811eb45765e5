"""What a `Run` does besides while `evertrain audit` watches it; never imported otherwise."""
