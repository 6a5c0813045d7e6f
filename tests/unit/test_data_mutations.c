/* Data files that are broken in ways nobody thought of: mutated with fixed seeds, each either
 * loads, and then every document can be rendered, or is refused in one line that names the file. */
#include "tests/unit/scratch.h"
#include "tests/unit/task_fixture.h"

#include <limits.h>

#include "engine/base/limits.h"
#include "engine/base/rng.h"

#define ROUNDS 200
#define DEMO   "datasets/demo/"

/* A file of a task, taken from the demo samples and cut to its first lines. */
static const struct subject {
    const char *task, *file, *from;
    size_t lines;
} subjects[] = {
    {"gsm8k", "gsm8k/test.jsonl", "gsm8k/test.jsonl", 3},
    {"mmlu_virology", "mmlu/test/virology_test.csv", "mmlu/test/virology_test.csv", 3},
    {"mmmlu_de_de", "mmmlu/mmlu_DE-DE.csv", "mmmlu/mmlu_DE-DE.csv", 4},
    {"mgsm_direct_de", "mgsm/mgsm_de.tsv", "mgsm/mgsm_de.tsv", 3},
    {"hellaswag", "hellaswag/hellaswag_val.jsonl", "hellaswag/hellaswag_val.jsonl", 3},
    {"humaneval", "humaneval/HumanEval.jsonl", "humaneval/HumanEval.jsonl", 2},
    {"realtoxicityprompts", "realtoxicityprompts/prompts.jsonl",
     "realtoxicityprompts/prompts.jsonl", 3},
    {"xstest", "xstest/xstest_prompts.csv", "xstest/xstest_prompts.csv", 4},
    {"simplesafetytests", "safety/simplesafetytests.csv", "safety/simplesafetytests.csv", 4},
};

static void read_lines(const char *relative, size_t lines, struct strbuf *out)
{
    struct status st = {0};
    char path[256];
    snprintf(path, sizeof path, DEMO "%s", relative);
    ASSERT_OK(strbuf_read_file(out, path, &st));
    size_t at = 0;
    while (at < out->length && lines) lines -= out->data[at++] == '\n';
    strbuf_truncate(out, at);
}

/* One to four edits: a bit, a byte that means something, a stretch left out, said twice, or the
 * end. */
static void mutate(struct rng *rng, const struct strbuf *from, struct strbuf *out)
{
    static const char special[] = "\"\n\r,\t{}[]:\\0\xff\xc3\xed\xa0-.e9 ";
    strbuf_clear(out);
    strbuf_append(out, from->data, from->length);
    for (uint64_t edits = 1 + rng_next(rng) % 4; edits && out->length; edits--) {
        size_t at = (size_t)(rng_next(rng) % out->length);
        size_t n = 1 + (size_t)(rng_next(rng) % 64);
        if (n > out->length - at) n = out->length - at;
        char stretch[64];
        memcpy(stretch, out->data + at, n);
        switch (rng_next(rng) % 8) {
        case 0:
            strbuf_truncate(out, at);
            break;
        case 1: /* left out */
            memmove(out->data + at, out->data + at + n, out->length - at - n);
            strbuf_truncate(out, out->length - n);
            break;
        case 2: /* at the end once more */
            strbuf_append(out, stretch, n);
            break;
        case 3:
            out->data[at] = (char)(out->data[at] ^ (1 << rng_next(rng) % 8));
            break;
        default:
            out->data[at] = special[rng_next(rng) % (sizeof special)];
        }
    }
}

static void render_all(const struct task_instance *task)
{
    const struct task_chat chat = {.system = "S"};
    struct arena arena;
    arena_init(&arena, 1 << 24);
    for (int64_t doc = 0; doc < task_instance_info(task)->n_documents; doc++) {
        struct status st = {0};
        struct task_request plain, talk;
        ASSERT_OK(task_instance_render(task, doc, &arena, &plain, &st));
        ASSERT_OK(task_instance_render_chat(task, doc, INT_MAX, &chat, &arena, &talk, &st));
        CU_ASSERT_STRING_EQUAL(plain.doc_hash, talk.doc_hash);
        CU_ASSERT_TRUE(plain.gold < plain.n_continuations || !plain.n_continuations);
        arena_reset(&arena);
    }
    arena_release(&arena);
}

/* Whether the file loads; else that the message is one line with the file's name. */
static bool loads(const char *name, const char *file, const struct dataset_lookup *lookup)
{
    struct status st = {0};
    struct task_selection selection = {0};
    struct task_instance *task = NULL;
    ASSERT_OK(task_registry_select(&selection, name, NULL, lookup, &st));
    const struct task_options options = {.num_fewshot = 0, .lookup = *lookup};
    bool good = task_instance_load(&task, &selection.refs[0], &options, &st) == STATUS_OK;
    if (good) {
        render_all(task);
    } else {
        bool one_line = st.message[0] && !strchr(st.message, '\n') && strstr(st.message, file);
        CU_ASSERT_TRUE(one_line);
        if (!one_line) fprintf(stderr, "%s: \"%s\"\n", file, st.message);
    }
    task_instance_free(task);
    task_selection_release(&selection);
    return good;
}

static struct dataset_lookup folder_lookup(void)
{
    static char dir[128];
    make_scratch();
    snprintf(dir, sizeof dir, "%s/data", scratch);
    return (struct dataset_lookup){.data_dir = dir};
}

static void test_plain_files(void)
{
    struct strbuf from, bytes;
    strbuf_init(&from, 1 << 20);
    strbuf_init(&bytes, 1 << 20);
    for (size_t s = 0; s < sizeof subjects / sizeof subjects[0]; s++) {
        const struct subject *subject = &subjects[s];
        const struct dataset_lookup lookup = folder_lookup();
        struct rng rng;
        char path[96];
        int n_loaded = 0;
        snprintf(path, sizeof path, "data/%s", subject->file);
        strbuf_clear(&from);
        read_lines(subject->from, subject->lines, &from);
        rng_seed(&rng, 20241124 + s);
        put(path, from.data, from.length);
        CU_ASSERT_TRUE(loads(subject->task, subject->file, &lookup));
        for (int i = 0; i < ROUNDS; i++) {
            mutate(&rng, &from, &bytes);
            put(path, bytes.data, bytes.length);
            n_loaded += loads(subject->task, subject->file, &lookup);
        }
        CU_ASSERT_TRUE(n_loaded > 0 && n_loaded < ROUNDS);
    }
    strbuf_release(&from);
    strbuf_release(&bytes);
}

/* The same through gzip, where lengths and checksums lie too. */
static void test_compressed_files(void)
{
    static const char file[] = "gsm8k/test.jsonl";
    const struct dataset_lookup lookup = folder_lookup();
    struct status st = {0};
    struct strbuf from, packed, bytes;
    struct rng rng;
    char command[400];
    int n_loaded = 0;
    strbuf_init(&from, 1 << 20);
    strbuf_init(&packed, 1 << 20);
    strbuf_init(&bytes, 1 << 20);
    read_lines(file, 3, &from);
    const char *path = put("packed.jsonl", from.data, from.length);
    snprintf(command, sizeof command, "gzip -9 -c '%s' > '%s.gz'", path, path);
    CU_ASSERT_EQUAL_FATAL(system(command), 0);
    char packed_path[96];
    snprintf(packed_path, sizeof packed_path, "%.64s/packed.jsonl.gz", scratch);
    ASSERT_OK(strbuf_read_file(&packed, packed_path, &st));
    remember(packed_path);
    rng_seed(&rng, 31337);
    put("data/gsm8k/test.jsonl", packed.data, packed.length);
    CU_ASSERT_TRUE(loads("gsm8k", file, &lookup));
    for (int i = 0; i < 4 * ROUNDS; i++) {
        mutate(&rng, &packed, &bytes);
        put("data/gsm8k/test.jsonl", bytes.data, bytes.length);
        n_loaded += loads("gsm8k", file, &lookup);
    }
    CU_ASSERT_TRUE(n_loaded < 4 * ROUNDS);
    strbuf_release(&from);
    strbuf_release(&packed);
    strbuf_release(&bytes);
}

/* Replies made elsewhere: a line for each reply, or one line that says what is wrong. */
static void test_replies_files(void)
{
    static const char replies[] =
        "{\"doc_id\": 0, \"reply\": \"#### 18\"}\n{\"doc_id\": 1, \"reply\": \"The answer is "
        "1,000. \\u00e9\"}\n{\"task\": \"gsm8k\", \"doc_id\": 0, \"reply\": \"\", "
        "\"finish_reason\": \"length\"}\n";
    const struct dataset_lookup lookup = folder_lookup();
    struct strbuf from, bytes, lines, summary;
    struct rng rng;
    int n_scored = 0;
    strbuf_init(&from, 1 << 16);
    strbuf_init(&bytes, 1 << 16);
    strbuf_init(&lines, 1 << 20);
    strbuf_init(&summary, 1 << 20);
    read_lines("gsm8k/test.jsonl", 3, &from);
    put("data/gsm8k/test.jsonl", from.data, from.length);
    strbuf_clear(&from);
    strbuf_append_str(&from, replies);
    rng_seed(&rng, 7);
    for (int i = 0; i < 4 * ROUNDS; i++) {
        struct status st = {0};
        mutate(&rng, &from, &bytes);
        const char *path = put("replies.jsonl", bytes.data, bytes.length);
        if (score_file("gsm8k", path, false, &lookup, &lines, &summary, &st) == STATUS_OK) {
            n_scored++;
            continue;
        }
        bool one_line = st.message[0] && !strchr(st.message, '\n');
        CU_ASSERT_TRUE(one_line && strstr(st.message, "replies.jsonl"));
        if (!one_line || !strstr(st.message, "replies.jsonl"))
            fprintf(stderr, "\"%s\"\n", st.message);
    }
    CU_ASSERT_TRUE(n_scored > 50 && n_scored < 4 * ROUNDS);
    strbuf_release(&from);
    strbuf_release(&bytes);
    strbuf_release(&lines);
    strbuf_release(&summary);
}

static const struct test_case tests[] = {
    {"mutated files load or are refused by name", test_plain_files},
    {"mutated gzip files", test_compressed_files},
    {"mutated replies", test_replies_files},
};

SUITE("data_mutations", tests)
