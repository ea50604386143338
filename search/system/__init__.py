"""The ground: files, processes, scratch folders, memory."""
