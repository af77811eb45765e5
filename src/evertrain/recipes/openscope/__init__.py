"""Recipe: PPO controls the air traffic of a game in a browser."""
