#include "suite.h"

#include <math.h>

#include "classifiers/linear_model.h"
#include "classifiers/spelling_training.h"
#include "engine/base/rng.h"
#include "tests/unit/linear_fixture.h"

/* The most frequent first: 3 common words, 13 targets, of which "you" and "fuk" are too short, 4
 * that are sure, and 6 rare ones. */
static const char vocabulary[] = "you\nhate\nwomen\nfuck\npeople\nthere\nthree\nbread\nbeard\n"
                                 "abcd\nabce\nfuk\nword\nsword\nwo\na\nbroad\n"
                                 "braed\npeple\nckk\nbce\nabdc\nhateyou\n";
static const struct spelling_size size = {23, 17, 13, 3};

static struct spelling *fixture(void)
{
    struct status st = {0};
    struct spelling *spelling;
    ASSERT_OK(spelling_parse(&spelling, text_of(vocabulary), &size, &st));
    return spelling;
}

/* ---- repairs ---- */

struct words {
    char text[4096];
    size_t length;
};

static void keep_word(void *user, const struct normalized_word *word)
{
    struct words *words = user;
    for (size_t i = 0; i < word->n && words->length < sizeof words->text - 64; i++) {
        uint32_t c = word->letters[i];
        words->text[words->length++] = c < 0x80 ? (char)c : '#';
    }
    words->length +=
        (size_t)snprintf(words->text + words->length, 64, "(%zu-%zu) ", word->start, word->end);
}

struct reader {
    struct text_normalizer normalizer;
    struct speller speller;
    struct words words;
};

static void spell(void *user, const struct normalized_word *word)
{
    struct reader *reader = user;
    speller_add(&reader->speller, word, keep_word, &reader->words);
}

static void reader_init(struct reader *reader, const struct spelling *spelling)
{
    reader->words = (struct words){.length = 0};
    text_normalizer_init(&reader->normalizer);
    speller_init(&reader->speller, spelling);
}

static void reader_add(struct reader *reader, struct text piece)
{
    text_normalizer_add(&reader->normalizer, piece, spell, reader);
}

/* Ends a copy: the reader may read on. */
static struct words reader_words(const struct reader *reader)
{
    struct reader whole = *reader;
    text_normalizer_end(&whole.normalizer, spell, &whole);
    speller_end(&whole.speller, keep_word, &whole.words);
    return whole.words;
}

/* Words without their stretches. */
static void check(const char *text, const char *expected)
{
    struct spelling *spelling = fixture();
    struct reader reader;
    reader_init(&reader, spelling);
    reader_add(&reader, text_of(text));
    struct words words = reader_words(&reader);
    char plain[4096];
    size_t n = 0;
    for (size_t i = 0; i < words.length; i++) {
        if (words.text[i] == '(')
            while (words.text[++i] != ')')
                ;
        else
            plain[n++] = words.text[i];
    }
    plain[n ? n - 1 : 0] = '\0';
    if (strcmp(plain, expected) != 0)
        fprintf(stderr, "  \"%s\" gave \"%s\", expected \"%s\"\n", text, plain, expected);
    CU_ASSERT_STRING_EQUAL(plain, expected);
    spelling_free(spelling);
}

static void check_stretches(const char *text, const char *expected)
{
    struct spelling *spelling = fixture();
    struct reader reader;
    reader_init(&reader, spelling);
    reader_add(&reader, text_of(text));
    struct words words = reader_words(&reader);
    CU_ASSERT_STRING_EQUAL(words.text, expected);
    spelling_free(spelling);
}

static void test_letters(void)
{
    check("pople wmen womn", "people women women");                   /* one is missing */
    check("peopple women womeen wommen", "people women women women"); /* one too many */
    check("poeple fukc fcuk wmoen", "people fuck fuck women");        /* two are swapped */
    check("fck", "fuck");        /* 3 letters without a vowel */
    check("wod hat", "wod hat"); /* with one they are too short */
    check("fuckk", "fuck");
    check("fxck", "fxck"); /* another letter is no misspelling of these kinds */
    check("omen opeople epople", "omen opeople epople"); /* the first letter is sure */
    check("haet hte", "hate hte");                       /* "hte" has a vowel */
}

static void test_known(void)
{
    check("fuk wo a broad", "fuk wo a broad"); /* known words stay */
    check("yuo yoou", "yuo yoou");             /* "you" is too short to be a target */
    check("swrd brod", "swrd brod");           /* known words are no targets */
    check("FCUK f\xc3\xbc"
          "cck",
          "fuck fuck"); /* after the normalizer's work */
}

static void test_rare(void)
{
    check("braed abdc", "bread abcd");       /* where two letters are swapped */
    check("peple hateyou", "peple hateyou"); /* else they stay */
    check("a bce", "abce");                  /* or they are half a word */
}

static void test_ambiguous(void)
{
    check("bead", "bread"); /* of "bread" and "beard" the more frequent */
    check("thre", "there"); /* of "there" and "three" likewise */
    check("abcde", "abcd"); /* one too many, in two ways */
    check("abc abdc", "abc abcd");
    check("abccd", "abcd");
}

static void test_together(void)
{
    check("hatewomen youhate hatehate", "hate women you hate hate hate");
    check("hatefuck hatewomenyou", "hatefuck hatewomenyou"); /* "fuck" is not common; three */
    check("yhate", "yhate");
    check("#hatewomen hatewomne", "hate women hatewomne");
}

static void test_apart(void)
{
    check("wom en", "women");
    check("fu ck you", "fuck you");
    check("wo men", "women"); /* one of them is known */
    check("y ou there", "y ou there");
    check("peo ple there", "people there");
    check("wo a", "wo a");
    check("a bcd a bce", "abcd abce");
    check("hate wom", "hate wom"); /* nothing follows */
    check("wom en wom en", "women women");
    check("wom women", "wom women");
    check("fu 9 ck", "fu 0 ck");
    check("fu \xf0\x9f\x98\x80 ck", "fu # ck");
    check("wom-en wom... en", "women women");
}

static void test_stretches(void)
{
    check_stretches("we hatewomen so", "we(0-2) hate(3-12) women(3-12) so(13-15) ");
    check_stretches("wom  en fukc", "women(0-7) fuck(8-12) ");
    check_stretches("pe\xc3\xb6ple 77 poeple", "people(0-7) 0(8-10) people(11-17) ");
}

static void test_others_pass(void)
{
    check("\xd0\xb6\xd0\xb4\xd0\xbb 2019 \xf0\x9f\x98\x80", "### 0 #");
    check("wom\xd0\xb6n", "wom#n");
    check("x**2", "x**2");
    check("", "");
    char text[300], expected[310];
    memset(text, 0, sizeof text);
    for (size_t i = 0; i < 96; i++) text[i] = (char)('a' + i % 25);
    snprintf(expected, sizeof expected, "%.48s %s", text, text + 48);
    check(text, expected); /* a long word comes in parts, which spell nothing together */
}

static void test_no_spelling(void)
{
    struct reader reader;
    reader_init(&reader, NULL);
    reader_add(&reader, text_of("fukc wom en"));
    CU_ASSERT_STRING_EQUAL(reader_words(&reader).text, "fukc(0-4) wom(5-8) en(9-11) ");
}

/* ---- the rules, in another way ---- */

/* One word at a time by trying all targets, for random words of few letters. */
static bool is_one_off(const char *w, const char *target)
{
    size_t n = strlen(w), m = strlen(target);
    bool has_vowel = strpbrk(w, "aeiou") != NULL;
    char form[64];
    if (m < 4 || *w != *target) return false;
    for (size_t i = 1; i < m && m == n + 1 && n + !has_vowel >= 4; i++) {
        snprintf(form, sizeof form, "%.*s%s", (int)i, target, target + i + 1);
        if (strcmp(form, w) == 0) return true;
    }
    for (size_t i = 1; i < n && n == m + 1 && n >= 5; i++) {
        snprintf(form, sizeof form, "%.*s%s", (int)i, w, w + i + 1);
        if (strcmp(form, target) == 0) return true;
    }
    for (size_t i = 1; i + 1 < n && n == m && n >= 4; i++) {
        snprintf(form, sizeof form, "%s", w);
        form[i] = w[i + 1];
        form[i + 1] = w[i];
        if (strcmp(form, target) == 0) return true;
    }
    return false;
}

#define N_RANDOM 600

static int find(char (*words)[16], int n, const char *w, size_t length)
{
    for (int i = 0; i < n; i++)
        if (strlen(words[i]) == length && memcmp(words[i], w, length) == 0) return i;
    return -1;
}

static void expect_word(char (*words)[16], int n_targets, int n_common, const char *w, char *out)
{
    size_t n = strlen(w);
    int best = -1;
    strcpy(out, w);
    if (find(words, N_RANDOM, w, n) >= 0) return;
    for (int i = 0; i < n_targets; i++)
        if (is_one_off(w, words[i])) {
            strcpy(out, words[i]);
            return;
        }
    for (size_t i = 3; i + 3 <= n; i++) {
        int a = find(words, n_common, w, i), b = find(words, n_common, w + i, n - i);
        int rarer = a > b ? a : b;
        if (a < 0 || b < 0 || (best >= 0 && rarer >= best)) continue;
        best = rarer;
        sprintf(out, "%s %s", words[a], words[b]);
    }
}

static void random_word(struct rng *rng, char *out, size_t least, size_t most)
{
    size_t n = least + rng_next(rng) % (most - least + 1);
    for (size_t i = 0; i < n; i++) out[i] = "abct"[rng_next(rng) % 4];
    out[n] = '\0';
}

static void keep_plain(void *user, const struct normalized_word *word)
{
    char *out = user;
    size_t length = strlen(out);
    if (length) out[length++] = ' ';
    for (size_t i = 0; i < word->n; i++) out[length + i] = (char)word->letters[i];
    out[length + word->n] = '\0';
}

static void test_against_all_targets(void)
{
    static char words[N_RANDOM][16];
    struct status st = {0};
    struct strbuf lines;
    struct spelling *spelling;
    struct rng rng;
    const struct spelling_size counts = {N_RANDOM, N_RANDOM, 400, 200};
    int n_repaired = 0, n_split = 0;
    rng_seed(&rng, 1);
    strbuf_init(&lines, 1 << 16);
    for (int i = 0; i < N_RANDOM;) {
        random_word(&rng, words[i], 1, 7);
        if (find(words, i, words[i], strlen(words[i])) < 0)
            strbuf_appendf(&lines, "%s\n", words[i++]);
    }
    ASSERT_OK(spelling_parse(&spelling, (struct text){lines.data, lines.length}, &counts, &st));
    for (int round = 0; round < 20000; round++) {
        char w[16], expected[64], got[64] = "";
        uint32_t letters[16];
        struct speller speller;
        random_word(&rng, w, 1, 9);
        for (size_t i = 0; w[i]; i++) letters[i] = (unsigned char)w[i];
        expect_word(words, 400, 200, w, expected);
        speller_init(&speller, spelling);
        speller_add(&speller, &(struct normalized_word){letters, strlen(w), 0, 1}, keep_plain, got);
        speller_end(&speller, keep_plain, got);
        if (strcmp(got, expected) != 0)
            fprintf(stderr, "  \"%s\" gave \"%s\", expected \"%s\"\n", w, got, expected);
        CU_ASSERT_STRING_EQUAL(got, expected);
        n_repaired += strcmp(w, expected) != 0;
        n_split += strchr(expected, ' ') != NULL;
    }
    CU_ASSERT_TRUE(n_repaired > 2000 && n_split > 50);
    spelling_free(spelling);
    strbuf_release(&lines);
}

/* ---- pieces ---- */

static size_t random_text(struct rng *rng, char *out, size_t room)
{
    static const char *const parts[] = {
        "wom",   "en", "fu", "ck", "hate", "women", "poeple", "abcde", "there", "a",
        "bread", " ",  " ",  " ",  "9",    "*",     "\xff",   "\xe2",  ".",     "\xf0\x9f\x98\x80"};
    return join_at_random(rng, parts, sizeof parts / sizeof parts[0], 30, out, room);
}

/* Cut anywhere, and looked at after each piece, the words are those of the whole. */
static void test_pieces(void)
{
    struct spelling *spelling = fixture();
    struct rng rng;
    rng_seed(&rng, 3);
    for (int round = 0; round < 1000; round++) {
        char bytes[512];
        size_t length = random_text(&rng, bytes, sizeof bytes);
        static struct reader growing, whole;
        reader_init(&growing, spelling);
        for (size_t done = 0, piece; done < length; done += piece) {
            piece = 1 + rng_next(&rng) % 6;
            if (piece > length - done) piece = length - done;
            reader_add(&growing, (struct text){bytes + done, piece});
            reader_init(&whole, spelling);
            reader_add(&whole, (struct text){bytes, done + piece});
            struct words a = reader_words(&growing), b = reader_words(&whole);
            CU_ASSERT_EQUAL_FATAL(a.length, b.length);
            CU_ASSERT_EQUAL_FATAL(memcmp(a.text, b.text, a.length), 0);
        }
    }
    spelling_free(spelling);
}

/* ---- bad vocabularies ---- */

static void refuse(const char *words, size_t n, size_t targets, size_t common, const char *message)
{
    struct status st = {0};
    struct spelling *spelling;
    const struct spelling_size counts = {n, n, targets, common};
    ASSERT_FAILS(spelling_parse(&spelling, text_of(words), &counts, &st), STATUS_BAD_INPUT,
                 message);
    CU_ASSERT_PTR_NULL(spelling);
}

static void test_bad_words(void)
{
    refuse("one\ntwo\n", 3, 1, 1, "spelling: the words end after 2 of 3");
    refuse("one\ntwo", 2, 1, 1, "spelling: the words end after 1 of 2");
    refuse("one\ntwo\nt", 2, 1, 1, "the words end after 2 of 2");
    refuse("one\ntwo\nten\n", 2, 1, 1, "there are more than 2 words");
    refuse("one\n\nten\n", 3, 1, 1, "word 1 does not have 1 to 48 letters");
    refuse("abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvw\n", 1, 1, 1,
           "word 0 does not have 1 to 48 letters");
    refuse("one\nTwo\n", 2, 1, 1, "word 1 has more than letters from a to z");
    refuse("one\nt\xc3\xb6\n", 2, 1, 1, "word 1 has more than letters from a to z");
    refuse("one\ntwo\none\n", 3, 1, 1, "word 2 is there twice");
    refuse("one\ntwo\n", 2, 3, 1, "1 common words among 3 targets among 2 sure ones among 2 words");
    refuse("one\ntwo\n", 2, 1, 2, "2 common words among 1 targets");
    refuse("", 0, 0, 0, "0 words of 0 bytes");
    refuse("", 70000, 0, 0, "70000 words");
}

/* ---- learning ---- */

#define N_TEXTS 200

/* Half of the texts are bad; rare words are misspellings of frequent ones. */
static size_t make_examples(struct training_example *examples, char (*texts)[96])
{
    static const char *const neutral[] = {"river", "table", "green", "walks", "music", "early"};
    static const char *const bad[] = {"zorgish", "blatfink"};
    struct rng rng;
    rng_seed(&rng, 11);
    for (int i = 0; i < N_TEXTS; i++) {
        size_t length = 0;
        for (int w = 0; w < 6; w++)
            length +=
                (size_t)snprintf(texts[i] + length, 96 - length, "%s ",
                                 i % 2 && w == 2 ? bad[i / 2 % 2] : neutral[rng_next(&rng) % 6]);
        if (i == 7) length += (size_t)snprintf(texts[i] + length, 96 - length, "lonely Z9");
        examples[i] = (struct training_example){.text = {texts[i], length},
                                                .weight = 1,
                                                .held_out = i % 10 >= 8,
                                                .original = TRAINING_NONE};
        for (int h = 0; h < LINEAR_MAX_HEADS; h++) examples[i].label[h] = NAN;
        examples[i].label[0] = i % 2 ? 0.9f : 0.1f;
    }
    return N_TEXTS;
}

static void test_learning(void)
{
    static struct training_example examples[N_TEXTS];
    static char texts[N_TEXTS][96];
    struct status st = {0};
    struct spelling *spelling;
    size_t n = make_examples(examples, texts);
    ASSERT_OK(spelling_learn(&spelling, examples, n, 4, &st));
    struct text words = spelling_words(spelling);
    const struct spelling_size *counts = spelling_size(spelling);
    CU_ASSERT_EQUAL(counts->n_words, 8);
    CU_ASSERT_EQUAL(counts->n_sure, 8);
    CU_ASSERT_EQUAL(counts->n_targets, 8);
    CU_ASSERT_EQUAL(counts->n_common, 6); /* the bad ones are there 40 times each */
    CU_ASSERT_PTR_NOT_NULL(strstr(words.data, "blatfink\nzorgish\n")); /* ties: by letters */
    spelling_free(spelling);
    ASSERT_FAILS(spelling_learn(&spelling, examples, n, 1000, &st), STATUS_BAD_INPUT,
                 "spelling: no word is there 1000 times");
    for (size_t i = 0; i < n; i++) examples[i].is_variant = true; /* made-up texts do not count */
    ASSERT_FAILS(spelling_learn(&spelling, examples, n, 1, &st), STATUS_BAD_INPUT, "no word");
}

static const struct training_options options = {.name = "t",
                                                .version = 1,
                                                .n_heads = 1,
                                                .category = {HAZARD_INSULT},
                                                .bits = 12,
                                                .epochs = 4,
                                                .learning_rate = 1,
                                                .l2 = 1e-5,
                                                .domain_rate = 0.5,
                                                .seed = 1,
                                                .spelling_min_count = 4};

static struct linear_model *trained(void)
{
    static struct training_example examples[N_TEXTS];
    static char texts[N_TEXTS][96];
    struct status st = {0};
    struct linear_model *model;
    size_t n = make_examples(examples, texts);
    ASSERT_OK(training_run(&model, &options, examples, n, &st));
    return model;
}

/* With a window network, which has to see the same words; to the same bytes each time. */
static struct linear_model *trained_with_window(void)
{
    static struct training_example examples[N_TEXTS];
    static char texts[N_TEXTS][96];
    struct training_options with = options;
    with.window = (struct window_options){.size = 3, .min_count = 4, .epochs = 2, .share = 0.4};
    return train_twice(&with, examples, make_examples(examples, texts));
}

/* Misspelt, a text has the score of the text without; the file reads back as it was written. */
static void test_model(void)
{
    static const char *const misspelt[] = {
        "green music blaftink river",      "green music bltfink river",
        "green music blattfink river",     "gre en mus ic blat fink rivre",
        "greenmusic bl\xd0\xb0tf1n river", "grene musci b l a t f i k river"};
    struct status st = {0};
    struct linear_model *model = trained_with_window(), *again;
    struct strbuf one = model_file(model);
    ASSERT_OK(linear_model_parse(&again, (struct text){one.data, one.length}, "m", &st));
    struct strbuf two = model_file(again);
    CU_ASSERT_EQUAL_FATAL(one.length, two.length);
    CU_ASSERT_EQUAL(memcmp(one.data, two.data, one.length), 0);
    double plain = probability(model, "green music blatfink river");
    CU_ASSERT_TRUE(plain > 0.7);
    for (size_t i = 0; i < sizeof misspelt / sizeof misspelt[0]; i++) {
        CU_ASSERT_EQUAL(probability(again, misspelt[i]), plain);
    }
    strbuf_release(&one);
    strbuf_release(&two);
    linear_model_free(again);
    linear_model_free(model);
}

struct terms {
    double sum;
    size_t last_end, length, from, to; /* from, to: the stretch of the largest term */
    double largest;
    bool out_of_order;
};

static void add_terms(void *user, size_t start, size_t end, const double *terms)
{
    struct terms *all = user;
    all->sum += terms[0];
    if (start > end || end > all->length || end < all->last_end) all->out_of_order = true;
    all->last_end = end;
    if (terms[0] <= all->largest || start == end) return;
    all->largest = terms[0];
    all->from = start;
    all->to = end;
}

/* Terms sum to the logit, and point at what was written. */
static void test_explanation(void)
{
    static const char *const texts[] = {"green blat fink river", "musicgreen zorgsih",
                                        "rive r ta ble gree nwalks", "zor gish"};
    struct linear_model *model = trained();
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct terms terms = {.length = strlen(texts[i])};
        struct linear_sum sum;
        double logit[LINEAR_MAX_HEADS];
        linear_sum_init(&sum, model);
        linear_sum_add(&sum, text_of(texts[i]));
        linear_sum_scores(&sum, logit, NULL);
        linear_model_explain(model, text_of(texts[i]), add_terms, &terms);
        CU_ASSERT_FALSE(terms.out_of_order);
        CU_ASSERT_DOUBLE_EQUAL(terms.sum, logit[0], 1e-9);
        if (i == 0) CU_ASSERT_TRUE(terms.from == 6 && terms.to == 15);
        if (i == 3) CU_ASSERT_TRUE(terms.from == 0 && terms.to == 8);
    }
    linear_model_free(model);
}

/* A text that grows has, at any time, the score of the text so far. */
static void test_growing(void)
{
    static const char text[] = "gre en zorg ish musicriver blatfikn walk s table";
    struct linear_model *model = trained();
    struct linear_sum growing;
    linear_sum_init(&growing, model);
    for (size_t n = 0; n < sizeof text - 1; n++) {
        struct linear_sum whole;
        double a[LINEAR_MAX_HEADS], b[LINEAR_MAX_HEADS];
        linear_sum_add(&growing, (struct text){text + n, 1});
        linear_sum_init(&whole, model);
        linear_sum_add(&whole, (struct text){text, n + 1});
        linear_sum_scores(&growing, a, NULL);
        linear_sum_scores(&whole, b, NULL);
        CU_ASSERT_EQUAL(a[0], b[0]);
    }
    linear_model_free(model);
}

/* ---- the file ---- */

static void test_bad_files(void)
{
    struct linear_model *model = trained();
    refuses_changed(model, "\"format\": 3", "\"format\": 2",
                    "m.bin: format 2 with a field \"spelling\"");
    refuses_changed(model, "\"spelling\"", "\"spilling\"", "m.bin: ");
    refuses_changed(model, "\"words\": 8", "\"words\": 9", "spelling: the words end after 8 of 9");
    refuses_changed(model, "\"words\": 8", "\"words\": 0", "spelling: field \"words\"");
    refuses_changed(model, "\"sure\": 8", "\"sure\": 9",
                    "8 targets among 9 sure ones among 8 words");
    refuses_changed(model, "\"targets\": 8", "\"targets\": 9", "6 common words among 9 targets");
    refuses_changed(model, "\"common\": 6", "\"common\": 9", "9 common words among 8 targets");
    refuses_changed(model, "\"bytes\": 5", "\"bytes\": 6", "bytes of weights");
    refuses_changed(model, "\"targets\"", "\"turgets\"", "spelling: ");
    refuses_changed(model, "blatfink\n", "blatfin\n\n", "word 7 does not have 1 to 48 letters");
    refuses_changed(model, "blatfink\n", "blatFink\n", "has more than letters from a to z");
    linear_model_free(model);
}

/* Changed bytes: refused, or a model whose scores are numbers. */
static void test_changed_files(void)
{
    struct linear_model *model = trained();
    struct strbuf file = model_file(model);
    struct rng rng;
    size_t refused = 0, read = 0, length = file.length;
    rng_seed(&rng, 7);
    for (int round = 0; round < 2000; round++) {
        struct status st = {0};
        struct linear_model *out;
        size_t at = length - 1 - rng_next(&rng) % spelling_words(model->spelling).length;
        char kept = file.data[at];
        file.data[at] = round % 4 ? (char)('a' + rng_next(&rng) % 26) : (char)rng_next(&rng);
        if (round % 5 == 0) file.length -= rng_next(&rng) % 20;
        if (linear_model_parse(&out, (struct text){file.data, file.length}, "m", &st) ==
            STATUS_OK) {
            double p = probability(out, "gren musci blat fink musicriver walkss rivre");
            CU_ASSERT_TRUE(p >= 0 && p <= 1);
            read++;
        } else {
            refused++;
        }
        linear_model_free(out);
        file.data[at] = kept;
        file.length = length;
    }
    CU_ASSERT_TRUE(refused > 300 && read > 300);
    linear_model_free(model);
    strbuf_release(&file);
}

static const struct test_case tests[] = {
    {"a letter missing, too many, two swapped", test_letters},
    {"known words stay, short and rare ones are no targets", test_known},
    {"rare words are repaired with care", test_rare},
    {"of several repairs the most frequent word", test_ambiguous},
    {"words run together come apart", test_together},
    {"words in two pieces come together", test_apart},
    {"a repaired word has the stretch of what was written", test_stretches},
    {"what is not of letters a to z passes", test_others_pass},
    {"without a spelling words pass", test_no_spelling},
    {"tables find what trying all targets finds", test_against_all_targets},
    {"pieces give the words of the whole", test_pieces},
    {"bad words are refused", test_bad_words},
    {"words are learned by frequency", test_learning},
    {"a model scores misspelt words as what they are", test_model},
    {"an explanation sums up and points at what was written", test_explanation},
    {"a growing text scores as a whole one", test_growing},
    {"bad files are refused", test_bad_files},
    {"changed files are refused or score", test_changed_files},
};
SUITE("spelling", tests)
