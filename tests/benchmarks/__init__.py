"""Measures the library against raw FAISS and raw SQLite in the same run: `python -m tests.benchmarks --size 10000`."""
