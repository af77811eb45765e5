"""What an environment holds: taken, put back, and proven to go on alike.

Nothing here needs torch, Stable-Baselines3 or PettingZoo; whoever has one of them imports this.

Layer: integrations. Imports checkpoint and core.
"""
