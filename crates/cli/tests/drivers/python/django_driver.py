"""Django 5: its migrations make the tables, then ORM and admin work on them."""

import datetime as dt
import html
import os
import re
import threading
from decimal import Decimal

import django
from django.conf import settings

# The URLs are found by importing this file again, under its name.
settings.configured or settings.configure(
    SECRET_KEY="of a test",
    ALLOWED_HOSTS=["testserver"],
    ROOT_URLCONF="django_driver",
    USE_TZ=True,
    TIME_ZONE="UTC",
    DEFAULT_AUTO_FIELD="django.db.models.AutoField",
    INSTALLED_APPS=["django.contrib.admin", "django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions", "django.contrib.messages", "civic"],
    MIDDLEWARE=["django.contrib.sessions.middleware.SessionMiddleware", "django.contrib.auth.middleware.AuthenticationMiddleware", "django.contrib.messages.middleware.MessageMiddleware"],
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True, "OPTIONS": {"context_processors": ["django.template.context_processors.request", "django.contrib.auth.context_processors.auth", "django.contrib.messages.context_processors.messages"]}}],
    PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
    STATIC_URL="/static/",
    DATABASES={"default": {"ENGINE": "django.db.backends.postgresql", "NAME": os.environ["PGDATABASE"], "OPTIONS": {"server_side_binding": os.environ["DRIVER_BINDING"] == "server"}}},
)
django.setup()

from django.contrib import admin  # noqa: E402
from django.contrib.auth.models import User  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import IntegrityError, NotSupportedError, connection, transaction  # noqa: E402
from django.db.models import Count, Exists, F, OuterRef  # noqa: E402
from django.test import Client  # noqa: E402
from django.urls import path  # noqa: E402

from civic.models import Citizen, Permit  # noqa: E402
from scenario import CANARY, COLUMNS, GATEWAY, attempt, citizen, hash_of, refused, tell  # noqa: E402

urlpatterns = [path("admin/", admin.site.urls)]
FIELDS = [name for name in COLUMNS if name not in ("last_seen", "tags")]


def made(number):
    return Citizen(**{name: citizen(number)[COLUMNS.index(name)] for name in FIELDS})


def told(rows):
    return list(rows.values_list("id", *FIELDS))


def migrations():
    call_command("makemigrations", "civic", verbosity=0)
    call_command("migrate", verbosity=0)
    with connection.cursor() as cursor:
        described = connection.introspection.get_table_description(cursor, "civic_citizen")
        tell("migrate", [(c.name, c.type_code, c.null_ok) for c in described])
        constraints = connection.introspection.get_constraints(cursor, "civic_citizen")
        tell("constraints", sorted((name, c["columns"], c["primary_key"], c["unique"], c["index"], c["check"]) for name, c in constraints.items()))


def writing():
    one = made(1)
    one.save()
    tell("insert one", one.id)
    tell("insert nulls", Citizen.objects.create(national_number=85_000_000_011, family_name="").id)
    tell("insert many", [c.id for c in Citizen.objects.bulk_create([made(number) for number in [2, *range(100, 400)]], batch_size=100)])
    tell("fetch", told(Citizen.objects.order_by("id"))[:5], hash_of(told(Citizen.objects.order_by("id"))))
    Permit.objects.bulk_create(Permit(id=1000 + n, citizen=one if n % 7 else None, kind="batch", remark=f"remark {n}") for n in range(5000))
    Permit.objects.bulk_create([Permit(id=1, citizen=one, kind="work", remark="one"), Permit(id=2, citizen=one, kind="stay")])


def lookups():
    for name in ("national_number", "nickname", "age", "balance", "born", "signed_at", "token"):
        values = [citizen(number)[COLUMNS.index(name)] for number in (1, 2, 101)]
        ids = Citizen.objects.order_by("id").values_list("id", flat=True)
        tell("find =", name, list(ids.filter(**{name: values[0]})))
        tell("find IN", name, list(ids.filter(**{f"{name}__in": values})))
        tell("exclude", name, ids.exclude(**{name: values[0]}).count())
    tell("is null", Citizen.objects.filter(income__isnull=True).count(), Citizen.objects.filter(nickname="nick1").exists())
    tell("join", list(Permit.objects.filter(citizen__nickname="nick1", kind="work").values_list("citizen__family_name", "remark")))
    tell("related", [(p.kind, p.citizen.family_name) for p in Permit.objects.select_related("citizen").filter(kind__in=["work", "stay"]).order_by("id")])
    tell("prefetch", [(c.nickname, len(c.permits.all())) for c in Citizen.objects.filter(age=1).order_by("id").prefetch_related("permits")])
    tell("group", sorted(Citizen.objects.exclude(age=None).values_list("age").annotate(n=Count("id")).order_by())[:9])
    tell("distinct", Citizen.objects.aggregate(n=Count("nickname", distinct=True)), Citizen.objects.values("born").distinct().count())
    stays = Permit.objects.filter(citizen=OuterRef("national_number"), kind="stay")
    tell("exists", list(Citizen.objects.filter(Exists(stays)).values_list("nickname", flat=True)))
    everything = Permit.objects.filter(kind="batch").order_by("id").values_list("id", "citizen_id", "remark")
    tell("stream", hash_of(list(everything)))
    attempt("cursor", run=lambda: hash_of(list(everything.iterator(chunk_size=500))), refusal=NotSupportedError)


def changes():
    one = Citizen.objects.get(nickname="nick1")
    one.income, one.active, one.family_name = None, True, "Renamed"
    one.save()
    tell("update", Citizen.objects.filter(nickname="nick2").update(born=dt.date(1999, 9, 9), score=F("score") + 5), told(Citizen.objects.filter(id__in=[one.id])))
    created = Citizen.objects.update_or_create(national_number=citizen(2)[0], defaults={"family_name": "Changed", "balance": Decimal("3.25")})
    tell("update or create", created[1], created[0].family_name, Citizen.objects.get_or_create(national_number=citizen(2)[0], defaults={"family_name": "x"})[1])
    some = [made(number) for number in (100, 101, 700)]
    Citizen.objects.bulk_create(some, update_conflicts=True, unique_fields=["national_number"], update_fields=["family_name", "income"])
    tell("upsert", told(Citizen.objects.filter(national_number=citizen(700)[0])))
    tell("delete", Citizen.objects.filter(token=citizen(110)[12]).delete(), Citizen.objects.get(nickname="nick111").delete())

    def bulk():
        two = list(Citizen.objects.filter(nickname__in=["nick120", "nick121"]).order_by("id"))
        for number, each in enumerate(two):
            each.nickname, each.income, each.born = f"bulk{number}", Decimal(number), None
        with transaction.atomic():
            changed = Citizen.objects.bulk_update(two, ["nickname", "income", "born"])
        return changed, told(Citizen.objects.filter(nickname__in=["bulk0", "bulk1"]).order_by("id"))

    attempt("bulk update", run=bulk, refusal=NotSupportedError)


def transactions():
    try:
        with transaction.atomic():
            Citizen.objects.filter(nickname="nick1").update(nickname="outer")
            try:
                with transaction.atomic():
                    made(101).save()
            except IntegrityError as error:
                tell("unique", error.__cause__.sqlstate, error.__cause__.diag.constraint_name)
            tell("savepoint", list(Citizen.objects.filter(national_number=citizen(1)[0]).values_list("nickname")))
            raise KeyError
    except KeyError:
        tell("rollback", list(Citizen.objects.filter(national_number=citizen(1)[0]).values_list("nickname")))
    if GATEWAY:
        try:
            list(Citizen.objects.order_by("family_name"))
        except NotSupportedError as error:
            refused(error.__cause__.sqlstate, error.__cause__.diag.message_hint)
    tell("goes on", list(Citizen.objects.filter(age=1).order_by("id").values_list("family_name", flat=True)))
    tell("raw", [c.family_name for c in Citizen.objects.raw("SELECT * FROM civic_citizen WHERE token = %s", [citizen(1)[12]])])


def shown(page):
    """A page's rows, without what changes from run to run."""
    text = re.sub(r"<[^>]*>", " ", page.content.decode().split('id="content"', 1)[-1])
    return page.status_code, html.unescape(re.sub(r"\s+", " ", text))


def admin_site():
    User.objects.create_superuser("admin", "admin@example.org", "secret")
    client = Client()
    tell("sign in", client.login(username="admin", password="secret"))
    for address in ("citizen/", "citizen/?p=2", "citizen/?town=Gent&q=nick105", "permit/", "citizen/3/change/", "citizen/3/delete/"):
        tell("admin", address, shown(client.get(f"/admin/civic/{address}")))
    form = {"national_number": "77", "family_name": "By the admin", "nickname": "adm", "born": "1950-02-03", "income": "12.50", "active": "true", "signed_at_0": "", "signed_at_1": ""}
    tell("admin add", client.post("/admin/civic/citizen/add/", form).status_code, told(Citizen.objects.filter(nickname="adm")))
    added = Citizen.objects.get(nickname="adm")
    tell("admin change", client.post(f"/admin/civic/citizen/{added.id}/change/", {**form, "family_name": "Changed"}).status_code, told(Citizen.objects.filter(nickname="adm")))
    twice = client.post("/admin/civic/citizen/add/", form)
    tell("admin add twice", "already exists" in twice.content.decode())
    tell("admin delete", client.post(f"/admin/civic/citizen/{added.id}/delete/", {"post": "yes"}).status_code, Citizen.objects.filter(nickname="adm").count())


def concurrent():
    def one(number):
        made(number).save()
        for round in range(5):
            Citizen.objects.filter(national_number=citizen(number)[0]).update(account=number * round)
            results[number].append(Citizen.objects.get(token=citizen(number)[12]).account)
        connection.close()

    results = {number: [] for number in range(500, 506)}
    threads = [threading.Thread(target=one, args=(number,)) for number in results]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    tell("concurrent", results)


if __name__ == "__main__":
    for part in (migrations, writing, lookups, changes, transactions, admin_site, concurrent):
        part()
    tell("plant", Permit.objects.create(id=900001, kind="canary", remark=CANARY).remark == CANARY and Permit.objects.get(kind="canary").remark == CANARY)
    tell("done")
