//! Names by language: in Latin letters as a Belgian register writes them, and in their own script.

/// A name in Latin letters, and in its own script (the same where that is Latin).
pub(crate) type Name = (&'static str, &'static str);

/// One language community.
pub(crate) struct Community {
    pub(crate) language: &'static str,
    /// How many of a hundred newcomers, roughly.
    pub(crate) weight: u32,
    /// In the own script the family name comes first, without a space.
    pub(crate) family_first: bool,
    pub(crate) women: &'static [Name],
    pub(crate) men: &'static [Name],
    pub(crate) families: &'static [Name],
}

pub(crate) const COMMUNITIES: &[Community] = &[
    Community {
        language: "Arabic",
        weight: 22,
        family_first: false,
        women: &[
            ("Fāṭima", "فاطمة"),
            ("Nour", "نور"),
            ("Rania", "رانيا"),
            ("Hanân", "حنان"),
            ("Amal", "أمل"),
            ("Layla", "ليلى"),
            ("Zaynab", "زينب"),
        ],
        men: &[
            ("Muḥammad", "محمد"),
            ("Youssef", "يوسف"),
            ("Khaled", "خالد"),
            ("Omar", "عمر"),
            ("Ibrāhīm", "إبراهيم"),
            ("Tarek", "طارق"),
            ("Hussein", "حسين"),
        ],
        families: &[
            ("al-Khatib", "الخطيب"),
            ("Haddad", "حداد"),
            ("al-Ḥamwī", "الحموي"),
            ("Darwish", "درويش"),
            ("Nasser", "ناصر"),
            ("Ben Youssef", "بن يوسف"),
            ("el Idrissi", "الإدريسي"),
            ("Qabbani", "قباني"),
        ],
    },
    Community {
        language: "Ukrainian",
        weight: 17,
        family_first: false,
        women: &[
            ("Oksana", "Оксана"),
            ("Nataliya", "Наталія"),
            ("Yuliya", "Юлія"),
            ("Iryna", "Ірина"),
            ("Olha", "Ольга"),
            ("Kateryna", "Катерина"),
        ],
        men: &[
            ("Andriy", "Андрій"),
            ("Serhiy", "Сергій"),
            ("Oleksandr", "Олександр"),
            ("Mykola", "Микола"),
            ("Volodymyr", "Володимир"),
            ("Yevhen", "Євген"),
        ],
        families: &[
            ("Shevchenko", "Шевченко"),
            ("Kovalchuk", "Ковальчук"),
            ("Bondarenko", "Бондаренко"),
            ("Tkachenko", "Ткаченко"),
            ("Mel’nyk", "Мельник"),
            ("Hrytsenko", "Гриценко"),
            ("Yushchenko", "Ющенко"),
        ],
    },
    Community {
        language: "Turkish",
        weight: 9,
        family_first: false,
        women: &[("Ayşe", "Ayşe"), ("Gülşen", "Gülşen"), ("Çiğdem", "Çiğdem"), ("Işıl", "Işıl"), ("Şükran", "Şükran")],
        men: &[
            ("Mehmet", "Mehmet"),
            ("İbrahim", "İbrahim"),
            ("Ömer", "Ömer"),
            ("Çağatay", "Çağatay"),
            ("Yiğit", "Yiğit"),
        ],
        families: &[
            ("Yıldız", "Yıldız"),
            ("Öztürk", "Öztürk"),
            ("Şahin", "Şahin"),
            ("Çelik", "Çelik"),
            ("Doğan", "Doğan"),
            ("Kılıç", "Kılıç"),
            ("Güneş", "Güneş"),
        ],
    },
    Community {
        language: "Dari",
        weight: 10,
        family_first: false,
        women: &[("Maryam", "مریم"), ("Shirin", "شیرین"), ("Parwana", "پروانه"), ("Farzana", "فرزانه")],
        men: &[("Ahmad Zia", "احمد ضیا"), ("Jawad", "جواد"), ("Reza", "رضا"), ("Najibullah", "نجیب‌الله")],
        families: &[
            ("Ahmadzai", "احمدزی"),
            ("Rahimi", "رحیمی"),
            ("Hosseini", "حسینی"),
            ("Karimi", "کریمی"),
            ("Noorzai", "نورزی"),
        ],
    },
    Community {
        language: "Tigrinya",
        weight: 6,
        family_first: false,
        women: &[("Selam", "ሰላም"), ("Hiwet", "ህይወት"), ("Tsehay", "ጸሃይ"), ("Mihret", "ምሕረት")],
        men: &[("Tesfay", "ተስፋይ"), ("Yonas", "ዮናስ"), ("Berhane", "ብርሃነ"), ("Filmon", "ፊልሞን")],
        families: &[
            ("Haile", "ሃይለ"),
            ("Gebremedhin", "ገብረመድህን"),
            ("Tekle", "ተክለ"),
            ("Woldu", "ወልዱ"),
            ("Kidane", "ኪዳነ"),
        ],
    },
    Community {
        language: "Romanian",
        weight: 8,
        family_first: false,
        women: &[
            ("Ștefania", "Ștefania"),
            ("Mădălina", "Mădălina"),
            ("Ioana", "Ioana"),
            ("Lăcrămioara", "Lăcrămioara"),
        ],
        men: &[("Ștefan", "Ștefan"), ("Răzvan", "Răzvan"), ("Cătălin", "Cătălin"), ("Ion", "Ion")],
        families: &[
            ("Țăranu", "Țăranu"),
            ("Brâncuși", "Brâncuși"),
            ("Popescu", "Popescu"),
            ("Mureșan", "Mureșan"),
            ("Dănilă", "Dănilă"),
        ],
    },
    Community {
        language: "Polish",
        weight: 6,
        family_first: false,
        women: &[("Małgorzata", "Małgorzata"), ("Agnieszka", "Agnieszka"), ("Łucja", "Łucja")],
        men: &[("Paweł", "Paweł"), ("Wojciech", "Wojciech"), ("Łukasz", "Łukasz")],
        families: &[
            ("Wójcik", "Wójcik"),
            ("Dąbrowski", "Dąbrowski"),
            ("Żółkiewski", "Żółkiewski"),
            ("Gołębiewska", "Gołębiewska"),
            ("Nowak", "Nowak"),
        ],
    },
    Community {
        language: "Spanish",
        weight: 7,
        family_first: false,
        women: &[("María José", "María José"), ("Lucía", "Lucía"), ("Belén", "Belén"), ("Inés", "Inés")],
        men: &[("José Ángel", "José Ángel"), ("Andrés", "Andrés"), ("Jesús", "Jesús"), ("Iñaki", "Iñaki")],
        families: &[
            ("Núñez Ibáñez", "Núñez Ibáñez"),
            ("Peña", "Peña"),
            ("Muñoz Vargas", "Muñoz Vargas"),
            ("Güell", "Güell"),
            ("García", "García"),
        ],
    },
    Community {
        language: "French",
        weight: 6,
        family_first: false,
        women: &[("Grâce", "Grâce"), ("Thérèse", "Thérèse"), ("Élodie", "Élodie"), ("Marie-Noëlle", "Marie-Noëlle")],
        men: &[("Dieudonné", "Dieudonné"), ("François", "François"), ("Célestin", "Célestin"), ("Loïc", "Loïc")],
        families: &[
            ("N’Diaye", "N’Diaye"),
            ("Mbuyi", "Mbuyi"),
            ("Kabongo", "Kabongo"),
            ("Tshibangu", "Tshibangu"),
            ("Lefèvre", "Lefèvre"),
        ],
    },
    Community {
        language: "Vietnamese",
        weight: 3,
        family_first: false,
        women: &[("Thị Hương", "Thị Hương"), ("Ngọc Ánh", "Ngọc Ánh"), ("Thùy Dương", "Thùy Dương")],
        men: &[("Đức Anh", "Đức Anh"), ("Văn Hùng", "Văn Hùng"), ("Quốc Việt", "Quốc Việt")],
        families: &[("Nguyễn", "Nguyễn"), ("Trần", "Trần"), ("Phạm", "Phạm"), ("Đặng", "Đặng")],
    },
    Community {
        language: "Chinese",
        weight: 3,
        family_first: true,
        women: &[("Xiùyīng", "秀英"), ("Lì", "丽"), ("Xiǎohóng", "小红")],
        men: &[("Wěi", "伟"), ("Jiànguó", "建国"), ("Zhìqiáng", "志强")],
        families: &[("Wáng", "王"), ("Lǐ", "李"), ("Lǚ", "吕"), ("Ōuyáng", "欧阳"), ("Zhāng", "张")],
    },
    Community {
        language: "Yoruba",
        weight: 3,
        family_first: false,
        women: &[("Ọmọ́lará", "Ọmọ́lará"), ("Títílayọ̀", "Títílayọ̀"), ("Ṣadé", "Ṣadé")],
        men: &[("Adéwálé", "Adéwálé"), ("Olúṣẹ́gun", "Olúṣẹ́gun"), ("Káyọ̀dé", "Káyọ̀dé")],
        families: &[("Adébáyọ̀", "Adébáyọ̀"), ("Ògúnlẹ́sì", "Ògúnlẹ́sì"), ("Ṣóyínká", "Ṣóyínká")],
    },
];

/// Streets that exist in many Flemish municipalities.
pub(crate) const STREETS: &[&str] = &[
    "Kerkstraat",
    "Stationsstraat",
    "Molenstraat",
    "Nieuwstraat",
    "Dorpsstraat",
    "Schoolstraat",
    "Sint-Jansplein",
    "Koning Albert I-laan",
    "Steenweg op Brussel",
    "Begijnhofdries",
    "Vóór de Poort",
    "Leopold II-laan",
];

/// Postal code and municipality.
pub(crate) const PLACES: &[(&str, &str)] = &[
    ("9000", "Gent"),
    ("2000", "Antwerpen"),
    ("2018", "Antwerpen"),
    ("8000", "Brugge"),
    ("3000", "Leuven"),
    ("3500", "Hasselt"),
    ("2800", "Mechelen"),
    ("9300", "Aalst"),
    ("8500", "Kortrijk"),
    ("3600", "Genk"),
    ("1000", "Brussel"),
    ("1800", "Vilvoorde"),
    ("8400", "Oostende"),
    ("9100", "Sint-Niklaas"),
    ("2300", "Turnhout"),
    ("9400", "Ninove"),
];

pub(crate) const STATUSES: &[&str] = &[
    "refugee status",
    "subsidiary protection",
    "temporary protection",
    "family reunification",
    "worker, single permit",
    "student",
    "EU citizen",
    "application pending",
    "regularised (art. 9bis)",
];

pub(crate) const NOTES: &[&str] = &[
    "Asks for an evening course: works in shifts; childcare from September on.",
    "Diploma of nurse not yet recognised; file sent to NARIC.",
    "Has a hearing aid, needs a seat in front. Don't call before 10:00.",
    "Traumatised by the flight; prefers a woman as counsellor.",
    "Speaks French fluently, reads \"slowly but surely\"; level test repeated.",
    "Second child expected; course interrupted until spring.\nTo be phoned back in March.",
    "Appeal at the Council for Alien Law Litigation (CALL) pending; do not share the address.",
    "Illiterate in own script; literacy track 1.1 advised.",
    "Very motivated. 100 % present. Wil graag vrijwilligerswerk doen; ’s avonds thuis.",
    "Backslash \\ and tab\tin a note, as people paste them.",
];

pub(crate) const COURSES: &[(&str, &str)] = &[
    ("Dutch as a second language", "A1"),
    ("Dutch as a second language", "A2"),
    ("Dutch as a second language", "B1"),
    ("Social orientation", ""),
    ("Guidance to work", ""),
    ("Literacy", "1"),
];
