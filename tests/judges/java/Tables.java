import com.alicloud.openservices.tablestore.model.BulkExportRequest;
import com.alicloud.openservices.tablestore.model.BulkExportResponse;
import com.alicloud.openservices.tablestore.model.ColumnValue;
import com.alicloud.openservices.tablestore.model.DataBlockType;
import com.alicloud.openservices.tablestore.model.GetRangeRequest;
import com.alicloud.openservices.tablestore.model.PrimaryKeyValue;
import com.alicloud.openservices.tablestore.model.RangeIteratorParameter;
import com.alicloud.openservices.tablestore.model.RangeRowQueryCriteria;
import com.alicloud.openservices.tablestore.model.Row;
import com.alicloud.openservices.tablestore.model.tunnel.BulkExportQueryCriteria;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** Rows, one by one and in bulk: in matrices too, as the exporters of others read them. */
final class Tables {
    private Tables() {}

    /** A row of every type, one with fewer columns, one with the same columns in other types. */
    private static final List<Map<String, ColumnValue>> ROWS =
            List.of(
                    Map.of(
                            "b", ColumnValue.fromBoolean(true),
                            "d", ColumnValue.fromDouble(-1.5),
                            "n", ColumnValue.fromLong(Long.MIN_VALUE),
                            "s", ColumnValue.fromString("中 and more"),
                            "x", ColumnValue.fromBinary(new byte[] {0, -1, 10})),
                    Map.of("n", ColumnValue.fromLong(0)),
                    Map.of("n", ColumnValue.fromString(""), "s", ColumnValue.fromDouble(Double.MAX_VALUE)));

    static void add() {
        Judge.add("GetRange", "rows of every type come back", table -> {
            filled(table);
            RangeRowQueryCriteria all = new RangeRowQueryCriteria(table.name());
            all.setInclusiveStartPrimaryKey(Table.key(PrimaryKeyValue.INF_MIN));
            all.setExclusiveEndPrimaryKey(Table.key(PrimaryKeyValue.INF_MAX));
            all.setMaxVersions(1);
            List<String> found = new ArrayList<>();
            for (Row row : table.client().getRange(new GetRangeRequest(all)).getRows()) {
                found.add(Table.text(row));
            }
            Judge.equal(found, expected());
        });
        Judge.add("BulkExport", "a matrix is read, with rows of every type", table -> {
            filled(table);
            RangeIteratorParameter all = new RangeIteratorParameter(table.name());
            all.setInclusiveStartPrimaryKey(Table.key(PrimaryKeyValue.INF_MIN));
            all.setExclusiveEndPrimaryKey(Table.key(PrimaryKeyValue.INF_MAX));
            all.addColumnsToGet(new String[] {"id", "b", "d", "n", "s", "x"});
            Iterator<Row> rows = table.client().createBulkExportIterator(all);
            List<String> found = new ArrayList<>();
            rows.forEachRemaining(row -> found.add(Table.text(row)));
            Judge.equal(found, expected());
        });
        Judge.add("BulkExport", "the block is of the type that was asked for", table -> {
            filled(table);
            BulkExportQueryCriteria all = new BulkExportQueryCriteria(table.name());
            all.setInclusiveStartPrimaryKey(Table.key(PrimaryKeyValue.INF_MIN));
            all.setExclusiveEndPrimaryKey(Table.key(PrimaryKeyValue.INF_MAX));
            all.addColumnsToGet("n");
            for (DataBlockType type : DataBlockType.values()) {
                all.setDataBlockType(type);
                BulkExportResponse answer = table.client().bulkExport(new BulkExportRequest(all));
                Judge.equal(answer.getDataBlockType(), type);
                Judge.equal(answer.getNextStartPrimaryKey(), null);
            }
        });
    }

    private static void filled(Table table) {
        table.make();
        for (int id = 0; id < ROWS.size(); id++) {
            table.put(id, ROWS.get(id));
        }
    }

    private static List<String> expected() {
        List<String> texts = new ArrayList<>();
        for (int id = 0; id < ROWS.size(); id++) {
            texts.add(id + " " + new TreeMap<>(ROWS.get(id)));
        }
        return texts;
    }
}
