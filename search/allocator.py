"""What processes that run DuckDB tell the C library of their allocations."""

ALLOCATOR = {"GLIBC_TUNABLES": "glibc.malloc.tcache_count=60000"}
"""Environment variables; the C library reads them once, when a process starts.

DuckDB plans a statement with hundreds of thousands of small pieces, and a tenth to a fifth of a
candidate's processor time went into giving them back to the heap and asking for them again. So a
thread keeps more of what it freed; figures stand in ``docs/performance.md``. Other C libraries do
not look at it. One setting alone: of several, a grandchild inherits the first.
"""
