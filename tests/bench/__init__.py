"""`make bench`: what speed and memory really are here. Ratios of interleaved runs; nothing is asserted."""
