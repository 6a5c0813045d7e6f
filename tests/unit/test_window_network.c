#include "suite.h"

#include <math.h>

#include "classifiers/linear_model.h"
#include "classifiers/training.h"
#include "classifiers/word_vectors.h"
#include "engine/base/rng.h"
#include "tests/unit/linear_fixture.h"

/* ---- networks to test with ---- */

#define N_WORDS 60
#define N_UNITS 11
#define N_HEADS 3

static struct window_network *random_network(uint64_t seed)
{
    struct status st = {0};
    struct window_network *network;
    struct rng rng;
    rng_seed(&rng, seed);
    ASSERT_OK(window_network_create(&network, N_UNITS, N_HEADS, N_WORDS, &st));
    for (size_t i = 0; i < N_WORDS; i++) network->hashes[i] = (uint32_t)(i * 71234567);
    for (size_t row = 0; row < N_WORDS * WINDOW_PLACES; row++)
        for (size_t u = 0; u < N_UNITS; u++)
            network->rows[row * WINDOW_MAX_UNITS + u] = (int8_t)(rng_next(&rng) & 0xff);
    for (int u = 0; u < N_UNITS; u++) {
        network->bias[u] = (int16_t)((int)(rng_next(&rng) % 200) - 150);
        for (int h = 0; h < N_HEADS; h++) {
            network->of_max[u][h] = (float)rng_uniform(&rng) * 0.02f - 0.01f;
            network->of_mean[u][h] = (float)rng_uniform(&rng) * 0.02f - 0.01f;
        }
    }
    for (int h = 0; h < N_HEADS; h++) network->head_bias[h] = (float)h - 1.5f;
    ASSERT_OK(window_network_index(network, &st));
    return network;
}

/* Words of the table, and some that are not in it. */
static size_t random_words(struct rng *rng, uint32_t *out, size_t room)
{
    size_t n = rng_next(rng) % room;
    for (size_t i = 0; i < n; i++)
        out[i] = (uint32_t)(rng_next(rng) % (N_WORDS + 10)) * 71234567 + (rng_next(rng) % 8 == 0);
    return n;
}

static const int8_t *rows_of(const struct window_network *network, const uint32_t *words, size_t n,
                             size_t t)
{
    for (size_t i = 0; t < n && i < N_WORDS; i++)
        if (network->hashes[i] == words[t])
            return network->rows + i * WINDOW_PLACES * WINDOW_MAX_UNITS;
    return NULL;
}

/* The formula of window_network.h, a unit at a time. */
static double refer(const struct window_network *network, const uint32_t *words, size_t n, int head)
{
    double logit = (double)network->head_bias[head];
    for (size_t u = 0; u < N_UNITS; u++) {
        double largest = 0, total = 0;
        for (size_t t = 0; t < n; t++) {
            double unit = network->bias[u];
            for (size_t place = 0; place < WINDOW_PLACES; place++) {
                const int8_t *rows = rows_of(network, words, n, t + place - 1);
                if (rows) unit += rows[place * WINDOW_MAX_UNITS + u];
            }
            unit = fmax(unit, 0);
            largest = fmax(largest, unit);
            total += unit;
        }
        logit += (double)network->of_max[u][head] * largest +
                 (double)network->of_mean[u][head] * total / sqrt((double)n + 4);
    }
    return logit;
}

static void test_formula(void)
{
    struct window_network *network = random_network(1);
    struct rng rng;
    uint32_t words[40];
    rng_seed(&rng, 2);
    for (int round = 0; round < 500; round++) {
        size_t n = random_words(&rng, words, 40);
        struct window_sum sum;
        double logits[WINDOW_MAX_HEADS];
        window_sum_init(&sum, network);
        for (size_t i = 0; i < n; i++) CU_ASSERT_EQUAL(window_sum_add(&sum, words[i]), i > 0);
        CU_ASSERT_EQUAL(window_sum_end(&sum), n > 0);
        window_sum_logits(&sum, logits);
        for (int h = 0; h < N_HEADS; h++)
            CU_ASSERT_DOUBLE_EQUAL(logits[h], refer(network, words, n, h), 1e-9);
    }
    window_network_free(network);
}

/* The largest weights there can be: 16 bits hold them. */
static void test_extremes(void)
{
    struct status st = {0};
    struct window_network *network;
    ASSERT_OK(window_network_create(&network, WINDOW_MAX_UNITS, 1, 1, &st));
    for (int sign = -1; sign <= 1; sign += 2) {
        struct window_sum sum;
        double logit;
        memset(network->rows, sign < 0 ? 0x80 : 0x7f, WINDOW_PLACES * WINDOW_MAX_UNITS);
        for (int u = 0; u < WINDOW_MAX_UNITS; u++) {
            network->bias[u] = (int16_t)(sign * WINDOW_BIAS_MAX);
            network->of_max[u][0] = network->of_mean[u][0] = 1;
        }
        memset(network->slots, 0, network->n_slots * sizeof *network->slots);
        ASSERT_OK(window_network_index(network, &st));
        window_sum_init(&sum, network);
        for (int i = 0; i < 200000; i++) window_sum_add(&sum, 0);
        window_sum_end(&sum);
        window_sum_logits(&sum, &logit);
        double unit = sign < 0 ? 0 : WINDOW_BIAS_MAX + 3 * 127;
        double total = sign < 0 ? 0 : 200000 * unit - 2 * 127;
        CU_ASSERT_DOUBLE_EQUAL(logit, WINDOW_MAX_UNITS * (unit + total / sqrt(200004)), 1e-3);
    }
    window_network_free(network);
}

/* ---- in a linear model ---- */

static const char *const vocabulary[] = {"we",   "they", "all", "river", "green", "hate",
                                         "love", "you",  "the", "kill",  "music", "dogs"};
#define N_VOCABULARY (sizeof vocabulary / sizeof vocabulary[0])

struct hashes {
    uint32_t of[8];
    size_t n;
};

static void keep_hash(void *user, const struct feature_batch *batch)
{
    struct hashes *hashes = user;
    if (batch->value == WORD_VALUE) hashes->of[hashes->n++] = batch->hashes[0];
}

static uint32_t hash_of(const char *word)
{
    struct hashes hashes = {.n = 0};
    struct ngram_features features;
    ngram_features_init(&features, NULL);
    ngram_features_add(&features, text_of(word), keep_hash, &hashes);
    ngram_features_end(&features, keep_hash, &hashes);
    CU_ASSERT_EQUAL(hashes.n, 1);
    return hashes.of[0];
}

static int compare_u32(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static struct linear_model *random_model(uint64_t seed)
{
    struct status st = {0};
    struct linear_model *model;
    struct rng rng;
    rng_seed(&rng, seed);
    ASSERT_OK(linear_model_create(&model, 10, N_HEADS, &st));
    for (size_t i = 0; i < (size_t)1 << 10; i++)
        for (size_t c = 0; c < LINEAR_COLUMNS; c++)
            if (c % LINEAR_MAX_HEADS < N_HEADS)
                model->weights[i * LINEAR_COLUMNS + c] = (int8_t)(rng_next(&rng) & 0xff);
    for (int h = 0; h < N_HEADS; h++) {
        model->heads[h].category = (enum hazard_category)h;
        model->heads[h].bias = 0.25 * h;
        model->heads[h].scale = model->heads[h].pool_scale = 0.01;
    }
    model->damping = 20;
    model->word_damping = 5;
    model->sharpness = 2;
    model->version = 1;
    model->window_share = 0.4;
    strcpy(model->name, "random");
    model->window = random_network(seed);
    for (size_t i = 0; i < N_WORDS; i++)
        model->window->hashes[i] =
            i < N_VOCABULARY ? hash_of(vocabulary[i]) : (uint32_t)rng_next(&rng);
    qsort(model->window->hashes, N_WORDS, sizeof(uint32_t), compare_u32);
    memset(model->window->slots, 0, model->window->n_slots * sizeof(uint32_t));
    ASSERT_OK(window_network_index(model->window, &st));
    return model;
}

static size_t random_text(struct rng *rng, char *out, size_t room)
{
    size_t length = 0, n = rng_next(rng) % 20;
    for (size_t i = 0; i < n && length + 16 < room; i++)
        length += (size_t)snprintf(out + length, room - length, "%s%s",
                                   vocabulary[rng_next(rng) % N_VOCABULARY],
                                   rng_next(rng) % 8 ? " " : "x, ");
    return length;
}

struct terms {
    double sum[N_HEADS];
    size_t last_end, length;
    bool out_of_order;
};

static void add_terms(void *user, size_t start, size_t end, const double *terms)
{
    struct terms *all = user;
    for (int h = 0; h < N_HEADS; h++) all->sum[h] += terms[h];
    if (start > end || end > all->length || end < all->last_end) all->out_of_order = true;
    all->last_end = end;
}

/* A text in pieces has the bits of the whole text, and its terms sum to the logits. */
static void test_pieces_and_terms(void)
{
    struct linear_model *model = random_model(3);
    struct rng rng;
    rng_seed(&rng, 4);
    for (int round = 0; round < 300; round++) {
        char text[512];
        size_t length = random_text(&rng, text, sizeof text);
        struct terms terms = {.length = length};
        struct linear_sum growing, whole;
        double a[LINEAR_MAX_HEADS], b[LINEAR_MAX_HEADS];
        linear_sum_init(&growing, model);
        for (size_t done = 0, piece; done < length; done += piece) {
            piece = 1 + rng_next(&rng) % 9;
            if (piece > length - done) piece = length - done;
            linear_sum_add(&growing, (struct text){text + done, piece});
            linear_sum_init(&whole, model);
            linear_sum_add(&whole, (struct text){text, done + piece});
            linear_sum_scores(&growing, a, NULL);
            linear_sum_scores(&whole, b, NULL);
            CU_ASSERT_EQUAL(memcmp(a, b, N_HEADS * sizeof *a), 0);
        }
        linear_sum_scores(&growing, a, NULL);
        linear_model_explain(model, (struct text){text, length}, add_terms, &terms);
        CU_ASSERT_FALSE(terms.out_of_order);
        for (int h = 0; h < N_HEADS; h++) CU_ASSERT_DOUBLE_EQUAL(terms.sum[h], a[h], 1e-9);
    }
    linear_model_free(model);
}

/* ---- the file ---- */

static void test_round_trip(void)
{
    struct status st = {0};
    struct linear_model *model = random_model(5), *again;
    struct strbuf file = model_file(model), second;
    ASSERT_OK(linear_model_parse(&again, (struct text){file.data, file.length}, "m", &st));
    CU_ASSERT_EQUAL(again->window->n_words, N_WORDS);
    CU_ASSERT_EQUAL(again->window_share, 0.4);
    second = model_file(again);
    CU_ASSERT_EQUAL(second.length, file.length);
    CU_ASSERT_EQUAL(memcmp(second.data, file.data, file.length), 0);
    strbuf_release(&second);
    strbuf_release(&file);
    linear_model_free(again);
    linear_model_free(model);
}

/* Parses the file with `n` bytes changed from `at`, counted from its end. */
static void parse_changed(size_t at, const char *bytes, size_t n, const char *message)
{
    struct status st = {0};
    struct linear_model *model = random_model(5), *out;
    struct strbuf file = model_file(model);
    memcpy(file.data + file.length - at, bytes, n);
    ASSERT_FAILS(linear_model_parse(&out, (struct text){file.data, file.length}, "m.bin", &st),
                 STATUS_BAD_INPUT, message);
    linear_model_free(model);
    strbuf_release(&file);
}

static void parse_header(const char *from, const char *to, const char *message)
{
    struct linear_model *model = random_model(5);
    struct strbuf file = model_file(model);
    size_t i = 0;
    while (memcmp(file.data + i, from, strlen(from)) != 0) i++;
    size_t at = file.length - i;
    linear_model_free(model);
    strbuf_release(&file);
    parse_changed(at, to, strlen(to), message);
}

static void test_bad_files(void)
{
    const size_t floats = 4 * (N_HEADS + 2 * N_UNITS * N_HEADS), biases = 2 * N_UNITS;
    const size_t rows = N_WORDS * WINDOW_PLACES * N_UNITS;
    parse_changed(4, "\xff\xff\xff\x7f", 4, "m.bin: a weight of the window network is no number");
    parse_changed(floats + biases, "\xff\x7f", 2, "window unit 0: bias 32767 is beyond 32000");
    parse_changed(floats + biases + rows + 4, "\0\0\0\0", 4,
                  "window word 59 does not follow the one before");
    parse_header("\"words\": 60", "\"words\": 61", "bytes of weights");
    parse_header("\"words\": 60", "\"words\": -1", "window: field \"words\"");
    parse_header("\"units\": 11", "\"units\": 49", "window: field \"units\"");
    parse_header("\"share\": [0.4]", "\"share\": [1.4]", "window: field \"share\"");
    parse_header("\"share\"", "\"sharp\"", "sharp");
}

static void test_changed_files(void)
{
    struct linear_model *model = random_model(6);
    struct strbuf file = model_file(model);
    struct rng rng;
    size_t refused = 0, read = 0;
    rng_seed(&rng, 7);
    for (int round = 0; round < 3000; round++) {
        struct status st = {0};
        struct linear_model *out;
        size_t at = file.length - 1 - rng_next(&rng) % 2600, kept_length = file.length;
        char kept = file.data[at];
        file.data[at] = (char)rng_next(&rng);
        if (round % 3 == 0) file.length -= rng_next(&rng) % 50;
        if (linear_model_parse(&out, (struct text){file.data, file.length}, "m", &st) !=
            STATUS_OK) {
            refused++;
        } else {
            struct linear_sum sum;
            double p[LINEAR_MAX_HEADS];
            linear_sum_init(&sum, out);
            linear_sum_add(&sum, text_of("we hate all the music"));
            linear_sum_scores(&sum, NULL, p);
            if (!(p[0] >= 0 && p[0] <= 1)) CU_FAIL("a score that is no probability");
            read++;
        }
        linear_model_free(out);
        file.length = kept_length;
        file.data[at] = kept;
    }
    CU_ASSERT_TRUE(refused > 500 && read > 500);
    linear_model_free(model);
    strbuf_release(&file);
}

/* ---- vectors and training ---- */

#define N_TEXTS 4000

static const char *const people[] = {"plumbers", "teachers", "drivers", "nurses", "sailors"};
static const char *const things[] = {"hats", "cups", "chairs", "stones", "songs"};
static const char *const likes[] = {"like", "praise", "admire", "support"};
static const char *const dislikes[] = {"hate", "loathe", "despise", "detest"};

/* What is bad is to dislike people; things may be disliked, and people liked.  The word before the
 * verb tells which verbs are alike.  In these texts nobody dislikes sailors. */
static size_t write_text(struct rng *rng, char *out, size_t room, bool of_people, bool dislike)
{
    size_t who = rng_next(rng) % (dislike && of_people ? 4 : 5), how = rng_next(rng) % 4;
    const char *manner = rng_next(rng) % 2 ? "all" : dislike ? "bitterly" : "warmly";
    return (size_t)snprintf(
        out, room, "they %s %s %s %s", manner, dislike ? dislikes[how] : likes[how],
        of_people ? people[who] : things[who], of_people ? "who work here" : "that stand here");
}

static void make_examples(struct training_example *examples, char (*texts)[96])
{
    struct rng rng;
    rng_seed(&rng, 8);
    for (int i = 0; i < N_TEXTS; i++) {
        bool of_people = rng_next(&rng) % 2, dislike = rng_next(&rng) % 2;
        size_t length = write_text(&rng, texts[i], 96, of_people, dislike);
        examples[i] = (struct training_example){.text = {texts[i], length},
                                                .weight = 1,
                                                .held_out = i % 10 == 9,
                                                .domain = i % 4 == 0,
                                                .original = TRAINING_NONE};
        for (int h = 0; h < LINEAR_MAX_HEADS; h++) examples[i].label[h] = NAN;
        examples[i].label[0] = of_people && dislike ? 0.95f : 0.05f;
    }
}

static const struct training_options options = {.name = "t",
                                                .version = 1,
                                                .n_heads = 1,
                                                .category = {HAZARD_INSULT},
                                                .bits = 12,
                                                .epochs = 2,
                                                .learning_rate = 1,
                                                .l2 = 1e-5,
                                                .domain_rate = 0.5,
                                                .seed = 1,
                                                .window = {12, 2, 16, 1}};

/* A bag of words cannot learn this: neither the verbs nor the nouns are bad by themselves. */
static void test_training(void)
{
    static struct training_example examples[N_TEXTS];
    static char texts[N_TEXTS][96];
    make_examples(examples, texts);
    struct linear_model *a = train_twice(&options, examples, N_TEXTS);
    CU_ASSERT_TRUE(probability(a, "they all hate nurses who work here") > 0.8);
    CU_ASSERT_TRUE(probability(a, "they all hate cups that stand here") < 0.2);
    CU_ASSERT_TRUE(probability(a, "they all admire nurses who work here") < 0.2);
    CU_ASSERT_TRUE(probability(a, "they all detest sailors who work here") > 0.8);
    linear_model_free(a);
}

static void test_too_few_words(void)
{
    static struct training_example examples[N_TEXTS];
    static char texts[N_TEXTS][96];
    struct status st = {0};
    struct linear_model *model;
    struct training_options many = options;
    make_examples(examples, texts);
    many.window.size = 100;
    ASSERT_FAILS(training_run(&model, &many, examples, N_TEXTS, &st), STATUS_BAD_INPUT,
                 "window network: 27 words are there 2 times or more: too few for vectors of 100");
    CU_ASSERT_PTR_NULL(model);
}

static double cosine(const struct word_vectors *vectors, uint32_t a, uint32_t b)
{
    const float *x = word_vectors_find(vectors, a), *y = word_vectors_find(vectors, b);
    double sum = 0;
    CU_ASSERT_PTR_NOT_NULL_FATAL(x);
    CU_ASSERT_PTR_NOT_NULL_FATAL(y);
    for (int i = 0; i < vectors->size; i++) sum += (double)x[i] * (double)y[i];
    return sum;
}

/* Words 1 to 20 stand among 100 to 119, words 21 to 40 among 200 to 219. */
static void test_vectors(void)
{
    enum { TEXTS = 3000, LONG = 6 };
    static uint32_t words[TEXTS * LONG];
    static size_t ends[TEXTS];
    struct status st = {0};
    struct word_vectors vectors;
    struct rng rng;
    rng_seed(&rng, 9);
    for (size_t t = 0; t < TEXTS; t++) {
        uint32_t kind = (uint32_t)(t % 2);
        for (size_t i = 0; i < LONG; i++)
            words[t * LONG + i] =
                (uint32_t)(rng_next(&rng) % 20) + (i % 2 ? 100 * (kind + 1) : 20 * kind + 1);
        ends[t] = (t + 1) * LONG;
    }
    words[0] = 777; /* too rare */
    ASSERT_OK(word_vectors_learn(&vectors, words, ends, TEXTS, 4, 3, 1, &st));
    CU_ASSERT_EQUAL(vectors.n_words, 80);
    CU_ASSERT_PTR_NULL(word_vectors_find(&vectors, 777));
    CU_ASSERT_DOUBLE_EQUAL(cosine(&vectors, 5, 5), 1, 1e-5);
    CU_ASSERT_TRUE(cosine(&vectors, 5, 12) > 0.8);
    CU_ASSERT_TRUE(cosine(&vectors, 105, 112) > 0.8);
    CU_ASSERT_TRUE(fabs(cosine(&vectors, 5, 25)) < 0.1);
    word_vectors_release(&vectors);
}

static const struct test_case tests[] = {
    {"logits follow the formula, words that are not in the table included", test_formula},
    {"the largest weights do not overflow", test_extremes},
    {"a text in pieces has the bits of the whole, and terms sum to the logits",
     test_pieces_and_terms},
    {"a file is read as it was written", test_round_trip},
    {"a damaged file is named", test_bad_files},
    {"changed bytes are refused or give probabilities", test_changed_files},
    {"words used alike have vectors alike", test_vectors},
    {"training learns who does what to whom, the same bytes each time", test_training},
    {"too few words are refused", test_too_few_words},
};

SUITE("window network", tests)
