import jakarta.persistence.Column;
import jakarta.persistence.Entity;
import jakarta.persistence.GeneratedValue;
import jakarta.persistence.GenerationType;
import jakarta.persistence.Id;
import jakarta.persistence.JoinColumn;
import jakarta.persistence.ManyToOne;
import jakarta.persistence.OneToMany;
import jakarta.persistence.OrderBy;
import jakarta.persistence.Table;
import java.math.BigDecimal;
import java.sql.SQLException;
import java.time.LocalDate;
import java.time.LocalDateTime;
import java.time.OffsetDateTime;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.UUID;
import java.util.function.Consumer;
import org.hibernate.ScrollMode;
import org.hibernate.ScrollableResults;
import org.hibernate.Session;
import org.hibernate.SessionFactory;
import org.hibernate.cfg.Configuration;
import org.hibernate.exception.ConstraintViolationException;

/** Hibernate 6 over pgjdbc: its schema check, entities in batches, HQL, criteria, scrolling. */
final class Hibernate {
    @Entity(name = "Citizen")
    @Table(name = "citizen")
    static class Citizen {
        @Id
        @GeneratedValue(strategy = GenerationType.IDENTITY)
        @Column(name = "citizen_id")
        Integer id;
        @Column(name = "national_number", nullable = false, unique = true)
        Long nationalNumber;
        @Column(name = "family_name", nullable = false, columnDefinition = "text")
        String familyName;
        @Column(length = 20)
        String nickname;
        @Column(name = "shoe_size")
        Short shoeSize;
        Integer age;
        Long account;
        @Column(precision = 10, scale = 2)
        BigDecimal balance;
        @Column(precision = 10, scale = 2)
        BigDecimal income;
        Boolean active;
        LocalDate born;
        @Column(name = "last_seen")
        LocalDateTime lastSeen;
        @Column(name = "signed_at")
        OffsetDateTime signedAt;
        UUID token;
        @Column(columnDefinition = "text")
        String town;
        Integer score;
        @OneToMany(mappedBy = "citizen")
        @OrderBy("id")
        List<Permit> permits = new ArrayList<>();

        static Citizen of(int n) {
            Object[] row = Scenario.citizen(n);
            Citizen citizen = new Citizen();
            citizen.nationalNumber = (Long) row[0];
            citizen.familyName = (String) row[1];
            citizen.nickname = (String) row[2];
            citizen.shoeSize = (Short) row[3];
            citizen.age = (Integer) row[4];
            citizen.account = (Long) row[5];
            citizen.balance = (BigDecimal) row[6];
            citizen.income = (BigDecimal) row[7];
            citizen.active = (Boolean) row[8];
            citizen.born = (LocalDate) row[9];
            citizen.lastSeen = (LocalDateTime) row[10];
            citizen.signedAt = (OffsetDateTime) row[11];
            citizen.token = (UUID) row[12];
            citizen.town = (String) row[13];
            citizen.score = (Integer) row[14];
            return citizen;
        }

        List<Object> all() {
            return Arrays.asList(id, nationalNumber, familyName, nickname, shoeSize, age, account, balance, income, active, born, lastSeen,
                    signedAt == null ? null : signedAt.toInstant(), token, town, score);
        }
    }

    @Entity(name = "Permit")
    @Table(name = "permit")
    static class Permit {
        @Id
        @Column(name = "permit_id")
        Integer id;
        @ManyToOne
        @JoinColumn(name = "citizen_number", referencedColumnName = "national_number")
        Citizen citizen;
        @Column(columnDefinition = "text", nullable = false)
        String kind;
        @Column(columnDefinition = "text")
        String remark;

        static Permit of(int id, Citizen citizen, String kind, String remark) {
            Permit permit = new Permit();
            permit.id = id;
            permit.citizen = citizen;
            permit.kind = kind;
            permit.remark = remark;
            return permit;
        }
    }

    private static SessionFactory factory(String ddl) {
        Configuration configuration = new Configuration().addAnnotatedClass(Citizen.class).addAnnotatedClass(Permit.class);
        configuration.setProperty("hibernate.connection.url", Scenario.URL);
        Scenario.properties().forEach((name, value) -> configuration.setProperty("hibernate.connection." + name, (String) value));
        configuration.setProperty("hibernate.connection.username", System.getenv("PGUSER"));
        configuration.setProperty("hibernate.connection.pool_size", "8");
        configuration.setProperty("hibernate.jdbc.batch_size", "50");
        configuration.setProperty("hibernate.jdbc.time_zone", "UTC");
        configuration.setProperty("hibernate.hbm2ddl.auto", ddl);
        return configuration.buildSessionFactory();
    }

    private static void within(SessionFactory factory, Consumer<Session> work) {
        factory.inTransaction(work);
    }

    private static void tell(String step, Object... values) {
        try {
            Scenario.tell(step, values);
        } catch (SQLException error) {
            throw new IllegalStateException(error);
        }
    }

    private static void writing(SessionFactory factory) {
        within(factory, session -> {
            Citizen one = Citizen.of(1);
            session.persist(one);
            session.persist(Citizen.of(2));
            Citizen nobody = new Citizen();
            nobody.nationalNumber = 85_000_000_011L;
            nobody.familyName = "";
            session.persist(nobody);
            tell("insert one", one.id);
            tell("insert nulls", nobody.id);
            for (int n = 100; n < 250; n++) {
                session.persist(Citizen.of(n));
            }
            session.flush();
            for (int n = 0; n < 5000; n++) {
                session.persist(Permit.of(1000 + n, n % 7 == 0 ? null : one, "batch", n % 5 == 0 ? null : "remark " + n));
            }
        });
        within(factory, session -> {
            tell("insert many", session.createQuery("select count(*), count(distinct c.nickname) from Citizen c", Object[].class).getSingleResult());
            tell("fetch", session.createQuery("from Citizen order by id", Citizen.class).setMaxResults(5).list().stream().map(c -> (Object) c.all()).toList());
            try (ScrollableResults<Object[]> rows = session.createQuery("select p.id, p.remark from Permit p where p.kind = :kind order by p.id", Object[].class)
                    .setParameter("kind", "batch").setFetchSize(700).scroll(ScrollMode.FORWARD_ONLY)) {
                List<Object> streamed = new ArrayList<>();
                while (rows.next()) {
                    streamed.add(Arrays.asList(rows.get()));
                }
                try {
                    tell("stream", streamed.size(), streamed.get(4999), Scenario.hash(streamed));
                } catch (Exception error) {
                    throw new IllegalStateException(error);
                }
            }
        });
    }

    private static void reading(SessionFactory factory) {
        within(factory, session -> {
            for (String[] field : new String[][] {{"national_number", "nationalNumber"}, {"nickname", "nickname"}, {"age", "age"}, {"balance", "balance"},
                    {"born", "born"}, {"signed_at", "signedAt"}, {"token", "token"}}) {
                String hql = "select c.id from Citizen c where c." + field[1];
                List<Object> values = List.of(Scenario.value(1, field[0]), Scenario.value(2, field[0]), Scenario.value(101, field[0]));
                tell("find =", field[0], session.createQuery(hql + " = :value order by c.id", Integer.class).setParameter("value", values.get(0)).list());
                tell("find IN", field[0], session.createQuery(hql + " in (:values) order by c.id", Integer.class).setParameterList("values", values).list());
            }
            var builder = session.getCriteriaBuilder();
            var criteria = builder.createQuery(Citizen.class);
            var root = criteria.from(Citizen.class);
            criteria.select(root).where(builder.and(builder.equal(root.get("nickname"), "nick101"), builder.isNotNull(root.get("income"))));
            tell("criteria", session.createQuery(criteria).getSingleResult().all());
            tell("group", session.createQuery("select c.age, count(*) from Citizen c where c.age is not null group by c.age having count(*) > 2", Object[].class).list().size());
            tell("native", session.createNativeQuery("SELECT family_name FROM citizen WHERE born = :born ORDER BY citizen_id", String.class)
                    .setParameter("born", Scenario.value(1, "born")).list());
        });
    }

    private static void changes(SessionFactory factory) {
        within(factory, session -> {
            Citizen one = session.createQuery("from Citizen where nickname = 'nick1'", Citizen.class).getSingleResult();
            session.persist(Permit.of(1, one, "work", "one"));
            session.persist(Permit.of(2, one, "stay", null));
            one.income = null;
            one.active = true;
            one.familyName = "Renamed";
            one.score = one.score + 1;
        });
        within(factory, session -> {
            tell("join", session.createQuery("select c.familyName, p.kind, p.remark from Permit p join p.citizen c where p.kind <> 'batch' order by p.id", Object[].class).list());
            Citizen one = session.createQuery("from Citizen c left join fetch c.permits where c.token = :token", Citizen.class)
                    .setParameter("token", Scenario.value(1, "token")).getSingleResult();
            tell("update", one.all(), one.permits.size(), session.createMutationQuery("update Citizen set score = score + 1 where age = 2").executeUpdate());
            tell("upsert", session.createMutationQuery("insert into Permit (id, kind, remark) values (1, 'again', 'new') on conflict (id) do update set kind = excluded.kind, remark = excluded.remark").executeUpdate());
            session.remove(session.find(Permit.class, 2));
            tell("delete", session.createMutationQuery("delete from Citizen where token = :token").setParameter("token", Scenario.value(110, "token")).executeUpdate());
        });
    }

    private static void transactions(SessionFactory factory) {
        try (Session session = factory.openSession()) {
            session.beginTransaction();
            session.createMutationQuery("update Citizen set nickname = 'outer' where nickname = 'nick1'").executeUpdate();
            session.doWork(connection -> {
                var inside = connection.setSavepoint();
                try (var statement = connection.createStatement()) {
                    statement.execute("INSERT INTO citizen (national_number, family_name) VALUES (85000000002, 'twice')");
                } catch (SQLException error) {
                    tell("unique", error.getSQLState());
                }
                connection.rollback(inside);
            });
            tell("savepoint", session.createQuery("select nickname from Citizen where nationalNumber = 85000000001L", String.class).list());
            session.getTransaction().rollback();
        }
        try {
            within(factory, session -> session.persist(Citizen.of(2)));
        } catch (ConstraintViolationException error) {
            tell("unique by entity", error.getSQLState(), error.getConstraintName());
        }
        within(factory, session -> {
            tell("rollback", session.createQuery("select nickname from Citizen where nationalNumber = 85000000001L", String.class).list());
        });
        if (Scenario.GATEWAY) {
            try {
                within(factory, session -> session.createQuery("from Citizen order by familyName", Citizen.class).list());
            } catch (RuntimeException error) {
                Throwable cause = error;
                while (!(cause instanceof SQLException)) {
                    cause = cause.getCause();
                }
                Scenario.refused((SQLException) cause);
            }
        }
        within(factory, session -> tell("goes on", session.createQuery("select familyName from Citizen where age = 1 order by id", String.class).list()));
    }

    private static void concurrent(SessionFactory factory) throws Exception {
        Object[] found = new Object[6];
        List<Thread> threads = new ArrayList<>();
        for (int at = 0; at < found.length; at++) {
            int me = at;
            threads.add(new Thread(() -> {
                List<Object> mine = new ArrayList<>();
                within(factory, session -> session.persist(Citizen.of(500 + me)));
                for (long round = 0; round < 5; round++) {
                    long account = round * me;
                    within(factory, session -> {
                        Citizen citizen = session.createQuery("from Citizen where token = :token", Citizen.class)
                                .setParameter("token", Scenario.value(500 + me, "token")).getSingleResult();
                        mine.add(citizen.account);
                        citizen.account = account;
                    });
                }
                found[me] = mine;
            }));
        }
        threads.forEach(Thread::start);
        for (Thread thread : threads) {
            thread.join();
        }
        tell("concurrent", found);
    }

    public static void main(String[] arguments) throws Exception {
        java.util.logging.Logger.getLogger("org.hibernate").setLevel(java.util.logging.Level.SEVERE);
        try {
            factory("validate").close();
            tell("schema check", "passed");
        } catch (RuntimeException error) {
            tell("schema check", "failed");
        }
        try (SessionFactory factory = factory("none")) {
            writing(factory);
            reading(factory);
            changes(factory);
            transactions(factory);
            concurrent(factory);
            within(factory, session -> session.persist(Permit.of(900_001, null, "canary", Scenario.CANARY)));
            within(factory, session -> tell("plant", session.find(Permit.class, 900_001).remark.equals(Scenario.CANARY)));
        }
        tell("done");
    }
}
