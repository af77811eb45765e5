"""Trading: a DQN buys, holds and sells, and is judged on days that it never saw."""
