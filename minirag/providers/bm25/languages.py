"""What the analysers know about each language: its stemmer, its stop words, its clitics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["LANGUAGES", "LANGUAGE_CODES", "NO_LANGUAGE", "RIVALS", "Language"]

NO_LANGUAGE: Final = "none"
"""The code of text whose language is unknown or has no stemmer."""


@dataclass(frozen=True, slots=True)
class Language:
    """One language that has an analyser.

    Attributes:
        stemmer: the name of its Snowball algorithm.
        stop_words: left out of a query that has other words.
        function_words: frequent words that give the language away; the stop words are among them.
        clitics: what an apostrophe ties to a word without changing what it is about (`l'eau`, `dog's`).
    """

    stemmer: str
    stop_words: frozenset[str]
    function_words: frozenset[str]
    clitics: frozenset[str] = frozenset()


def _language(stemmer: str, stop_words: str, *, function_words: str = "", clitics: str = "") -> Language:
    stop = frozenset(stop_words.split())
    return Language(stemmer, stop, stop | frozenset(function_words.split()), frozenset(clitics.split()))


LANGUAGES: Final[dict[str, Language]] = {
    "ar": _language(
        "arabic",
        "في من على إلى الى عن مع أن ان إن ما لا لم لن هذا هذه ذلك تلك التي الذي الذين كان كانت يكون هو هي هم و أو او ثم "
        "قد كل بعد قبل بين عند كما حيث أي أيضا لكن بل إذا حتى غير منذ خلال",
    ),
    "ca": _language(
        "catalan",
        "el la els les un una uns unes de del dels a al als en amb per i o que no és són va van ser ha han com més però "
        "aquest aquesta aquests aquestes seva seu seus seves es hi ho també on quan perquè molt entre fins sobre sense "
        "estat pel pels li em et us",
        clitics="l d m t s n",
    ),
    "da": _language(
        "danish",
        "og i at det en et den til er som på de med af for der var ikke har han hun jeg vi du sig fra om men så blev blev "
        "efter ved kan vil skal være været eller når hvor hvad også ud op ind over under deres hans hendes denne dette "
        "disse mod nu da end noget nogle havde meget",
    ),
    "de": _language(
        "german",
        "der die das den dem des ein eine einer eines einem einen und oder aber nicht ist sind war waren wird werden wurde "
        "wurden hat haben hatte hatten sein seine seiner ihr ihre ihrer er sie es wir ich in im an am auf aus bei mit nach "
        "von vom zu zum zur für über unter um durch als auch wie so nur noch dass daß wenn sich man dieser diese dieses kann "
        "können was wer wo zwischen bis vor",
    ),
    "el": _language(
        "greek",
        "ο η το οι τα του της των τον την τους τις και να σε με για από που στο στη στην στον στις στους στα δεν θα είναι "
        "ήταν έχει ως αλλά ή αν ότι κατά μετά πριν αυτό αυτή αυτός ένα μια ένας μιας ενός επίσης όπως πως μόνο πιο μεταξύ",
    ),
    # Lucene's list: short on purpose, since a word left out can never be searched for with others.
    "en": _language(
        "english",
        "a an and are as at be but by for if in into is it no not of on or such that the their then there these they this "
        "to was will with",
        function_words="i you he she we me him her us them his its our your my which who whom whose what when where why how "
        "has have had been were being can could may might must shall should would do does did from than about after "
        "before between during through under over also only other more most some any all both each so because while "
        "however",
        clitics="s t d m ll re ve",
    ),
    "es": _language(
        "spanish",
        "el la los las un una unos unas de del al a en con por para y e o u que no es son era fue ser ha han como más pero "
        "su sus se lo le les este esta estos estas ese esa esto sin sobre entre también muy ya cuando donde porque hasta "
        "desde me mi te si qué cómo cuál está están fueron había",
    ),
    "fi": _language(
        "finnish",
        "ja on ei oli ovat että se hän ne he me te minä sinä joka jotka jonka jossa tai mutta kuin kun niin myös ole olla "
        "olivat ollut sen sitä siitä siinä niiden tämä tämän tässä tätä nämä mukaan kanssa jälkeen ennen vain jos mikä "
        "mitä koska sekä oman hänen heidän eikä eivät voi noin",
    ),
    "fr": _language(
        "french",
        "le la les un une des du de au aux à en dans par pour sur avec sans sous et ou mais ne pas plus que qui quoi dont où "
        "ce cet cette ces est sont était étaient sera être été a ont avait avoir il elle ils elles on nous vous je tu se sa "
        "son ses leur leurs comme aussi y si entre fait lui même très",
        clitics="l d j m t s n c qu jusqu lorsqu puisqu quoiqu",
    ),
    "hi": _language(
        "hindi",
        "के का की में है हैं और को से पर ने कि यह वह जो भी तो ही नहीं था थी थे एक इस उस इन उन लिए हो होता होती होते कर करने "
        "किया गया गई साथ या तक अपने अपनी बाद कुछ क्या कौन जब जैसे द्वारा इसके उनके",
    ),
    "hu": _language(
        "hungarian",
        "a az egy és is nem hogy volt van vagy de ez azt ezt meg csak már még mint el ki be fel le ha aki ami amely akik "
        "amelyek amit után között alatt szerint lehet kell voltak lett sem úgy így ő ők én minden majd pedig illetve által",
    ),
    "id": _language(
        "indonesian",
        "yang dan di ke dari untuk pada dengan dalam adalah ini itu tidak akan oleh sebagai juga atau telah ada karena "
        "mereka dia ia kami kita saya anda bisa dapat lebih seperti antara sudah belum tetapi para sebuah saat hingga "
        "bahwa setelah",
    ),
    "it": _language(
        "italian",
        "il lo la i gli le un uno una di del dello della dei degli delle a al allo alla ai agli alle da dal dalla dai dalle "
        "in nel nello nella nei nelle con su sul sulla sui sulle per tra fra e ed o ma che non è sono era erano fu essere ha "
        "hanno come più anche si suo sua suoi sue loro questo questa questi queste quello quella cui dove quando chi ci ne "
        "se stato stata",
        clitics="l un d c s t m v n all dell dall nell sull coll quest quell",
    ),
    "nl": _language(
        "dutch",
        "de het een en van in is dat op te zijn met voor niet aan er die ook als om door maar bij uit naar dan nog of was "
        "waren werd werden wordt worden heeft hebben had hij zij ze we ik je hun haar deze dit over tot kan meer tussen "
        "tegen onder na wat wie waar geen wel zich",
    ),
    "no": _language(
        "norwegian",
        "og i at det en et ei den til er som på de med av for var ikke har han hun jeg vi du seg fra om men så ble blitt "
        "etter ved kan vil skal være vært eller når hvor hva også ut opp inn over under deres hans hennes denne dette "
        "disse mot nå da enn noe noen hadde bare",
    ),
    "pt": _language(
        "portuguese",
        "o a os as um uma uns umas de do da dos das em no na nos nas ao aos à às por pelo pela pelos pelas para com sem e ou "
        "mas que não é são era foi foram ser está estão tem têm como mais se seu sua seus suas ele ela eles elas este esta "
        "isso também muito já quando onde porque até entre sobre lhe eu você qual",
    ),
    "ro": _language(
        "romanian",
        "și şi în de la a al ale ai cu pe din că ca nu este sunt era au fost fi o un unei unui pentru prin care mai sau dar "
        "se lui ei lor iar într după până între sub fără acest această aceste cel cea cele cei cum dacă când unde foarte "
        "sa său",
    ),
    "ru": _language(
        "russian",
        "и в во не на я с со он а то все она так его но да ты к у же вы за бы по ее её мне было были был была от меня о из "
        "ему еще ещё когда даже ну ли если или ни быть до вас уж там потом себя ничего им их для это этот эта эти этого что "
        "как мы они чем который которая которые также при без под через после между более",
    ),
    "sv": _language(
        "swedish",
        "och i att det en ett den till är som på de med av för var inte har han hon jag vi du sig från om men så blev "
        "blivit efter vid kan vill ska skall vara varit eller när där vad också ut upp in över under deras hans hennes "
        "denna detta dessa mot nu då än något några hade bara mycket",
    ),
    "ta": _language(
        "tamil",
        "ஒரு என்று மற்றும் இந்த அந்த இது அது என்ற என்பது என ஆகும் உள்ள இருந்து கொண்டு தனது அவர் அவன் அவள் நான் போன்ற பல வேண்டும் "
        "மீது பற்றி தான் முதல் வரை கூட மட்டும் ஆனால் இல்லை எந்த என்ன",
    ),
    "tr": _language(
        "turkish",
        "ve bir bu da de için ile olarak olan daha çok gibi en o ne kadar sonra ancak veya ise ya değil var her ama ki "
        "olduğu tarafından göre şu biz ben sen onun bunu önce mi mı mu mü hem diye ilk üzere şey nasıl neden oldu idi",
    ),
}
"""The languages with an analyser of their own, by ISO 639-1 code. The lists are frequent function words of each."""

LANGUAGE_CODES: Final[tuple[str, ...]] = (*sorted(LANGUAGES), NO_LANGUAGE)
"""Every code an analyser can have; postings hold positions in this tuple."""

RIVALS: Final[dict[str, frozenset[str]]] = {
    code: frozenset(words.split())
    for code, words in {
        "bg": "на и в се да от за са с по не е като които който която ще това или при през до след му си беше",
        "cs": "a v se na je že s z do i to k jako pro o by za ve byl bylo byla jsou ale od po který která také jeho",
        "et": "ja on ei ta see et kui oli ka mis ning või oma nii tema aga kes selle olid nende ühe aasta pärast",
        "fa": "و در به از که این را با است برای آن یک تا بر هم نیز شده بود شد می خود های ها یا کرد اما او",
        "hr": "i u je na se da su za od s o a koji koja koje kao ne iz ili bio bila nije po te što biti",
        "la": "et in est non ad cum ut sed qui quae quod ex ab per sunt esse atque aut si nec hoc enim",
        "mr": "आहे आणि या हे व ते आहेत होते होता हा ही त्या च्या मध्ये केले एक असे तर की नाही",
        "ne": "छ र को मा ले पनि यो हो छन् थियो लाई गर्न भएको तथा गरेको एक भने यस",
        "pl": "i w na z się nie do to jest o że jak po co za od przez dla są był była oraz ale lub jego tym także",
        "sr": "и у је на се да су за од са о а који која које као не из или био била није по те што бити",
        "uk": "і в на у з до не що та за від як для це або про був була були є по й але які який також його",
    }.items()
}
"""Function words of languages without an analyser here that would otherwise be taken for one of those above."""
