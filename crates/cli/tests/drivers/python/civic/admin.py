"""What the admin shows."""

from django.contrib import admin

from .models import Citizen, Permit


@admin.register(Citizen)
class CitizenAdmin(admin.ModelAdmin):
    list_display = ("national_number", "family_name", "nickname", "born", "income", "active", "town")
    list_filter = ("town",)
    search_fields = ("nickname__exact",)
    ordering = ("-id",)
    list_per_page = 10


@admin.register(Permit)
class PermitAdmin(admin.ModelAdmin):
    list_display = ("kind", "citizen", "remark")
    list_select_related = ("citizen",)
    raw_id_fields = ("citizen",)
