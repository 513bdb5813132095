"""Frozen records that cross the library's border. Import them from `minirag`."""
