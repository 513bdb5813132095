"""Keys and credentials, passwords, tokens and access."""
