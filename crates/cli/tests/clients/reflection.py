"""What SQLAlchemy's inspector and Django's inspectdb say of a database, as text. Run once through the gateway and once
on a plain copy; the two outputs must be equal."""

import contextlib
import io
import os
import sys
import urllib.parse

import django
import sqlalchemy
from django.conf import settings
from django.core.management import call_command


def sqlalchemy_says(dsn):
    url = "postgresql+psycopg://?" + urllib.parse.urlencode(dsn)
    engine = sqlalchemy.create_engine(url)
    inspector = sqlalchemy.inspect(engine)
    # Comparing types by their text: SQLAlchemy's types have no equality.
    clean = lambda entry: {k: str(v) for k, v in sorted(entry.items())}
    for table in sorted(inspector.get_table_names() + inspector.get_view_names()):
        print("table", table)
        for column in inspector.get_columns(table):
            print("  column", clean(column))
        print("  key", inspector.get_pk_constraint(table))
        for what in (inspector.get_unique_constraints, inspector.get_check_constraints, inspector.get_foreign_keys):
            for entry in sorted(what(table), key=str):
                print(" ", what.__name__, clean(entry))
        for index in sorted(inspector.get_indexes(table), key=lambda index: index["name"]):
            print("  index", clean(index))
    metadata = sqlalchemy.MetaData()
    metadata.reflect(engine)
    for table in metadata.sorted_tables:
        print(sqlalchemy.schema.CreateTable(table).compile(engine))
    engine.dispose()


def django_says(dsn):
    database = {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": dsn["dbname"],
        "USER": dsn["user"],
        "PASSWORD": dsn["password"],
        "HOST": dsn["host"],
        "PORT": dsn["port"],
        "OPTIONS": {k: v for k, v in dsn.items() if k.startswith("ssl")},
    }
    settings.configure(DATABASES={"default": database}, USE_TZ=True)
    django.setup()
    out = io.StringIO()
    with contextlib.redirect_stderr(sys.stderr):
        call_command("inspectdb", include_views=True, stdout=out)
    print(out.getvalue())


dsn = dict(part.split("=", 1) for part in os.environ["DRIESLOT_DSN"].split())
sqlalchemy_says(dsn)
django_says(dsn)
