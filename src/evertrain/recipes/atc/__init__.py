"""Recipe: PPO leads an aircraft through traffic, on a simulator that may crash."""
