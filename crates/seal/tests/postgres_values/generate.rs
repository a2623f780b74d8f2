//! Values for each type: limits, forms that people write, many made up, and as many again with a fault in them.

/// xorshift64, so that every run tests the same values.
pub struct Dice(pub u64);

impl Dice {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn between(&mut self, low: i64, high: i64) -> i64 {
        low + self.below((high - low + 1) as u64) as i64
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len() as u64) as usize]
    }

    fn digits(&mut self, most: u64) -> String {
        (0..self.below(most + 1)).map(|_| char::from(b'0' + self.below(10) as u8)).collect()
    }

    /// The same text with one or two faults.
    pub fn spoil(&mut self, text: &str) -> String {
        const ALPHABET: &[char] = &[
            '0', '1', '2', '5', '9', '-', '+', '.', ':', ' ', 'T', 'Z', 'e', 'x', '_', '/', ',', 'B', 'C', '{', '}',
            'a', 'é', '"', '\\', '[', ']',
        ];
        let mut chars: Vec<char> = text.chars().collect();
        for _ in 0..=self.below(2) {
            let at = self.below(chars.len() as u64 + 1) as usize;
            let c = ALPHABET[self.below(ALPHABET.len() as u64) as usize];
            match self.below(3) {
                0 if at < chars.len() => drop(chars.remove(at)),
                1 if at < chars.len() => chars[at] = c,
                _ => chars.insert(at, c),
            }
        }
        chars.into_iter().collect()
    }

    /// A day in the forms of SQL, POSTGRES and German, with a time or without.
    pub fn styled(&mut self) -> String {
        const MONTHS: [&str; 12] = ["Jan", "Feb", "mar", "APR", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        let (a, b) = (1 + self.below(14), 1 + self.below(32));
        let (a, b) = if self.below(2) == 0 { (a, b) } else { (b, a) };
        let year = match self.below(4) {
            0 => format!("{:02}", self.below(100)),
            1 => format!("{:04}", 1 + self.below(9999)),
            _ => format!("{}", 1900 + self.below(200)),
        };
        let month = MONTHS[self.below(12) as usize];
        let time = match self.below(3) {
            0 => String::new(),
            1 => format!(" {:02}:{:02}:{:02}", self.below(24), self.below(60), self.below(60)),
            _ => format!(" {:02}:{:02}:{:02}.{}", self.below(24), self.below(60), self.below(60), 1 + self.below(999)),
        };
        let zone = if time.is_empty() { "" } else { self.pick(&["", "", " UTC", "+02", " -03:30"]) };
        let era = self.pick(&["", "", "", "", " BC"]);
        let weekday = self.pick(&["", "", "Fri ", "mon "]);
        match self.below(7) {
            0 => format!("{a:02}/{b:02}/{year}{time}{zone}{era}"),
            1 => format!("{a}-{b}-{year}{time}{zone}{era}"),
            2 => format!("{a:02}.{b:02}.{year}{time}{zone}{era}"),
            3 => format!("{year}-{a:02}-{b:02}{time}{zone}{era}"),
            4 => format!("{weekday}{month} {b:02}{time} {year}{}{era}", zone.replace('+', " +")),
            5 => format!("{weekday}{b} {month}{time} {year}{}{era}", zone.replace('+', " +")),
            _ => format!("{b:02} {month} {year}{era}"),
        }
    }

    pub fn truth(&mut self) -> String {
        self.pick(&["t", "f", "true", "no", " on ", "0"]).to_owned()
    }

    /// An array of up to three dimensions, its elements quoted or bare, with bounds or without.
    pub fn array(&mut self, make: fn(&mut Self) -> String) -> String {
        let lengths: Vec<u64> = (0..self.below(4)).map(|_| 1 + self.below(3)).collect();
        if lengths.is_empty() {
            return self.pick(&["{}", " { } ", "{}\n"]).to_owned();
        }
        let mut text = String::new();
        if self.below(4) == 0 {
            for length in &lengths {
                let lower = self.between(-3, 4);
                let upper = lower + *length as i64 - i64::from(self.below(12) == 0);
                let bounds = format!("[{lower}:{}]", upper - 1);
                text.push_str(if self.below(9) == 0 { "[2] " } else { &bounds });
            }
            text.push_str(self.pick(&["=", "=", " = "]));
        }
        self.level(&lengths, make, &mut text);
        text
    }

    fn level(&mut self, lengths: &[u64], make: fn(&mut Self) -> String, text: &mut String) {
        let Some((length, inner)) = lengths.split_first() else { return self.member(make, text) };
        text.push('{');
        for at in 0..*length {
            text.push_str(if at == 0 { "" } else { "," });
            text.push_str(self.pick(&["", "", " ", "\t"]));
            self.level(inner, make, text);
            text.push_str(self.pick(&["", "", "", " "]));
        }
        text.push('}');
    }

    fn member(&mut self, make: fn(&mut Self) -> String, text: &mut String) {
        let value = make(self);
        let bare = !value.trim().is_empty() && !value.contains(['"', '\\', '{', '}', ',']);
        match self.below(8) {
            0 => text.push_str(self.pick(&["NULL", "null", "\"null\""])),
            1 | 2 if bare => text.push_str(&value),
            3 if !value.is_empty() => value.chars().for_each(|c| text.extend(['\\', c])),
            _ => text.push_str(&format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))),
        }
    }

    pub fn integer(&mut self) -> String {
        let near =
            self.pick(&["32767", "-32768", "2147483647", "-2147483648", "9223372036854775807", "-9223372036854775808"]);
        match self.below(5) {
            0 => near.to_owned(),
            1 => (near.parse::<i128>().unwrap() + i128::from(self.between(-2, 2))).to_string(),
            2 => format!("{}{}{} ", self.pick(&["", " ", "\t"]), self.pick(&["+", "-", "00"]), self.below(70_000)),
            3 => (self.next() as i64).to_string(),
            _ => self.between(-40_000, 40_000).to_string(),
        }
    }

    pub fn numeric(&mut self) -> String {
        let sign = self.pick(&["", "", "-", "+"]);
        let (whole, fraction) = (self.digits(24), self.digits(12));
        match self.below(8) {
            0 => format!("{sign}{whole}."),
            1 => format!("{sign}.{fraction}"),
            2 => format!("{sign}{whole}.{fraction}e{}", self.between(-30, 30)),
            3 => format!("{sign}{whole}E+{}", self.below(20)),
            4 => format!(
                " {sign}{}.{}99999{} ",
                self.pick(&["9", "99", "999", "9999999"]),
                self.digits(3),
                self.digits(2)
            ),
            5 => format!("{sign}0.{}{}", "0".repeat(self.below(14) as usize), self.digits(5)),
            6 => format!("{sign}{}{}", self.below(10_000), "0".repeat(self.below(40) as usize)),
            _ => format!("{sign}{whole}.{fraction}"),
        }
    }

    /// Decimals of every size, and numbers of any bits, in all their digits.
    pub fn float(&mut self) -> String {
        let sign = self.pick(&["", "", "-", "+"]);
        match self.below(12) {
            0 => format!("{sign}{}.{}e{}", self.digits(3), self.digits(18), self.between(-330, 320)),
            1 => format!("{sign}{}e{}", self.below(1 << 54), self.between(-45, 40)),
            2 => format!("{sign}{}", self.below(100_000_000)),
            3 => format!("{sign}{}.{}", self.below(1000), self.digits(6)),
            4 => format!(" {sign}0.{}{} ", "0".repeat(self.below(9) as usize), self.below(1000)),
            5 => format!("{}", f64::from_bits(self.next())),
            6 => format!("{:e}", f32::from_bits(self.next() as u32)),
            7 => format!("{:e}", f64::from_bits(self.below(1 << 20))),
            8 => format!("{:e}", f32::from_bits(self.below(1 << 12) as u32)),
            // Powers of two and of ten, and their neighbours.
            9 => format!("{:e}", f64::from_bits((self.below(2046) << 52) + self.below(3)).next_down()),
            10 => format!("{sign}1e{}", self.between(-40, 40)),
            _ => format!("{:e}", f32::from_bits(((self.below(254) << 23) + self.below(3)) as u32)),
        }
    }

    /// Both forms of bytea.
    pub fn bytes(&mut self) -> String {
        const ALPHABET: &[&str] = &["a", "Z", " ", "é", "\\\\", "\\000", "\\377", "\\047", "'", "\n", "x"];
        if self.below(2) == 0 {
            return (0..self.below(9)).map(|_| self.pick(ALPHABET)).collect();
        }
        let gap = |dice: &mut Self| dice.pick(&["", "", "", " ", "\n", "\t "]);
        let pairs: String =
            (0..self.below(9)).map(|_| format!("{}{:02x}", gap(self), self.below(256))).collect::<String>();
        let pairs = if self.below(3) == 0 { pairs.to_uppercase() } else { pairs };
        format!("\\x{pairs}{}", gap(self))
    }

    pub fn interval(&mut self) -> String {
        let sign = |dice: &mut Self| dice.pick(&["", "", "", "-", "+"]);
        let count = |dice: &mut Self| if dice.below(4) == 0 { dice.below(20_000) } else { dice.below(30) };
        if self.below(4) == 0 {
            let minus = |dice: &mut Self| dice.pick(&["", "", "-"]);
            let mut text = "P".to_owned();
            for (unit, chance) in [("Y", 2), ("M", 2), ("W", 5), ("D", 2)] {
                if self.below(chance) == 0 {
                    text += &format!("{}{}{unit}", minus(self), count(self));
                }
            }
            text += &format!("T{}{}H", minus(self), count(self));
            if self.below(2) == 0 {
                text += &format!(
                    "{}{}M{}{}.{}S",
                    minus(self),
                    count(self),
                    minus(self),
                    count(self),
                    self.below(1_000_000)
                );
            }
            return text;
        }
        let mut parts = Vec::new();
        for unit in ["year", "mon", "week", "day"] {
            if self.below(2) == 0 {
                parts.push(format!("{}{} {unit}{}", sign(self), count(self), self.pick(&["", "s"])));
            }
        }
        match self.below(4) {
            0 => parts.push(format!("{}{}:{:02}", sign(self), count(self), self.below(60))),
            1 => {
                let (hour, minute, second) = (count(self), self.below(60), self.below(60));
                parts.push(format!("{}{hour}:{minute:02}:{second:02}.{}", sign(self), self.below(10_000_000)));
            }
            2 => {
                parts.push(format!("{}{} hours", sign(self), count(self)));
                parts.push(format!("{}{} min", sign(self), count(self)));
                parts.push(format!("{}{}.{} secs", sign(self), count(self), self.below(10_000_000)));
            }
            _ => {}
        }
        if parts.is_empty() {
            parts.push("0 days".to_owned());
        }
        format!("{}{}{}", self.pick(&["", "", "@ "]), parts.join(" "), self.pick(&["", "", "", " ago"]))
    }

    pub fn json(&mut self) -> String {
        let depth = self.below(4);
        let text = self.json_value(depth);
        format!("{}{text}{}", self.pick(&["", "", " ", "\n\t"]), self.pick(&["", "", " ", "\r\n"]))
    }

    fn json_value(&mut self, depth: u64) -> String {
        let space = |dice: &mut Self| dice.pick(&["", "", " ", "\n", "  "]);
        match self.below(if depth == 0 { 4 } else { 7 }) {
            0 => self.pick(&["true", "false", "null"]).to_owned(),
            1 => self.json_number(),
            2 | 3 => self.json_string(),
            4 => {
                let items: Vec<_> = (0..self.below(4))
                    .map(|_| format!("{}{}{}", space(self), self.json_value(depth - 1), space(self)))
                    .collect();
                format!("[{}]", items.join(","))
            }
            _ => {
                let pairs: Vec<_> = (0..self.below(6))
                    .map(|_| {
                        format!("{}{}{}:{}", space(self), self.json_string(), space(self), self.json_value(depth - 1))
                    })
                    .collect();
                format!("{{{}}}", pairs.join(","))
            }
        }
    }

    fn json_number(&mut self) -> String {
        let sign = self.pick(&["", "", "-"]);
        let whole = self.below(5) * self.below(1_000_000);
        match self.below(4) {
            0 => format!("{sign}{whole}"),
            1 => format!("{sign}{whole}.{}0", self.below(1000)),
            2 => format!("{sign}{whole}.{}e{}", self.below(100), self.between(-20, 20)),
            _ => format!("{sign}{whole}E+{}", self.below(12)),
        }
    }

    fn json_string(&mut self) -> String {
        const PARTS: &[&str] = &[
            "a",
            "b",
            "b",
            "zz",
            "é",
            "😀",
            "\\n",
            "\\\"",
            "\\\\",
            "\\/",
            "\\u00e9",
            "\\ud83d\\ude00",
            "\\u0001",
            "\\u001F",
            "\u{7f}",
            " ",
            "\\b",
            "'",
        ];
        let body: String = (0..self.below(4)).map(|_| self.pick(PARTS)).collect();
        format!("\"{body}\"")
    }

    /// Of a network or of a host, with all forms of zeros.
    pub fn address(&mut self) -> String {
        if self.below(2) == 0 {
            let bits = self.below(33) as u32;
            let network = if bits == 0 { 0 } else { u32::MAX << (32 - bits) };
            let address = self.next() as u32 & if self.below(2) == 0 { network } else { u32::MAX };
            let mask = if self.below(3) == 0 { String::new() } else { format!("/{bits}") };
            return format!("{}{mask}", std::net::Ipv4Addr::from(address));
        }
        let bits = self.below(129) as u32;
        let words = (0..8).map(|_| if self.below(2) == 0 { 0 } else { self.next() as u16 });
        let address = words.fold(0, |sum: u128, word| sum << 16 | u128::from(word));
        let network = if bits == 0 { 0 } else { u128::MAX << (128 - bits) };
        let address = std::net::Ipv6Addr::from(address & if self.below(2) == 0 { network } else { u128::MAX });
        let mask = if self.below(3) == 0 { String::new() } else { format!("/{bits}") };
        match self.below(4) {
            0 => {
                let words: Vec<_> = address.segments().iter().map(|word| format!("{word:X}")).collect();
                format!("{}{mask}", words.join(":"))
            }
            1 => {
                let words: Vec<_> = address.segments().iter().map(|word| format!("{word:04x}")).collect();
                format!("{}{mask}", words.join(":"))
            }
            2 => format!("::{}{}{mask}", self.pick(&["", "ffff:"]), std::net::Ipv4Addr::from(self.next() as u32)),
            _ => format!("{address}{mask}"),
        }
    }

    pub fn time(&mut self) -> String {
        self.clock()
    }

    pub fn text(&mut self) -> String {
        const ALPHABET: &[char] = &['a', 'Z', ' ', ' ', 'é', '€', '😀', '\'', '\\', '"', '\n', '\t', '%', '0'];
        let body: String = (0..self.below(9)).map(|_| ALPHABET[self.below(ALPHABET.len() as u64) as usize]).collect();
        format!("{body}{}", " ".repeat(self.below(4) as usize))
    }

    pub fn uuid(&mut self) -> String {
        let hex = format!("{:016x}{:016x}", self.next(), self.next());
        let parts = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]];
        match self.below(5) {
            0 => hex,
            1 => format!("{{{}}}", parts.join("-")),
            2 => parts.join("-").to_uppercase(),
            3 => {
                hex.as_bytes().chunks(4).map(|chunk| std::str::from_utf8(chunk).unwrap()).collect::<Vec<_>>().join("-")
            }
            _ => parts.join("-"),
        }
    }

    pub fn date(&mut self) -> String {
        let (last_day, last_month) =
            (if self.below(6) == 0 { 32 } else { 28 }, if self.below(20) == 0 { 13 } else { 12 });
        let (day, month) = (self.between(1, last_day), self.between(1, last_month));
        let year = match self.below(12) {
            0 => self.between(1, 9999),
            1 => self.between(10_000, 300_000),
            2 => self.between(1_000_000, 5_900_000),
            3 => self.between(294_270, 294_280),
            4 => return format!("{:04}-{month:02}-{day:02} BC", self.between(1, 4720)),
            5 => return format!("{:04}{month:02}{day:02}", self.between(0, 2100)),
            6 => {
                let separator = self.pick(&["-", "/"]);
                return format!("{:04}{separator}{month}{separator}{day}", self.between(1800, 2100));
            }
            _ => self.between(1850, 2060),
        };
        format!("{year:04}-{month:02}-{day:02}")
    }

    fn clock(&mut self) -> String {
        let last_hour = if self.below(10) == 0 { 25 } else { 23 };
        let hour = self.between(0, last_hour);
        let (minute, second) = (self.between(0, 59), self.between(0, 59));
        match self.below(9) {
            0 => format!("{hour}:{minute}"),
            1 => format!("{hour}:{minute}:{second}"),
            2 => "24:00:00".to_owned(),
            3 => format!("{hour:02}:{minute:02}:60"),
            4 => format!("23:59:59.99999{}", self.digits(4)),
            5 => format!("{hour:02}:{minute:02}:{second:02}.{}", self.below(1_000_000)),
            6 => format!("{hour:02}:{minute:02}:{second:02}.{}{}", self.below(10), self.digits(14)),
            _ => format!("{hour:02}:{minute:02}:{second:02}"),
        }
    }

    /// With a zone or without; the hours around changes of summer time come often.
    pub fn timestamp(&mut self) -> String {
        let date = match self.below(4) {
            0 => {
                let day = self.pick(&["03-28", "03-29", "10-25", "10-31", "03-08", "11-01", "04-05", "10-04"]);
                format!("{}-{day}", self.pick(&["2020", "2026", "1977", "1943", "2015", "9999", "12020"]))
            }
            1 => "1972-01-07".to_owned(),
            _ => self.date(),
        };
        let (date, era) = date.split_once(' ').map_or((date.as_str(), ""), |(date, _)| (date, " BC"));
        if self.below(12) == 0 {
            return format!("{date}{era}");
        }
        let clock =
            if self.below(3) == 0 { format!("0{}:{:02}:00", self.below(4), self.below(60)) } else { self.clock() };
        let space = self.pick(&[" ", " ", "T", "  "]);
        let zone = match self.below(10) {
            0 => "Z".to_owned(),
            1 => format!("{}{:02}", self.pick(&["+", "-", " +"]), self.below(17)),
            2 => format!("{}{:02}:{:02}", self.pick(&["+", "-"]), self.below(16), self.below(60)),
            3 => format!("{}{:02}{:02}", self.pick(&["+", "-"]), self.below(16), self.below(61)),
            4 => format!(
                "{}{:02}:{:02}:{:02}",
                self.pick(&["+", "-", " -"]),
                self.below(16),
                self.below(60),
                self.below(60)
            ),
            5 => {
                self.pick(&[" Europe/Brussels", " america/new_york", " UTC", " Asia/Kolkata", "+5", "-330"]).to_owned()
            }
            _ => String::new(),
        };
        format!("{date}{space}{clock}{zone}{era}")
    }
}
