"""What Airflow waits for while no worker is taken: windows that fall due, what the ledger says."""
