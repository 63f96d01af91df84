import com.alicloud.openservices.tablestore.SyncClient;
import com.alicloud.openservices.tablestore.model.CapacityUnit;
import com.alicloud.openservices.tablestore.model.Column;
import com.alicloud.openservices.tablestore.model.ColumnValue;
import com.alicloud.openservices.tablestore.model.CreateTableRequest;
import com.alicloud.openservices.tablestore.model.PrimaryKey;
import com.alicloud.openservices.tablestore.model.PrimaryKeyBuilder;
import com.alicloud.openservices.tablestore.model.PrimaryKeyType;
import com.alicloud.openservices.tablestore.model.PrimaryKeyValue;
import com.alicloud.openservices.tablestore.model.PutRowRequest;
import com.alicloud.openservices.tablestore.model.ReservedThroughput;
import com.alicloud.openservices.tablestore.model.Row;
import com.alicloud.openservices.tablestore.model.RowPutChange;
import com.alicloud.openservices.tablestore.model.TableMeta;
import com.alicloud.openservices.tablestore.model.TableOptions;
import java.util.Map;
import java.util.TreeMap;

/** The table of a case: its key is the whole number "id". */
record Table(SyncClient client, String name) {
    void make() {
        TableMeta meta = new TableMeta(name);
        meta.addPrimaryKeyColumn("id", PrimaryKeyType.INTEGER);
        ReservedThroughput none = new ReservedThroughput(new CapacityUnit(0, 0));
        client.createTable(new CreateTableRequest(meta, new TableOptions(-1, 1), none));
    }

    void put(long id, Map<String, ColumnValue> cells) {
        RowPutChange change = new RowPutChange(name, key(PrimaryKeyValue.fromLong(id)));
        cells.forEach((column, value) -> change.addColumn(column, value));
        client.putRow(new PutRowRequest(change));
    }

    static PrimaryKey key(PrimaryKeyValue id) {
        return PrimaryKeyBuilder.createPrimaryKeyBuilder().addPrimaryKeyColumn("id", id).build();
    }

    /** A row as text: its key, then its cells by name. */
    static String text(Row row) {
        Map<String, Object> cells = new TreeMap<>();
        for (Column cell : row.getColumns()) {
            cells.put(cell.getName(), cell.getValue());
        }
        return row.getPrimaryKey().getPrimaryKeyColumn("id").getValue().asLong() + " " + cells;
    }
}
