"""DataWorks and DataX jobs as specs: their text, their parameters, their variables; what became of each.

`convert` gives a `Conversion`, `spec_text` and `report` write it down, `scheduling_of` reads what DataWorks keeps
beside a job. `kind: dataworks` does the same while a spec is loaded. No Airflow, no service.
"""

from airflow_tablestore.spec.dataworks.convert import Conversion, convert
from airflow_tablestore.spec.dataworks.schedule import Scheduling, scheduling_of
from airflow_tablestore.spec.dataworks.write import report, spec_text

__all__ = ["Conversion", "Scheduling", "convert", "report", "scheduling_of", "spec_text"]
