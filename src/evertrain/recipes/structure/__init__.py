"""Structure: a damper learns to hold a tower through four earthquakes (PPO)."""
