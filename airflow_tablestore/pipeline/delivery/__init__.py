"""Delivery tasks of the service: what makes a good one, how one is made so that twice is the same as once, how far it
is, and whether what it has delivered is what the table holds."""
