"""Use cases: ingestion, indexing, retrieval, answering, evaluation. Internal; import from `minirag`."""
