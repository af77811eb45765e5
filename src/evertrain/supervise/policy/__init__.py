"""Whether, when and from where a command starts again: ledgers over the attempts' ends."""
