"""What all Python drivers share: the rows, and how results are told.

A script runs twice, through the gateway and on a plain copy; what it tells must be equal, line by line. `repr` shows
the type of a value as well as the value.
"""

import datetime as dt
import hashlib
import os
import uuid
from decimal import Decimal

GATEWAY = os.environ["DRIVER_SIDE"] == "gateway"

COLUMNS = (
    "national_number", "family_name", "nickname", "shoe_size", "age", "account", "balance", "income", "active", "born",
    "last_seen", "signed_at", "token", "town", "score", "tags",
)
LIST = ", ".join(COLUMNS)
# A value that nothing else holds: the test looks for it at the processor afterwards.
CANARY = os.environ["DRIVER_CANARY"]
PLANT = "INSERT INTO permit VALUES (900001, NULL, 'canary', %s) RETURNING remark"
REFUSED = "SELECT citizen_id FROM citizen ORDER BY family_name"


def tell(step, *values):
    print(step, *(repr(value) for value in values), sep=" | ", flush=True)


def hash_of(told):
    """For results of thousands of rows."""
    return hashlib.sha256(repr(told).encode()).hexdigest()


def attempt(step, *values, run, refusal):
    """A step that the gateway may still refuse; the test knows which may be. `refusal` is the driver's error."""
    try:
        values = (*values, run())
    except refusal:
        if not GATEWAY:
            raise
        print(step, *(repr(value) for value in values), "refused 0A000", sep=" | ", flush=True)
        return
    tell(step, *values)


def plant(query):
    tell("plant", query(PLANT, (CANARY,))[0][0] == CANARY)


def refused(sqlstate, hint):
    """Only the gateway refuses; the test knows what it must say."""
    assert GATEWAY
    print("gateway refuses", sqlstate, "with a hint" if hint else "without a hint", sep=" | ", flush=True)


def citizen(number):
    """An ordinary row; each `number` gives its own values."""
    return (
        85_000_000_000 + number,
        f"Çelik-O'Brien {number} 王",
        f"nick{number}",
        36 + number % 12,
        number % 90,
        2**62 + number,
        Decimal(number) + Decimal("0.50"),
        Decimal("-12345678.90"),
        number % 2 == 0,
        dt.date(1900 + number % 120, 2, 28),
        dt.datetime(2024, 2, 29, 23, 59, 59, number % 1_000_000),
        dt.datetime(2024, 7, 1, 12, 0, tzinfo=dt.timezone.utc) + dt.timedelta(minutes=number),
        uuid.UUID(int=2**100 + number),
        "Gent",
        number,
        ["a", f"b{number}"],
    )


def nobody(number):
    """A row with NULL wherever a row may have it."""
    return (85_000_000_000 + number, "", *[None] * (len(COLUMNS) - 2))


EXTREMES = (
    -(2**63), "\t\\N\n'\"🦊", "", -(2**15), -(2**31), -(2**63), Decimal("-99999999.99"), Decimal("0.01"), False,
    dt.date(1, 1, 1), dt.datetime(9999, 12, 31, 23, 59, 59, 999999), dt.datetime(1970, 1, 1, tzinfo=dt.timezone.utc),
    uuid.UUID(int=0), "", 0, [],
)
# Columns that can be looked up by value, and where they stand in a row.
EXACT = {name: COLUMNS.index(name) for name in ("national_number", "nickname", "age", "balance", "born", "signed_at", "token")}
