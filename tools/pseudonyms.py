"""Writes vectors/pseudonyms.json from docs/format.md alone: HMAC and HKDF of the standard library, nothing of Drieslot."""

import hashlib
import hmac
import json
import pathlib

SECRETS = {"structure": "11" * 32, "access": "22" * 32, "keys": "33" * 32}


def part(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


def mac(key: bytes, data: bytes) -> bytes:
    return hmac.new(key, data, hashlib.sha256).digest()


def pseudonym(case: dict) -> str:
    context = part(case["tenant"].encode()) + part(case["domain"].encode()) + part(case["epoch"].to_bytes(2, "big"))
    shares = b"".join(mac(bytes.fromhex(SECRETS[name]), context) for name in ("structure", "access", "keys"))
    key = mac(mac(b"drieslot domain key v1", shares), context + b"\x01")
    own = mac(key, b"drieslot pseudonym key v1" + b"\x01")
    names = [case[name] for name in ("tenant", "schema", "table", "column", "purpose")]
    data = b"".join(part(name.encode()) for name in names) + part(bytes.fromhex(case["canonical"]))
    found = bytearray(mac(own, data)[:16])
    if case["type"] == "uuid":
        found[6] = found[6] & 0x0F | 0x80
        found[8] = found[8] & 0x3F | 0x80
    return found.hex()


def main() -> None:
    usual = {"tenant": "agency.example", "domain": "person", "epoch": 1, "schema": "public", "table": "newcomers",
             "column": "name", "purpose": "research", "type": "text", "canonical": "Peeters".encode().hex()}
    changes = [{}, {"canonical": ""}, {"canonical": "Ωmega 漢字".encode().hex()}, {"purpose": "statistics"}, {"epoch": 2},
               {"column": "nickname"}, {"table": "permits"}, {"schema": "other"}, {"tenant": "other.example"},
               {"domain": "other"}, {"type": "uuid", "canonical": "d3adc0deca4a4c4e9a4e5afe0bad1dea"}]
    cases = [usual | change for change in changes]
    for case in cases:
        case["pseudonym"] = pseudonym(case)
    path = pathlib.Path(__file__).parent.parent / "vectors" / "pseudonyms.json"
    path.write_text(json.dumps({"secrets": SECRETS, "cases": cases}, indent=1, ensure_ascii=False) + "\n")


main()
