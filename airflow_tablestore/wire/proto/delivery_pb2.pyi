from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class DeliveryTaskType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    BASE: _ClassVar[DeliveryTaskType]
    INC: _ClassVar[DeliveryTaskType]
    BASE_INC: _ClassVar[DeliveryTaskType]

class TimeFormatter(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    YDMFormatter: _ClassVar[TimeFormatter]

class Format(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    Parquet: _ClassVar[Format]

class Encoding(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PLAIN: _ClassVar[Encoding]
    PLAIN_DICTIONARY: _ClassVar[Encoding]
    DELTA_BINARY_PACKED: _ClassVar[Encoding]
    DELTA_BYTE_ARRAY: _ClassVar[Encoding]
    DELTA_LENGTH_BYTE_ARRAY: _ClassVar[Encoding]

class DataType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    BOOL: _ClassVar[DataType]
    INT64: _ClassVar[DataType]
    UTF8: _ClassVar[DataType]
    DOUBLE: _ClassVar[DataType]
    DATE: _ClassVar[DataType]
    DECIMAL: _ClassVar[DataType]
    TIME_MILLIS: _ClassVar[DataType]
    TIME_MICROS: _ClassVar[DataType]
    TIMESTAMP_MILLIS: _ClassVar[DataType]
    TIMESTAMP_MICROS: _ClassVar[DataType]
    LIST: _ClassVar[DataType]
    MAP: _ClassVar[DataType]
    INTERVAL: _ClassVar[DataType]
    FLOAT: _ClassVar[DataType]
    INT32: _ClassVar[DataType]
    INT96: _ClassVar[DataType]

class eventTimeFormat(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RFC822: _ClassVar[eventTimeFormat]
    RFC850: _ClassVar[eventTimeFormat]
    RFC1123: _ClassVar[eventTimeFormat]
    RFC3339: _ClassVar[eventTimeFormat]
    Unix: _ClassVar[eventTimeFormat]

class TaskSyncPhase(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    INIT: _ClassVar[TaskSyncPhase]
    FULL: _ClassVar[TaskSyncPhase]
    INCR: _ClassVar[TaskSyncPhase]

class ErrorType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OK: _ClassVar[ErrorType]
    UNAUTHORIZED: _ClassVar[ErrorType]
    INVALID_OSS_BUCKET: _ClassVar[ErrorType]
BASE: DeliveryTaskType
INC: DeliveryTaskType
BASE_INC: DeliveryTaskType
YDMFormatter: TimeFormatter
Parquet: Format
PLAIN: Encoding
PLAIN_DICTIONARY: Encoding
DELTA_BINARY_PACKED: Encoding
DELTA_BYTE_ARRAY: Encoding
DELTA_LENGTH_BYTE_ARRAY: Encoding
BOOL: DataType
INT64: DataType
UTF8: DataType
DOUBLE: DataType
DATE: DataType
DECIMAL: DataType
TIME_MILLIS: DataType
TIME_MICROS: DataType
TIMESTAMP_MILLIS: DataType
TIMESTAMP_MICROS: DataType
LIST: DataType
MAP: DataType
INTERVAL: DataType
FLOAT: DataType
INT32: DataType
INT96: DataType
RFC822: eventTimeFormat
RFC850: eventTimeFormat
RFC1123: eventTimeFormat
RFC3339: eventTimeFormat
Unix: eventTimeFormat
INIT: TaskSyncPhase
FULL: TaskSyncPhase
INCR: TaskSyncPhase
OK: ErrorType
UNAUTHORIZED: ErrorType
INVALID_OSS_BUCKET: ErrorType

class ParquetSchema(_message.Message):
    __slots__ = ("columnName", "ossColumnName", "type", "encode", "typeExtend")
    COLUMNNAME_FIELD_NUMBER: _ClassVar[int]
    OSSCOLUMNNAME_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    ENCODE_FIELD_NUMBER: _ClassVar[int]
    TYPEEXTEND_FIELD_NUMBER: _ClassVar[int]
    columnName: str
    ossColumnName: str
    type: DataType
    encode: Encoding
    typeExtend: str
    def __init__(self, columnName: _Optional[str] = ..., ossColumnName: _Optional[str] = ..., type: _Optional[_Union[DataType, str]] = ..., encode: _Optional[_Union[Encoding, str]] = ..., typeExtend: _Optional[str] = ...) -> None: ...

class EventColumn(_message.Message):
    __slots__ = ("columnName", "timeFormat")
    COLUMNNAME_FIELD_NUMBER: _ClassVar[int]
    TIMEFORMAT_FIELD_NUMBER: _ClassVar[int]
    columnName: str
    timeFormat: eventTimeFormat
    def __init__(self, columnName: _Optional[str] = ..., timeFormat: _Optional[_Union[eventTimeFormat, str]] = ...) -> None: ...

class OSSTaskConfig(_message.Message):
    __slots__ = ("ossPrefix", "formatter", "ossDirtyPrefix", "ossBucket", "ossEndpoint", "ossStsRole", "eventTimeColumn", "format", "schema")
    OSSPREFIX_FIELD_NUMBER: _ClassVar[int]
    FORMATTER_FIELD_NUMBER: _ClassVar[int]
    OSSDIRTYPREFIX_FIELD_NUMBER: _ClassVar[int]
    OSSBUCKET_FIELD_NUMBER: _ClassVar[int]
    OSSENDPOINT_FIELD_NUMBER: _ClassVar[int]
    OSSSTSROLE_FIELD_NUMBER: _ClassVar[int]
    EVENTTIMECOLUMN_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    SCHEMA_FIELD_NUMBER: _ClassVar[int]
    ossPrefix: str
    formatter: TimeFormatter
    ossDirtyPrefix: str
    ossBucket: str
    ossEndpoint: str
    ossStsRole: str
    eventTimeColumn: EventColumn
    format: Format
    schema: _containers.RepeatedCompositeFieldContainer[ParquetSchema]
    def __init__(self, ossPrefix: _Optional[str] = ..., formatter: _Optional[_Union[TimeFormatter, str]] = ..., ossDirtyPrefix: _Optional[str] = ..., ossBucket: _Optional[str] = ..., ossEndpoint: _Optional[str] = ..., ossStsRole: _Optional[str] = ..., eventTimeColumn: _Optional[_Union[EventColumn, _Mapping]] = ..., format: _Optional[_Union[Format, str]] = ..., schema: _Optional[_Iterable[_Union[ParquetSchema, _Mapping]]] = ...) -> None: ...

class CreateDeliveryTaskRequest(_message.Message):
    __slots__ = ("tableName", "taskName", "taskConfig", "taskType")
    TABLENAME_FIELD_NUMBER: _ClassVar[int]
    TASKNAME_FIELD_NUMBER: _ClassVar[int]
    TASKCONFIG_FIELD_NUMBER: _ClassVar[int]
    TASKTYPE_FIELD_NUMBER: _ClassVar[int]
    tableName: str
    taskName: str
    taskConfig: OSSTaskConfig
    taskType: DeliveryTaskType
    def __init__(self, tableName: _Optional[str] = ..., taskName: _Optional[str] = ..., taskConfig: _Optional[_Union[OSSTaskConfig, _Mapping]] = ..., taskType: _Optional[_Union[DeliveryTaskType, str]] = ...) -> None: ...

class CreateDeliveryTaskResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class DeleteDeliveryTaskRequest(_message.Message):
    __slots__ = ("tableName", "taskName")
    TABLENAME_FIELD_NUMBER: _ClassVar[int]
    TASKNAME_FIELD_NUMBER: _ClassVar[int]
    tableName: str
    taskName: str
    def __init__(self, tableName: _Optional[str] = ..., taskName: _Optional[str] = ...) -> None: ...

class DeleteDeliveryTaskResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class DescribeDeliveryTaskRequest(_message.Message):
    __slots__ = ("tableName", "taskName")
    TABLENAME_FIELD_NUMBER: _ClassVar[int]
    TASKNAME_FIELD_NUMBER: _ClassVar[int]
    tableName: str
    taskName: str
    def __init__(self, tableName: _Optional[str] = ..., taskName: _Optional[str] = ...) -> None: ...

class TaskSyncStat(_message.Message):
    __slots__ = ("task_sync_phase", "current_sync_timestamp", "error_code", "detail")
    TASK_SYNC_PHASE_FIELD_NUMBER: _ClassVar[int]
    CURRENT_SYNC_TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    ERROR_CODE_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    task_sync_phase: TaskSyncPhase
    current_sync_timestamp: int
    error_code: ErrorType
    detail: str
    def __init__(self, task_sync_phase: _Optional[_Union[TaskSyncPhase, str]] = ..., current_sync_timestamp: _Optional[int] = ..., error_code: _Optional[_Union[ErrorType, str]] = ..., detail: _Optional[str] = ...) -> None: ...

class DescribeDeliveryTaskResponse(_message.Message):
    __slots__ = ("taskConfig", "task_sync_stat", "taskType")
    TASKCONFIG_FIELD_NUMBER: _ClassVar[int]
    TASK_SYNC_STAT_FIELD_NUMBER: _ClassVar[int]
    TASKTYPE_FIELD_NUMBER: _ClassVar[int]
    taskConfig: OSSTaskConfig
    task_sync_stat: TaskSyncStat
    taskType: DeliveryTaskType
    def __init__(self, taskConfig: _Optional[_Union[OSSTaskConfig, _Mapping]] = ..., task_sync_stat: _Optional[_Union[TaskSyncStat, _Mapping]] = ..., taskType: _Optional[_Union[DeliveryTaskType, str]] = ...) -> None: ...

class UpdateDeliveryTaskRequest(_message.Message):
    __slots__ = ("table", "taskName", "taskConfig")
    TABLE_FIELD_NUMBER: _ClassVar[int]
    TASKNAME_FIELD_NUMBER: _ClassVar[int]
    TASKCONFIG_FIELD_NUMBER: _ClassVar[int]
    table: str
    taskName: str
    taskConfig: OSSTaskConfig
    def __init__(self, table: _Optional[str] = ..., taskName: _Optional[str] = ..., taskConfig: _Optional[_Union[OSSTaskConfig, _Mapping]] = ...) -> None: ...

class UpdateDeliveryTaskResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListDeliveryTaskRequest(_message.Message):
    __slots__ = ("tableName",)
    TABLENAME_FIELD_NUMBER: _ClassVar[int]
    tableName: str
    def __init__(self, tableName: _Optional[str] = ...) -> None: ...

class DeliveryTaskInfo(_message.Message):
    __slots__ = ("tableName", "taskName", "taskType")
    TABLENAME_FIELD_NUMBER: _ClassVar[int]
    TASKNAME_FIELD_NUMBER: _ClassVar[int]
    TASKTYPE_FIELD_NUMBER: _ClassVar[int]
    tableName: str
    taskName: str
    taskType: DeliveryTaskType
    def __init__(self, tableName: _Optional[str] = ..., taskName: _Optional[str] = ..., taskType: _Optional[_Union[DeliveryTaskType, str]] = ...) -> None: ...

class ListDeliveryTaskResponse(_message.Message):
    __slots__ = ("tasks",)
    TASKS_FIELD_NUMBER: _ClassVar[int]
    tasks: _containers.RepeatedCompositeFieldContainer[DeliveryTaskInfo]
    def __init__(self, tasks: _Optional[_Iterable[_Union[DeliveryTaskInfo, _Mapping]]] = ...) -> None: ...
