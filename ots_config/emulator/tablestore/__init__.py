"""Tablestore in memory: operations on bytes in, bytes out."""
