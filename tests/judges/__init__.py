"""Clients that we did not write, each a process of its own, against the emulator as a process of its own."""
