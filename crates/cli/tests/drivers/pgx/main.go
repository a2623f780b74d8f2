// pgx through the gateway or on a plain copy, in the exec mode that DRIVER_MODE names: cache_statement, cache_describe,
// describe_exec, exec or simple_protocol. What it tells must be equal on both sides, line by line, types too.
package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/big"
	"os"
	"reflect"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"
)

var (
	gateway = os.Getenv("DRIVER_SIDE") == "gateway"
	mode    = os.Getenv("DRIVER_MODE")
	ctx     = context.Background()
	columns = strings.Fields("national_number family_name nickname shoe_size age account balance income active born " +
		"last_seen signed_at token town score tags")
	list   = strings.Join(columns, ", ")
	insert = fmt.Sprintf("INSERT INTO citizen (%s) VALUES (%s) RETURNING citizen_id", list, places(1, len(columns)))
	exact  = strings.Fields("national_number nickname age balance born signed_at token")
)

func must[T any](value T, err error) T {
	check(err)
	return value
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func places(from, count int) string {
	all := make([]string, count)
	for n := range all {
		all[n] = fmt.Sprintf("$%d", from+n)
	}
	return strings.Join(all, ", ")
}

// show gives a value with its type, whatever it points to.
func show(value any) string {
	switch v := value.(type) {
	case nil:
		return "nil"
	case time.Time:
		return "time " + v.UTC().Format(time.RFC3339Nano)
	case row:
		return show([]any{v.Family, v.Nickname, v.Age, v.Balance, v.Active, v.Born, v.Signed, v.Token})
	case pgtype.Numeric:
		return fmt.Sprintf("numeric %v e%d nan=%v inf=%v", v.Int, v.Exp, v.NaN, v.InfinityModifier)
	}
	reflected := reflect.ValueOf(value)
	switch reflected.Kind() {
	case reflect.Pointer:
		if reflected.IsNil() {
			return "nil"
		}
		return "&" + show(reflected.Elem().Interface())
	case reflect.Slice:
		parts := make([]string, reflected.Len())
		for n := range parts {
			parts[n] = show(reflected.Index(n).Interface())
		}
		return "[" + strings.Join(parts, ", ") + "]"
	}
	return fmt.Sprintf("%T %#v", value, value)
}

func tell(step string, values ...any) {
	line := []string{step}
	for _, value := range values {
		line = append(line, show(value))
	}
	fmt.Println(strings.ReplaceAll(strings.Join(line, " | "), "\n", "\\n"))
}

func hash(told any) string {
	return fmt.Sprintf("%x", sha256.Sum256([]byte(show(told))))
}

// attempt tells what run finds, or that the gateway refused it; the test knows which steps may be.
func attempt(step string, values []any, run func() (any, error)) {
	found, err := run()
	var server *pgconn.PgError
	if gateway && errors.As(err, &server) && server.Code == "0A000" {
		line := []string{step}
		for _, value := range values {
			line = append(line, show(value))
		}
		fmt.Println(strings.Join(append(line, "refused 0A000"), " | "))
		return
	}
	check(err)
	tell(step, append(values, found)...)
}

func number(n int) int64 { return 85_000_000_000 + int64(n) }

func uuid(n int) pgtype.UUID {
	value := pgtype.UUID{Valid: true}
	copy(value.Bytes[:], fmt.Sprintf("drieslot%08d", n))
	return value
}

// citizen gives an ordinary row; each n its own values.
func citizen(n int) []any {
	return []any{
		number(n), fmt.Sprintf("Çelik-O'Brien %d 王", n), fmt.Sprintf("nick%d", n), int16(36 + n%12), int32(n % 90),
		int64(1)<<62 + int64(n), pgtype.Numeric{Int: big.NewInt(int64(n)*100 + 50), Exp: -2, Valid: true},
		pgtype.Numeric{Int: big.NewInt(-1234567890), Exp: -2, Valid: true}, n%2 == 0,
		pgtype.Date{Time: time.Date(1900+n%120, 2, 28, 0, 0, 0, 0, time.UTC), Valid: true},
		pgtype.Timestamp{Time: time.Date(2024, 2, 29, 23, 59, 59, n*1000, time.UTC), Valid: true},
		time.Date(2024, 7, 1, 12, n, 0, 0, time.UTC), uuid(n), "Gent", int32(n), []string{"a", fmt.Sprintf("b%d", n)},
	}
}

func value(n int, column string) any {
	for at, name := range columns {
		if name == column {
			return citizen(n)[at]
		}
	}
	panic(column)
}

func nobody(n int) []any {
	row := make([]any, len(columns))
	row[0], row[1] = number(n), ""
	return row
}

type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
}

func all(db querier, sql string, args ...any) ([]any, error) {
	rows, err := db.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	return collect(rows)
}

func collect(rows pgx.Rows) ([]any, error) {
	found := []any{}
	for rows.Next() {
		values, err := rows.Values()
		if err != nil {
			return nil, err
		}
		found = append(found, values)
	}
	return found, rows.Err()
}

func writing(db *pgx.Conn) {
	tell("insert one", must(all(db, insert, citizen(1)...)), must(all(db, insert, citizen(2)...)))
	tell("insert nulls", must(all(db, insert, nobody(11)...)))
	batch := &pgx.Batch{}
	for n := 100; n < 300; n++ {
		batch.Queue(insert, citizen(n)...)
	}
	batch.Queue("SELECT count(*), count(DISTINCT nickname) FROM citizen")
	results := db.SendBatch(ctx, batch)
	ids := []any{}
	for n := 100; n <= 300; n++ {
		ids = append(ids, must(collect(must(results.Query()))))
	}
	check(results.Close())
	tell("insert many", ids)
	rows := must(db.Query(ctx, "SELECT * FROM citizen ORDER BY citizen_id"))
	fields := []any{}
	for _, field := range rows.FieldDescriptions() {
		fields = append(fields, []any{field.Name, field.DataTypeOID, field.DataTypeSize, field.TypeModifier, field.Format})
	}
	found := must(collect(rows))
	tell("described", fields)
	tell("fetch", found[:5], hash(found))
}

type row struct {
	Family   *string `db:"family_name"`
	Nickname *string
	Age      *int32
	Balance  pgtype.Numeric
	Active   *bool
	Born     pgtype.Date
	Signed   *time.Time `db:"signed_at"`
	Token    pgtype.UUID
}

func lookups(db *pgx.Conn) {
	for _, name := range exact {
		values := []any{value(1, name), value(2, name), value(101, name)}
		find := func(condition string, args ...any) ([]any, error) {
			return all(db, fmt.Sprintf("SELECT citizen_id FROM citizen WHERE %s %s ORDER BY 1", name, condition), args...)
		}
		tell("find =", name, must(find("= $1", values[0])))
		tell("find IN", name, must(find("IN ($1, $2, $3)", values...)))
		list := reflect.MakeSlice(reflect.SliceOf(reflect.TypeOf(values[0])), 0, 3)
		for _, value := range values {
			list = reflect.Append(list, reflect.ValueOf(value))
		}
		attempt("find ANY", []any{name}, func() (any, error) { return find("= ANY($1)", list.Interface()) })
	}
	rows := must(db.Query(ctx, "SELECT family_name, nickname, age, balance, active, born, signed_at, token FROM citizen WHERE nickname IN ($1, $2) ORDER BY citizen_id", "nick1", "nick2"))
	tell("structs", must(pgx.CollectRows(rows, pgx.RowToStructByName[row])))
}

func changes(db *pgx.Conn) {
	for n, kind := range []string{"work", "stay", "work"} {
		must(db.Exec(ctx, "INSERT INTO permit VALUES ($1, $2, $3, $4)", n, number(1+n%2), kind, fmt.Sprintf("remark %d", n)))
	}
	tell("join", must(all(db, "SELECT c.family_name, p.remark, p.kind FROM citizen c JOIN permit p ON p.citizen_number = c.national_number WHERE c.nickname IN ($1, $2) ORDER BY p.permit_id", "nick1", "nick2")))
	tell("update", must(all(db, "UPDATE citizen SET income = $1, active = $2, score = score + 1 WHERE nickname = $3 RETURNING income, active, score, family_name", nil, true, "nick1")))
	upsert := "INSERT INTO citizen (national_number, family_name, nickname) VALUES ($1, $2, $3) ON CONFLICT (national_number) DO UPDATE SET family_name = EXCLUDED.family_name, nickname = EXCLUDED.nickname RETURNING family_name, nickname, age"
	tell("upsert", must(all(db, upsert, number(2), "Changed", "other")))
	tell("delete", must(all(db, "DELETE FROM citizen WHERE token = $1 RETURNING citizen_id, token", uuid(110))), must(db.Exec(ctx, "DELETE FROM permit WHERE citizen_number = $1", int64(12))).String())
}

func transactions(db *pgx.Conn) {
	nickname := func(db querier) []any {
		return must(all(db, "SELECT nickname FROM citizen WHERE national_number = $1", number(1)))
	}
	outer := must(db.Begin(ctx))
	must(outer.Exec(ctx, "UPDATE citizen SET nickname = 'outer' WHERE nickname = 'nick1'"))
	inner := must(outer.Begin(ctx))
	_, err := all(inner, insert, citizen(2)...)
	var server *pgconn.PgError
	if errors.As(err, &server) {
		tell("unique", server.Code, server.ConstraintName, server.TableName)
	}
	check(inner.Rollback(ctx))
	tell("savepoint", nickname(outer))
	check(outer.Rollback(ctx))
	tell("rollback", nickname(db))
	if gateway {
		_, err := all(db, "SELECT citizen_id FROM citizen ORDER BY family_name")
		if errors.As(err, &server) {
			fmt.Println("gateway refuses | " + server.Code + map[bool]string{true: " | with a hint", false: " | without a hint"}[server.Hint != ""])
		}
	}
	tell("goes on", must(all(db, "SELECT family_name FROM citizen WHERE age = $1 ORDER BY citizen_id", 1)))
	must(db.Prepare(ctx, "by_token", "SELECT family_name, signed_at FROM citizen WHERE token = $1"))
	for n := range 6 {
		tell("prepared", must(all(db, "by_token", uuid(1+n%2))))
	}
	// A batch with an error in the middle takes everything along, and the session goes on.
	batch := &pgx.Batch{}
	batch.Queue("UPDATE citizen SET score = -1 WHERE nickname = $1", "nick1")
	batch.Queue("SELECT 1 / $1::int", 0)
	err = db.SendBatch(ctx, batch).Close()
	tell("batch error", errors.As(err, &server) && server.Code == "22012", must(all(db, "SELECT score FROM citizen WHERE nickname = $1", "nick1")))
}

func streams(db *pgx.Conn) {
	batch := &pgx.Batch{}
	for n := 1000; n < 6000; n++ {
		owner := any(number(1))
		if n%7 == 0 {
			owner = nil
		}
		batch.Queue("INSERT INTO permit VALUES ($1, $2, $3, $4)", n, owner, "copy", fmt.Sprintf("remark\t%d\\", n))
	}
	check(db.SendBatch(ctx, batch).Close())
	rows := must(db.Query(ctx, "SELECT permit_id, citizen_number, remark FROM permit WHERE kind = $1 ORDER BY permit_id", "copy"))
	streamed := must(collect(rows))
	tell("stream", len(streamed), streamed[0], streamed[len(streamed)-1], hash(streamed))
	attempt("copy in", nil, func() (any, error) {
		from := pgx.CopyFromRows([][]any{{7000, number(1), "binary", "b1"}, {7001, nil, "binary", nil}})
		return db.CopyFrom(ctx, pgx.Identifier{"permit"}, []string{"permit_id", "citizen_number", "kind", "remark"}, from)
	})
	attempt("cursor", nil, func() (any, error) {
		tx := must(db.Begin(ctx))
		defer tx.Rollback(ctx)
		if _, err := tx.Exec(ctx, "DECLARE by_server CURSOR FOR SELECT permit_id, remark FROM permit ORDER BY permit_id"); err != nil {
			return nil, err
		}
		return all(tx, "FETCH 3 FROM by_server")
	})
}

func concurrent(pool *pgxpool.Pool) {
	found := make([][]any, 8)
	var group sync.WaitGroup
	for n := range found {
		group.Add(1)
		go func() {
			defer group.Done()
			me := 500 + n
			must(pool.Exec(ctx, insert, citizen(me)...))
			for round := range 5 {
				must(pool.Exec(ctx, "UPDATE citizen SET account = $1 WHERE national_number = $2", int64(me*round), number(me)))
				found[n] = append(found[n], must(all(pool, "SELECT nickname, account FROM citizen WHERE token = $1", uuid(me))))
			}
		}()
	}
	group.Wait()
	tell("concurrent", found)
}

func modes(mode string) pgx.QueryExecMode {
	return map[string]pgx.QueryExecMode{
		"cache_statement": pgx.QueryExecModeCacheStatement,
		"cache_describe":  pgx.QueryExecModeCacheDescribe,
		"describe_exec":   pgx.QueryExecModeDescribeExec,
		"exec":            pgx.QueryExecModeExec,
		"simple_protocol": pgx.QueryExecModeSimpleProtocol,
	}[mode]
}

func main() {
	config := must(pgxpool.ParseConfig(""))
	config.ConnConfig.DefaultQueryExecMode = modes(mode)
	config.ConnConfig.RuntimeParams["timezone"] = "UTC"
	db := must(pgx.ConnectConfig(ctx, config.ConnConfig))
	for _, part := range []func(*pgx.Conn){writing, lookups, changes, transactions, streams} {
		part(db)
	}
	concurrent(must(pgxpool.NewWithConfig(ctx, config)))
	canary := os.Getenv("DRIVER_CANARY")
	planted := must(all(db, "INSERT INTO permit VALUES (900001, NULL, 'canary', $1) RETURNING remark", canary))
	tell("plant", reflect.DeepEqual(planted, []any{[]any{canary}}))
	wrong := config.ConnConfig.Copy()
	wrong.Password = "wrong"
	_, err := pgx.ConnectConfig(ctx, wrong)
	var server *pgconn.PgError
	tell("wrong password", errors.As(err, &server) && server.Code == "28P01")
	tell("done")
}
