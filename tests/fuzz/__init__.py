"""`make fuzz`: minutes of damaged blocks for the C decoder, with address and undefined-behaviour sanitizers."""
