import com.alicloud.openservices.tablestore.model.ColumnValue;
import com.alicloud.openservices.tablestore.model.delivery.CreateDeliveryTaskRequest;
import com.alicloud.openservices.tablestore.model.delivery.DataType;
import com.alicloud.openservices.tablestore.model.delivery.DeleteDeliveryTaskRequest;
import com.alicloud.openservices.tablestore.model.delivery.DeliveryErrorType;
import com.alicloud.openservices.tablestore.model.delivery.DeliveryTaskInfo;
import com.alicloud.openservices.tablestore.model.delivery.DeliveryTaskType;
import com.alicloud.openservices.tablestore.model.delivery.DescribeDeliveryTaskRequest;
import com.alicloud.openservices.tablestore.model.delivery.DescribeDeliveryTaskResponse;
import com.alicloud.openservices.tablestore.model.delivery.EventColumn;
import com.alicloud.openservices.tablestore.model.delivery.EventTimeFormat;
import com.alicloud.openservices.tablestore.model.delivery.ListDeliveryTaskRequest;
import com.alicloud.openservices.tablestore.model.delivery.OSSFileEncoding;
import com.alicloud.openservices.tablestore.model.delivery.OSSTaskConfig;
import com.alicloud.openservices.tablestore.model.delivery.ParquetSchema;
import com.alicloud.openservices.tablestore.model.delivery.TaskSyncPhase;
import java.util.List;
import java.util.Map;

/** Delivery tasks. This client alone sends `typeExtend` and tells when a task that delivers the rows once is done. */
final class Deliveries {
    private static final String ROLE = "acs:ram::1234567890123456:role/aliyunserviceroleforotsdatadelivery";
    private static final String NAME = "task";

    /** This client has names for these and no number. */
    private static final List<DataType> NEVER_SENT = List.of(DataType.TIMESTAMP_MILLIS, DataType.TIMESTAMP_MICROS);

    private Deliveries() {}

    static void add() {
        Judge.add("CreateDeliveryTask", "a task is made, listed and deleted", table -> {
            table.make();
            create(table, DeliveryTaskType.BASE_INC, config(table));
            List<DeliveryTaskInfo> listed = list(table);
            Judge.equal(listed.size(), 1);
            Judge.equal(listed.get(0).getTableName() + " " + listed.get(0).getTaskName(), table.name() + " " + NAME);
            Judge.equal(listed.get(0).getTaskType(), DeliveryTaskType.BASE_INC);
            delete(table, NAME);
            Judge.equal(list(table).size(), 0);
        });
        Judge.add("CreateDeliveryTask", "a name is taken once per table", table -> {
            table.make();
            create(table, DeliveryTaskType.INC, config(table));
            Judge.refused(() -> create(table, DeliveryTaskType.INC, config(table)), 409, "OTSObjectAlreadyExist");
        });
        Judge.add("DescribeDeliveryTask", "a task is told as it was asked for", table -> {
            table.make();
            OSSTaskConfig asked = config(table);
            asked.setEventTimeColumn(new EventColumn("at", EventTimeFormat.RFC3339));
            create(table, DeliveryTaskType.INC, asked);
            DescribeDeliveryTaskResponse told = describe(table);
            Judge.equal(told.getTaskType(), DeliveryTaskType.INC);
            Judge.equal(text(told.getTaskConfig()), text(asked));
        });
        Judge.add("DescribeDeliveryTask", "the types of columns are told as they were asked for", table -> {
            table.make();
            OSSTaskConfig asked = config(table);
            for (DataType type : DataType.values()) {
                if (!NEVER_SENT.contains(type)) {
                    asked.addParquetSchema(new ParquetSchema("c-" + type, type));
                }
            }
            create(table, DeliveryTaskType.INC, asked);
            Judge.equal(text(describe(table).getTaskConfig()), text(asked));
        });
        Judge.add("DescribeDeliveryTask", "a task delivers the rows and then follows the changes", table -> {
            table.make();
            table.put(1, Map.of("n", ColumnValue.fromLong(1)));
            create(table, DeliveryTaskType.BASE_INC, config(table));
            Judge.until("the task follows the changes", () -> phase(table) == TaskSyncPhase.INCR);
            Judge.equal(describe(table).isFinished(), false);
            long anHourAgo = System.currentTimeMillis() - 3_600_000;
            Judge.until(
                    "the task tells up to when it has delivered",
                    () -> describe(table).getTaskSyncStat().getCurrentSyncPoint().getTime() > anHourAgo);
        });
        Judge.add("DescribeDeliveryTask", "a task that delivers the rows once is finished then", table -> {
            table.make();
            table.put(1, Map.of("n", ColumnValue.fromLong(1)));
            create(table, DeliveryTaskType.BASE, config(table));
            Judge.until("the task is finished", () -> describe(table).isFinished());
            Judge.equal(describe(table).getTaskSyncStat().getErrorType(), DeliveryErrorType.OK);
        });
        Judge.add("DescribeDeliveryTask", "a task whose bucket is not there says so", table -> {
            table.make();
            OSSTaskConfig elsewhere = config(table);
            elsewhere.setOssBucket("nowhere-to-be-found");
            create(table, DeliveryTaskType.BASE, elsewhere);
            Judge.until("the task stops", () -> error(table) == DeliveryErrorType.INVALID_OSS_BUCKET);
        });
        Judge.add("DescribeDeliveryTask", "a role that may not write is told", table -> {
            table.make();
            OSSTaskConfig nobody = config(table);
            nobody.setOssStsRole("acs:ram::1234567890123456:role/nobody");
            create(table, DeliveryTaskType.BASE, nobody);
            Judge.until("the task stops", () -> error(table) == DeliveryErrorType.UNAUTHORIZED);
        });
        Judge.add("DeleteDeliveryTask", "a task that is not there is refused", table -> {
            table.make();
            Judge.refused(() -> delete(table, "none"), 404, "OTSObjectNotExist");
            Judge.refused(() -> describe(table), 404, "OTSObjectNotExist");
        });
    }

    private static OSSTaskConfig config(Table table) {
        OSSTaskConfig config = new OSSTaskConfig();
        config.setOssPrefix(table.name() + "/year=$yyyy/month=$MM");
        config.setOssBucket("backup");
        config.setOssEndpoint("oss-cn-hangzhou.aliyuncs.com");
        config.setOssStsRole(ROLE);
        config.addParquetSchema(new ParquetSchema("id", "key", DataType.INT64));
        ParquetSchema price = new ParquetSchema("price", "price", DataType.DECIMAL);
        price.setTypeExtend("10,2");
        config.addParquetSchema(price);
        ParquetSchema city = new ParquetSchema("city", "town", DataType.UTF8);
        city.setEncode(OSSFileEncoding.PLAIN_DICTIONARY);
        config.addParquetSchema(city);
        return config;
    }

    /** All but `typeExtend`, which the client sends and does not read. */
    private static String text(OSSTaskConfig config) {
        return config.toString().replaceAll("typeExtend: [^}]*", "");
    }

    private static void create(Table table, DeliveryTaskType type, OSSTaskConfig config) {
        CreateDeliveryTaskRequest request = new CreateDeliveryTaskRequest(table.name(), NAME, config);
        request.setTaskType(type);
        table.client().createDeliveryTask(request);
    }

    private static DescribeDeliveryTaskResponse describe(Table table) {
        return table.client().describeDeliveryTask(new DescribeDeliveryTaskRequest(table.name(), NAME));
    }

    private static TaskSyncPhase phase(Table table) {
        return describe(table).getTaskSyncStat().getTaskSyncPhase();
    }

    private static DeliveryErrorType error(Table table) {
        return describe(table).getTaskSyncStat().getErrorType();
    }

    private static List<DeliveryTaskInfo> list(Table table) {
        return table.client().listDeliveryTask(new ListDeliveryTaskRequest(table.name())).getTaskInfos();
    }

    private static void delete(Table table, String name) {
        table.client().deleteDeliveryTask(new DeleteDeliveryTaskRequest(table.name(), name));
    }
}
