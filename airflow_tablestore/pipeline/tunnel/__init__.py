"""Tunnels: made and looked at, and drained into objects exactly once."""
