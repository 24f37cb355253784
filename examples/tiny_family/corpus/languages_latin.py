"""The languages in Latin script: German, French, Spanish, Portuguese, Polish and Turkish."""

# ruff: noqa: E501 (a table reads best with one row on a line)

from __future__ import annotations

from .language import Language, pairs, phrases

GERMAN = Language(
    name="German",
    script="Latin",
    people=pairs("Anna; Lukas; Mia; Jonas; Lena; Felix; Greta; Emil; Frieda; Karl"),
    acts=pairs(
        "isst einen Apfel=eats an apple; liest ein Buch=reads a book; trinkt Tee=drinks tea; singt ein Lied=sings a song;"
        "malt ein Bild=paints a picture; kauft Brot=buys bread; schreibt einen Brief=writes a letter; spielt Ball=plays ball;"
        "sucht den Hund=looks for the dog; kocht Suppe=cooks soup; wartet=waits; lacht laut=laughs loudly"
    ),
    places=pairs(
        "im Park=in the park; am Bahnhof=at the station; in der Schule=at school; zu Hause=at home; am Meer=by the sea;"
        "auf dem Markt=at the market; im Garten=in the garden; in der Stadt=in the city"
    ),
    times=pairs(
        "am Morgen=in the morning; am Abend=in the evening; heute=today; am Montag=on Monday; im Sommer=in summer; oft=often"
    ),
    nouns=pairs(
        "Haus=house; Baum=tree; Wasser=water; Brot=bread; Sonne=sun; Mond=moon; Hund=dog; Katze=cat; Buch=book; Tisch=table;"
        "Fenster=window; Tür=door; Blume=flower; Fisch=fish; Vogel=bird; Milch=milk; Salz=salt; Berg=mountain; Fluss=river;"
        "Straße=street; Schlüssel=key; Käse=cheese; Stern=star; Regen=rain"
    ),
    numbers=phrases("eins; zwei; drei; vier; fünf; sechs; sieben; acht; neun; zehn; elf; zwölf"),
    days=phrases("Montag; Dienstag; Mittwoch; Donnerstag; Freitag; Samstag; Sonntag"),
    weather=phrases(
        "Es regnet.; Die Sonne scheint.; Es ist kalt.; Der Wind ist stark.; Es schneit ein wenig.; Der Himmel ist blau."
    ),
    act="{name} {act}.",
    what="Was macht {name}?",
    at="{name} ist {place}.",
    where="Wo ist {name}?",
    ask_at="Ist {name} {place}?",
    yes="Ja, {name} ist {place}.",
    no="Nein, {name} ist {place}.",
    full="{name} ist {time} {place} und {act}.",
    tell=("Erzähle eine kurze Geschichte über {name}.", "Schreibe einen kleinen Text über {name}."),
    opening=("Das ist {name}.", "Ich kenne {name} schon lange."),
    ending=("Dann geht {name} nach Hause.", "Am Ende ist alles gut.", "So endet der Tag."),
    list_them="Schreibe eine Liste: {words}.",
    count_on="Zähle weiter: {words}.",
    next_day="Welcher Tag kommt nach {day}?",
    next_day_is="Nach {day} kommt {next}.",
    hello="Guten Tag, ich heiße {name}. Und du?",
    hello_back="Guten Tag, {name}! Ich heiße {other}. {weather}",
    thanks="Danke!",
    welcome="Gern geschehen!",
)

FRENCH = Language(
    name="French",
    script="Latin",
    people=pairs("Marie; Pierre; Louise; Bastien; Camille; Jules; Chloé; Nicolas; Manon; Luc"),
    acts=pairs(
        "mange une pomme=eats an apple; lit un livre=reads a book; boit du thé=drinks tea; chante une chanson=sings a song;"
        "peint un tableau=paints a picture; achète du pain=buys bread; écrit une lettre=writes a letter; joue au ballon=plays ball;"
        "cherche le chien=looks for the dog; prépare la soupe=cooks soup; attend=waits; rit très fort=laughs loudly"
    ),
    places=pairs(
        "au parc=in the park; à la gare=at the station; à l'école=at school; à la maison=at home; au bord de la mer=by the sea;"
        "au marché=at the market; dans le jardin=in the garden; en ville=in the city"
    ),
    times=pairs(
        "le matin=in the morning; le soir=in the evening; aujourd'hui=today; le lundi=on Monday; en été=in summer; souvent=often"
    ),
    nouns=pairs(
        "maison=house; arbre=tree; eau=water; pain=bread; soleil=sun; lune=moon; chien=dog; chat=cat; livre=book; table=table;"
        "fenêtre=window; porte=door; fleur=flower; poisson=fish; oiseau=bird; lait=milk; sel=salt; montagne=mountain;"
        "rivière=river; rue=street; clé=key; fromage=cheese; étoile=star; pluie=rain"
    ),
    numbers=phrases("un; deux; trois; quatre; cinq; six; sept; huit; neuf; dix; onze; douze"),
    days=phrases("lundi; mardi; mercredi; jeudi; vendredi; samedi; dimanche"),
    weather=phrases(
        "Il pleut.; Le soleil brille.; Il fait froid.; Le vent est fort.; Il neige un peu.; Le ciel est bleu."
    ),
    act="{name} {act}.",
    what="Que fait {name} ?",
    at="{name} est {place}.",
    where="Où est {name} ?",
    ask_at="Est-ce que {name} est {place} ?",
    yes="Oui, {name} est {place}.",
    no="Non, {name} est {place}.",
    full="{name} est {place} {time} et {act}.",
    tell=("Raconte une petite histoire sur {name}.", "Écris un court texte sur {name}."),
    opening=("Voici {name}.", "Je connais {name} depuis longtemps."),
    ending=("Ensuite, {name} rentre à la maison.", "À la fin, tout va bien.", "Ainsi finit la journée."),
    list_them="Écris une liste : {words}.",
    count_on="Continue à compter : {words}.",
    next_day="Quel jour vient après {day} ?",
    next_day_is="Après {day} vient {next}.",
    hello="Bonjour, je m'appelle {name}. Et toi ?",
    hello_back="Bonjour, {name} ! Je m'appelle {other}. {weather}",
    thanks="Merci !",
    welcome="De rien !",
)

SPANISH = Language(
    name="Spanish",
    script="Latin",
    people=pairs("Carmen; Diego; Lucía; Pablo; Elena; Mateo; Inés; Javier; Rosa; Andrés"),
    acts=pairs(
        "come una manzana=eats an apple; lee un libro=reads a book; bebe té=drinks tea; canta una canción=sings a song;"
        "pinta un cuadro=paints a picture; compra pan=buys bread; escribe una carta=writes a letter; juega a la pelota=plays ball;"
        "busca al perro=looks for the dog; prepara la sopa=cooks soup; espera=waits; ríe muy alto=laughs loudly"
    ),
    places=pairs(
        "en el parque=in the park; en la estación=at the station; en la escuela=at school; en casa=at home; junto al mar=by the sea;"
        "en el mercado=at the market; en el jardín=in the garden; en la ciudad=in the city"
    ),
    times=pairs(
        "por la mañana=in the morning; por la noche=in the evening; hoy=today; el lunes=on Monday; en verano=in summer; a menudo=often"
    ),
    nouns=pairs(
        "casa=house; árbol=tree; agua=water; pan=bread; sol=sun; luna=moon; perro=dog; gato=cat; libro=book; mesa=table;"
        "ventana=window; puerta=door; flor=flower; pez=fish; pájaro=bird; leche=milk; sal=salt; montaña=mountain; río=river;"
        "calle=street; llave=key; queso=cheese; estrella=star; lluvia=rain"
    ),
    numbers=phrases("uno; dos; tres; cuatro; cinco; seis; siete; ocho; nueve; diez; once; doce"),
    days=phrases("lunes; martes; miércoles; jueves; viernes; sábado; domingo"),
    weather=phrases("Llueve.; Brilla el sol.; Hace frío.; El viento es fuerte.; Nieva un poco.; El cielo está azul."),
    act="{name} {act}.",
    what="¿Qué hace {name}?",
    at="{name} está {place}.",
    where="¿Dónde está {name}?",
    ask_at="¿Está {name} {place}?",
    yes="Sí, {name} está {place}.",
    no="No, {name} está {place}.",
    full="{name} está {place} {time} y {act}.",
    tell=("Cuenta una historia corta sobre {name}.", "Escribe un texto breve sobre {name}."),
    opening=("Esta es la historia de {name}.", "Conozco a {name} desde hace mucho tiempo."),
    ending=("Después {name} vuelve a casa.", "Al final todo va bien.", "Así termina el día."),
    list_them="Escribe una lista: {words}.",
    count_on="Sigue contando: {words}.",
    next_day="¿Qué día viene después del {day}?",
    next_day_is="Después del {day} viene el {next}.",
    hello="Hola, me llamo {name}. ¿Y tú?",
    hello_back="¡Hola, {name}! Me llamo {other}. {weather}",
    thanks="¡Gracias!",
    welcome="¡De nada!",
)

PORTUGUESE = Language(
    name="Portuguese",
    script="Latin",
    people=pairs("Ana; João; Beatriz; Tiago; Sofia; Rui; Inês; Miguel; Clara; Pedro"),
    acts=pairs(
        "come uma maçã=eats an apple; lê um livro=reads a book; bebe chá=drinks tea; canta uma canção=sings a song;"
        "pinta um quadro=paints a picture; compra pão=buys bread; escreve uma carta=writes a letter; joga à bola=plays ball;"
        "procura o cão=looks for the dog; faz sopa=cooks soup; espera=waits; ri muito alto=laughs loudly"
    ),
    places=pairs(
        "no parque=in the park; na estação=at the station; na escola=at school; em casa=at home; junto ao mar=by the sea;"
        "no mercado=at the market; no jardim=in the garden; na cidade=in the city"
    ),
    times=pairs(
        "de manhã=in the morning; à noite=in the evening; hoje=today; na segunda-feira=on Monday; no verão=in summer; muitas vezes=often"
    ),
    nouns=pairs(
        "casa=house; árvore=tree; água=water; pão=bread; sol=sun; lua=moon; cão=dog; gato=cat; livro=book; mesa=table;"
        "janela=window; porta=door; flor=flower; peixe=fish; pássaro=bird; leite=milk; sal=salt; montanha=mountain; rio=river;"
        "rua=street; chave=key; queijo=cheese; estrela=star; chuva=rain"
    ),
    numbers=phrases("um; dois; três; quatro; cinco; seis; sete; oito; nove; dez; onze; doze"),
    days=phrases("segunda-feira; terça-feira; quarta-feira; quinta-feira; sexta-feira; sábado; domingo"),
    weather=phrases("Está a chover.; O sol brilha.; Está frio.; O vento é forte.; Neva um pouco.; O céu está azul."),
    act="{name} {act}.",
    what="O que faz {name}?",
    at="{name} está {place}.",
    where="Onde está {name}?",
    ask_at="{name} está {place}?",
    yes="Sim, {name} está {place}.",
    no="Não, {name} está {place}.",
    full="{name} está {place} {time} e {act}.",
    tell=("Conta uma história curta sobre {name}.", "Escreve um pequeno texto sobre {name}."),
    opening=("Esta é a história de {name}.", "Conheço {name} há muito tempo."),
    ending=("Depois {name} volta para casa.", "No fim tudo corre bem.", "Assim acaba o dia."),
    list_them="Escreve uma lista: {words}.",
    count_on="Continua a contar: {words}.",
    next_day="Que dia vem a seguir: {day}?",
    next_day_is="Depois de {day} vem {next}.",
    hello="Olá, chamo-me {name}. E tu?",
    hello_back="Olá, {name}! Chamo-me {other}. {weather}",
    thanks="Muito obrigado!",
    welcome="De nada!",
)

POLISH = Language(
    name="Polish",
    script="Latin",
    people=pairs("Kasia; Piotr; Zofia; Marek; Ola; Tomek; Hania; Adam; Ewa; Staś"),
    acts=pairs(
        "je jabłko=eats an apple; czyta książkę=reads a book; pije herbatę=drinks tea; śpiewa piosenkę=sings a song;"
        "maluje obraz=paints a picture; kupuje chleb=buys bread; pisze list=writes a letter; gra w piłkę=plays ball;"
        "szuka psa=looks for the dog; gotuje zupę=cooks soup; czeka=waits; głośno się śmieje=laughs loudly"
    ),
    places=pairs(
        "w parku=in the park; na dworcu=at the station; w szkole=at school; w domu=at home; nad morzem=by the sea;"
        "na targu=at the market; w ogrodzie=in the garden; w mieście=in the city"
    ),
    times=pairs(
        "rano=in the morning; wieczorem=in the evening; dzisiaj=today; w poniedziałek=on Monday; latem=in summer; często=often"
    ),
    nouns=pairs(
        "dom=house; drzewo=tree; woda=water; chleb=bread; słońce=sun; księżyc=moon; pies=dog; kot=cat; książka=book; stół=table;"
        "okno=window; drzwi=door; kwiat=flower; ryba=fish; ptak=bird; mleko=milk; sól=salt; góra=mountain; rzeka=river;"
        "ulica=street; klucz=key; ser=cheese; gwiazda=star; deszcz=rain"
    ),
    numbers=phrases("jeden; dwa; trzy; cztery; pięć; sześć; siedem; osiem; dziewięć; dziesięć; jedenaście; dwanaście"),
    days=phrases("poniedziałek; wtorek; środa; czwartek; piątek; sobota; niedziela"),
    weather=phrases(
        "Pada deszcz.; Świeci słońce.; Jest zimno.; Wiatr jest silny.; Pada trochę śniegu.; Niebo jest niebieskie."
    ),
    act="{name} {act}.",
    what="Co robi {name}?",
    at="{name} jest {place}.",
    where="Gdzie jest {name}?",
    ask_at="Czy {name} jest {place}?",
    yes="Tak, {name} jest {place}.",
    no="Nie, {name} jest {place}.",
    full="{name} jest {time} {place} i {act}.",
    tell=("Opowiedz krótką historię: {name}.", "Napisz krótki tekst na temat: {name}."),
    opening=("Oto {name}.", "W tej historii jest {name}."),
    ending=("Potem {name} wraca do domu.", "Na końcu wszystko jest dobrze.", "Tak kończy się dzień."),
    list_them="Napisz listę: {words}.",
    count_on="Licz dalej: {words}.",
    next_day="Jaki dzień jest następny: {day}?",
    next_day_is="Następny dzień to {next}.",
    hello="Dzień dobry, mam na imię {name}. A ty?",
    hello_back="Dzień dobry! Mam na imię {other}. {weather}",
    thanks="Dziękuję!",
    welcome="Proszę bardzo!",
)

TURKISH = Language(
    name="Turkish",
    script="Latin",
    people=pairs("Ayşe; Mehmet; Elif; Emre; Zeynep; Can; Defne; Kerem; Fatma; Ali"),
    acts=pairs(
        "elma yiyor=eats an apple; kitap okuyor=reads a book; çay içiyor=drinks tea; şarkı söylüyor=sings a song;"
        "resim yapıyor=paints a picture; ekmek alıyor=buys bread; mektup yazıyor=writes a letter; top oynuyor=plays ball;"
        "köpeği arıyor=looks for the dog; çorba pişiriyor=cooks soup; bekliyor=waits; yüksek sesle gülüyor=laughs loudly"
    ),
    places=pairs(
        "parkta=in the park; istasyonda=at the station; okulda=at school; evde=at home; deniz kenarında=by the sea;"
        "pazarda=at the market; bahçede=in the garden; şehirde=in the city"
    ),
    times=pairs(
        "sabah=in the morning; akşam=in the evening; bugün=today; pazartesi günü=on Monday; yazın=in summer; sık sık=often"
    ),
    nouns=pairs(
        "ev=house; ağaç=tree; su=water; ekmek=bread; güneş=sun; ay=moon; köpek=dog; kedi=cat; kitap=book; masa=table;"
        "pencere=window; kapı=door; çiçek=flower; balık=fish; kuş=bird; süt=milk; tuz=salt; dağ=mountain; nehir=river;"
        "sokak=street; anahtar=key; peynir=cheese; yıldız=star; yağmur=rain"
    ),
    numbers=phrases("bir; iki; üç; dört; beş; altı; yedi; sekiz; dokuz; on; on bir; on iki"),
    days=phrases("pazartesi; salı; çarşamba; perşembe; cuma; cumartesi; pazar"),
    weather=phrases("Yağmur yağıyor.; Güneş parlıyor.; Hava soğuk.; Rüzgar güçlü.; Biraz kar yağıyor.; Gökyüzü mavi."),
    act="{name} {act}.",
    what="{name} ne yapıyor?",
    at="{name} {place}.",
    where="{name} nerede?",
    ask_at="{name} {place}, değil mi?",
    yes="Evet, {name} {place}.",
    no="Hayır, {name} {place}.",
    full="{name} {time} {place} {act}.",
    tell=("{name} hakkında kısa bir hikaye anlat.", "{name} hakkında kısa bir metin yaz."),
    opening=("Bu hikaye {name} hakkında.", "İşte {name}."),
    ending=("Sonra {name} eve dönüyor.", "Sonunda her şey iyi oluyor.", "Gün böyle bitiyor."),
    list_them="Bir liste yaz: {words}.",
    count_on="Saymaya devam et: {words}.",
    next_day="Sıradaki gün hangisi: {day}?",
    next_day_is="Sıradaki gün {next}.",
    hello="Merhaba, benim adım {name}. Senin adın ne?",
    hello_back="Merhaba {name}! Benim adım {other}. {weather}",
    thanks="Teşekkürler!",
    welcome="Rica ederim!",
)

LANGUAGES: tuple[Language, ...] = (GERMAN, FRENCH, SPANISH, PORTUGUESE, POLISH, TURKISH)
