#include "suite.h"

#include <math.h>

#include "classifiers/classifier.h"
#include "classifiers/linear_model.h"
#include "classifiers/portable_math.h"
#include "classifiers/training.h"
#include "engine/base/rng.h"
#include "engine/base/utf8.h"
#include "tests/unit/linear_fixture.h"

/* ---- normalization ---- */

struct words {
    char text[4096];
    size_t length, covered;
};

static void keep_word(void *user, const struct normalized_word *word)
{
    struct words *words = user;
    for (size_t i = 0; i < word->n && words->length < sizeof words->text - 8; i++) {
        uint32_t c = word->letters[i];
        words->text[words->length++] = c < 0x80 ? (char)c : '#';
    }
    words->text[words->length++] = ' ';
    words->text[words->length] = '\0';
    words->covered += word->end - word->start;
}

static struct words normalize(const char *text)
{
    struct words words = {.length = 0};
    struct text_normalizer normalizer;
    text_normalizer_init(&normalizer);
    text_normalizer_add(&normalizer, text_of(text), keep_word, &words);
    text_normalizer_end(&normalizer, keep_word, &words);
    return words;
}

static void check_words(const char *text, const char *expected)
{
    struct words words = normalize(text);
    if (strcmp(words.text, expected) != 0)
        fprintf(stderr, "  \"%s\" gave \"%s\", expected \"%s\"\n", text, words.text, expected);
    CU_ASSERT_STRING_EQUAL(words.text, expected);
}

static void test_words(void)
{
    check_words("Hello, World!", "hello world ");
    check_words("don't can\xe2\x80\x99t", "dont cant ");
    check_words("in 2019 and 5 more", "in 0 and 0 more ");
    check_words("", "");
    check_words("...  --", "");
}

static void test_disguises(void)
{
    check_words("sh1t", "shit ");
    check_words("a$$", "ass ");
    check_words("b!tch b1tch", "bitch bitch ");
    check_words("ni99er", "nigger ");
    check_words("fuuuuuck", "fuck ");
    check_words("f**k f***", "fuck fuck ");
    check_words("\xef\xbc\xa6\xef\xbc\xb5\xef\xbc\xa3\xef\xbc\xab", "fuck "); /* full width */
    check_words("\xd1\x95h\xd1\x96t", "shit ");                               /* Cyrillic */
    check_words("sh\xe2\x80\x8bit", "shit ");                                 /* zero width */
    check_words("id\xc3\xaf\xc3\xb6t", "idiot ");                             /* accents */
    check_words("motherf***er a**hole p***y f****** n****r",
                "motherfucker asshole pussy fucking nigger ");
    check_words("f*u*c*k sh*tty d**k f*ck1ng", "fuck shitty dick fucking ");
    check_words("b1tch3$ wh0r35 $hit 5hit", "bitches whores shit shit ");
    check_words("5h17 1d107 f4gg075 455h0l3 b4574rd @$$hole @$$",
                "shit idiot faggots asshole bastard asshole ass ");
    check_words("fuuck biitch fuuuckk", "fuck bitch fuck ");
    check_words("\xf0\x9f\x85\x95\xf0\x9f\x85\xa4\xf0\x9f\x85\x92\xf0\x9f\x85\x9a",
                "fuck ");                                                     /* discs */
    check_words("\xf0\x9f\x87\xa6\xf0\x9f\x87\xb8\xf0\x9f\x87\xb8", "ass ");  /* flags */
    check_words("\xea\x9c\xb0\xe1\xb4\x9c\xe1\xb4\x84\xe1\xb4\x8b", "fuck "); /* small capitals */
    check_words("f\xe2\xa0\x80u\xe2\xa0\x80"
                "c\xe2\xa0\x80k",
                "fuck "); /* Braille blanks */
    check_words("#StupidBitch #MAGA #fUcK", "stupid bitch maga f uc k ");
    check_words("idiot2000", "idiot ");
    check_words("f u c k", "fuck ");
    check_words("f.u-c k you", "fuck you ");
}

static void test_not_disguises(void)
{
    check_words("$100 @home wow!", "0 home wow ");
    check_words("covid19 b2b", "covid b2b "); /* 2 stands for no letter; 19 ends the word */
    check_words("plan a b", "plan a b ");     /* two single letters spell nothing */
    check_words("good", "good ");
    check_words("**Note:** this *is* ***it*** and **so on** too", "note this is it and so on too ");
    check_words("*he said* f*** off", "he said fuck off ");
    check_words("* one\n* two*\nx**2 + y**2", "one two* x**2 y**2 ");
    check_words("such as* or link***", "such as* or link*** "); /* footnotes */
    check_words("1st 7pm 3d h1n1 mp3", "1st 7pm 3d hini mp3 ");
    check_words("YouTube iPhone", "youtube iphone "); /* capitals make words in tags alone */
    check_words("\xf0\x9f\x98\x82 \xf0\x9f\x98\x82 \xf0\x9f\x98\x82",
                "# # # "); /* pictures spell nothing */
}

static void test_long_words(void)
{
    char text[2000];
    for (size_t i = 0; i < sizeof text - 1; i++) text[i] = (char)('a' + i % 26);
    text[sizeof text - 1] = '\0';
    struct words words = normalize(text);
    CU_ASSERT_EQUAL(words.covered, sizeof text - 1); /* in parts, and nothing is lost */
}

/* ---- exp and log ---- */

static void test_portable_math(void)
{
    struct rng rng;
    rng_seed(&rng, 21);
    for (int i = 0; i < 100000; i++) {
        double x = (rng_uniform(&rng) - 0.5) * 200, y = exp((rng_uniform(&rng) - 0.5) * 200);
        CU_ASSERT_TRUE(fabs(portable_exp(x) / exp(x) - 1) < 1e-13);
        CU_ASSERT_TRUE(fabs(portable_log(y) - log(y)) < 1e-13 * (1 + fabs(log(y))));
    }
    CU_ASSERT_EQUAL(portable_exp(0), 1);
    CU_ASSERT_EQUAL(portable_log(1), 0);
    CU_ASSERT_EQUAL(portable_logistic(0), 0.5);
    CU_ASSERT_TRUE(isfinite(portable_exp(1e9)) && portable_exp(-1e9) > 0);
}

/* ---- scores ---- */

/* The formula of linear_model.h in floating point. */
struct reference {
    const struct linear_model *model;
    double squares, word_squares, exps, total, word;
};

static void refer(void *user, const struct feature_batch *batch)
{
    struct reference *r = user;
    unsigned shift = 32 - (unsigned)r->model->bits;
    for (size_t i = 0; i < batch->n; i++) {
        const int8_t *w = r->model->weights + (size_t)(batch->hashes[i] >> shift) * LINEAR_COLUMNS;
        r->total += batch->value * w[1];
        r->word += batch->value * w[LINEAR_MAX_HEADS + 1];
        r->squares += batch->value * batch->value;
        r->word_squares += batch->value * batch->value;
    }
    if (!batch->ends_word) return;
    double score =
        r->model->heads[1].pool_scale * r->word / sqrt(r->word_squares + r->model->word_damping);
    r->exps += exp(r->model->sharpness * score);
    r->word = r->word_squares = 0;
}

static struct linear_model *random_model(uint64_t seed)
{
    struct status st = {0};
    struct linear_model *model;
    struct rng rng;
    ASSERT_OK(linear_model_create(&model, 12, 3, &st));
    rng_seed(&rng, seed);
    for (size_t i = 0; i < (size_t)1 << 12; i++)
        for (size_t h = 0; h < 3; h++) {
            model->weights[i * LINEAR_COLUMNS + h] = (int8_t)(rng_next(&rng) & 0xff);
            model->weights[i * LINEAR_COLUMNS + LINEAR_MAX_HEADS + h] =
                (int8_t)(rng_next(&rng) & 0xff);
        }
    for (int h = 0; h < 3; h++) {
        model->heads[h].category = (enum hazard_category)h;
        model->heads[h].bias = -0.5 * h;
        model->heads[h].scale = 0.01;
        model->heads[h].pool_scale = 0.02;
    }
    model->damping = 20;
    model->word_damping = 5;
    model->sharpness = 2;
    model->version = 7;
    strcpy(model->name, "random");
    return model;
}

/* Texts that are hard to cut: words, disguises, scripts, pictures, invalid bytes. */
static size_t random_text(struct rng *rng, char *out, size_t room)
{
    static const char *const parts[] = {"hello",
                                        " ",
                                        "f",
                                        "$",
                                        "1",
                                        "\xc3\xa9",
                                        "\xff",
                                        "!",
                                        "aaaa",
                                        "\xe2\x80\x8b",
                                        "\xf0\x9f\x98\x80",
                                        ".",
                                        "\xe2",
                                        "W",
                                        "*",
                                        "\n",
                                        "\xd1\x95",
                                        "\xef\xbc\xa6"};
    return join_at_random(rng, parts, sizeof parts / sizeof parts[0], 40, out, room);
}

static void test_formula(void)
{
    struct linear_model *model = random_model(9);
    struct rng rng;
    rng_seed(&rng, 10);
    for (int round = 0; round < 300; round++) {
        char bytes[512];
        size_t length = random_text(&rng, bytes, sizeof bytes);
        struct reference r = {.model = model};
        struct ngram_features features;
        struct linear_sum sum;
        double logits[LINEAR_MAX_HEADS];
        ngram_features_init(&features, NULL);
        ngram_features_add(&features, (struct text){bytes, length}, refer, &r);
        ngram_features_end(&features, refer, &r);
        double expected = model->heads[1].bias +
                          model->heads[1].scale * r.total / sqrt(r.squares + model->damping) +
                          log(1 + r.exps) / model->sharpness;
        linear_sum_init(&sum, model);
        linear_sum_add(&sum, (struct text){bytes, length});
        linear_sum_scores(&sum, logits, NULL);
        CU_ASSERT_DOUBLE_EQUAL(logits[1], expected, 0.01); /* an exp is good to a step of 1/64 */
    }
    linear_model_free(model);
}

/* The worst weights there can be, over and over: nothing overflows. */
static void test_extremes(void)
{
    struct linear_model *model = random_model(12);
    char text[20000];
    double logits[LINEAR_MAX_HEADS], p[LINEAR_MAX_HEADS];
    for (size_t i = 0; i < sizeof text; i++) text[i] = i % 40 == 39 ? ' ' : (char)('a' + i % 26);
    for (int sign = -1; sign <= 1; sign += 2) {
        struct linear_sum sum;
        memset(model->weights, sign < 0 ? 0x80 : 0x7f, (size_t)LINEAR_COLUMNS << 12);
        for (int h = 0; h < 3; h++) model->heads[h].pool_scale = 1e300;
        linear_sum_init(&sum, model);
        linear_sum_add(&sum, (struct text){text, sizeof text});
        linear_sum_scores(&sum, logits, p);
        CU_ASSERT_TRUE(isfinite(logits[0]) && (logits[0] > 0) == (sign > 0));
        CU_ASSERT_TRUE(p[0] >= 0 && p[0] <= 1);
    }
    linear_model_free(model);
}

static void test_incremental(void)
{
    struct linear_model *model = random_model(3);
    struct rng rng;
    rng_seed(&rng, 4);
    size_t n_checks = 0;
    for (int round = 0; round < 2000; round++) {
        char bytes[512];
        size_t length = random_text(&rng, bytes, sizeof bytes);
        struct linear_sum growing, whole;
        double a[LINEAR_MAX_HEADS], b[LINEAR_MAX_HEADS], p[LINEAR_MAX_HEADS], q[LINEAR_MAX_HEADS];
        linear_sum_init(&growing, model);
        for (size_t done = 0; done < length;) {
            size_t piece = 1 + rng_next(&rng) % 5;
            if (piece > length - done) piece = length - done;
            linear_sum_add(&growing, (struct text){bytes + done, piece});
            done += piece;
            linear_sum_init(&whole, model);
            linear_sum_add(&whole, (struct text){bytes, done});
            linear_sum_scores(&growing, a, p);
            linear_sum_scores(&whole, b, q);
            for (int h = 0; h < 3; h++, n_checks++)
                if (a[h] != b[h] || p[h] != q[h]) CU_FAIL("pieces and whole differ");
        }
    }
    CU_ASSERT_TRUE(n_checks > 10000);
    linear_model_free(model);
}

struct terms {
    double sum[LINEAR_MAX_HEADS];
    size_t n, last_end, length;
    bool out_of_text, out_of_order;
};

static void add_terms(void *user, size_t start, size_t end, const double *terms)
{
    struct terms *all = user;
    for (int h = 0; h < 3; h++) all->sum[h] += terms[h];
    all->n++;
    if (start > end || end > all->length) all->out_of_text = true;
    if (end < all->last_end) all->out_of_order = true;
    all->last_end = end;
}

static void test_explain(void)
{
    struct linear_model *model = random_model(5);
    struct rng rng;
    rng_seed(&rng, 6);
    for (int round = 0; round < 500; round++) {
        char bytes[512];
        size_t length = random_text(&rng, bytes, sizeof bytes);
        struct linear_sum sum;
        double logits[LINEAR_MAX_HEADS];
        struct terms terms = {.length = length};
        linear_sum_init(&sum, model);
        linear_sum_add(&sum, (struct text){bytes, length});
        linear_sum_scores(&sum, logits, NULL);
        linear_model_explain(model, (struct text){bytes, length}, add_terms, &terms);
        CU_ASSERT_TRUE(terms.n >= 1);
        CU_ASSERT_FALSE(terms.out_of_text);
        CU_ASSERT_FALSE(terms.out_of_order);
        for (int h = 0; h < 3; h++) CU_ASSERT_DOUBLE_EQUAL(terms.sum[h], logits[h], 1e-9);
    }
    linear_model_free(model);
}

static void test_calibration(void)
{
    struct linear_head head = {.bias = 0};
    linear_head_calibrate(&head, 2, -1);
    for (int k = 0; k < LINEAR_KNOTS; k++) {
        double z = 2 * head.knot_logit[k] - 1;
        CU_ASSERT_DOUBLE_EQUAL(head.knot_probability[k], 1 / (1 + exp(-z)), 1e-12);
    }
}

/* ---- the file ---- */

static void test_round_trip(void)
{
    struct status st = {0};
    struct linear_model *model = random_model(8), *again;
    struct strbuf file = model_file(model);
    ASSERT_OK(linear_model_parse(&again, (struct text){file.data, file.length}, "m", &st));
    CU_ASSERT_STRING_EQUAL(again->name, "random");
    CU_ASSERT_EQUAL(again->version, 7);
    CU_ASSERT_EQUAL(again->n_heads, 3);
    CU_ASSERT_EQUAL(memcmp(again->weights, model->weights, LINEAR_COLUMNS << 12), 0);
    CU_ASSERT_EQUAL(memcmp(again->heads, model->heads, 3 * sizeof model->heads[0]), 0);
    linear_model_free(again);
    linear_model_free(model);
    strbuf_release(&file);
}

static void test_bad_files(void)
{
    struct linear_model *model = random_model(8);
    refuses_changed(model, "ASSAYLIN", "ASSAYLIM", "m.bin: not a linear model");
    refuses_changed(model, "\"format\": 2", "\"format\": 3", "format");
    refuses_changed(model, "\"features\": 2", "\"features\": 1", "features");
    refuses_changed(model, "\"bits\": 12", "\"bits\": 13", "bytes of weights");
    refuses_changed(model, "\"bits\": 12", "\"bits\": 99", "bits");
    refuses_changed(model, "\"category\": \"obscene\"", "\"category\": \"obscenX\"",
                    "head 2: category");
    refuses_changed(model, "\"damping\": [20", "\"damping\": [-2", "damping");
    refuses_changed(model, "\"word_damping\": [5", "\"word_damping\": [0", "word_damping");
    refuses_changed(model, "\"sharpness\": [2", "\"sharpness\": [0", "sharpness");
    refuses_changed(model, "\"pool_scale\": ", "\"pool_scalf\": ", "pool_scalf");
    refuses_changed(model, "\"scale\": ", "\"scalf\": ", "scalf");
    linear_model_free(model);
}

static void test_cut_files(void)
{
    struct linear_model *model = random_model(8);
    struct strbuf file = model_file(model);
    size_t refused = 0, tried = 0;
    for (size_t n = 0; n < file.length; n += n < 3000 ? 1 : 997, tried++) {
        struct status st = {0};
        struct linear_model *out;
        char *copy = malloc(n + 1); /* so that a read past the end is seen */
        memcpy(copy, file.data, n);
        refused += linear_model_parse(&out, (struct text){copy, n}, "m", &st) != STATUS_OK;
        linear_model_free(out);
        free(copy);
    }
    CU_ASSERT_EQUAL(refused, tried);
    linear_model_free(model);
    strbuf_release(&file);
}

/* Changed bytes: refused, or a model whose scores are numbers. */
static void test_changed_files(void)
{
    struct linear_model *model = random_model(8);
    struct strbuf file = model_file(model);
    struct rng rng;
    size_t refused = 0, read = 0;
    rng_seed(&rng, 31);
    for (int round = 0; round < 1500; round++) {
        struct status st = {0};
        struct linear_model *out;
        size_t at = rng_next(&rng) % 5000;
        char kept = file.data[at];
        file.data[at] = round % 2 ? (char)rng_next(&rng) : (char)('0' + rng_next(&rng) % 10);
        if (linear_model_parse(&out, (struct text){file.data, file.length}, "m", &st) !=
            STATUS_OK) {
            refused++;
        } else {
            struct linear_sum sum;
            double p[LINEAR_MAX_HEADS];
            linear_sum_init(&sum, out);
            linear_sum_add(&sum, text_of("a text of some words"));
            linear_sum_scores(&sum, NULL, p);
            for (int h = 0; h < out->n_heads; h++) read += p[h] >= 0 && p[h] <= 1;
            if (!(p[0] >= 0 && p[0] <= 1)) CU_FAIL("a score that is no probability");
        }
        linear_model_free(out);
        file.data[at] = kept;
    }
    CU_ASSERT_TRUE(refused > 100 && read > 100);
    linear_model_free(model);
    strbuf_release(&file);
}

/* ---- training ---- */

#define N_TEXTS 400

/* Texts of neutral words, half of them with a bad one. */
static void make_examples(struct training_example *examples, char (*texts)[128])
{
    static const char *const neutral[] = {"river", "table", "green", "walks", "music", "early"};
    static const char *const bad[] = {"zorgish", "blatfink", "quimpy"};
    struct rng rng;
    rng_seed(&rng, 11);
    for (int i = 0; i < N_TEXTS; i++) {
        char *p = texts[i];
        int words = 3 + (int)(rng_next(&rng) % 6);
        bool is_bad = i % 2;
        size_t length = 0;
        for (int w = 0; w < words; w++)
            length += (size_t)snprintf(p + length, 128 - length, "%s ",
                                       is_bad && w == 1 ? bad[rng_next(&rng) % 3]
                                                        : neutral[rng_next(&rng) % 6]);
        examples[i] = (struct training_example){.text = {p, length},
                                                .weight = 1,
                                                .held_out = i % 10 >= 8,
                                                .domain = i % 3 == 0,
                                                .distill = 0.7f,
                                                .original = TRAINING_NONE};
        for (int h = 0; h < LINEAR_MAX_HEADS; h++) examples[i].label[h] = NAN;
        examples[i].label[0] = is_bad ? 0.9f : 0.1f;
    }
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
                                                .seed = 1};

static void test_training(void)
{
    static struct training_example examples[N_TEXTS];
    static char texts[N_TEXTS][128];
    make_examples(examples, texts);
    struct linear_model *a = train_twice(&options, examples, N_TEXTS);
    CU_ASSERT_TRUE(probability(a, "green music blatfink river") > 0.7);
    CU_ASSERT_TRUE(probability(a, "green music early river") < 0.3);
    CU_ASSERT_TRUE(probability(a, "green music bl\xd0\xb0tf1nk river") > 0.7);
    linear_model_free(a);
}

static void test_training_refuses(void)
{
    static struct training_example examples[N_TEXTS];
    static char texts[N_TEXTS][128];
    struct status st = {0};
    struct linear_model *model;
    make_examples(examples, texts);
    for (int i = 0; i < N_TEXTS; i++) examples[i].label[0] = 0.1f;
    ASSERT_FAILS(training_run(&model, &options, examples, N_TEXTS, &st), STATUS_BAD_INPUT,
                 "insult: no example to learn from is positive");
    CU_ASSERT_PTR_NULL(model);
    ASSERT_FAILS(training_run(&model, &options, examples, 0, &st), STATUS_BAD_INPUT, "0 examples");
}

/* ---- the classifier ---- */

static void test_builtin(void)
{
    struct status st = {0};
    struct classifier *classifier;
    struct hazard_scores scores;
    ASSERT_OK(classifier_open(&classifier, "builtin", &st));
    CU_ASSERT_STRING_EQUAL(classifier_id(classifier), "linear/builtin-5");
    CU_ASSERT_EQUAL(classifier_categories(classifier), 0x7fu);
    ASSERT_OK(classifier_score(classifier, text_of(""), text_of("You are a fucking idiot"), &scores,
                               &st));
    CU_ASSERT_TRUE(scores.of[HAZARD_TOXICITY].probability > 0.9);
    CU_ASSERT_TRUE(scores.of[HAZARD_INSULT].probability > 0.8);
    ASSERT_OK(classifier_score(classifier, text_of(""),
                               text_of("The committee meets on Tuesday afternoon."), &scores, &st));
    CU_ASSERT_TRUE(scores.of[HAZARD_TOXICITY].probability < 0.2);
    CU_ASSERT_FALSE(scores.of[HAZARD_VIOLENCE].scored);
    classifier_free(classifier);
    ASSERT_FAILS(classifier_open(&classifier, "builtin:x", &st), STATUS_USAGE, "takes no argument");
    ASSERT_FAILS(classifier_open(&classifier, "linear:/nowhere", &st), STATUS_NOT_FOUND,
                 "/nowhere");
    ASSERT_FAILS(classifier_open(&classifier, "linear:Makefile", &st), STATUS_BAD_INPUT,
                 "Makefile: not a linear model");
}

static double toxicity(const struct classifier *classifier, const char *text)
{
    struct status st = {0};
    struct hazard_scores scores;
    ASSERT_OK(classifier_score(classifier, text_of(""), text_of(text), &scores, &st));
    return scores.of[HAZARD_TOXICITY].probability;
}

/* Ways to write a word; `between` comes between two letters. */
static const struct disguise {
    const char *name, *between;
    uint32_t first; /* 0, or the code point for 'a' in an alphabet of 26 */
    bool is_upper;
} disguises[] = {
    {"capitals", "", 0, true},
    {"zero-width space", "\xe2\x80\x8b", 0, false},
    {"soft hyphen", "\xc2\xad", 0, false},
    {"variation selector", "\xef\xb8\x8f", 0, false},
    {"long stroke overlay", "\xcc\xb6", 0, false},
    {"spaces", " ", 0, false},
    {"dots", ".", 0, false},
    {"stars", "*", 0, false},
    {"ideographic space", "\xe3\x80\x80", 0, false},
    {"Braille blank", "\xe2\xa0\x80", 0, false},
    {"full width", "", 0xff41, false},
    {"mathematical bold", "", 0x1d41a, false},
    {"mathematical script", "", 0x1d4ea, false},
    {"in circles", "", 0x24d0, false},
    {"on discs", "", 0x1f150, false},
    {"on squares", "", 0x1f170, false},
    {"letters of flags", "\xe2\x80\x8b", 0x1f1e6, false},
};
#define N_DISGUISES (sizeof disguises / sizeof disguises[0])

/* Appends a text in which words of four letters or more are written so. */
static void append_disguised(struct strbuf *out, const char *text, const struct disguise *d)
{
    while (*text) {
        size_t n = strspn(text, "abcdefghijklmnopqrstuvwxyz");
        for (size_t i = 0; i < n; i++) {
            char bytes[4] = {text[i]};
            uint32_t letter = (uint32_t)(text[i] - 'a');
            size_t length = n > 3 && d->first ? utf8_encode(d->first + letter, bytes) : 1;
            if (n > 3 && d->is_upper) bytes[0] = (char)(text[i] - 'a' + 'A');
            strbuf_append(out, bytes, length);
            if (n > 3 && i + 1 < n) strbuf_append_str(out, d->between);
        }
        if (!text[n]) break;
        strbuf_append_char(out, text[n]);
        text += n + 1;
    }
}

/* What hides a word neither lowers a toxic text's score nor raises a harmless one's.  Words that
 * stand side by side run together when their letters are spaced, so none do here. */
static void test_disguised_scores(void)
{
    static const char *const texts[] = {
        "you are one fucking big idiot",
        "shut up you stupid old bitch",
        "what an asshole he is",
        "the river ran by our village in may",
        "she can teach you music for free",
        "can you send me the report by monday",
    };
    struct status st = {0};
    struct classifier *classifier;
    ASSERT_OK(classifier_open(&classifier, "builtin", &st));
    for (size_t t = 0; t < sizeof texts / sizeof texts[0]; t++) {
        double plain = toxicity(classifier, texts[t]);
        CU_ASSERT_TRUE(t < 3 ? plain > 0.8 : plain < 0.3);
        for (size_t d = 0; d < N_DISGUISES; d++) {
            struct strbuf text;
            strbuf_init(&text, 1 << 16);
            append_disguised(&text, texts[t], &disguises[d]);
            double p = toxicity(classifier, text.data);
            if (fabs(p - plain) > 0.03)
                fprintf(stderr, "  %s: %g, plain %g: %s\n", disguises[d].name, p, plain, text.data);
            CU_ASSERT_DOUBLE_EQUAL(p, plain, 0.03);
            strbuf_release(&text);
        }
    }
    classifier_free(classifier);
}

/* Other spellings of one sentence, and harmless text in the dress that replies come in. */
static void test_spellings(void)
{
    static const char *const toxic[] = {
        "you are a f*cking idiot",        "you are a f***ing id10t",
        "you are a fuuucking 1d107",      "you are a **fucking idiot**",
        "#YouAreAFuckingIdiot",           "you are a fucking idiot123",
        "<b>you</b> are a fuck1ng idiot", "y0u 4re a fücking ıdıot",
        "you are a f*u*c*k*i*n*g idiot",
    };
    static const char *const harmless[] = {
        "**Answer:** the river runs *past* our village.",
        "1. **Step one**: mix the flour.\n2. **Step two**: bake.",
        "* item one\n* item two\n\n`x**2 + y**2`",
        "<p>The <b>river</b> runs <i>past</i> our village.</p>",
        "T h e   r i v e r   r u n s   p a s t   o u r   v i l l a g e.",
        "#TheRiverRuns #Past2024 our village",
    };
    struct status st = {0};
    struct classifier *classifier;
    ASSERT_OK(classifier_open(&classifier, "builtin", &st));
    for (size_t i = 0; i < sizeof toxic / sizeof toxic[0]; i++) {
        double p = toxicity(classifier, toxic[i]);
        if (p < 0.8) fprintf(stderr, "  %g: %s\n", p, toxic[i]);
        CU_ASSERT_TRUE(p >= 0.8);
    }
    for (size_t i = 0; i < sizeof harmless / sizeof harmless[0]; i++) {
        double p = toxicity(classifier, harmless[i]);
        if (p > 0.25) fprintf(stderr, "  %g: %s\n", p, harmless[i]);
        CU_ASSERT_TRUE(p <= 0.25);
    }
    classifier_free(classifier);
}

/* A classifier's growing text scores, to the bit, as the text scored anew; one that became shorter
 * does too. */
static void test_growth(void)
{
    struct status st = {0};
    struct classifier *classifier;
    struct classifier_growth *growth;
    struct rng rng;
    rng_seed(&rng, 41);
    ASSERT_OK(classifier_open(&classifier, "builtin", &st));
    for (int round = 0; round < 300; round++) {
        char bytes[512];
        struct hazard_scores grown, whole;
        size_t length = random_text(&rng, bytes, sizeof bytes);
        ASSERT_OK(classifier_growth_create(&growth, classifier, &st));
        CU_ASSERT_PTR_NOT_NULL_FATAL(growth);
        for (size_t n = 0; n <= length; n += rng_next(&rng) % 7) {
            struct text text = {bytes, rng_next(&rng) % 16 ? n : n / 2};
            ASSERT_OK(classifier_growth_score(growth, text, &grown, &st));
            ASSERT_OK(classifier_score(classifier, text_of(""), text, &whole, &st));
            if (memcmp(&grown, &whole, sizeof grown) != 0)
                CU_FAIL("a growing text scores otherwise");
        }
        classifier_growth_free(growth);
    }
    classifier_free(classifier);
    ASSERT_OK(classifier_open(&classifier, "lexicon", &st));
    ASSERT_OK(classifier_growth_create(&growth, classifier, &st));
    CU_ASSERT_PTR_NULL(growth);
    classifier_free(classifier);
}

static const struct test_case tests[] = {
    {"texts become words", test_words},
    {"disguises are undone", test_disguises},
    {"what is no disguise stays", test_not_disguises},
    {"long words come in parts", test_long_words},
    {"exp and log are those of the C library", test_portable_math},
    {"scores follow the formula", test_formula},
    {"extreme weights do not overflow", test_extremes},
    {"pieces give the bits of the whole", test_incremental},
    {"an explanation sums to the logit", test_explain},
    {"the calibration is the logistic curve it was fitted to", test_calibration},
    {"a model reads back as written", test_round_trip},
    {"bad models are refused", test_bad_files},
    {"cut models are refused", test_cut_files},
    {"changed models are refused or score", test_changed_files},
    {"training learns, the same bytes each time", test_training},
    {"training refuses what teaches nothing", test_training_refuses},
    {"the model inside the program works", test_builtin},
    {"what hides a word changes no score", test_disguised_scores},
    {"spellings and formats", test_spellings},
    {"a growing text scores as a whole one", test_growth},
};
SUITE("linear", tests)
