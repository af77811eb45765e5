"""How fast a training can be driven before its crashes cost more than the speed brings.

Pure: `cost` (what a crash rate costs), `posterior` (what is known of the rates), `evidence`
(what the journal tells), `choice` and `survey` (which rung comes next). Hands: `file` reads
the ladder, `apply` puts a rung into force, `climber` sits in the supervisor's loop.

Layer: supervise.
"""
