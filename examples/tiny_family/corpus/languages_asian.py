"""Hindi, Chinese, Japanese, Korean and Thai."""

# ruff: noqa: E501 (a table reads best with one row on a line)

from __future__ import annotations

from .language import Language, pairs, phrases

HINDI = Language(
    name="Hindi",
    script="Devanagari",
    people=pairs(
        "सीता=Sita; मीरा=Mira; आशा=Asha; राधा=Radha; पूजा=Puja; नेहा=Neha; कविता=Kavita; रेखा=Rekha; लता=Lata; उषा=Usha"
    ),
    acts=pairs(
        "सेब खाती है=eats an apple; किताब पढ़ती है=reads a book; चाय पीती है=drinks tea; गाना गाती है=sings a song;"
        "चित्र बनाती है=paints a picture; रोटी खरीदती है=buys bread; पत्र लिखती है=writes a letter; गेंद खेलती है=plays ball;"
        "कुत्ते को ढूँढती है=looks for the dog; सूप बनाती है=cooks soup; इंतज़ार करती है=waits; ज़ोर से हँसती है=laughs loudly"
    ),
    places=pairs(
        "पार्क में=in the park; स्टेशन पर=at the station; स्कूल में=at school; घर पर=at home; समुद्र के पास=by the sea;"
        "बाज़ार में=at the market; बगीचे में=in the garden; शहर में=in the city"
    ),
    times=pairs(
        "सुबह=in the morning; शाम को=in the evening; आज=today; सोमवार को=on Monday; गर्मियों में=in summer; अक्सर=often"
    ),
    nouns=pairs(
        "घर=house; पेड़=tree; पानी=water; रोटी=bread; सूरज=sun; चाँद=moon; कुत्ता=dog; बिल्ली=cat; किताब=book; मेज़=table;"
        "खिड़की=window; दरवाज़ा=door; फूल=flower; मछली=fish; चिड़िया=bird; दूध=milk; नमक=salt; पहाड़=mountain; नदी=river;"
        "सड़क=street; चाबी=key; पनीर=cheese; तारा=star; बारिश=rain"
    ),
    numbers=phrases("एक; दो; तीन; चार; पाँच; छह; सात; आठ; नौ; दस; ग्यारह; बारह"),
    days=phrases("सोमवार; मंगलवार; बुधवार; गुरुवार; शुक्रवार; शनिवार; रविवार"),
    weather=phrases("बारिश हो रही है।; धूप निकली है।; आज ठंड है।; हवा तेज़ है।; मौसम अच्छा है।; आसमान नीला है।"),
    act="{name} {act}।",
    what="{name} क्या करती है?",
    at="{name} {place} है।",
    where="{name} कहाँ है?",
    ask_at="क्या {name} {place} है?",
    yes="हाँ, {name} {place} है।",
    no="नहीं, {name} {place} है।",
    full="{name} {time} {place} {act}।",
    tell=("{name} के बारे में एक छोटी कहानी सुनाओ।", "{name} के बारे में एक छोटा पाठ लिखो।"),
    opening=("यह {name} की कहानी है।", "मेरी एक दोस्त {name} है।"),
    ending=("फिर {name} घर जाती है।", "अंत में सब ठीक है।", "दिन ऐसे समाप्त होता है।"),
    list_them="एक सूची लिखो: {words}।",
    count_on="आगे गिनो: {words}।",
    next_day="{day} के बाद कौन सा दिन आता है?",
    next_day_is="{day} के बाद {next} आता है।",
    hello="नमस्ते, मेरा नाम {name} है। आपका नाम क्या है?",
    hello_back="नमस्ते {name}! मेरा नाम {other} है। {weather}",
    thanks="धन्यवाद!",
    welcome="आपका स्वागत है!",
)

CHINESE = Language(
    name="Chinese",
    script="Han",
    people=pairs(
        "小明=Xiaoming; 小红=Xiaohong; 李华=Li Hua; 王芳=Wang Fang; 张伟=Zhang Wei; 小兰=Xiaolan; 刘洋=Liu Yang; 陈静=Chen Jing"
    ),
    acts=pairs(
        "吃苹果=eats an apple; 看书=reads a book; 喝茶=drinks tea; 唱歌=sings a song; 画画=paints a picture; 买面包=buys bread;"
        "写信=writes a letter; 打球=plays ball; 找狗=looks for the dog; 做汤=cooks soup; 等朋友=waits for a friend; 大声笑=laughs loudly"
    ),
    places=pairs(
        "公园=in the park; 车站=at the station; 学校=at school; 家里=at home; 海边=by the sea; 市场=at the market; 花园=in the garden; 城里=in the city"
    ),
    times=pairs("早上=in the morning; 晚上=in the evening; 今天=today; 星期一=on Monday; 夏天=in summer; 常常=often"),
    nouns=pairs(
        "房子=house; 树=tree; 水=water; 面包=bread; 太阳=sun; 月亮=moon; 狗=dog; 猫=cat; 书=book; 桌子=table; 窗户=window;"
        "门=door; 花=flower; 鱼=fish; 鸟=bird; 牛奶=milk; 盐=salt; 山=mountain; 河=river; 街道=street; 钥匙=key; 奶酪=cheese;"
        "星星=star; 雨=rain"
    ),
    numbers=phrases("一; 二; 三; 四; 五; 六; 七; 八; 九; 十; 十一; 十二"),
    days=phrases("星期一; 星期二; 星期三; 星期四; 星期五; 星期六; 星期日"),
    weather=phrases("下雨了。; 太阳很好。; 天气很冷。; 风很大。; 下了一点雪。; 天空很蓝。"),
    act="{name}{act}。",
    what="{name}做什么？",
    at="{name}在{place}。",
    where="{name}在哪里？",
    ask_at="{name}在{place}吗？",
    yes="是的，{name}在{place}。",
    no="不，{name}在{place}。",
    full="{name}{time}在{place}{act}。",
    tell=("请讲一个关于{name}的小故事。", "请写一段关于{name}的短文。"),
    opening=("这是{name}的故事。", "我认识{name}很久了。"),
    ending=("然后{name}回家了。", "最后一切都很好。", "这一天就这样结束了。"),
    list_them="请写一个清单：{words}。",
    count_on="请继续数：{words}。",
    next_day="{day}后面是哪一天？",
    next_day_is="{day}后面是{next}。",
    hello="你好，我叫{name}。你呢？",
    hello_back="你好，{name}！我叫{other}。{weather}",
    thanks="谢谢！",
    welcome="不客气！",
    comma="、",
    joiner="",
)

JAPANESE = Language(
    name="Japanese",
    script="Kana and Han",
    people=pairs("さくら=Sakura; はると=Haruto; ゆい=Yui; そうた=Sota; あおい=Aoi; けんた=Kenta; みお=Mio; りく=Riku"),
    acts=pairs(
        "りんごを食べます=eats an apple; 本を読みます=reads a book; お茶を飲みます=drinks tea; 歌を歌います=sings a song;"
        "絵をかきます=paints a picture; パンを買います=buys bread; 手紙を書きます=writes a letter; ボールで遊びます=plays ball;"
        "犬を探します=looks for the dog; スープを作ります=cooks soup; 友達を待ちます=waits for a friend; 大きな声で笑います=laughs loudly"
    ),
    places=pairs(
        "公園=in the park; 駅=at the station; 学校=at school; 家=at home; 海=by the sea; 市場=at the market; 庭=in the garden; 町=in the city"
    ),
    times=pairs("朝=in the morning; 夜=in the evening; 今日=today; 月曜日に=on Monday; 夏に=in summer; よく=often"),
    nouns=pairs(
        "家=house; 木=tree; 水=water; パン=bread; 太陽=sun; 月=moon; 犬=dog; 猫=cat; 本=book; テーブル=table; 窓=window; ドア=door;"
        "花=flower; 魚=fish; 鳥=bird; 牛乳=milk; 塩=salt; 山=mountain; 川=river; 道=street; かぎ=key; チーズ=cheese; 星=star; 雨=rain"
    ),
    numbers=phrases("いち; に; さん; よん; ご; ろく; なな; はち; きゅう; じゅう; じゅういち; じゅうに"),
    days=phrases("月曜日; 火曜日; 水曜日; 木曜日; 金曜日; 土曜日; 日曜日"),
    weather=phrases(
        "雨が降っています。; 太陽が出ています。; とても寒いです。; 風が強いです。; 少し雪が降っています。; 空が青いです。"
    ),
    act="{name}は{act}。",
    what="{name}は何をしますか。",
    at="{name}は{place}にいます。",
    where="{name}はどこにいますか。",
    ask_at="{name}は{place}にいますか。",
    yes="はい、{name}は{place}にいます。",
    no="いいえ、{name}は{place}にいます。",
    full="{name}は{time}{place}で{act}。",
    tell=("{name}の短い話をしてください。", "{name}について短い文を書いてください。"),
    opening=("これは{name}の話です。", "{name}は私の友達です。"),
    ending=("それから{name}は家に帰ります。", "最後はすべてうまくいきます。", "こうして一日が終わります。"),
    list_them="リストを書いてください：{words}。",
    count_on="続けて数えてください：{words}。",
    next_day="{day}の次は何曜日ですか。",
    next_day_is="{day}の次は{next}です。",
    hello="こんにちは、私は{name}です。あなたは？",
    hello_back="こんにちは、{name}さん。私は{other}です。{weather}",
    thanks="ありがとうございます。",
    welcome="どういたしまして。",
    comma="、",
    joiner="",
)

KOREAN = Language(
    name="Korean",
    script="Hangul",
    people=pairs("민수=Minsu; 유나=Yuna; 지호=Jiho; 서아=Seoa; 수지=Suji; 태호=Taeho; 미나=Mina; 현우=Hyunwoo"),
    acts=pairs(
        "사과를 먹어요=eats an apple; 책을 읽어요=reads a book; 차를 마셔요=drinks tea; 노래를 불러요=sings a song;"
        "그림을 그려요=paints a picture; 빵을 사요=buys bread; 편지를 써요=writes a letter; 공놀이를 해요=plays ball;"
        "개를 찾아요=looks for the dog; 수프를 끓여요=cooks soup; 친구를 기다려요=waits for a friend; 크게 웃어요=laughs loudly"
    ),
    places=pairs(
        "공원=in the park; 역=at the station; 학교=at school; 집=at home; 바닷가=by the sea; 시장=at the market; 정원=in the garden; 도시=in the city"
    ),
    times=pairs(
        "아침에=in the morning; 저녁에=in the evening; 오늘=today; 월요일에=on Monday; 여름에=in summer; 자주=often"
    ),
    nouns=pairs(
        "집=house; 나무=tree; 물=water; 빵=bread; 해=sun; 달=moon; 개=dog; 고양이=cat; 책=book; 탁자=table; 창문=window; 문=door;"
        "꽃=flower; 물고기=fish; 새=bird; 우유=milk; 소금=salt; 산=mountain; 강=river; 거리=street; 열쇠=key; 치즈=cheese;"
        "별=star; 비=rain"
    ),
    numbers=phrases("하나; 둘; 셋; 넷; 다섯; 여섯; 일곱; 여덟; 아홉; 열; 열하나; 열둘"),
    days=phrases("월요일; 화요일; 수요일; 목요일; 금요일; 토요일; 일요일"),
    weather=phrases("비가 와요.; 해가 빛나요.; 날씨가 추워요.; 바람이 강해요.; 눈이 조금 와요.; 하늘이 파래요."),
    act="{name}는 {act}.",
    what="{name}는 무엇을 해요?",
    at="{name}는 {place}에 있어요.",
    where="{name}는 어디에 있어요?",
    ask_at="{name}는 {place}에 있어요?",
    yes="네, {name}는 {place}에 있어요.",
    no="아니요, {name}는 {place}에 있어요.",
    full="{name}는 {time} {place}에서 {act}.",
    tell=("{name}에 대한 짧은 이야기를 해 주세요.", "{name}에 대한 짧은 글을 써 주세요."),
    opening=("이것은 {name}의 이야기예요.", "{name}는 제 친구예요."),
    ending=("그다음 {name}는 집에 가요.", "마지막에는 모두 잘돼요.", "하루가 이렇게 끝나요."),
    list_them="목록을 써 주세요: {words}.",
    count_on="계속 세어 주세요: {words}.",
    next_day="{day} 다음은 무슨 요일이에요?",
    next_day_is="{day} 다음은 {next}이에요.",
    hello="안녕하세요, 저는 {name}예요. 이름이 뭐예요?",
    hello_back="안녕하세요, {name} 씨! 저는 {other}예요. {weather}",
    thanks="감사합니다!",
    welcome="천만에요!",
)

THAI = Language(
    name="Thai",
    script="Thai",
    people=pairs("มานี=Mani; สมชาย=Somchai; ดาว=Dao; ปิติ=Piti; นก=Nok; วิชัย=Wichai; แก้ว=Kaeo; สมหญิง=Somying"),
    acts=pairs(
        "กินแอปเปิล=eats an apple; อ่านหนังสือ=reads a book; ดื่มชา=drinks tea; ร้องเพลง=sings a song; วาดรูป=paints a picture;"
        "ซื้อขนมปัง=buys bread; เขียนจดหมาย=writes a letter; เล่นบอล=plays ball; หาหมา=looks for the dog; ทำซุป=cooks soup;"
        "รอเพื่อน=waits for a friend; หัวเราะเสียงดัง=laughs loudly"
    ),
    places=pairs(
        "สวนสาธารณะ=in the park; สถานี=at the station; โรงเรียน=at school; บ้าน=at home; ทะเล=by the sea; ตลาด=at the market;"
        "ห้องสมุด=in the library; เมือง=in the city"
    ),
    times=pairs(
        "ตอนเช้า=in the morning; ตอนเย็น=in the evening; วันนี้=today; วันจันทร์=on Monday; ในฤดูร้อน=in summer; บ่อยๆ=often"
    ),
    nouns=pairs(
        "บ้าน=house; ต้นไม้=tree; น้ำ=water; ขนมปัง=bread; พระอาทิตย์=sun; พระจันทร์=moon; หมา=dog; แมว=cat; หนังสือ=book;"
        "โต๊ะ=table; หน้าต่าง=window; ประตู=door; ดอกไม้=flower; ปลา=fish; นก=bird; นม=milk; เกลือ=salt; ภูเขา=mountain;"
        "แม่น้ำ=river; ถนน=street; กุญแจ=key; ชีส=cheese; ดาว=star; ฝน=rain"
    ),
    numbers=phrases("หนึ่ง; สอง; สาม; สี่; ห้า; หก; เจ็ด; แปด; เก้า; สิบ; สิบเอ็ด; สิบสอง"),
    days=phrases("วันจันทร์; วันอังคาร; วันพุธ; วันพฤหัสบดี; วันศุกร์; วันเสาร์; วันอาทิตย์"),
    weather=phrases("ฝนตก; แดดออก; อากาศเย็น; ลมแรง; อากาศดี; ท้องฟ้าสีฟ้า"),
    act="{name}{act}",
    what="{name}ทำอะไร",
    at="{name}อยู่ที่{place}",
    where="{name}อยู่ที่ไหน",
    ask_at="{name}อยู่ที่{place}ใช่ไหม",
    yes="ใช่ {name}อยู่ที่{place}",
    no="ไม่ใช่ {name}อยู่ที่{place}",
    full="{name}{act}ที่{place}{time}",
    tell=("เล่าเรื่องสั้นเกี่ยวกับ{name}", "เขียนข้อความสั้นๆ เกี่ยวกับ{name}"),
    opening=("นี่คือเรื่องของ{name}", "{name}เป็นเพื่อนของฉัน"),
    ending=("แล้ว{name}ก็กลับบ้าน", "ในที่สุดทุกอย่างก็ดี", "วันก็จบแบบนี้"),
    list_them="เขียนรายการ: {words}",
    count_on="นับต่อ: {words}",
    next_day="หลังจาก{day}คือวันอะไร",
    next_day_is="หลังจาก{day}คือ{next}",
    hello="สวัสดี ฉันชื่อ{name} เธอชื่ออะไร",
    hello_back="สวัสดี{name} ฉันชื่อ{other} {weather}",
    thanks="ขอบคุณ",
    welcome="ไม่เป็นไร",
)

LANGUAGES: tuple[Language, ...] = (HINDI, CHINESE, JAPANESE, KOREAN, THAI)
