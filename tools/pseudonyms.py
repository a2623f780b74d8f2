"""Writes vectors/pseudonyms.json and vectors/subjects.json from docs/format.md alone: HMAC and HKDF of the standard library, nothing of Drieslot."""

import base64
import hashlib
import hmac
import json
import pathlib

SECRETS = {"structure": "11" * 32, "access": "22" * 32, "keys": "33" * 32}


def part(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


def mac(key: bytes, data: bytes) -> bytes:
    return hmac.new(key, data, hashlib.sha256).digest()


def domain_key(tenant: str, domain: str, epoch: int) -> bytes:
    context = part(tenant.encode()) + part(domain.encode()) + part(epoch.to_bytes(2, "big"))
    shares = b"".join(mac(bytes.fromhex(SECRETS[name]), context) for name in ("structure", "access", "keys"))
    return mac(mac(b"drieslot domain key v1", shares), context + b"\x01")


def pseudonym(case: dict) -> str:
    key = domain_key(case["tenant"], case["domain"], case["epoch"])
    own = mac(key, b"drieslot pseudonym key v1" + b"\x01")
    names = [case[name] for name in ("tenant", "schema", "table", "column", "purpose")]
    data = b"".join(part(name.encode()) for name in names) + part(bytes.fromhex(case["canonical"]))
    found = bytearray(mac(own, data)[:16])
    if case["type"] == "uuid":
        found[6] = found[6] & 0x0F | 0x80
        found[8] = found[8] & 0x3F | 0x80
    return found.hex()


def subject(case: dict) -> str:
    own = mac(domain_key(case["tenant"], "drieslot/subjects", 1), b"drieslot subject key v1" + b"\x01")
    found = mac(own, part(case["realm"].encode()) + part(case["subject"].encode()))[:16]
    return base64.urlsafe_b64encode(found).decode().rstrip("=")


def write(name: str, cases: list) -> None:
    path = pathlib.Path(__file__).parent.parent / "vectors" / name
    path.write_text(json.dumps({"secrets": SECRETS, "cases": cases}, indent=1, ensure_ascii=False) + "\n")


def main() -> None:
    usual = {"tenant": "agency.example", "domain": "person", "epoch": 1, "schema": "public", "table": "newcomers",
             "column": "name", "purpose": "research", "type": "text", "canonical": "Peeters".encode().hex()}
    changes = [{}, {"canonical": ""}, {"canonical": "Ωmega 漢字".encode().hex()}, {"purpose": "statistics"}, {"epoch": 2},
               {"column": "nickname"}, {"table": "permits"}, {"schema": "other"}, {"tenant": "other.example"},
               {"domain": "other"}, {"type": "uuid", "canonical": "d3adc0deca4a4c4e9a4e5afe0bad1dea"}]
    cases = [usual | change for change in changes]
    for case in cases:
        case["pseudonym"] = pseudonym(case)
    write("pseudonyms.json", cases)
    usual = {"tenant": "agency.example", "realm": "person", "type": "varchar(11)", "given": "85073003328"}
    changes = [{}, {"given": "85073003329"}, {"realm": "civic.public.customers.id", "type": "integer", "given": " +5"},
               {"realm": "civic.public.employees.id", "type": "bigint", "given": "5"}, {"tenant": "other.example"},
               {"type": "text", "given": "Ωmega 漢字"}, {"type": "char(8)", "given": "ab"},
               {"type": "uuid", "given": "{D3ADC0DE-CA4A-4C4E-9A4E-5AFE0BAD1DEA}"}, {"type": "text", "given": ""}]
    spelt = {" +5": "5", "{D3ADC0DE-CA4A-4C4E-9A4E-5AFE0BAD1DEA}": "d3adc0de-ca4a-4c4e-9a4e-5afe0bad1dea"}
    cases = [usual | change for change in changes]
    for case in cases:
        case["subject"] = spelt.get(case["given"], case["given"])
        case["pseudonym"] = subject(case)
    write("subjects.json", cases)

main()
