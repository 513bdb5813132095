"""Engines behind the interfaces. The registry names them by import string; nothing imports them."""
