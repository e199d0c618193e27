"""Words an engine takes for SQL where a column name should stand, unless it is quoted.

For the policy `sql_safe` of `lakeload.normalize.naming`. The union of the words reserved in Trino ("Reserved
keywords"), DuckDB (`duckdb_keywords()`, category reserved), Snowflake ("Reserved & limited keywords") and
Spark in ANSI mode ("SQL Keywords").
"""

from __future__ import annotations

RESERVED_WORDS = frozenset(
    """
    account all alter analyse analyze and anti any array as asc asymmetric authorization between both by
    case cast check collate collation column commit concurrently connect connection constraint create cross
    cube current current_catalog current_date current_path current_role current_schema current_time
    current_timestamp current_user database deallocate default deferrable delete desc describe distinct do
    drop else end escape except exclude execute exists extract false fetch filter following for foreign
    freeze from full function generated glob grant group grouping gscluster having ilike in increment
    initially inner insert intersect interval into is isnull issue join json_array json_exists json_object
    json_query json_table json_value lambda lateral leading left like limit listagg localtime localtimestamp
    map minus natural normalize not notnull null of offset on only or order organization outer overlaps
    pivot pivot_longer pivot_wider placing positional prepare primary qualify recursive references regexp
    returning revoke right rlike rollup row rows sample schema select semi session_user set show similar
    skip some start struct summarize symmetric system_user table tablesample then time to trailing trigger
    trim true try_cast uescape union unique unknown unnest unpivot update user using values variadic verbose
    view when whenever where window with within without
    """.split()  # noqa: SIM905 - a block of words is easier to keep than two hundred quoted ones
)
