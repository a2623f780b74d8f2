"""The values inside Drieslot cells: written from docs/format.md. read_cells.py opens the cells."""
import datetime
import ipaddress
import json
import math
import struct

CODES = {"boolean": 1, "smallint": 2, "integer": 3, "bigint": 4, "numeric": 5, "text": 6, "character varying": 6,
         "date": 7, "timestamp without time zone": 8, "timestamp with time zone": 9, "uuid": 10, "real": 11,
         "double precision": 12, "character": 13, "bytea": 14, "time without time zone": 15, "interval": 16, "json": 17,
         "jsonb": 18, "inet": 19, "cidr": 20, "enum": 21}
PADDED = {"numeric", "text", "character varying", "character", "bytea", "json", "jsonb", "inet", "cidr", "enum"}
ALIASES = {"bool": "boolean", "int2": "smallint", "int": "integer", "int4": "integer", "int8": "bigint", "decimal": "numeric",
           "varchar": "character varying", "timestamp": "timestamp without time zone", "timestamptz": "timestamp with time zone",
           "float4": "real", "float8": "double precision", "float": "double precision", "char": "character", "bpchar": "character",
           "time": "time without time zone"}
SIZES = {"boolean": 1, "smallint": 2, "integer": 4, "bigint": 8, "date": 4, "uuid": 16, "real": 4, "double precision": 8,
         "time without time zone": 8, "timestamp without time zone": 8, "timestamp with time zone": 8, "interval": 16}
OIDS = {"boolean": 16, "smallint": 21, "integer": 23, "bigint": 20, "numeric": 1700, "text": 25, "character varying": 25,
        "date": 1082, "timestamp without time zone": 1114, "timestamp with time zone": 1184, "uuid": 2950, "real": 700,
        "double precision": 701, "character": 1042, "bytea": 17, "time without time zone": 1083, "interval": 1186, "json": 114,
        "jsonb": 3802, "inet": 869, "cidr": 650}
DATE_RANGE = (-2451545, 2145031949)
TIMESTAMP_RANGE = (-211813488000000000, 9223371331200000000)


class CellError(Exception):
    """One of the errors of docs/format.md."""


def require(condition, error="not canonical"):
    if not condition:
        raise CellError(error)


def text_of(family, plain):
    """A canonical plaintext as PostgreSQL writes it, with its default settings, DateStyle ISO and TimeZone UTC."""
    if family.endswith("[]"):
        return array(family[:-2], plain)
    require(SIZES.get(family) in (None, len(plain)))
    if family == "boolean":
        require(plain[0] < 2)
        return "ft"[plain[0]]
    if family in ("smallint", "integer", "bigint"):
        return str(int.from_bytes(plain, "big", signed=True))
    if family == "numeric":
        return numeric(plain)
    if family in ("real", "double precision"):
        return floating(*((">f", 9, 6) if family == "real" else (">d", 17, 15)), plain)
    if family == "date" or family.startswith("timestamp"):
        return moment(family, int.from_bytes(plain, "big", signed=True))
    if family == "time without time zone":
        micros = int.from_bytes(plain, "big", signed=True)
        require(0 <= micros <= 86400 * 10**6)
        return clock(micros)
    if family == "interval":
        return interval(*struct.unpack(">qii", plain))
    if family == "uuid":
        digits = plain.hex()
        return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
    if family == "bytea":
        return "\\x" + plain.hex()
    if family in ("inet", "cidr"):
        return network(family, plain)
    if family == "jsonb":
        require(plain[:1] == b"\x01")
        plain = plain[1:]
    return characters(family, plain)


def array(family, plain):
    try:
        count, nulls, oid = struct.unpack_from(">iiI", plain)
        require(0 <= count <= 6 and nulls in (0, 1) and oid == OIDS[family])
        shape = [struct.unpack_from(">ii", plain, 12 + 8 * at) for at in range(count)]
        require(all(length > 0 for length, _ in shape))
        at, items = 12 + 8 * count, []
        for _ in range(math.prod(length for length, _ in shape) if shape else 0):
            size, = struct.unpack_from(">i", plain, at)
            require(-1 <= size <= len(plain) - at - 4)
            items.append(None if size < 0 else text_of(family, plain[at + 4:at + 4 + size]))
            at += 4 + max(size, 0)
    except struct.error:
        raise CellError("not canonical") from None
    require(at == len(plain) and nulls == (None in items))
    items = ["NULL" if item is None else quoted(item) for item in items]
    for length, _ in reversed(shape):
        items = ["{" + ",".join(items[at:at + length]) + "}" for at in range(0, len(items), length)]
    bounds = "".join("[%d:%d]" % (low, low + length - 1) for length, low in shape) + "="
    return (bounds if any(low != 1 for _, low in shape) else "") + (items[0] if items else "{}")


def quoted(item):
    if item and item.lower() != "null" and not set(item) & set('"\\{}, \t\n\r\v\f'):
        return item
    return '"' + item.replace("\\", "\\\\").replace('"', '\\"') + '"'


def characters(family, plain):
    try:
        text = plain.decode()
        if family in ("json", "jsonb"):
            json.loads(text, parse_constant=lambda name: require(False))
    except ValueError:
        raise CellError("not canonical") from None
    require("\0" not in text)
    return text


def floating(form, most, fixed_end, plain):
    """The fewest digits that give the number back."""
    value, = struct.unpack(form, plain)
    if value != value:
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "Infinity" if value > 0 else "-Infinity"

    def gives_back(text):
        try:
            return struct.pack(form, float(text)) == plain
        except OverflowError:
            return False

    shortest = next(text for text in ("%.*e" % (digits, value) for digits in range(most)) if gives_back(text))
    mantissa, exponent = shortest.split("e")
    sign, digits, exponent = mantissa[:-len(mantissa.lstrip("-"))], mantissa.lstrip("-").replace(".", ""), int(exponent)
    if not -4 <= exponent < fixed_end:
        return "%se%+03d" % (mantissa, exponent)
    if exponent < 0:
        return sign + "0." + "0" * (-1 - exponent) + digits
    digits = digits.ljust(exponent + 1, "0")
    return sign + digits[:exponent + 1] + ("." + digits[exponent + 1:] if digits[exponent + 1:] else "")


def clock(micros):
    seconds, fraction = divmod(micros, 10**6)
    text = "%02d:%02d:%02d" % (seconds // 3600, seconds // 60 % 60, seconds % 60)
    return text + ((".%06d" % fraction).rstrip("0") if fraction else "")


def interval(micros, days, months):
    years, months = (abs(months) // 12, abs(months) % 12) if months >= 0 else (-(-months // 12), -(-months % 12))
    text, before = [], False
    for count, unit in ((years, "year"), (months, "mon"), (days, "day")):
        if count:
            text.append("%s%d %s%s" % ("+" if before and count > 0 else "", count, unit, "" if count == 1 else "s"))
            before = count < 0
    if micros or not text:
        text.append(("-" if micros < 0 else "+" if before else "") + clock(abs(micros)))
    return " ".join(text)


def network(family, plain):
    require(len(plain) in (8, 20) and plain[:1] == (b"\x02" if len(plain) == 8 else b"\x03"))
    bits, kind, size, address = plain[1], plain[2], plain[3], plain[4:]
    require(size == len(address) and bits <= size * 8 and kind == (family == "cidr"))
    require(family == "inet" or int.from_bytes(address, "big") & ((1 << (size * 8 - bits)) - 1) == 0)
    text = str(ipaddress.ip_address(address))
    if address[:10] == bytes(10) and address[10:12] == b"\xff\xff" and size == 16:
        text = "::ffff:" + str(ipaddress.ip_address(address[12:]))
    elif address[:12] == bytes(12) and address[12:14] != bytes(2) and size == 16:
        text = "::" + str(ipaddress.ip_address(address[12:]))
    return text + (f"/{bits}" if family == "cidr" or bits < size * 8 else "")


def numeric(plain):
    require(len(plain) >= 8)
    count, weight, sign, scale = struct.unpack(">HhHH", plain[:8])
    require(len(plain) == 8 + 2 * count)
    digits = struct.unpack(f">{count}H", plain[8:])
    special = {0xC000: ("NaN", 0), 0xD000: ("Infinity", 0x20), 0xF000: ("-Infinity", 0x20)}.get(sign)
    if special:
        require((count, weight, scale) == (0, 0, special[1]))
        return special[0]
    require(sign in (0, 0x4000) and scale <= 16383 and all(digit < 10000 for digit in digits))
    require((digits[0] and digits[-1]) if digits else (weight, sign) == (0, 0))
    group = lambda power: "%04d" % digits[weight - power] if 0 <= weight - power < count else "0000"
    whole = "".join(group(power) for power in range(max(weight, 0), -1, -1)).lstrip("0") or "0"
    fraction = "".join(group(-1 - at) for at in range(-(-scale // 4)))[:scale]
    return ("-" if sign else "") + whole + ("." + fraction if scale else "")


def civil(days):
    """Year (0 is 1 BC), month, day of a number of days since 2000-01-01; the calendar repeats after 400 years."""
    cycles, day = divmod(days, 146097)
    date = datetime.date(2000, 1, 1) + datetime.timedelta(day)
    return date.year + 400 * cycles, date.month, date.day


def moment(family, value):
    bits = 31 if family == "date" else 63
    if value == 2**bits - 1:
        return "infinity"
    if value == -(2**bits):
        return "-infinity"
    low, end = DATE_RANGE if family == "date" else TIMESTAMP_RANGE
    require(low <= value < end)
    days, micros = (value, 0) if family == "date" else divmod(value, 86400 * 10**6)
    year, month, day = civil(days)
    text = "%04d-%02d-%02d" % (year if year > 0 else 1 - year, month, day)
    if family != "date":
        text += " " + clock(micros)
        text += "+00" if family.endswith("with time zone") else ""
    return text + (" BC" if year <= 0 else "")


def family_of(name):
    if name.strip().startswith("enum "):
        return "enum"
    if name.strip().endswith("[]"):
        return family_of(name.strip()[:-2]) + "[]"
    family = name.split("(")[0].strip().lower()
    family = ALIASES.get(family, family)
    if family not in CODES:
        raise SystemExit(f"unknown type {name}: use one of {', '.join(CODES)}, or an array such as text[]")
    return family


def code_of(family):
    return 128 + CODES[family[:-2]] if family.endswith("[]") else CODES[family]


def is_padded(family):
    return family.endswith("[]") or family in PADDED
