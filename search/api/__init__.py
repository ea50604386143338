"""The Python API: what ``import search`` offers, over the same commands as the command line."""
