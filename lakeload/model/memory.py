"""Where the large Arrow buffers of a load are allocated: extract and write ask here.

A load grows buffers in place and lets them go a moment later. The system's allocator extends large blocks by
remapping pages; mimalloc, Arrow's default, copies them and holds on to more. Measured on the questions
nested_rows and json_to_table of the benchmarks: an eighth less time, a fifth less memory.
"""

from __future__ import annotations

import pyarrow as pa


def pool() -> pa.MemoryPool:
    """The system's pool, unless somebody chose another for Arrow than mimalloc.

    Example:
        >>> pool().backend_name
        'system'
    """
    default = pa.default_memory_pool()
    return pa.system_memory_pool() if default.backend_name == "mimalloc" else default
