/* Encoders as classifiers, on the reference BERT with a vocabulary made here: its labels become
 * categories, and scores are the sigmoid of its logits. */
#include <math.h>

#include "classifiers/classifier.h"
#include "engine/base/strbuf.h"
#include "engine/engine.h"
#include "tests/unit/scratch.h"
#include "tests/unit/suite.h"

#define BERT "reference/logits/bert-tiny/"

/* 300 pieces, as the model has: special ones, letters, and words that nobody types. */
static void write_vocabulary(void)
{
    struct strbuf out;
    strbuf_init(&out, 1 << 16);
    strbuf_append_str(&out, "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n");
    for (char c = 'a'; c <= 'z'; c++) strbuf_appendf(&out, "%c\n##%c\n", c, c);
    for (int i = 5 + 52; i < 300; i++) strbuf_appendf(&out, "w%d\n", i);
    put("bert/vocab.txt", out.data, out.length);
    strbuf_release(&out);
}

static void copy_shared(const char *name)
{
    struct status st = {0};
    struct strbuf bytes;
    char from[256], to[64];
    snprintf(from, sizeof from, "../shared/" BERT "%s", name);
    snprintf(to, sizeof to, "bert/%s", name);
    strbuf_init(&bytes, 1 << 24);
    ASSERT_OK(strbuf_read_file(&bytes, from, &st));
    put(to, bytes.data, bytes.length);
    strbuf_release(&bytes);
}

static bool make_model(void)
{
    if (!shared_path(BERT "model.safetensors")) return false;
    copy_shared("config.json");
    copy_shared("model.safetensors");
    write_vocabulary();
    return true;
}

static void test_scores(void)
{
    struct status st = {0};
    struct classifier *c = NULL;
    struct engine *engine = NULL;
    struct session *session = NULL;
    struct hazard_scores scores;
    char spec[128], path[96];
    if (!make_model()) return;
    snprintf(path, sizeof path, "%s/bert", scratch);
    snprintf(spec, sizeof spec, "encoder:%s", path);
    ASSERT_OK(classifier_open(&c, spec, &st));
    /* "ab c": [CLS] a ##b c [SEP] */
    const int32_t ids[] = {2, 5, 8, 9, 3};
    float logits[6];
    const struct engine_options options = {.model_path = path};
    ASSERT_OK(engine_open(&engine, &options, &st));
    ASSERT_OK(session_create(&session, engine, 0, &st));
    ASSERT_OK(session_classify(session, ids, 5, logits, &st));
    ASSERT_OK(classifier_score(c, text_of("ignored"), text_of("ab c"), &scores, &st));
    static const enum hazard_category order[] = {HAZARD_TOXICITY, HAZARD_SEVERE_TOXICITY,
                                                 HAZARD_OBSCENE,  HAZARD_THREAT,
                                                 HAZARD_INSULT,   HAZARD_IDENTITY_ATTACK};
    for (int i = 0; i < 6; i++) {
        CU_ASSERT_EQUAL(scores.of[order[i]].logit, (double)logits[i]);
        CU_ASSERT_DOUBLE_EQUAL(scores.of[order[i]].probability, 1 / (1 + exp(-(double)logits[i])),
                               1e-15);
    }
    CU_ASSERT_FALSE(scores.of[HAZARD_SEXUAL_EXPLICIT].scored);
    CU_ASSERT_EQUAL(classifier_window_bytes(c), 62);
    /* Longer than the model's positions: a failure, never a guess. */
    char longest[200];
    memset(longest, 'a', sizeof longest - 1), longest[sizeof longest - 1] = '\0';
    for (size_t i = 1; i < sizeof longest - 1; i += 2) longest[i] = ' ';
    ASSERT_FAILS(classifier_score(c, (struct text){0}, text_of(longest), &scores, &st),
                 STATUS_LIMIT, "encoder/bert");
    session_free(session);
    engine_free(engine);
    classifier_free(c);
}

/* The labels that public models publish, on the weights of the tiny model (which has six). */
static void test_published_labels(void)
{
    static const struct {
        const char *what, *labels, *type, *extra;
        hazard_set categories;
        bool is_softmax;
    } models[] = {
        {"detoxify original, MiniLMv2", "toxic,severe_toxic,obscene,threat,insult,identity_hate",
         "multi_label_classification", "",
         HAZARD_BIT(HAZARD_TOXICITY) | HAZARD_BIT(HAZARD_SEVERE_TOXICITY) |
             HAZARD_BIT(HAZARD_OBSCENE) | HAZARD_BIT(HAZARD_THREAT) | HAZARD_BIT(HAZARD_INSULT) |
             HAZARD_BIT(HAZARD_IDENTITY_ATTACK),
         false},
        {"detoxify unbiased: identities are no hazards, and the config may not say sigmoid",
         "toxicity,threat,sexual_explicit,male,muslim,psychiatric_or_mental_illness", NULL, "",
         HAZARD_BIT(HAZARD_TOXICITY) | HAZARD_BIT(HAZARD_THREAT) |
             HAZARD_BIT(HAZARD_SEXUAL_EXPLICIT),
         false},
        {"roberta-hate-speech-dynabench", "nothate,hate,x,y,z,w", NULL, "", HAZARD_BIT(HAZARD_HATE),
         true},
        {"s-nlp", "neutral,TOXIC,x,y,z,w", "single_label_classification", "",
         HAZARD_BIT(HAZARD_TOXICITY), true},
        {"granite-guardian-hap", "LABEL_0,LABEL_1,x,y,z,w", NULL, "#LABEL_1=toxicity",
         HAZARD_BIT(HAZARD_TOXICITY), true},
    };
    if (!make_model()) return;
    for (size_t i = 0; i < sizeof models / sizeof models[0]; i++) {
        struct status st = {0};
        struct classifier *c = NULL;
        struct hazard_scores scores;
        struct strbuf config;
        char spec[256];
        strbuf_init(&config, 4096);
        strbuf_appendf(
            &config,
            "{\"architectures\": [\"BertForSequenceClassification\"], \"model_type\": \"bert\","
            " \"hidden_size\": 48, \"num_hidden_layers\": 3, \"num_attention_heads\": 4,"
            " \"intermediate_size\": 96, \"hidden_act\": \"gelu\", \"layer_norm_eps\": 1e-12,"
            " \"type_vocab_size\": 2, \"vocab_size\": 300, \"max_position_embeddings\": 64,"
            "%s%s%s \"id2label\": {",
            models[i].type ? " \"problem_type\": \"" : "", models[i].type ? models[i].type : "",
            models[i].type ? "\"," : "");
        int n = 0;
        for (const char *p = models[i].labels; *p; n++) {
            size_t length = strcspn(p, ",");
            strbuf_appendf(&config, "%s\"%d\": \"%.*s\"", n ? ", " : "", n, (int)length, p);
            p += length + (p[length] == ',');
        }
        strbuf_append_str(&config, "}}");
        put("bert/config.json", config.data, config.length);
        strbuf_release(&config);
        snprintf(spec, sizeof spec, "encoder:%s/bert%s", scratch, models[i].extra);
        ASSERT_OK(classifier_open(&c, spec, &st));
        CU_ASSERT_EQUAL(classifier_categories(c), models[i].categories);
        ASSERT_OK(classifier_score(c, (struct text){0}, text_of("ab c"), &scores, &st));
        /* Label 1 of the reference logits, by itself or against the five others. */
        const int32_t ids[] = {2, 5, 8, 9, 3};
        float logits[6];
        struct engine *engine = NULL;
        struct session *session = NULL;
        char path[128];
        snprintf(path, sizeof path, "%s/bert", scratch);
        const struct engine_options options = {.model_path = path};
        ASSERT_OK(engine_open(&engine, &options, &st));
        ASSERT_OK(session_create(&session, engine, 0, &st));
        ASSERT_OK(session_classify(session, ids, 5, logits, &st));
        double others = 0;
        for (int k = 0; k < 6; k++) others += k == 1 ? 0 : exp((double)logits[k]);
        double expected =
            models[i].is_softmax ? (double)logits[1] - log(others) : (double)logits[1];
        enum hazard_category of_one = i == 0   ? HAZARD_SEVERE_TOXICITY
                                      : i == 1 ? HAZARD_THREAT
                                      : i == 2 ? HAZARD_HATE
                                               : HAZARD_TOXICITY;
        CU_ASSERT_DOUBLE_EQUAL(scores.of[of_one].logit, expected, 1e-9);
        session_free(session);
        engine_free(engine);
        classifier_free(c);
    }
    struct status st = {0};
    struct classifier *c = NULL;
    char spec[256];
    snprintf(spec, sizeof spec, "encoder:%s/bert#LABEL_9=toxicity", scratch);
    ASSERT_FAILS(classifier_open(&c, spec, &st), STATUS_USAGE, "no label \"LABEL_9\"");
    snprintf(spec, sizeof spec, "encoder:%s/bert#LABEL_1=rude", scratch);
    ASSERT_FAILS(classifier_open(&c, spec, &st), STATUS_USAGE, "LABEL_1=rude");
}

static void test_refusals(void)
{
    struct status st = {0};
    struct classifier *c = NULL;
    char spec[128];
    ASSERT_FAILS(classifier_open(&c, "encoder", &st), STATUS_USAGE, "encoder:MODEL");
    ASSERT_FAILS(classifier_open(&c, "encoder:datasets/demo/model.gguf", &st), STATUS_UNSUPPORTED,
                 "no classification head");
    if (!make_model()) return;
    snprintf(spec, sizeof spec, "encoder:%s/bert", scratch);
    PUT("bert/config.json",
        "{\"architectures\": [\"BertForSequenceClassification\"], \"model_type\": \"bert\","
        " \"hidden_size\": 48, \"num_hidden_layers\": 3, \"num_attention_heads\": 4,"
        " \"intermediate_size\": 96, \"hidden_act\": \"gelu\", \"layer_norm_eps\": 1e-12,"
        " \"type_vocab_size\": 2, \"vocab_size\": 300, \"max_position_embeddings\": 64,"
        " \"problem_type\": \"multi_label_classification\","
        " \"id2label\": {\"0\": \"a\", \"1\": \"b\", \"2\": \"c\", \"3\": \"d\", \"4\": \"e\","
        " \"5\": \"f\"}}");
    ASSERT_FAILS(classifier_open(&c, spec, &st), STATUS_UNSUPPORTED,
                 "none of the 6 labels (\"a\", ...)");
}

static const struct test_case tests[] = {
    {"scores are the sigmoid of the model's logits", test_scores},
    {"labels as public models name them", test_published_labels},
    {"what is no classifier is refused", test_refusals},
};
SUITE("encoder_classifier", tests)
