"""Languages in Cyrillic, Greek, Arabic and Hebrew script."""

# ruff: noqa: E501 (a table reads best with one row on a line)

from __future__ import annotations

from .language import Language, pairs, phrases

RUSSIAN = Language(
    name="Russian",
    script="Cyrillic",
    people=pairs(
        "Анна=Anna; Иван=Ivan; Ольга=Olga; Павел=Pavel; Нина=Nina; Олег=Oleg; Вера=Vera; Максим=Maxim; Лена=Lena; Борис=Boris"
    ),
    acts=pairs(
        "ест яблоко=eats an apple; читает книгу=reads a book; пьёт чай=drinks tea; поёт песню=sings a song;"
        "рисует картину=paints a picture; покупает хлеб=buys bread; пишет письмо=writes a letter; играет в мяч=plays ball;"
        "ищет собаку=looks for the dog; варит суп=cooks soup; ждёт=waits; громко смеётся=laughs loudly"
    ),
    places=pairs(
        "в парке=in the park; на вокзале=at the station; в школе=at school; дома=at home; у моря=by the sea;"
        "на рынке=at the market; в саду=in the garden; в городе=in the city"
    ),
    times=pairs(
        "утром=in the morning; вечером=in the evening; сегодня=today; в понедельник=on Monday; летом=in summer; часто=often"
    ),
    nouns=pairs(
        "дом=house; дерево=tree; вода=water; хлеб=bread; солнце=sun; луна=moon; собака=dog; кошка=cat; книга=book; стол=table;"
        "окно=window; дверь=door; цветок=flower; рыба=fish; птица=bird; молоко=milk; соль=salt; гора=mountain; река=river;"
        "улица=street; ключ=key; сыр=cheese; звезда=star; дождь=rain"
    ),
    numbers=phrases("один; два; три; четыре; пять; шесть; семь; восемь; девять; десять; одиннадцать; двенадцать"),
    days=phrases("понедельник; вторник; среда; четверг; пятница; суббота; воскресенье"),
    weather=phrases("Идёт дождь.; Светит солнце.; Сегодня холодно.; Ветер сильный.; Идёт снег.; Небо голубое."),
    act="{name} {act}.",
    what="Что делает {name}?",
    at="{name} сейчас {place}.",
    where="Где сейчас {name}?",
    ask_at="{name} сейчас {place}?",
    yes="Да, {name} сейчас {place}.",
    no="Нет, {name} сейчас {place}.",
    full="{name} {time} {act} {place}.",
    tell=("Расскажи короткую историю. Герой: {name}.", "Напиши небольшой текст. Тема: {name}."),
    opening=("Это {name}.", "В этой истории живёт {name}."),
    ending=("Потом {name} идёт домой.", "В конце всё хорошо.", "Так кончается день."),
    list_them="Напиши список: {words}.",
    count_on="Считай дальше: {words}.",
    next_day="Какой день следующий: {day}?",
    next_day_is="Следующий день: {next}.",
    hello="Здравствуй, меня зовут {name}. А тебя?",
    hello_back="Здравствуй, {name}! Меня зовут {other}. {weather}",
    thanks="Спасибо!",
    welcome="Пожалуйста!",
)

UKRAINIAN = Language(
    name="Ukrainian",
    script="Cyrillic",
    people=pairs(
        "Оксана=Oksana; Тарас=Taras; Леся=Lesia; Андрій=Andrii; Ірина=Iryna; Богдан=Bohdan; Марія=Mariia; Юрій=Yurii; Софія=Sofiia; Остап=Ostap"
    ),
    acts=pairs(
        "їсть яблуко=eats an apple; читає книгу=reads a book; п'є чай=drinks tea; співає пісню=sings a song;"
        "малює картину=paints a picture; купує хліб=buys bread; пише листа=writes a letter; грає в м'яч=plays ball;"
        "шукає собаку=looks for the dog; варить суп=cooks soup; чекає=waits; голосно сміється=laughs loudly"
    ),
    places=pairs(
        "у парку=in the park; на вокзалі=at the station; у школі=at school; вдома=at home; біля моря=by the sea;"
        "на ринку=at the market; у саду=in the garden; у місті=in the city"
    ),
    times=pairs(
        "вранці=in the morning; увечері=in the evening; сьогодні=today; у понеділок=on Monday; влітку=in summer; часто=often"
    ),
    nouns=pairs(
        "будинок=house; дерево=tree; вода=water; хліб=bread; сонце=sun; місяць=moon; собака=dog; кіт=cat; книга=book; стіл=table;"
        "вікно=window; двері=door; квітка=flower; риба=fish; птах=bird; молоко=milk; сіль=salt; гора=mountain; річка=river;"
        "вулиця=street; ключ=key; сир=cheese; зірка=star; дощ=rain"
    ),
    numbers=phrases("один; два; три; чотири; п'ять; шість; сім; вісім; дев'ять; десять; одинадцять; дванадцять"),
    days=phrases("понеділок; вівторок; середа; четвер; п'ятниця; субота; неділя"),
    weather=phrases("Іде дощ.; Світить сонце.; Сьогодні холодно.; Вітер сильний.; Іде сніг.; Небо блакитне."),
    act="{name} {act}.",
    what="Що робить {name}?",
    at="{name} зараз {place}.",
    where="Де зараз {name}?",
    ask_at="{name} зараз {place}?",
    yes="Так, {name} зараз {place}.",
    no="Ні, {name} зараз {place}.",
    full="{name} {time} {act} {place}.",
    tell=("Розкажи коротку історію. Герой: {name}.", "Напиши невеликий текст. Тема: {name}."),
    opening=("Це {name}.", "У цій історії живе {name}."),
    ending=("Потім {name} йде додому.", "Наприкінці все добре.", "Так закінчується день."),
    list_them="Напиши список: {words}.",
    count_on="Рахуй далі: {words}.",
    next_day="Який день наступний: {day}?",
    next_day_is="Наступний день: {next}.",
    hello="Добрий день, мене звати {name}. А тебе?",
    hello_back="Добрий день! Мене звати {other}. {weather}",
    thanks="Дякую!",
    welcome="Будь ласка!",
)

GREEK = Language(
    name="Greek",
    script="Greek",
    people=pairs(
        "η Μαρία=Maria; ο Νίκος=Nikos; η Ελένη=Eleni; ο Γιώργος=Giorgos; η Σοφία=Sofia; ο Πέτρος=Petros; η Άννα=Anna; ο Κώστας=Kostas"
    ),
    acts=pairs(
        "τρώει ένα μήλο=eats an apple; διαβάζει ένα βιβλίο=reads a book; πίνει τσάι=drinks tea; λέει ένα τραγούδι=sings a song;"
        "ζωγραφίζει μια εικόνα=paints a picture; αγοράζει ψωμί=buys bread; γράφει ένα γράμμα=writes a letter; παίζει μπάλα=plays ball;"
        "ψάχνει τον σκύλο=looks for the dog; μαγειρεύει σούπα=cooks soup; περιμένει=waits; γελάει δυνατά=laughs loudly"
    ),
    places=pairs(
        "στο πάρκο=in the park; στον σταθμό=at the station; στο σχολείο=at school; στο σπίτι=at home; στη θάλασσα=by the sea;"
        "στην αγορά=at the market; στον κήπο=in the garden; στην πόλη=in the city"
    ),
    times=pairs(
        "το πρωί=in the morning; το βράδυ=in the evening; σήμερα=today; τη Δευτέρα=on Monday; το καλοκαίρι=in summer; συχνά=often"
    ),
    nouns=pairs(
        "σπίτι=house; δέντρο=tree; νερό=water; ψωμί=bread; ήλιος=sun; φεγγάρι=moon; σκύλος=dog; γάτα=cat; βιβλίο=book;"
        "τραπέζι=table; παράθυρο=window; πόρτα=door; λουλούδι=flower; ψάρι=fish; πουλί=bird; γάλα=milk; αλάτι=salt;"
        "βουνό=mountain; ποτάμι=river; δρόμος=street; κλειδί=key; τυρί=cheese; αστέρι=star; βροχή=rain"
    ),
    numbers=phrases("ένα; δύο; τρία; τέσσερα; πέντε; έξι; επτά; οκτώ; εννέα; δέκα; έντεκα; δώδεκα"),
    days=phrases("Δευτέρα; Τρίτη; Τετάρτη; Πέμπτη; Παρασκευή; Σάββατο; Κυριακή"),
    weather=phrases(
        "Βρέχει.; Ο ήλιος λάμπει.; Κάνει κρύο.; Ο άνεμος είναι δυνατός.; Χιονίζει λίγο.; Ο ουρανός είναι γαλανός."
    ),
    act="{name} {act}.",
    what="Τι κάνει {name};",
    at="{name} είναι {place}.",
    where="Πού είναι {name};",
    ask_at="Είναι {name} {place};",
    yes="Ναι, {name} είναι {place}.",
    no="Όχι, {name} είναι {place}.",
    full="{name} είναι {time} {place} και {act}.",
    tell=("Πες μια μικρή ιστορία. Πρόσωπο: {name}.", "Γράψε ένα μικρό κείμενο. Θέμα: {name}."),
    opening=("Αυτή η ιστορία είναι μικρή.", "Εδώ είναι {name}."),
    ending=("Μετά {name} πηγαίνει στο σπίτι.", "Στο τέλος όλα είναι καλά.", "Έτσι τελειώνει η μέρα."),
    list_them="Γράψε μια λίστα: {words}.",
    count_on="Συνέχισε να μετράς: {words}.",
    next_day="Ποια είναι η επόμενη μέρα: {day};",
    next_day_is="Η επόμενη μέρα είναι: {next}.",
    hello="Καλημέρα, είμαι {name}. Εσύ;",
    hello_back="Καλημέρα! Εγώ είμαι {other}. {weather}",
    thanks="Ευχαριστώ!",
    welcome="Παρακαλώ!",
)

ARABIC = Language(
    name="Arabic",
    script="Arabic",
    people=pairs(
        "ليلى=Layla; سارة=Sara; مريم=Maryam; نور=Nur; هدى=Huda; سلمى=Salma; رنا=Rana; زينب=Zaynab; ريم=Rim; دينا=Dina"
    ),
    acts=pairs(
        "تأكل تفاحة=eats an apple; تقرأ كتابا=reads a book; تشرب الشاي=drinks tea; تغني أغنية=sings a song;"
        "ترسم صورة=paints a picture; تشتري الخبز=buys bread; تكتب رسالة=writes a letter; تلعب بالكرة=plays ball;"
        "تبحث عن الكلب=looks for the dog; تطبخ الحساء=cooks soup; تنتظر=waits; تضحك بصوت عال=laughs loudly"
    ),
    places=pairs(
        "في الحديقة=in the garden; في المحطة=at the station; في المدرسة=at school; في البيت=at home; عند البحر=by the sea;"
        "في السوق=at the market; في المكتبة=in the library; في المدينة=in the city"
    ),
    times=pairs(
        "في الصباح=in the morning; في المساء=in the evening; اليوم=today; يوم الاثنين=on Monday; في الصيف=in summer; دائما=always"
    ),
    nouns=pairs(
        "بيت=house; شجرة=tree; ماء=water; خبز=bread; شمس=sun; قمر=moon; كلب=dog; قطة=cat; كتاب=book; طاولة=table; نافذة=window;"
        "باب=door; زهرة=flower; سمكة=fish; طائر=bird; حليب=milk; ملح=salt; جبل=mountain; نهر=river; شارع=street; مفتاح=key;"
        "جبن=cheese; نجمة=star; مطر=rain"
    ),
    numbers=phrases("واحد; اثنان; ثلاثة; أربعة; خمسة; ستة; سبعة; ثمانية; تسعة; عشرة; أحد عشر; اثنا عشر"),
    days=phrases("الاثنين; الثلاثاء; الأربعاء; الخميس; الجمعة; السبت; الأحد"),
    weather=phrases("الجو بارد.; الشمس ساطعة.; المطر ينزل.; الريح قوية.; السماء زرقاء.; الجو جميل."),
    act="{name} {act}.",
    what="ماذا تفعل {name}؟",
    at="{name} {place}.",
    where="أين {name}؟",
    ask_at="هل {name} {place}؟",
    yes="نعم، {name} {place}.",
    no="لا، {name} {place}.",
    full="{name} {act} {place} {time}.",
    tell=("احك قصة قصيرة عن {name}.", "اكتب نصا قصيرا عن {name}."),
    opening=("هذه قصة عن {name}.", "أعرف {name} منذ زمن طويل."),
    ending=("ثم تعود {name} إلى البيت.", "في النهاية كل شيء بخير.", "هكذا ينتهي اليوم."),
    list_them="اكتب قائمة: {words}.",
    count_on="أكمل العد: {words}.",
    next_day="ما هو اليوم التالي بعد {day}؟",
    next_day_is="اليوم التالي هو {next}.",
    hello="مرحبا، اسمي {name}. وأنت؟",
    hello_back="مرحبا يا {name}! اسمي {other}. {weather}",
    thanks="شكرا!",
    welcome="عفوا!",
    comma="، ",
)

HEBREW = Language(
    name="Hebrew",
    script="Hebrew",
    people=pairs(
        "דוד=David; יוסי=Yossi; אורי=Uri; משה=Moshe; דני=Dani; נועם=Noam; איתן=Eitan; גיל=Gil; רון=Ron; עומר=Omer"
    ),
    acts=pairs(
        "אוכל תפוח=eats an apple; קורא ספר=reads a book; שותה תה=drinks tea; שר שיר=sings a song; מצייר תמונה=paints a picture;"
        "קונה לחם=buys bread; כותב מכתב=writes a letter; משחק בכדור=plays ball; מחפש את הכלב=looks for the dog;"
        "מבשל מרק=cooks soup; מחכה=waits; צוחק בקול=laughs loudly"
    ),
    places=pairs(
        "בפארק=in the park; בתחנה=at the station; בבית הספר=at school; בבית=at home; ליד הים=by the sea; בשוק=at the market;"
        "בגן=in the garden; בעיר=in the city"
    ),
    times=pairs(
        "בבוקר=in the morning; בערב=in the evening; היום=today; ביום שני=on Monday; בקיץ=in summer; תמיד=always"
    ),
    nouns=pairs(
        "בית=house; עץ=tree; מים=water; לחם=bread; שמש=sun; ירח=moon; כלב=dog; חתול=cat; ספר=book; שולחן=table; חלון=window;"
        "דלת=door; פרח=flower; דג=fish; ציפור=bird; חלב=milk; מלח=salt; הר=mountain; נהר=river; רחוב=street; מפתח=key;"
        "גבינה=cheese; כוכב=star; גשם=rain"
    ),
    numbers=phrases("אחת; שתיים; שלוש; ארבע; חמש; שש; שבע; שמונה; תשע; עשר; אחת עשרה; שתים עשרה"),
    days=phrases("יום שני; יום שלישי; יום רביעי; יום חמישי; יום שישי; שבת; יום ראשון"),
    weather=phrases("יורד גשם.; השמש זורחת.; קר היום.; הרוח חזקה.; יורד קצת שלג.; השמיים כחולים."),
    act="{name} {act}.",
    what="מה עושה {name}?",
    at="{name} נמצא {place}.",
    where="איפה נמצא {name}?",
    ask_at="האם {name} נמצא {place}?",
    yes="כן, {name} נמצא {place}.",
    no="לא, {name} נמצא {place}.",
    full="{name} {act} {place} {time}.",
    tell=("ספר סיפור קצר על {name}.", "כתוב טקסט קצר על {name}."),
    opening=("זה סיפור על {name}.", "הסיפור הזה קצר."),
    ending=("אחר כך {name} חוזר הביתה.", "בסוף הכול טוב.", "כך נגמר היום."),
    list_them="כתוב רשימה: {words}.",
    count_on="המשך לספור: {words}.",
    next_day="איזה יום בא אחרי {day}?",
    next_day_is="אחרי {day} בא {next}.",
    hello="שלום, שמי {name}. ומה שמך?",
    hello_back="שלום {name}! שמי {other}. {weather}",
    thanks="תודה!",
    welcome="בבקשה!",
)

LANGUAGES: tuple[Language, ...] = (RUSSIAN, UKRAINIAN, GREEK, ARABIC, HEBREW)
