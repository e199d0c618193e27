"""The shared vocabulary: frozen values and protocols every stage speaks.

Nothing here reads a file, opens a connection or knows a table format.
"""

from lakeload.model.without_pandas import keep_out

keep_out()
