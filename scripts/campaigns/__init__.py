"""Campaigns: proofs that take longer than a test, each a command with an exit code.

`kill` kills real processes at random moments and lets the practice company count what came of it.
`writes` fails each write of every shipped workflow in turn, on virtual time.
Open `kill.py` first: the story; `siege.py` does the harm, `judge.py` compares the counts.
"""
