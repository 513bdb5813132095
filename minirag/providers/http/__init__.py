"""Everything that speaks HTTP: the APIs of models, and reading documents from URLs."""
