"""A hundred kills: workers of a tunnel are killed again and again, and a reader of each sink finds what it promises."""
