//! Names of people and places. Persian ones keep their zero-width non-joiners.

pub(super) const GIVEN_FA: [&str; 40] = [
    "علی", "محمد", "حسین", "رضا", "مهدی", "امیر", "علی‌رضا", "محمد‌رضا", "امیر‌حسین", "محمد‌علی", "حمید‌رضا", "سعید",
    "مجید", "کیان", "کامران", "بهنام", "پویا", "آرش", "سینا", "نیما", "زهرا", "فاطمه", "مریم", "سارا", "نرگس",
    "مینا", "الهام", "نازنین", "پریسا", "شیرین", "لیلا", "کتایون", "یاسمن", "مهسا", "نگار", "بی‌بی‌گل", "گل‌نار",
    "زینب‌سادات", "مریم‌سادات", "یکتا",
];

pub(super) const FAMILY_FA: [&str; 40] = [
    "محمدی", "حسینی", "احمدی", "رضایی", "کریمی", "موسوی", "جعفری", "هاشمی", "صادقی", "رحیمی", "قاسمی", "نوری",
    "اکبری", "ابراهیمی", "زارعی", "کاظمی", "مرادی", "شریفی", "یوسفی", "نجفی", "ملکی", "کیانی", "بهرامی", "فرهادی",
    "تهرانی", "اصفهانی", "شیرازی", "تبریزی", "حسین‌زاده", "علی‌پور", "نیک‌نام", "خوش‌نویس", "میرزا‌خانی", "پاک‌دل",
    "نصر‌اللهی", "عبد‌اللهی", "کرد‌زنگنه", "دولت‌آبادی", "یزدان‌پناه", "شکیبا",
];

pub(super) const GIVEN_LATIN: [&str; 32] = [
    "Emma", "Liam", "Olivia", "Noah", "Sofia", "Lucas", "Mia", "Leo", "Anna", "Jonas", "Elif", "Mehmet", "Layla",
    "Omar", "Zoë", "José", "Chloé", "Mateo", "Ingrid", "Søren", "Katarzyna", "Piotr", "Giulia", "Marco", "Aisha",
    "Yusuf", "Hannah", "Oscar", "Amélie", "Victor", "Nadia", "Ivan",
];

pub(super) const FAMILY_LATIN: [&str; 32] = [
    "Smith", "Müller", "García", "Rossi", "Dubois", "Jansen", "Novák", "Kowalski", "Silva", "Andersson", "Nielsen",
    "Yılmaz", "Haddad", "Al-Sayed", "O'Brien", "Johnson", "Brown", "Schneider", "López", "Ferrari", "Moreau",
    "Visser", "Horváth", "Nowak", "Santos", "Lindqvist", "Hansen", "Demir", "Khoury", "Rahman", "Murphy", "Wilson",
];

/// Provinces of Iran, the populous ones first.
pub(super) const PROVINCES: [&str; 31] = [
    "تهران", "خراسان رضوی", "اصفهان", "فارس", "خوزستان", "آذربایجان شرقی", "مازندران", "آذربایجان غربی", "کرمان",
    "سیستان و بلوچستان", "البرز", "گیلان", "کرمانشاه", "گلستان", "هرمزگان", "لرستان", "همدان", "کردستان", "مرکزی",
    "قم", "قزوین", "اردبیل", "بوشهر", "یزد", "زنجان", "چهارمحال و بختیاری", "خراسان شمالی", "خراسان جنوبی",
    "کهگیلویه و بویراحمد", "سمنان", "ایلام",
];

pub(super) const CITIES: [&str; 16] = [
    "Istanbul", "Dubai", "London", "Berlin", "Toronto", "Paris", "Hamburg", "Vienna", "Stockholm", "Los Angeles",
    "Sydney", "Amsterdam", "Doha", "Muscat", "Tbilisi", "Yerevan",
];

pub(super) const COMPANY_SIZES: [&str; 4] = ["1-10", "11-50", "51-200", "201+"];

/// The name of a region by its number: the provinces, then the cities.
pub(super) fn region(number: u8) -> &'static str {
    let number = usize::from(number);
    PROVINCES.iter().chain(&CITIES).nth(number).copied().unwrap_or("تهران")
}

/// The text as an old keyboard writes it: Arabic yeh and kaf for the Persian ones.
pub(super) fn with_arabic_letters(text: &str) -> String {
    text.replace('ی', "ي").replace('ک', "ك")
}

/// The number with Persian digits.
pub(super) fn with_persian_digits(text: &str) -> String {
    text.chars().map(|letter| letter.to_digit(10).and_then(|digit| char::from_u32(0x6F0 + digit)).unwrap_or(letter)).collect()
}
