"""SQLAlchemy 2: Core, ORM and reflection. DRIVER_DIALECT names the driver below it: psycopg, psycopg2 or asyncpg."""

import datetime as dt
import decimal
import os
import ssl
import sys
import threading
import uuid
from typing import Optional

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import DBAPIError, IntegrityError, NotSupportedError, ProgrammingError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship, selectinload

from scenario import CANARY, COLUMNS, EXACT, EXTREMES, GATEWAY, attempt, citizen, hash_of, nobody, refused, tell

DIALECT = os.environ["DRIVER_DIALECT"]


class Base(DeclarativeBase):
    pass


class Citizen(Base):
    __tablename__ = "citizen"
    citizen_id: Mapped[int] = mapped_column(primary_key=True)
    national_number: Mapped[int] = mapped_column(sa.BigInteger, unique=True)
    family_name: Mapped[str] = mapped_column(sa.Text)
    nickname: Mapped[Optional[str]] = mapped_column(sa.String(20))
    shoe_size: Mapped[Optional[int]] = mapped_column(sa.SmallInteger)
    age: Mapped[Optional[int]]
    account: Mapped[Optional[int]] = mapped_column(sa.BigInteger)
    balance: Mapped[Optional[decimal.Decimal]] = mapped_column(sa.Numeric(10, 2))
    income: Mapped[Optional[decimal.Decimal]] = mapped_column(sa.Numeric(10, 2))
    active: Mapped[Optional[bool]]
    born: Mapped[Optional[dt.date]]
    last_seen: Mapped[Optional[dt.datetime]]
    signed_at: Mapped[Optional[dt.datetime]] = mapped_column(sa.DateTime(timezone=True))
    token: Mapped[Optional[uuid.UUID]]
    town: Mapped[Optional[str]] = mapped_column(sa.Text)
    score: Mapped[Optional[int]]
    tags: Mapped[Optional[list[str]]] = mapped_column(postgresql.ARRAY(sa.Text))
    permits: Mapped[list["Permit"]] = relationship(back_populates="citizen", order_by="Permit.permit_id")


class Permit(Base):
    __tablename__ = "permit"
    permit_id: Mapped[int] = mapped_column(primary_key=True)
    citizen_number: Mapped[Optional[int]] = mapped_column(sa.ForeignKey("citizen.national_number"))
    kind: Mapped[str] = mapped_column(sa.Text)
    remark: Mapped[Optional[str]] = mapped_column(sa.Text)
    citizen: Mapped[Optional[Citizen]] = relationship(back_populates="permits")


TABLE, PERMIT = Citizen.__table__, Permit.__table__
ALL = [TABLE.c[name] for name in COLUMNS]


def engine():
    url = f"postgresql+{DIALECT}://"
    return sa.create_engine(url, connect_args={"options": "-c timezone=UTC"})


def as_dict(row):
    return dict(zip(COLUMNS, row))


def told(result):
    return [tuple(row) for row in result]


def core(conn):
    tell("insert one", conn.execute(sa.insert(TABLE).values(as_dict(citizen(1))).returning(TABLE.c.citizen_id)).scalar_one())
    tell("insert nulls", conn.execute(sa.insert(TABLE).values(as_dict(nobody(11)))).inserted_primary_key[0])
    tell("extremes", conn.execute(sa.insert(TABLE).values(as_dict(EXTREMES))).inserted_primary_key[0])
    # SQLAlchemy writes several VALUES lists with ids in the order of the rows.
    many = [as_dict(citizen(number)) for number in [2, *range(100, 400)]]
    tell("insert many", conn.execute(sa.insert(TABLE).returning(TABLE.c.citizen_id, sort_by_parameter_order=True), many).scalars().all())
    tell("fetch", told(conn.execute(sa.select(*ALL).order_by(TABLE.c.citizen_id).limit(5))))
    for name, at in EXACT.items():
        column, values = TABLE.c[name], [citizen(number)[at] for number in (1, 2, 101)]
        tell("find =", name, conn.execute(sa.select(TABLE.c.citizen_id).where(column == values[0]).order_by(TABLE.c.citizen_id)).scalars().all())
        tell("find IN", name, conn.execute(sa.select(TABLE.c.citizen_id).where(column.in_(values)).order_by(TABLE.c.citizen_id)).scalars().all())
    upsert = postgresql.insert(TABLE).values(national_number=citizen(2)[0], family_name="Changed", nickname="other")
    upsert = upsert.on_conflict_do_update(index_elements=["national_number"], set_={"family_name": upsert.excluded.family_name})
    tell("upsert", told(conn.execute(upsert.returning(TABLE.c.family_name, TABLE.c.nickname))))
    tell("update", told(conn.execute(sa.update(TABLE).where(TABLE.c.nickname == "nick1").values(income=None, active=True, score=TABLE.c.score + 1).returning(TABLE.c.income, TABLE.c.active, TABLE.c.score))))
    tell("delete", told(conn.execute(sa.delete(TABLE).where(TABLE.c.token == citizen(110)[12]).returning(TABLE.c.token))))
    conn.execute(sa.insert(PERMIT), [{"permit_id": n, "citizen_number": citizen(1)[0] if n % 7 else None, "kind": "copy", "remark": f"remark {n}"} for n in range(1000, 6000)])
    conn.commit()


def any_of(conn, name, at):
    values = [citizen(number)[at] for number in (1, 2, 101)]
    column = TABLE.c[name]
    bound = sa.bindparam("values", values, type_=postgresql.ARRAY(column.type))
    found = conn.execute(sa.select(TABLE.c.citizen_id).where(column == sa.any_(bound)).order_by(TABLE.c.citizen_id)).scalars().all()
    conn.commit()
    return found


def anys(all):
    for name, at in EXACT.items():
        with all.connect() as conn:
            attempt("find ANY", name, run=lambda: any_of(conn, name, at), refusal=(NotSupportedError, ProgrammingError))


def streams(all):
    with all.connect() as conn:
        result = conn.execution_options(stream_results=False).execute(sa.select(PERMIT).order_by(PERMIT.c.permit_id))
        tell("fetch many", hash_of(told(result)))

    def by_server():
        with all.connect() as conn:
            result = conn.execution_options(yield_per=500).execute(sa.select(PERMIT).order_by(PERMIT.c.permit_id))
            return hash_of([tuple(row) for part in result.partitions() for row in part])

    attempt("cursor", run=by_server, refusal=NotSupportedError)


def orm(all):
    with Session(all) as session:
        one = Citizen(**as_dict(citizen(600)))
        one.permits = [Permit(permit_id=1, kind="work", remark="one"), Permit(permit_id=2, kind="stay", remark=None)]
        session.add_all([one, *(Citizen(**as_dict(citizen(number))) for number in range(601, 640))])
        session.commit()
        tell("orm refresh", one.citizen_id, one.born, one.balance, one.permits[0].remark)
        found = session.scalars(sa.select(Citizen).where(Citizen.nickname == "nick601")).one()
        found.family_name, found.income, found.signed_at = "Renamed", decimal.Decimal("7.25"), None
        session.commit()
        session.expire_all()
        tell("orm update", found.family_name, found.income, found.signed_at, found.active)
    with Session(all) as session:
        joined = sa.select(Citizen.family_name, Permit.kind, Permit.remark).join(Citizen.permits).where(Citizen.nickname == "nick600")
        tell("join", told(session.execute(joined.order_by(Permit.permit_id))))
        loaded = sa.select(Citizen).options(selectinload(Citizen.permits)).where(Citizen.nickname.in_(["nick600", "nick602"]))
        tell("orm eager", [(c.family_name, [(p.permit_id, p.remark) for p in c.permits]) for c in session.scalars(loaded.order_by(Citizen.citizen_id))])
        lazy = session.get(Permit, 1)
        tell("orm lazy", lazy.citizen.family_name, lazy.citizen.token)
        exists = sa.select(Citizen.citizen_id).where(Citizen.permits.any(Permit.kind == "stay"))
        tell("orm exists", session.scalars(exists).all())
        tell("group", sorted(told(session.execute(sa.select(Citizen.age, sa.func.count()).where(Citizen.age.is_not(None)).group_by(Citizen.age)))))
        session.delete(lazy)
        session.commit()
        tell("orm delete", session.scalar(sa.select(sa.func.count()).select_from(Permit).where(Permit.kind == "work")))


def transactions(all):
    with Session(all) as session:
        session.execute(sa.update(Citizen).where(Citizen.nickname == "nick1").values(nickname="outer"))
        try:
            with session.begin_nested():
                session.add(Citizen(**as_dict(citizen(2))))
        except IntegrityError as error:
            code = getattr(error.orig, "sqlstate", None) or error.orig.pgcode
            tell("unique", code, error.orig.diag.constraint_name)
        tell("savepoint", session.scalar(sa.select(Citizen.nickname).where(Citizen.national_number == citizen(1)[0])))
        session.rollback()
        tell("rollback", session.scalar(sa.select(Citizen.nickname).where(Citizen.national_number == citizen(1)[0])))
    with Session(all) as session:
        if GATEWAY:
            try:
                session.execute(sa.select(Citizen.citizen_id).order_by(Citizen.family_name))
            except NotSupportedError as error:
                refused(getattr(error.orig, "sqlstate", None) or error.orig.pgcode, error.orig.diag.message_hint)
                session.rollback()
        tell("goes on", session.scalars(sa.select(Citizen.family_name).where(Citizen.age == 1).order_by(Citizen.citizen_id)).all())


def reflection(all):
    inspector = sa.inspect(all)
    for table in ("citizen", "permit"):
        tell("tables", table in inspector.get_table_names(), inspector.has_table(table))
        tell("reflected columns", table, [(c["name"], str(c["type"]), c["nullable"]) for c in inspector.get_columns(table)])
        tell("reflected key", inspector.get_pk_constraint(table))
        tell("reflected unique", inspector.get_unique_constraints(table))
        tell("reflected foreign", inspector.get_foreign_keys(table))
        tell("reflected indexes", inspector.get_indexes(table))
        tell("reflected checks", inspector.get_check_constraints(table))
    reflected = sa.Table("citizen", sa.MetaData(), autoload_with=all)
    with all.connect() as conn:
        if isinstance(reflected.c.nickname.type, sa.LargeBinary):
            return tell("by reflection", "shows bytea")
        tell("by reflection", told(conn.execute(sa.select(*(reflected.c[name] for name in COLUMNS)).where(reflected.c.nickname == "nick2"))))


def concurrent(all):
    def one(number):
        for round in range(5):
            with Session(all) as session:
                if round == 0:
                    session.add(Citizen(**as_dict(citizen(number))))
                session.execute(sa.update(Citizen).where(Citizen.national_number == citizen(number)[0]).values(account=number * round))
                session.commit()
                results[number].append(told(session.execute(sa.select(Citizen.nickname, Citizen.account).where(Citizen.token == citizen(number)[12]))))

    results = {number: [] for number in range(500, 506)}
    threads = [threading.Thread(target=one, args=(number,)) for number in results]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    tell("concurrent", results)


database = engine()
with database.connect() as connection:
    core(connection)
for part in (anys, streams, orm, transactions, reflection, concurrent):
    part(database)
with database.begin() as connection:
    planted = sa.insert(PERMIT).values(permit_id=900001, kind="canary", remark=CANARY).returning(PERMIT.c.remark)
    tell("plant", connection.execute(planted).scalar_one() == CANARY)
tell("done")
