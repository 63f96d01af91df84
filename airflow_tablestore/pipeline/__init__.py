"""Source, transforms and sink over Arrow record batches. No Airflow.

Importing it, before pyarrow is loaded, has Arrow take its memory from the C library: Arrow's own pools keep what is
freed, which was 70 of 320 MB when four threads write Parquet. Arrow reads this setting once, while it is loaded; a
process that has set it, or has loaded pyarrow already, keeps what it has.
"""

import os

os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
