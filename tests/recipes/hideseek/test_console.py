"""The block of an iteration."""

from evertrain.recipes.hideseek.console import block

ROW = {
    "episodes_completed": 1260.0,
    "episodes": 30.0,
    "reward_mean": 168.454,
    "episode_len_mean": 135.2,
    "seeker_reward": -8.23,
    "seeker_kl": 0.0072341,
    "seeker_entropy": 9.8923,
    "hider_reward": 45.67,
    "hider_kl": 0.008142,
    "hider_entropy": 9.6234,
}


def test_the_block_is_the_guides() -> None:
    """The same numbers at the same places; only its pictograms are left out."""
    assert block(ROW, 42, 500, 5000) == [
        "Training Iteration 42/500",
        "-" * 60,
        "Progress:",
        "   Episodes completed: 1260/5000",
        "   Episodes this iteration: 30",
        "   Reward mean: 168.45",
        "   Episode length mean: 135.2 steps",
        "   Seeker reward: -8.23 | KL: 0.007234 | Entropy: 9.8923",
        "   Hider reward: 45.67 | KL: 0.008142 | Entropy: 9.6234",
    ]


def test_what_was_not_measured_is_left_out() -> None:
    """An update without a divergence prints none."""
    row = {name: value for name, value in ROW.items() if name != "hider_kl"}

    assert block(row, 1, 2, 60)[-1] == "   Hider reward: 45.67 | Entropy: 9.6234"
