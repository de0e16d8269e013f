"""The requirements, one a module: each has `judge(asked, candidates, ...) -> RequirementDecision` and touches no file.

Where statements contradict each other, the newest of each signatory counts, and all of those must hold.
"""
