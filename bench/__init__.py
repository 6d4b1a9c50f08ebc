"""Speed, as ratios: every figure stands beside a limit or a peer that was measured in the same run.

`__main__.py` runs the groups, each in a process of its own, and prints one table. `w1.py`, `w2.py`, `w3.py` and
`recovery.py` are the workloads, `micro.py` the core and the expressions alone, `_baseline.py` the physical limit,
`peers/` other engines in their own environment. Nothing here is imported by the product.
Open `w1.py` first, then `_baseline.py`.
"""
