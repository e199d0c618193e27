"""The work, as each competitor's own documentation would have a user write it; one module per library.

A module imports its library at the top: imports are not part of the timed work.
"""
