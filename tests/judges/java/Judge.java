import com.alicloud.openservices.tablestore.SyncClient;
import com.alicloud.openservices.tablestore.TableStoreException;
import com.google.gson.Gson;
import com.google.gson.JsonObject;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.function.BooleanSupplier;

/** Cases of one client: run one after the other, one JSON line for each, as python/case.py does. */
public final class Judge {
    /** How long the service may take for what a case waits for. */
    private static final long PATIENCE_MILLIS = 30_000;

    interface Run {
        void on(Table table) throws Exception;
    }

    private record Case(String operation, String name, Run run) {}

    private static final List<Case> CASES = new ArrayList<>();

    static void add(String operation, String name, Run run) {
        CASES.add(new Case(operation, name, run));
    }

    public static void main(String[] words) {
        Tables.add();
        Deliveries.add();
        JsonObject asked = new Gson().fromJson(System.getenv("JUDGE"), JsonObject.class);
        JsonObject access = asked.getAsJsonObject("services").getAsJsonObject("tablestore");
        SyncClient client =
                new SyncClient(
                        access.get("endpoint").getAsString(),
                        access.get("access_key_id").getAsString(),
                        access.get("access_key_secret").getAsString(),
                        asked.get("instance").getAsString());
        for (int number = 0; number < CASES.size(); number++) {
            Case one = CASES.get(number);
            String detail = tried(one, new Table(client, "t" + number));
            Map<String, Object> line = new LinkedHashMap<>();
            line.put("client", asked.get("client").getAsString());
            line.put("operation", one.operation);
            line.put("case", one.name);
            line.put("passed", detail.isEmpty());
            line.put("detail", detail);
            System.out.println(new Gson().toJson(line));
        }
        client.shutdown();
    }

    /** What went wrong in a case; empty when it passed. */
    private static String tried(Case one, Table table) {
        try {
            one.run.on(table);
            return "";
        } catch (Exception | AssertionError failure) {
            String told = failure.toString();
            return told.length() > 500 ? told.substring(0, 500) : told;
        }
    }

    static void equal(Object found, Object expected) {
        if (!Objects.equals(found, expected)) {
            throw new AssertionError("expected " + expected + ", found " + found);
        }
    }

    static void refused(Runnable action, int status, String code) {
        try {
            action.run();
        } catch (TableStoreException told) {
            equal(told.getHttpStatus() + " " + told.getErrorCode(), status + " " + code);
            return;
        }
        throw new AssertionError("it was not refused");
    }

    static void until(String what, BooleanSupplier claim) throws InterruptedException {
        long end = System.currentTimeMillis() + PATIENCE_MILLIS;
        while (!claim.getAsBoolean()) {
            if (System.currentTimeMillis() > end) {
                throw new AssertionError("waited in vain: " + what);
            }
            Thread.sleep(20);
        }
    }
}
