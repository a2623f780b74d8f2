/* libpq in pipeline mode, through the gateway or on a plain copy: whole batches are sent before any answer is read. What it
 * tells must be equal on both sides, line by line, types too. Connects as the PG... environment says. */
#include <inttypes.h>
#include <libpq-fe.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COLUMNS "national_number, family_name, nickname, shoe_size, age, account, balance, income, active, born, last_seen, " \
    "signed_at, token, town, score, tags"
#define FIELDS 16
#define INSERT "INSERT INTO citizen (" COLUMNS ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, " \
    "$16) RETURNING citizen_id"

static char storage[FIELDS][80];
static const char *row[FIELDS];

static void die(const char *what, PGconn *conn)
{
    fprintf(stderr, "%s: %s", what, PQerrorMessage(conn));
    exit(1);
}

static PGconn *connect_as(const char *password)
{
    const char *names[] = {"options", "password", NULL};
    const char *values[] = {"-c timezone=UTC", password, NULL};
    return PQconnectdbParams(names, values, 0);
}

static PGconn *open_pipeline(void)
{
    PGconn *conn = connect_as(NULL);
    if (PQstatus(conn) != CONNECTION_OK || !PQenterPipelineMode(conn))
        die("no connection", conn);
    return conn;
}

/* An ordinary row; each number gives its own values. */
static const char *const *citizen(int n)
{
    int at = 0;
#define FIELD(...) snprintf(storage[at], sizeof storage[at], __VA_ARGS__), row[at] = storage[at], at++
    FIELD("%" PRId64, INT64_C(85000000000) + n);
    FIELD("Çelik-O'Brien %d 王", n);
    FIELD("nick%d", n);
    FIELD("%d", 36 + n % 12);
    FIELD("%d", n % 90);
    FIELD("%" PRId64, (INT64_C(1) << 62) + n);
    FIELD("%d.50", n);
    FIELD("-12345678.90");
    FIELD("%s", n % 2 ? "f" : "t");
    FIELD("%d-02-28", 1900 + n % 120);
    FIELD("2024-02-29 23:59:59.%06d", n);
    FIELD("2024-07-01 12:%02d:00+00", n % 60);
    FIELD("64726965-736c-6f74-0000-%012d", n);
    FIELD("Gent");
    FIELD("%d", n);
    FIELD("{a,b%d}", n);
    return row;
}

static const char *const *nobody(int n)
{
    citizen(n);
    row[1] = "";
    for (int at = 2; at < FIELDS; at++)
        row[at] = NULL;
    return row;
}

static void ask_in(PGconn *conn, int format, const char *sql, int count, const char *const *values)
{
    if (!PQsendQueryParams(conn, sql, count, NULL, values, NULL, NULL, format))
        die(sql, conn);
}

static void ask(PGconn *conn, const char *sql, int count, const char *const *values)
{
    ask_in(conn, 0, sql, count, values);
}

#define ASK(conn, sql, ...) \
    ask(conn, sql, sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *), (const char *[]){__VA_ARGS__})

static void sync_up(PGconn *conn)
{
    if (!PQpipelineSync(conn))
        die("sync", conn);
}

static void tell_result(const char *step, const PGresult *result)
{
    printf("%s | %s", step, PQresStatus(PQresultStatus(result)));
    if (PQresultStatus(result) == PGRES_FATAL_ERROR) {
        const char *constraint = PQresultErrorField(result, PG_DIAG_CONSTRAINT_NAME);
        printf(" | %s | %s", PQresultErrorField(result, PG_DIAG_SQLSTATE), constraint ? constraint : "");
    }
    printf(" | %s", PQcmdStatus((PGresult *) result));
    for (int at = 0; at < PQnfields(result); at++)
        printf(" | %s %u %d %d", PQfname(result, at), PQftype(result, at), PQfmod(result, at), PQfformat(result, at));
    for (int n = 0; n < PQntuples(result); n++)
        for (int at = 0; at < PQnfields(result); at++) {
            printf(" | ");
            if (PQgetisnull(result, n, at))
                printf("NULL");
            else if (PQfformat(result, at) == 0)
                printf("%s", PQgetvalue(result, n, at));
            else
                for (int byte = 0; byte < PQgetlength(result, n, at); byte++)
                    printf("%02x", (unsigned char) PQgetvalue(result, n, at)[byte]);
        }
    printf("\n");
}

/* Tells everything up to the next sync. */
static void hear(PGconn *conn, const char *step)
{
    for (;;) {
        PGresult *result = PQgetResult(conn);
        if (result == NULL) {
            if (PQstatus(conn) != CONNECTION_OK)
                die(step, conn);
            continue; /* the end of one query's answers */
        }
        if (PQresultStatus(result) == PGRES_PIPELINE_SYNC) {
            PQclear(result);
            fflush(stdout);
            return;
        }
        tell_result(step, result);
        PQclear(result);
    }
}

static void writing(PGconn *conn)
{
    ask(conn, INSERT, FIELDS, citizen(1));
    ask(conn, INSERT, FIELDS, citizen(2));
    sync_up(conn);
    ask(conn, INSERT, FIELDS, nobody(11));
    sync_up(conn);
    hear(conn, "insert one");
    hear(conn, "insert nulls");
    if (!PQsendPrepare(conn, "insert", INSERT, FIELDS, NULL) || !PQsendDescribePrepared(conn, "insert"))
        die("prepare", conn);
    for (int n = 100; n < 400; n++)
        if (!PQsendQueryPrepared(conn, "insert", FIELDS, citizen(n), NULL, NULL, n % 2))
            die("insert", conn);
    sync_up(conn);
    hear(conn, "insert many");
    for (int format = 0; format < 2; format++)
        ask_in(conn, format, "SELECT * FROM citizen ORDER BY citizen_id", 0, NULL);
    sync_up(conn);
    hear(conn, "fetch");
}

static void lookups(PGconn *conn)
{
    static const struct { const char *name; int at; } exact[] = {
        {"national_number", 0}, {"nickname", 2}, {"age", 4}, {"balance", 6}, {"born", 9}, {"signed_at", 11}, {"token", 12}};
    char sql[200], values[3][80];
    for (size_t n = 0; n < sizeof exact / sizeof *exact; n++) {
        const int numbers[] = {1, 2, 101};
        for (int at = 0; at < 3; at++)
            snprintf(values[at], sizeof values[at], "%s", citizen(numbers[at])[exact[n].at]);
        snprintf(sql, sizeof sql, "SELECT citizen_id FROM citizen WHERE %s = $1 ORDER BY 1", exact[n].name);
        ASK(conn, sql, values[0]);
        sync_up(conn);
        snprintf(sql, sizeof sql, "SELECT citizen_id FROM citizen WHERE %s IN ($1, $2, $3) ORDER BY 1", exact[n].name);
        ASK(conn, sql, values[0], values[1], values[2]);
        sync_up(conn);
    }
    for (size_t n = 0; n < sizeof exact / sizeof *exact; n++) {
        hear(conn, "find =");
        hear(conn, "find IN");
    }
}

static void changes(PGconn *conn)
{
    ASK(conn, "INSERT INTO permit VALUES ($1, $2, $3, $4)", "0", "85000000001", "work", "remark 0");
    ASK(conn, "INSERT INTO permit VALUES ($1, $2, $3, $4)", "1", "85000000002", "stay", "remark 1");
    ASK(conn, "SELECT c.family_name, p.remark, p.kind FROM citizen c JOIN permit p ON p.citizen_number = c.national_number "
              "WHERE c.nickname IN ($1, $2) ORDER BY p.permit_id", "nick1", "nick2");
    sync_up(conn);
    ASK(conn, "UPDATE citizen SET income = $1, active = $2, score = score + 1 WHERE nickname = $3 "
              "RETURNING income, active, score, family_name", NULL, "t", "nick1");
    sync_up(conn);
    ASK(conn, "INSERT INTO citizen (national_number, family_name, nickname) VALUES ($1, $2, $3) ON CONFLICT (national_number) "
              "DO UPDATE SET family_name = EXCLUDED.family_name, nickname = EXCLUDED.nickname "
              "RETURNING family_name, nickname, age", "85000000002", "Changed", "other");
    sync_up(conn);
    ASK(conn, "DELETE FROM citizen WHERE token = $1 RETURNING citizen_id, token", "64726965-736c-6f74-0000-000000000110");
    sync_up(conn);
    hear(conn, "join");
    hear(conn, "update");
    hear(conn, "upsert");
    hear(conn, "delete");
}

static void transactions(PGconn *conn)
{
    const char *nickname = "SELECT nickname FROM citizen WHERE national_number = $1";
    ask(conn, "BEGIN", 0, NULL);
    ASK(conn, "UPDATE citizen SET nickname = $1 WHERE nickname = $2", "outer", "nick1");
    ask(conn, "SAVEPOINT inner", 0, NULL);
    ask(conn, INSERT, FIELDS, citizen(2));
    ASK(conn, nickname, "85000000001");
    sync_up(conn);
    ask(conn, "ROLLBACK TO inner", 0, NULL);
    ASK(conn, nickname, "85000000001");
    sync_up(conn);
    ask(conn, "ROLLBACK", 0, NULL);
    ASK(conn, nickname, "85000000001");
    sync_up(conn);
    hear(conn, "unique");
    hear(conn, "savepoint");
    hear(conn, "rollback");
    if (strcmp(getenv("DRIVER_SIDE"), "gateway") == 0) {
        ask(conn, "SELECT citizen_id FROM citizen ORDER BY family_name", 0, NULL);
        sync_up(conn);
        PGresult *result = PQgetResult(conn);
        printf("gateway refuses | %s | %s a hint\n", PQresultErrorField(result, PG_DIAG_SQLSTATE),
               PQresultErrorField(result, PG_DIAG_MESSAGE_HINT) ? "with" : "without");
        do
            PQclear(result), result = PQgetResult(conn);
        while (PQresultStatus(result) != PGRES_PIPELINE_SYNC);
        PQclear(result);
    }
    /* What follows an error up to the sync is not carried out; what follows that is. */
    ASK(conn, "UPDATE citizen SET score = -1 WHERE nickname = $1", "nick1");
    ASK(conn, "SELECT 1 / $1::integer", "0");
    ASK(conn, "UPDATE citizen SET score = -2 WHERE nickname = $1", "nick1");
    sync_up(conn);
    ASK(conn, "SELECT score, family_name FROM citizen WHERE nickname = $1", "nick1");
    sync_up(conn);
    hear(conn, "goes on");
    hear(conn, "goes on");
}

static void concurrent(void)
{
    PGconn *each[4];
    for (int n = 0; n < 4; n++) {
        each[n] = open_pipeline();
        /* An identity's value would tell who was first. */
        char number[20];
        snprintf(number, sizeof number, "%" PRId64, INT64_C(85000000500) + n);
        ASK(each[n], "INSERT INTO citizen (national_number, family_name, nickname) VALUES ($1, $2, $3)", number, "One", "many");
        for (int round = 0; round < 5; round++) {
            char account[20];
            snprintf(account, sizeof account, "%d", 500 * round + n);
            ASK(each[n], "UPDATE citizen SET account = $1 WHERE national_number = $2", account, number);
            ASK(each[n], "SELECT nickname, account FROM citizen WHERE national_number = $1", number);
        }
        sync_up(each[n]);
    }
    for (int n = 0; n < 4; n++) {
        hear(each[n], "concurrent");
        PQfinish(each[n]);
    }
}

int main(void)
{
    PGconn *conn = open_pipeline();
    writing(conn);
    lookups(conn);
    changes(conn);
    transactions(conn);
    concurrent();
    const char *canary = getenv("DRIVER_CANARY");
    ASK(conn, "INSERT INTO permit VALUES (900001, NULL, 'canary', $1) RETURNING remark", canary);
    sync_up(conn);
    PGresult *planted = PQgetResult(conn);
    printf("plant | %d\n", PQntuples(planted) == 1 && strcmp(PQgetvalue(planted, 0, 0), canary) == 0);
    PQclear(planted);
    PQfinish(conn);
    conn = connect_as("wrong");
    printf("wrong password | %d\n", PQstatus(conn) == CONNECTION_BAD);
    PQfinish(conn);
    printf("done\n");
    return 0;
}
