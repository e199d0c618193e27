"""What every question shares: environments, measured processes, verification, contests, reports.

The process that measures imports only the standard library: a child's peak memory, as Linux reports it,
is never below what its parent held when it started the child.
"""
