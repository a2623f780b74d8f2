import java.io.StringReader;
import java.io.StringWriter;
import java.math.BigDecimal;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.ResultSetMetaData;
import java.sql.SQLException;
import java.sql.Savepoint;
import java.sql.Statement;
import java.sql.Types;
import java.time.LocalDate;
import java.time.LocalDateTime;
import java.time.OffsetDateTime;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Properties;
import java.util.UUID;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.postgresql.PGConnection;
import org.postgresql.copy.CopyManager;

/** pgjdbc; DRIVER_MODE holds its connection properties, as `name=value` separated by `&`. */
final class Jdbc {
    static final String LIST = String.join(", ", Scenario.COLUMNS);
    static final String INSERT = "INSERT INTO citizen (" + LIST + ") VALUES (" + "?, ".repeat(14) + "?)";

    static Connection connect(String... more) throws SQLException {
        Properties properties = Scenario.properties();
        for (String pair : System.getenv("DRIVER_MODE").split("&")) {
            String[] parts = pair.split("=");
            properties.setProperty(parts[0], parts[1]);
        }
        for (int at = 0; at < more.length; at += 2) {
            properties.setProperty(more[at], more[at + 1]);
        }
        Connection connection = DriverManager.getConnection(Scenario.URL, properties);
        try (Statement statement = connection.createStatement()) {
            statement.execute("SET TimeZone = 'UTC'");
        }
        return connection;
    }

    static PreparedStatement prepare(Connection db, String sql, Object... values) throws SQLException {
        PreparedStatement statement = db.prepareStatement(sql);
        bind(statement, values);
        return statement;
    }

    static void bind(PreparedStatement statement, Object... values) throws SQLException {
        for (int at = 0; at < values.length; at++) {
            if (values[at] == null) {
                statement.setNull(at + 1, Types.NULL);
            } else {
                statement.setObject(at + 1, values[at]);
            }
        }
    }

    static List<Object> all(Connection db, String sql, Object... values) throws SQLException {
        try (PreparedStatement statement = prepare(db, sql, values); ResultSet rows = statement.executeQuery()) {
            return collect(rows);
        }
    }

    static List<Object> collect(ResultSet rows) throws SQLException {
        List<Object> found = new ArrayList<>();
        int count = rows.getMetaData().getColumnCount();
        while (rows.next()) {
            List<Object> row = new ArrayList<>();
            for (int at = 1; at <= count; at++) {
                row.add(rows.getObject(at) instanceof java.sql.Array array ? Arrays.asList((Object[]) array.getArray()) : rows.getObject(at));
            }
            found.add(row);
        }
        return found;
    }

    static int change(Connection db, String sql, Object... values) throws SQLException {
        try (PreparedStatement statement = prepare(db, sql, values)) {
            return statement.executeUpdate();
        }
    }

    static List<Object> keys(Connection db, int... numbers) throws SQLException {
        try (PreparedStatement insert = db.prepareStatement(INSERT, new String[] {"citizen_id"})) {
            for (int number : numbers) {
                bind(insert, Scenario.citizen(number));
                insert.addBatch();
            }
            insert.executeBatch();
            return collect(insert.getGeneratedKeys());
        }
    }

    static void writing(Connection db) throws Exception {
        Scenario.tell("insert one", change(db, INSERT, Scenario.citizen(1)), keys(db, 2));
        Object[] nobody = new Object[15];
        nobody[0] = 85_000_000_011L;
        nobody[1] = "";
        Scenario.tell("insert nulls", change(db, INSERT, nobody));
        Scenario.tell("insert many", keys(db, IntStream.range(100, 200).toArray()));
        // Without keys asked for, reWriteBatchedInserts joins the rows into longer VALUES lists.
        try (PreparedStatement insert = db.prepareStatement(INSERT)) {
            for (int n = 200; n < 330; n++) {
                bind(insert, Scenario.citizen(n));
                insert.addBatch();
            }
            Scenario.tell("batch", Arrays.stream(insert.executeBatch()).map(count -> count == Statement.SUCCESS_NO_INFO ? 1 : count).sum());
        }
        try (Statement statement = db.createStatement(); ResultSet rows = statement.executeQuery("SELECT * FROM citizen ORDER BY citizen_id")) {
            ResultSetMetaData described = rows.getMetaData();
            List<Object> columns = new ArrayList<>();
            for (int at = 1; at <= described.getColumnCount(); at++) {
                columns.add(List.of(described.getColumnName(at), described.getColumnTypeName(at), described.getColumnType(at), described.getPrecision(at),
                        described.getScale(at), described.getColumnClassName(at)));
            }
            Scenario.tell("described", columns);
            List<Object> found = collect(rows);
            Scenario.tell("fetch", found.subList(0, 5), Scenario.hash(found));
        }
        try (PreparedStatement statement = prepare(db, "SELECT born, last_seen, signed_at, token, income FROM citizen WHERE nickname = ?", "nick1"); ResultSet rows = statement.executeQuery()) {
            rows.next();
            Scenario.tell("typed", rows.getObject(1, LocalDate.class), rows.getObject(2, LocalDateTime.class), rows.getObject(3, OffsetDateTime.class),
                    rows.getObject(4, UUID.class), rows.getBigDecimal(5), rows.getDate(1), rows.getTimestamp(2), rows.getTimestamp(3));
        }
    }

    static void lookups(Connection db) throws Exception {
        for (String name : Scenario.EXACT) {
            Object[] values = {Scenario.value(1, name), Scenario.value(2, name), Scenario.value(101, name)};
            String find = "SELECT citizen_id FROM citizen WHERE " + name;
            Scenario.tell("find =", name, all(db, find + " = ? ORDER BY 1", values[0]));
            Scenario.tell("find IN", name, all(db, find + " IN (?, ?, ?) ORDER BY 1", values));
            String type = switch (name) {
                case "national_number" -> "bigint";
                case "nickname" -> "varchar";
                case "age" -> "integer";
                case "balance" -> "numeric";
                case "born" -> "date";
                case "signed_at" -> "timestamptz";
                default -> "uuid";
            };
            Scenario.attempt("find ANY", name, () -> all(db, find + " = ANY (?) ORDER BY 1", db.createArrayOf(type, values)));
        }
        // Integers of another width, and Timestamp and Date, which pgjdbc sends without a type.
        Scenario.tell("find otherwise", all(db, "SELECT citizen_id FROM citizen WHERE born = ? AND signed_at = ?", java.sql.Date.valueOf("1901-02-28"),
                java.sql.Timestamp.from(((OffsetDateTime) Scenario.value(1, "signed_at")).toInstant())));
    }

    static void changes(Connection db) throws Exception {
        String[] kinds = {"work", "stay", "work"};
        for (int n = 0; n < 3; n++) {
            change(db, "INSERT INTO permit VALUES (?, ?, ?, ?)", n, Scenario.value(1 + n % 2, "national_number"), kinds[n], "remark " + n);
        }
        Scenario.tell("join", all(db, "SELECT c.family_name, p.remark, p.kind FROM citizen c JOIN permit p ON p.citizen_number = c.national_number WHERE c.nickname IN (?, ?) ORDER BY p.permit_id", "nick1", "nick2"));
        Scenario.tell("update", all(db, "UPDATE citizen SET income = ?, active = ?, score = score + 1 WHERE nickname = ? RETURNING income, active, score, family_name", null, true, "nick1"));
        String upsert = "INSERT INTO citizen (national_number, family_name, nickname) VALUES (?, ?, ?) ON CONFLICT (national_number) DO UPDATE SET family_name = EXCLUDED.family_name, nickname = EXCLUDED.nickname RETURNING family_name, nickname, age";
        Scenario.tell("upsert", all(db, upsert, Scenario.value(2, "national_number"), "Changed", "other"));
        Scenario.tell("delete", all(db, "DELETE FROM citizen WHERE token = ? RETURNING citizen_id, token", Scenario.value(110, "token")));
        try (Statement several = db.createStatement()) {
            several.execute("SELECT family_name FROM citizen WHERE nickname = 'nick1'; UPDATE citizen SET score = 3 WHERE age = 1");
            List<Object> first = collect(several.getResultSet());
            several.getMoreResults();
            Scenario.tell("several", first, several.getUpdateCount());
        }
    }

    static List<Object> nickname(Connection db) throws SQLException {
        return all(db, "SELECT nickname FROM citizen WHERE national_number = ?", Scenario.value(1, "national_number"));
    }

    static void transactions(Connection db) throws Exception {
        db.setAutoCommit(false);
        change(db, "UPDATE citizen SET nickname = 'outer' WHERE nickname = 'nick1'");
        Savepoint inside = db.setSavepoint("inside");
        try {
            change(db, INSERT, Scenario.citizen(101));
        } catch (SQLException error) {
            Scenario.tell("unique", error.getSQLState());
        }
        db.rollback(inside);
        Scenario.tell("savepoint", nickname(db));
        db.rollback();
        db.setAutoCommit(true);
        Scenario.tell("rollback", nickname(db));
        if (Scenario.GATEWAY) {
            try {
                all(db, "SELECT citizen_id FROM citizen ORDER BY family_name");
            } catch (SQLException error) {
                Scenario.refused(error);
            }
        }
        Scenario.tell("goes on", all(db, "SELECT family_name FROM citizen WHERE age = ? ORDER BY citizen_id", 1));
        try (PreparedStatement found = db.prepareStatement("SELECT family_name, signed_at, age, income FROM citizen WHERE token = ?")) {
            // Past the threshold pgjdbc prepares by name, and asks for binary.
            for (int n = 0; n < 9; n++) {
                bind(found, Scenario.value(101 + n % 2, "token"));
                Scenario.tell("prepared", collect(found.executeQuery()));
            }
        }
    }

    static void streams(Connection db) throws Exception {
        CopyManager copies = db.unwrap(PGConnection.class).getCopyAPI();
        String lines = IntStream.range(1000, 6000).mapToObj(n -> n + "\t" + (n % 7 == 0 ? "\\N" : "85000000001") + "\tcopy\tremark " + n + "\n").collect(Collectors.joining());
        Scenario.tell("copy in", copies.copyIn("COPY permit FROM STDIN", new StringReader(lines)));
        StringWriter out = new StringWriter();
        copies.copyOut("COPY permit (permit_id, citizen_number, remark) TO STDOUT", out);
        Scenario.tell("copy out", Scenario.hash(Arrays.stream(out.toString().split("\n")).sorted().toList()));
        // A fetch size in a transaction makes pgjdbc read its portal in parts.
        db.setAutoCommit(false);
        try (PreparedStatement statement = prepare(db, "SELECT permit_id, citizen_number, remark FROM permit WHERE kind = ? ORDER BY permit_id", "copy")) {
            statement.setFetchSize(700);
            List<Object> streamed = collect(statement.executeQuery());
            Scenario.tell("stream", streamed.size(), streamed.get(0), Scenario.hash(streamed));
        }
        db.commit();
        Scenario.attempt("cursor", "DECLARE", () -> {
            try {
                change(db, "DECLARE by_server CURSOR FOR SELECT permit_id, remark FROM permit ORDER BY permit_id");
                return all(db, "FETCH 3 FROM by_server");
            } finally {
                db.rollback();
            }
        });
        db.setAutoCommit(true);
        List<Object> reflected = collect(db.getMetaData().getColumns(null, "public", "citizen", null)).stream().map(row -> (Object) ((List<?>) row).subList(3, 9)).toList();
        Scenario.tell("reflected columns", reflected);
        List<Object> primary = collect(db.getMetaData().getPrimaryKeys(null, "public", "citizen"));
        List<Object> imported = collect(db.getMetaData().getImportedKeys(null, "public", "permit"));
        // The two sides are two databases: their names differ.
        Scenario.tell("reflected keys", String.valueOf(primary).replace(db.getCatalog(), "database"), String.valueOf(imported).replace(db.getCatalog(), "database"));
    }

    static void concurrent() throws Exception {
        List<Thread> threads = new ArrayList<>();
        Object[] found = new Object[6];
        for (int at = 0; at < found.length; at++) {
            int me = at;
            threads.add(new Thread(() -> {
                try (Connection db = connect()) {
                    change(db, INSERT, Scenario.citizen(500 + me));
                    List<Object> mine = new ArrayList<>();
                    for (long round = 0; round < 5; round++) {
                        change(db, "UPDATE citizen SET account = ? WHERE national_number = ?", round * me, Scenario.value(500 + me, "national_number"));
                        mine.add(all(db, "SELECT nickname, account FROM citizen WHERE token = ?", Scenario.value(500 + me, "token")));
                    }
                    found[me] = mine;
                } catch (SQLException error) {
                    found[me] = error.toString();
                }
            }));
        }
        threads.forEach(Thread::start);
        for (Thread thread : threads) {
            thread.join();
        }
        Scenario.tell("concurrent", found);
    }

    public static void main(String[] arguments) throws Exception {
        try (Connection db = connect()) {
            writing(db);
            lookups(db);
            changes(db);
            transactions(db);
            streams(db);
            List<Object> planted = all(db, "INSERT INTO permit VALUES (900001, NULL, 'canary', ?) RETURNING remark", Scenario.CANARY);
            Scenario.tell("plant", planted.equals(List.of(List.of(Scenario.CANARY))));
        }
        concurrent();
        try {
            connect("password", "wrong");
        } catch (SQLException error) {
            Scenario.tell("wrong password", error.getSQLState());
        }
        Scenario.tell("done");
    }
}
