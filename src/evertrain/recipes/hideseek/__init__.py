"""Hide and seek: three seekers and a hider learn against each other (two policies, RLlib's PPO)."""
