"""How records become the bytes of an object: one file per format.

Each format is a small frozen value that can be built without pyarrow; its encoder loads what it needs. Equal batches
give equal bytes, however they were cut.
"""
