/* Figures of a classifier on labelled text: by hand on a few rows, agreement between classifiers,
 * rows that cannot be scored, and files that are broken at random. */
#include <math.h>

#include "benchmarks/guard_eval.h"
#include "classifiers/classifier_vtable.h"
#include "tests/unit/scratch.h"
#include "tests/unit/suite.h"

/* The score is the number behind "KEY=": v of violence, r of refusal; "ERROR" fails. */
static bool number_after(struct text text, const char *key, double *out)
{
    size_t n = strlen(key);
    for (size_t i = 0; i + n <= text.length; i++)
        if (memcmp(text.data + i, key, n) == 0) {
            char digits[16] = {0};
            size_t left = text.length - i - n;
            memcpy(digits, text.data + i + n, left < 15 ? left : 15);
            *out = strtod(digits, NULL);
            return true;
        }
    return false;
}

static status_code fake_score(const struct classifier *c, struct text prompt, struct text text,
                              struct hazard_scores *out, struct status *st)
{
    double value;
    if (number_after(text, "ERROR", &value)) return status_set(st, STATUS_IO, "told to fail");
    if (number_after(text, c->sha256, &value))
        out->of[HAZARD_VIOLENCE] = (struct hazard_score){true, 0, value};
    if (number_after(text, "r=", &value))
        out->of[HAZARD_REFUSAL] = (struct hazard_score){true, 0, value};
    if (number_after(prompt, "p=", &value))
        out->of[HAZARD_THREAT] = (struct hazard_score){true, 0, value};
    return STATUS_OK;
}

static const struct classifier_vtable table = {.score = fake_score};
#define JUDGED HAZARD_BIT(HAZARD_VIOLENCE) | HAZARD_BIT(HAZARD_REFUSAL) | HAZARD_BIT(HAZARD_THREAT)
static const struct classifier first = {&table, "fake/v", "v=", JUDGED, 0, 0};
static const struct classifier second = {&table, "fake/w", "w=", JUDGED, 0, 0};

static struct guard_eval *evaluate(const struct guard_eval_request *request)
{
    struct status st = {0};
    struct guard_eval *eval = NULL;
    ASSERT_OK(guard_eval_run(&eval, request, &st));
    return eval;
}

static void test_figures(void)
{
    struct status st = {0};
    struct guard_figures f;
    const struct guard_eval_request request = {
        .classifier = &first,
        .data = PUT("a.csv", "text,violence,who\n"
                             "v=0.9,1,a\nv=0.8,1,b\nv=0.7,0,a\nv=0.4,1,b\nv=0.3,0,a\nv=0.2,0,b\n"
                             "ERROR,1,a\nv=0.6,,b\n"),
        .text_column = "text",
        .group_column = "who",
    };
    struct guard_eval *eval = evaluate(&request);
    CU_ASSERT_EQUAL(guard_eval_n_rows(eval), 8);
    CU_ASSERT_EQUAL(guard_eval_n_failed(eval), 1);
    CU_ASSERT_PTR_NOT_NULL(strstr(guard_eval_failure(eval), "told to fail"));
    CU_ASSERT_EQUAL(guard_eval_n_labels(eval), 1);
    ASSERT_OK(guard_eval_figures(eval, 0, &f, &st));
    CU_ASSERT_STRING_EQUAL(f.label, "violence");
    CU_ASSERT_EQUAL(f.n, 6); /* neither the failed row nor the one without a label */
    CU_ASSERT_EQUAL(f.n_positive, 3);
    CU_ASSERT_DOUBLE_EQUAL(f.auroc, 8.0 / 9, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(f.auprc, (1 + 1 + 0.75) / 3, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(f.at_half.precision, 2.0 / 3, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(f.at_half.recall, 2.0 / 3, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(f.at_half.false_positive_rate, 1.0 / 3, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(f.best_f1, 6.0 / 7, 1e-12); /* all at 0.4: precision 3/4, recall 1 */
    CU_ASSERT_DOUBLE_EQUAL(f.fpr_at_95, 1.0 / 3, 1e-12);
    CU_ASSERT_TRUE(isnan(f.threshold)); /* the dev split is empty */
    CU_ASSERT_EQUAL(f.bins[9].n, 1);
    CU_ASSERT_DOUBLE_EQUAL(f.ece, (0.1 + 0.2 + 0.7 + 0.6 + 0.3 + 0.2) / 6, 1e-12);
    struct guard_group g;
    CU_ASSERT_EQUAL(guard_eval_n_groups(eval), 2);
    ASSERT_OK(guard_eval_group(eval, 0, 1, &g, &st));
    CU_ASSERT_STRING_EQUAL(g.name, "b");
    CU_ASSERT_EQUAL(g.n, 3);
    CU_ASSERT_EQUAL(g.auroc, 1);
    /* b's one negative at 0.2 against a's positive; b's positives against a's negatives. */
    CU_ASSERT_EQUAL(g.bpsn_auroc, 1);
    CU_ASSERT_EQUAL(g.bnsp_auroc, 0.75);
    CU_ASSERT_EQUAL(g.true_positive_rate, 0.5); /* 0.8 and 0.4 */
    CU_ASSERT_EQUAL(g.false_positive_rate, 0);
    guard_eval_free(eval);
}

/* The highest score of all harms; refusal is none.  The prompt's column reaches the classifier. */
static void test_any(void)
{
    struct status st = {0};
    struct guard_figures f;
    const struct guard_eval_request request = {
        .classifier = &first,
        .data = PUT("b.jsonl", "{\"q\": {\"t\": \"v=0.1 r=0.9\"}, \"p\": \"x\", \"bad\": \"no\"}\n"
                               "{\"q\": {\"t\": \"v=0.1 r=0.1\"}, \"p\": \"p=0.8\", \"bad\": "
                               "\"yes\"}\n"),
        .text_column = "q.t",
        .prompt_column = "p",
        .labels = "any=bad",
        .positive = "yes",
        .dev_share = 1,
    };
    struct guard_eval *eval = evaluate(&request);
    ASSERT_OK(guard_eval_figures(eval, 0, &f, &st));
    CU_ASSERT_STRING_EQUAL(f.label, "any");
    CU_ASSERT_EQUAL(f.auroc, 1);
    CU_ASSERT_EQUAL(f.at_half.f1, 1);
    CU_ASSERT_EQUAL(f.threshold, 0.8);
    guard_eval_free(eval);
}

static void test_agreement(void)
{
    struct status st = {0};
    struct guard_agreement a;
    const struct guard_eval_request request = {
        .classifier = &first,
        .others = {&second, &first},
        .n_others = 2,
        .data = PUT("c.csv", "text,violence\n"
                             "v=0.1 w=0.2,0\nv=0.2 w=0.4,0\nv=0.6 w=0.3,1\nv=0.8 w=0.9,1\n"
                             "v=0.9,1\nERROR,1\n"),
        .text_column = "text",
    };
    struct guard_eval *eval = evaluate(&request);
    CU_ASSERT_EQUAL(guard_eval_n_agreements(eval), 3);
    ASSERT_OK(guard_eval_agreement(eval, 0, &a, &st));
    CU_ASSERT_EQUAL(a.first, 0);
    CU_ASSERT_EQUAL(a.second, 1);
    CU_ASSERT_EQUAL(a.n, 4); /* those that both scored */
    CU_ASSERT_DOUBLE_EQUAL(a.spearman, 0.8, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(a.same, 0.75, 1e-12);
    CU_ASSERT_EQUAL(a.auroc, 1);
    /* Pearson by its definition. */
    const double x[] = {0.1, 0.2, 0.6, 0.8}, y[] = {0.2, 0.4, 0.3, 0.9};
    double mx = 0.425, my = 0.45, xy = 0, xx = 0, yy = 0;
    for (int i = 0; i < 4; i++) {
        xy += (x[i] - mx) * (y[i] - my);
        xx += (x[i] - mx) * (x[i] - mx);
        yy += (y[i] - my) * (y[i] - my);
    }
    CU_ASSERT_DOUBLE_EQUAL(a.pearson, xy / sqrt(xx * yy), 1e-12);
    ASSERT_OK(guard_eval_agreement(eval, 1, &a, &st));
    CU_ASSERT_EQUAL(a.second, 2);
    CU_ASSERT_EQUAL(a.n, 5);
    CU_ASSERT_DOUBLE_EQUAL(a.pearson, 1, 1e-12);
    ASSERT_OK(guard_eval_agreement(eval, 2, &a, &st));
    CU_ASSERT_EQUAL(a.first, 1);
    CU_ASSERT_EQUAL(a.second, 2);
    guard_eval_free(eval);
}

static void test_bad_requests(void)
{
    struct status st = {0};
    struct guard_eval *eval = NULL;
    const char *data = PUT("d.csv", "text,violence\nv=0.5,1\n");
    struct guard_eval_request request = {.classifier = &first, .data = data, .text_column = "text"};
    request.labels = "nice=violence";
    ASSERT_FAILS(guard_eval_run(&eval, &request, &st), STATUS_USAGE, "nice=violence");
    request.labels = "hate=violence";
    ASSERT_FAILS(guard_eval_run(&eval, &request, &st), STATUS_USAGE, "hate is not judged");
    request.labels = NULL;
    request.text_column = "txt";
    ASSERT_FAILS(guard_eval_run(&eval, &request, &st), STATUS_BAD_INPUT, "txt");
    request.text_column = "text";
    request.data = PUT("e.csv", "text,other\nv=0.5,1\n");
    ASSERT_FAILS(guard_eval_run(&eval, &request, &st), STATUS_USAGE, "no column is named");
    request.data = "/nonexistent.csv";
    ASSERT_FAILS(guard_eval_run(&eval, &request, &st), STATUS_NOT_FOUND, "/nonexistent.csv");
    CU_ASSERT_PTR_NULL(eval);
}

/* Files with bytes changed, cut and doubled: figures or one error, nothing else. */
static void test_mutations(void)
{
    static const struct {
        const char *name, *bytes;
    } files[] = {
        {"m.csv", "text,violence,who\n\"v=0.9, \"\"so\"\"\",1,a\nv=0.8,0,\"b\n\"\nv=0.1,0.5,\n"},
        {"m.tsv", "text\tviolence\twho\nv=0.9\t1\ta\nv=0.8\t0\tb\nv=0.1\t0.5\t\n"},
        {"m.jsonl", "{\"text\": \"v=0.9\", \"violence\": 1, \"who\": \"a\"}\n{\"text\": \"\\u00e4 "
                    "v=0.2\", \"violence\": false, \"who\": null}\n"},
    };
    uint64_t state = 11;
    int n_good = 0, n_bad = 0;
    for (int round = 0; round < 1500; round++) {
        char bytes[512];
        size_t f = (size_t)round % 3, n = strlen(files[f].bytes);
        memcpy(bytes, files[f].bytes, n);
        for (int k = 0; k <= round % 4; k++) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            size_t at = (size_t)(state >> 33) % n;
            unsigned char byte = (unsigned char)(state >> 20);
            if (state >> 60 == 3) n = at + 1;
            bytes[at] = (char)(state >> 61 & 1 ? "\",\n\t{}[]:0"[byte % 10] : (char)byte);
        }
        struct status st = {0};
        struct guard_eval *eval = NULL;
        const struct guard_eval_request request = {.classifier = &first,
                                                   .others = {&second},
                                                   .n_others = 1,
                                                   .data = put(files[f].name, bytes, n),
                                                   .text_column = "text",
                                                   .labels = "violence=violence",
                                                   .group_column = "who",
                                                   .group_words = "so,v",
                                                   .dev_share = 0.5};
        if (guard_eval_run(&eval, &request, &st) == STATUS_OK) {
            struct guard_figures figures;
            struct guard_agreement agreement;
            n_good++;
            ASSERT_OK(guard_eval_figures(eval, 0, &figures, &st));
            ASSERT_OK(guard_eval_agreement(eval, 0, &agreement, &st));
        } else {
            n_bad++;
            CU_ASSERT_TRUE(st.message[0] != '\0');
        }
        guard_eval_free(eval);
    }
    CU_ASSERT_TRUE(n_good > 100 && n_bad > 100);
}

static const struct test_case tests[] = {
    {"figures by hand", test_figures},
    {"the highest of all harms, and prompts", test_any},
    {"agreement between classifiers", test_agreement},
    {"bad requests", test_bad_requests},
    {"files broken at random", test_mutations},
};
SUITE("guard_eval", tests)
