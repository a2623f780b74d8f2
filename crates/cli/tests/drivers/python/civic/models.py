"""Tables of a Django application; the classification lists them with their protections."""

from django.db import models


class Citizen(models.Model):
    national_number = models.BigIntegerField(unique=True)
    family_name = models.TextField()
    nickname = models.CharField(max_length=20, null=True, blank=True)
    shoe_size = models.SmallIntegerField(null=True, blank=True)
    age = models.IntegerField(null=True, blank=True, db_index=True)
    account = models.BigIntegerField(null=True, blank=True)
    balance = models.DecimalField(max_digits=10, decimal_places=2, null=True, blank=True)
    income = models.DecimalField(max_digits=10, decimal_places=2, null=True, blank=True)
    active = models.BooleanField(null=True, blank=True)
    born = models.DateField(null=True, blank=True)
    signed_at = models.DateTimeField(null=True, blank=True)
    token = models.UUIDField(null=True, blank=True)
    town = models.TextField(null=True, blank=True)
    score = models.IntegerField(null=True, blank=True)

    def __str__(self):
        return self.family_name


class Permit(models.Model):
    citizen = models.ForeignKey(Citizen, null=True, blank=True, on_delete=models.CASCADE, to_field="national_number", db_column="citizen_number", related_name="permits")
    kind = models.TextField()
    remark = models.TextField(null=True, blank=True)
