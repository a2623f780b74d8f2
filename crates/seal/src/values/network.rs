//! inet and cidr: PostgreSQL's binary form: family (2 for IPv4, 3 for IPv6), bits of the netmask, whether it is a cidr,
//! length of the address, address. An inet with another netmask is another value, so equal values have equal bytes.

use std::io::Write as _;
use std::net::Ipv6Addr;

use drieslot_schema::LogicalType;

use super::ValueError;

const IPV4: u8 = 2;
const IPV6: u8 = 3;

/// `network_in`.
pub(super) fn encode_text(ty: LogicalType, text: &str, out: &mut Vec<u8>) -> Result<(), ValueError> {
    let error = || ValueError::syntax(&ty.to_string());
    let (address, mask) = match text.split_once('/') {
        None => (text, None),
        Some((address, mask)) => (address, Some(mask)),
    };
    let bytes = if text.contains(':') {
        address.parse::<Ipv6Addr>().map_err(|_| not_ipv6(ty, address))?.octets().to_vec()
    } else {
        ipv4(ty, address)?.to_vec()
    };
    let width = bytes.len() * 8;
    let bits = match mask {
        None => width,
        Some(mask) => {
            let plain = (1..=3).contains(&mask.len()) && mask.bytes().all(|byte| byte.is_ascii_digit());
            if plain && mask.len() > 1 && mask.starts_with('0') {
                return Err(ValueError::unsupported(&ty.to_string(), "Write the netmask without leading zeros."));
            }
            mask.parse().ok().filter(|bits| plain && *bits <= width).ok_or_else(error)?
        }
    };
    if ty == LogicalType::Cidr && !is_network(&bytes, bits) {
        let detail = "Value has bits set to right of mask.";
        return Err(ValueError::new("22P02", "invalid cidr value").with_detail(detail));
    }
    push(ty, &bytes, bits, out).ok_or_else(error)
}

/// PostgreSQL takes some forms that nobody else does, such as a colon at the end.
fn not_ipv6(ty: LogicalType, text: &str) -> ValueError {
    if text.contains('.') || (text.ends_with(':') && !text.ends_with("::")) {
        return ValueError::unsupported(&ty.to_string(), "Write the address as RFC 5952 says, such as 2001:db8::1.");
    }
    ValueError::syntax(&ty.to_string())
}

/// Four decimal numbers. PostgreSQL takes fewer too where a netmask is written, more digits, and a point at the end.
fn ipv4(ty: LogicalType, text: &str) -> Result<[u8; 4], ValueError> {
    let error = || ValueError::syntax(&ty.to_string());
    let parts: Vec<&str> = text.strip_suffix('.').unwrap_or(text).split('.').collect();
    let decimal = parts.iter().all(|part| part.parse::<u8>().is_ok() && !part.starts_with('+'));
    let ([a, b, c, d], false) = (parts.as_slice(), text.ends_with('.')) else {
        return Err(if decimal && parts.len() <= 4 {
            ValueError::unsupported(&ty.to_string(), "Write the four numbers of the address.")
        } else {
            error()
        });
    };
    if decimal && parts.iter().any(|part| part.len() > 3) {
        return Err(ValueError::unsupported(&ty.to_string(), "Write the numbers without leading zeros."));
    }
    let octet = |text: &str| {
        let digits = (1..=3).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<u8>().ok().filter(|_| digits).ok_or_else(error)
    };
    Ok([octet(a)?, octet(b)?, octet(c)?, octet(d)?])
}

/// No bit of the address is set behind the netmask.
fn is_network(address: &[u8], bits: usize) -> bool {
    let mut masks =
        (0..address.len()).map(|at| 0xff_u8.checked_shr(u32::try_from(bits.saturating_sub(at * 8)).unwrap_or(8)));
    address.iter().all(|byte| masks.next().flatten().unwrap_or(0) & byte == 0)
}

fn push(ty: LogicalType, address: &[u8], bits: usize, out: &mut Vec<u8>) -> Option<()> {
    let family = if address.len() == 4 { IPV4 } else { IPV6 };
    let len = u8::try_from(address.len()).ok()?;
    out.extend_from_slice(&[family, u8::try_from(bits).ok()?, u8::from(ty == LogicalType::Cidr), len]);
    out.extend_from_slice(address);
    Some(())
}

/// Address and bits of the binary form; the byte that says whether it is a cidr is ignored, as `network_recv` does.
fn parse(ty: LogicalType, bytes: &[u8]) -> Option<(&[u8], usize)> {
    let ([family, bits, _, len], address) = bytes.split_first_chunk::<4>()?;
    let expected = match *family {
        IPV4 => 4,
        IPV6 => 16,
        _ => return None,
    };
    let bits = usize::from(*bits);
    let valid = usize::from(*len) == expected && address.len() == expected && bits <= expected * 8;
    (valid && (ty != LogicalType::Cidr || is_network(address, bits))).then_some((address, bits))
}

/// `network_recv`.
pub(super) fn encode_binary(ty: LogicalType, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), ValueError> {
    let (address, bits) = parse(ty, bytes).ok_or_else(|| ValueError::binary(ty))?;
    push(ty, address, bits, out).ok_or_else(|| ValueError::binary(ty))
}

/// An inet that is compared with cidr: PostgreSQL reads a literal beside a cidr so, for it compares both as inet. One that is
/// no network equals none.
pub(super) fn encode_compared(text: &str, out: &mut Vec<u8>) -> Result<(), ValueError> {
    let start = out.len();
    encode_text(LogicalType::Inet, text, out)?;
    if let Some(kind) = out.get_mut(start + 2) {
        *kind = 1;
    }
    Ok(())
}

pub(super) fn check_canonical(ty: LogicalType, canonical: &[u8]) -> Result<(), ValueError> {
    let kind = u8::from(ty == LogicalType::Cidr);
    let valid = parse(ty, canonical).is_some() && canonical.get(2) == Some(&kind);
    valid.then_some(()).ok_or_else(|| ValueError::corrupted(ty))
}

/// `network_out`.
pub(super) fn decode_text(ty: LogicalType, canonical: &[u8], out: &mut Vec<u8>) -> Result<(), ValueError> {
    let (address, bits) = parse(ty, canonical).ok_or_else(|| ValueError::corrupted(ty))?;
    match <[u8; 16]>::try_from(address) {
        Ok(octets) => write_ipv6(octets, out),
        Err(_) => write_ipv4(address, out),
    }
    if bits < address.len() * 8 || ty == LogicalType::Cidr {
        let _infallible = write!(out, "/{bits}");
    }
    Ok(())
}

fn write_ipv4(address: &[u8], out: &mut Vec<u8>) {
    for (at, octet) in address.iter().enumerate() {
        let _infallible = write!(out, "{}{octet}", if at == 0 { "" } else { "." });
    }
}

/// `inet_net_ntop`: the first of the longest runs of zeros is `::`, and IPv4 addresses inside are written as such.
fn write_ipv6(octets: [u8; 16], out: &mut Vec<u8>) {
    let words = Ipv6Addr::from(octets).segments();
    let mut best = (0, 0);
    let mut run = (0, 0);
    for (at, word) in words.iter().enumerate() {
        run = match (*word, run.1) {
            (0, 0) => (at, 1),
            (0, len) => (run.0, len + 1),
            _ => (0, 0),
        };
        if run.1 > best.1 {
            best = run;
        }
    }
    let (start, len) = if best.1 < 2 { (8, 0) } else { best };
    let embedded = start == 0 && (len == 6 || (len == 5 && words.get(5) == Some(&0xffff)));
    for (at, word) in words.iter().enumerate() {
        if (start..start + len).contains(&at) {
            if at == start {
                out.push(b':');
            }
            continue;
        }
        if at > 0 {
            out.push(b':');
        }
        if at == 6 && embedded {
            write_ipv4(octets.get(12..).unwrap_or_default(), out);
            return;
        }
        let _infallible = write!(out, "{word:x}");
    }
    if len > 0 && start + len == 8 {
        out.push(b':');
    }
}
