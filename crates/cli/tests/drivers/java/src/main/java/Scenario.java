import java.math.BigDecimal;
import java.security.MessageDigest;
import java.sql.Array;
import java.sql.SQLException;
import java.time.LocalDate;
import java.time.LocalDateTime;
import java.time.OffsetDateTime;
import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.Properties;
import java.util.UUID;

/** What the Java scripts share: the connection, the rows, and how results are told, each with its class. */
final class Scenario {
    static final boolean GATEWAY = System.getenv("DRIVER_SIDE").equals("gateway");
    static final String CANARY = System.getenv("DRIVER_CANARY");
    static final String URL = "jdbc:postgresql://" + System.getenv("PGHOST") + ":" + System.getenv("PGPORT") + "/" + System.getenv("PGDATABASE");
    static final List<String> COLUMNS = List.of("national_number", "family_name", "nickname", "shoe_size", "age", "account", "balance", "income",
            "active", "born", "last_seen", "signed_at", "token", "town", "score");
    static final List<String> EXACT = List.of("national_number", "nickname", "age", "balance", "born", "signed_at", "token");

    private Scenario() {}

    static Properties properties() {
        Properties properties = new Properties();
        properties.setProperty("user", System.getenv("PGUSER"));
        properties.setProperty("password", System.getenv("PGPASSWORD"));
        properties.setProperty("sslmode", "verify-full");
        properties.setProperty("sslrootcert", System.getenv("PGSSLROOTCERT"));
        return properties;
    }

    /** An ordinary row; each number gives its own values. */
    static Object[] citizen(int n) {
        return new Object[] {85_000_000_000L + n, "Çelik-O'Brien " + n + " 王", "nick" + n, (short) (36 + n % 12), n % 90, (1L << 62) + n,
                new BigDecimal(n + ".50"), new BigDecimal("-12345678.90"), n % 2 == 0, LocalDate.of(1900 + n % 120, 2, 28),
                LocalDateTime.of(2024, 2, 29, 23, 59, 59, n * 1000), OffsetDateTime.of(2024, 7, 1, 12, 0, 0, 0, ZoneOffset.UTC).plusMinutes(n),
                new UUID(7, n), "Gent", n};
    }

    static Object value(int n, String column) {
        return citizen(n)[COLUMNS.indexOf(column)];
    }

    static String show(Object value) throws SQLException {
        if (value == null) {
            return "null";
        }
        if (value instanceof Array array) {
            return "Array" + show(array.getArray());
        }
        if (value instanceof Object[] array) {
            return show(Arrays.asList(array));
        }
        if (value instanceof List<?> list) {
            List<String> parts = new ArrayList<>();
            for (Object one : list) {
                parts.add(show(one));
            }
            return parts.toString();
        }
        return value.getClass().getSimpleName() + " " + value.toString().replace("\n", "\\n");
    }

    static void tell(String step, Object... values) throws SQLException {
        StringBuilder line = new StringBuilder(step);
        for (Object value : values) {
            line.append(" | ").append(show(value));
        }
        System.out.println(line);
    }

    static String hash(Object told) throws Exception {
        return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(show(told).getBytes("UTF-8")));
    }

    interface Step {
        Object run() throws Exception;
    }

    /** A step that the gateway may still refuse; the test knows which may be. */
    static void attempt(String step, Object value, Step run) throws Exception {
        Object found;
        try {
            found = run.run();
        } catch (SQLException error) {
            if (!GATEWAY || !"0A000".equals(error.getSQLState())) {
                throw error;
            }
            System.out.println(step + " | " + show(value) + " | refused 0A000");
            return;
        }
        tell(step, value, found);
    }

    static void refused(SQLException error) {
        boolean hint = error instanceof org.postgresql.util.PSQLException server && server.getServerErrorMessage().getHint() != null;
        System.out.println("gateway refuses | " + error.getSQLState() + (hint ? " | with a hint" : " | without a hint"));
    }
}
