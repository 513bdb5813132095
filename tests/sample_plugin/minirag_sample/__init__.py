"""An example of a MiniRAG plugin."""
