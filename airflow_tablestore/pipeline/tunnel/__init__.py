"""Tunnels: made and looked at, and drained into a sink."""
