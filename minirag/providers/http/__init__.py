"""Everything that speaks HTTP: the OpenAI protocol, and reading documents from URLs."""
