/* Chat formats: what the models' own templates render, and that no message can leave its turn.  The
 * golden texts are those of the templates named in chat_template.c, run as Jinja. */
#include "engine/tokenizer/chat_template.h"
#include "tests/unit/tokenizer_fixtures.h"

#define SAYS(role, string)                                                                         \
    {                                                                                              \
        role,                                                                                      \
        {                                                                                          \
            string, sizeof(string) - 1                                                             \
        }                                                                                          \
    }

/* Ids: 0 <unk>, 1 <s>, 2 </s>, 3 to 258 the bytes, then these.  Gemma's are user-defined in
 * SentencePiece, others control pieces. */
static const struct spm_piece markers[] = {
    {"<start_of_turn>", 0, USER},
    {"<end_of_turn>", 0, USER},
    {"<|start_header_id|>", 0, CONTROL},
    {"<|end_header_id|>", 0, CONTROL},
    {"<|eot_id|>", 0, CONTROL},
    {"<|im_start|>", 0, CONTROL},
    {"<|im_end|>", 0, CONTROL},
    {"\u2581", -1, NORMAL},
    {"[INST]", 0, CONTROL},
    {"[/INST]", 0, CONTROL},
    {"<|start_of_role|>", 0, CONTROL},
    {"<|end_of_role|>", 0, CONTROL},
    {"<|end_of_text|>", 0, CONTROL},
};
enum { N_MARKERS = 13, N_WITHOUT_INST = 8, START_OF_TURN = 259, END_OF_TURN, SPACE = 266, INST };

/* A tokenizer of the first n pieces, with a tokenizer_config.json. */
static struct tokenizer *load(const char *config, size_t n, bool dummy_prefix)
{
    struct status st = {0};
    struct fixture f;
    struct tokenizer *tok;
    struct strbuf bytes;
    fixture_init(&f);
    build_spm(&bytes, markers, n, true, dummy_prefix, false);
    fixture_write(&f, "tokenizer.model", text_in(&bytes));
    strbuf_release(&bytes);
    fixture_write(&f, "tokenizer_config.json", text_of(config));
    ASSERT_OK(tokenizer_load(&tok, f.folder, &st));
    fixture_release(&f);
    return tok;
}

/* The ids that a prompt is written for: the longest piece at each place, else a byte. */
static void read_prompt(const struct tokenizer *tok, const char *shown, struct strbuf *out)
{
    for (size_t i = 0; shown[i];) {
        int32_t id = 3 + (unsigned char)shown[i];
        size_t used = 1;
        for (int piece = 0; piece < N_MARKERS; piece++) {
            size_t n = strlen(markers[piece].piece);
            if (tokenizer_find(tok, markers[piece].piece) < 0) continue;
            if (strncmp(shown + i, markers[piece].piece, n) != 0) continue;
            id = tokenizer_find(tok, markers[piece].piece);
            used = n;
        }
        if (strncmp(shown + i, "<s>", 3) == 0 || strncmp(shown + i, "</s>", 4) == 0) {
            id = shown[i + 1] == 's' ? 1 : 2;
            used = id == 1 ? 3 : 4;
        }
        if (shown[i] == ' ') id = SPACE;
        strbuf_appendf(out, "%d ", id);
        i += used;
    }
}

/* Whether the messages become this text, and the ids that it is written for. */
static bool renders(const struct tokenizer *tok, const char *name,
                    const struct chat_message *messages, int n, enum chat_system_as system_as,
                    const char *expected)
{
    struct status st = {0};
    struct chat_template template;
    struct token_list ids = {0};
    struct strbuf shown, expected_ids, found_ids;
    strbuf_init(&shown, 1 << 20);
    strbuf_init(&expected_ids, 1 << 20);
    strbuf_init(&found_ids, 1 << 20);
    ASSERT_OK(chat_template_find(&template, tok, name, &st));
    ASSERT_OK(chat_template_render(&template, tok, messages, n, system_as, &ids, &shown, &st));
    read_prompt(tok, expected, &expected_ids);
    for (size_t i = 0; i < ids.count; i++) strbuf_appendf(&found_ids, "%d ", ids.ids[i]);
    bool same = strcmp(shown.data, expected) == 0 && strcmp(found_ids.data, expected_ids.data) == 0;
    if (!same)
        fprintf(stderr, "  %s: \"%s\"\n  expected \"%s\"\n  ids %s\n  expected %s\n", template.name,
                shown.data, expected, found_ids.data, expected_ids.data);
    strbuf_release(&shown);
    strbuf_release(&expected_ids);
    strbuf_release(&found_ids);
    token_list_release(&ids);
    return same;
}

static const struct chat_message talk[] = {
    SAYS(CHAT_SYSTEM, "Be brief."),
    SAYS(CHAT_USER, " Hi \n"),
    SAYS(CHAT_ASSISTANT, "Yes?"),
    SAYS(CHAT_USER, "Why?"),
};

static const struct golden {
    const char *name, *with_system, *without;
} goldens[] = {
    {"gemma3",
     "<s><start_of_turn>user\nBe "
     "brief.\n\nHi<end_of_turn>\n<start_of_turn>model\nYes?<end_of_turn>\n"
     "<start_of_turn>user\nWhy?<end_of_turn>\n<start_of_turn>model\n",
     "<s><start_of_turn>user\nHi<end_of_turn>\n<start_of_turn>model\nYes?<end_of_turn>\n"
     "<start_of_turn>user\nWhy?<end_of_turn>\n<start_of_turn>model\n"},
    {"gemma", NULL,
     "<s><start_of_turn>user\nHi<end_of_turn>\n<start_of_turn>model\nYes?<end_of_turn>\n"
     "<start_of_turn>user\nWhy?<end_of_turn>\n<start_of_turn>model\n"},
    {"llama3",
     "<s><|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|>"
     "<|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>"
     "<|start_header_id|>assistant<|end_header_id|>\n\nYes?<|eot_id|>"
     "<|start_header_id|>user<|end_header_id|>\n\nWhy?<|eot_id|>"
     "<|start_header_id|>assistant<|end_header_id|>\n\n",
     "<s><|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>"
     "<|start_header_id|>assistant<|end_header_id|>\n\nYes?<|eot_id|>"
     "<|start_header_id|>user<|end_header_id|>\n\nWhy?<|eot_id|>"
     "<|start_header_id|>assistant<|end_header_id|>\n\n"},
    {"chatml",
     "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n Hi \n<|im_end|>\n"
     "<|im_start|>assistant\nYes?<|im_end|>\n<|im_start|>user\nWhy?<|im_end|>\n"
     "<|im_start|>assistant\n",
     "<|im_start|>user\n Hi \n<|im_end|>\n<|im_start|>assistant\nYes?<|im_end|>\n"
     "<|im_start|>user\nWhy?<|im_end|>\n<|im_start|>assistant\n"},
    {"phi", NULL, "Instruct:  Hi \n\nOutput: Yes?\nInstruct: Why?\nOutput:"},
};

static void test_goldens(void)
{
    struct tokenizer *tok = load("{}", N_WITHOUT_INST, false);
    for (size_t i = 0; i < sizeof goldens / sizeof goldens[0]; i++) {
        const struct golden *g = &goldens[i];
        CU_ASSERT_TRUE(renders(tok, g->name, talk + 1, 3, CHAT_SYSTEM_ERROR, g->without));
        if (g->with_system)
            CU_ASSERT_TRUE(renders(tok, g->name, talk, 4, CHAT_SYSTEM_ERROR, g->with_system));
    }
    CU_ASSERT_TRUE(renders(tok, "llama2", talk, 4, CHAT_SYSTEM_ERROR,
                           "<s>[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\n Hi [/INST] Yes? </s>"
                           "<s>[INST] Why? [/INST]"));
    CU_ASSERT_TRUE(renders(tok, "llama2", talk + 1, 1, CHAT_SYSTEM_ERROR, "<s>[INST] Hi [/INST]"));
    CU_ASSERT_TRUE(renders(tok, "mistral", talk + 1, 3, CHAT_SYSTEM_ERROR,
                           "<s>[INST]  Hi \n [/INST]Yes?</s>[INST] Why? [/INST]"));
    static const char date[] =
        "<s><|start_header_id|>system<|end_header_id|>\n\n"
        "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n"
        "<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nWhy?<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n";
    CU_ASSERT_TRUE(renders(tok, "llama3.1", talk + 3, 1, CHAT_SYSTEM_ERROR, date));
    tokenizer_free(tok);
}

/* The same with white space at every end, and with a reply begun. */
static const struct chat_message spaced[] = {
    SAYS(CHAT_SYSTEM, "Be brief.\n"),   SAYS(CHAT_USER, " Hi \n"),
    SAYS(CHAT_ASSISTANT, "  Yes?  "),   SAYS(CHAT_USER, "Why \u00e9?\n\nTell me. "),
    SAYS(CHAT_ASSISTANT, "Because:\n"),
};

/* What the published templates render, by another implementation of Jinja; the begun reply is cut
 * as transformers does with continue_final_message. */
static const struct published {
    const char *name, *with_system, *without, *begun;
} published[] = {
    {"gemma", NULL,
     "<s><start_of_turn>user\nHi<end_of_turn>\n<start_of_turn>model\nYes?<end_of_turn>\n<start_of_"
     "turn>user\nWhy é?\n\nTell me.<end_of_turn>\n<start_of_turn>model\n",
     "<s><start_of_turn>user\nHi<end_of_turn>\n<start_of_turn>model\nYes?<end_of_turn>\n<start_of_"
     "turn>user\nWhy é?\n\nTell me.<end_of_turn>\n<start_of_turn>model\nBecause:"},
    {"gemma3",
     "<s><start_of_turn>user\nBe "
     "brief.\n\n\nHi<end_of_turn>\n<start_of_turn>model\nYes?<end_of_turn>\n<start_of_turn>"
     "user\nWhy é?\n\nTell me.<end_of_turn>\n<start_of_turn>model\n",
     "<s><start_of_turn>user\nHi<end_of_turn>\n<start_of_turn>model\nYes?<end_of_turn>\n<start_of_"
     "turn>user\nWhy é?\n\nTell me.<end_of_turn>\n<start_of_turn>model\n",
     "<s><start_of_turn>user\nHi<end_of_turn>\n<start_of_turn>model\nYes?<end_of_turn>\n<start_of_"
     "turn>user\nWhy é?\n\nTell me.<end_of_turn>\n<start_of_turn>model\nBecause:"},
    {"llama2",
     "<s>[INST] <<SYS>>\nBe brief.\n\n<</SYS>>\n\n Hi [/INST] Yes? </s><s>[INST] Why é?\n\nTell "
     "me. [/INST]",
     "<s>[INST] Hi [/INST] Yes? </s><s>[INST] Why é?\n\nTell me. [/INST]",
     "<s>[INST] Hi [/INST] Yes? </s><s>[INST] Why é?\n\nTell me. [/INST] Because:"},
    {"llama3",
     "<s><|start_header_id|>system<|end_header_id|>\n\nBe "
     "brief.<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|><|start_header_id|>"
     "assistant<|end_header_id|>\n\nYes?<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nWhy "
     "é?\n\nTell me.<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
     "<s><|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|><|start_header_id|>assistant<|end_"
     "header_id|>\n\nYes?<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nWhy é?\n\nTell "
     "me.<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
     "<s><|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|><|start_header_id|>assistant<|end_"
     "header_id|>\n\nYes?<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nWhy é?\n\nTell "
     "me.<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\nBecause:"},
    {"llama3.1",
     "<s><|start_header_id|>system<|end_header_id|>\n\nCutting Knowledge Date: December "
     "2023\nToday Date: 26 Jul 2024\n\nBe "
     "brief.<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|><|start_header_id|>"
     "assistant<|end_header_id|>\n\nYes?<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nWhy "
     "é?\n\nTell me.<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
     "<s><|start_header_id|>system<|end_header_id|>\n\nCutting Knowledge Date: December "
     "2023\nToday Date: 26 Jul "
     "2024\n\n<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|><|start_header_id|>"
     "assistant<|end_header_id|>\n\nYes?<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nWhy "
     "é?\n\nTell me.<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
     "<s><|start_header_id|>system<|end_header_id|>\n\nCutting Knowledge Date: December "
     "2023\nToday Date: 26 Jul "
     "2024\n\n<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|><|start_header_id|>"
     "assistant<|end_header_id|>\n\nYes?<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nWhy "
     "é?\n\nTell me.<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\nBecause:"},
    {"mistral", NULL, "<s>[INST]  Hi \n [/INST]  Yes?  </s>[INST] Why é?\n\nTell me.  [/INST]",
     "<s>[INST]  Hi \n [/INST]  Yes?  </s>[INST] Why é?\n\nTell me.  [/INST]Because:\n"},
    {"mistral-v1",
     "<s> [INST] Be brief.\n\n\n Hi \n [/INST]   Yes?  </s> [INST] Why é?\n\nTell me.  [/INST]",
     "<s> [INST]  Hi \n [/INST]   Yes?  </s> [INST] Why é?\n\nTell me.  [/INST]",
     "<s> [INST]  Hi \n [/INST]   Yes?  </s> [INST] Why é?\n\nTell me.  [/INST] Because:\n"},
    {"mistral-v3",
     "<s>[INST]  Hi \n[/INST] Yes?</s>[INST] Be brief.\n\n\nWhy é?\n\nTell me. [/INST]",
     "<s>[INST]  Hi \n[/INST] Yes?</s>[INST] Why é?\n\nTell me. [/INST]",
     "<s>[INST]  Hi \n[/INST] Yes?</s>[INST] Why é?\n\nTell me. [/INST] Because:"},
    {"mistral-tekken",
     "<s>[INST] Hi \n[/INST]  Yes?  </s>[INST]Be brief.\n\n\nWhy é?\n\nTell me. [/INST]",
     "<s>[INST] Hi \n[/INST]  Yes?  </s>[INST]Why é?\n\nTell me. [/INST]",
     "<s>[INST] Hi \n[/INST]  Yes?  </s>[INST]Why é?\n\nTell me. [/INST]Because:\n"},
    {"chatml",
     "<|im_start|>system\nBe brief.\n<|im_end|>\n<|im_start|>user\n Hi "
     "\n<|im_end|>\n<|im_start|>assistant\n  Yes?  <|im_end|>\n<|im_start|>user\nWhy é?\n\nTell "
     "me. <|im_end|>\n<|im_start|>assistant\n",
     "<|im_start|>user\n Hi \n<|im_end|>\n<|im_start|>assistant\n  Yes?  "
     "<|im_end|>\n<|im_start|>user\nWhy é?\n\nTell me. <|im_end|>\n<|im_start|>assistant\n",
     "<|im_start|>user\n Hi \n<|im_end|>\n<|im_start|>assistant\n  Yes?  "
     "<|im_end|>\n<|im_start|>user\nWhy é?\n\nTell me. "
     "<|im_end|>\n<|im_start|>assistant\nBecause:\n"},
    {"granite",
     "<|start_of_role|>system<|end_of_role|>Be brief.\n<|end_of_text|>\n"
     "<|start_of_role|>user<|end_of_role|> Hi \n<|end_of_text|>\n"
     "<|start_of_role|>assistant<|end_of_role|>  Yes?  <|end_of_text|>\n"
     "<|start_of_role|>user<|end_of_role|>Why \u00e9?\n\nTell me. <|end_of_text|>\n"
     "<|start_of_role|>assistant<|end_of_role|>",
     "<|start_of_role|>user<|end_of_role|> Hi \n<|end_of_text|>\n"
     "<|start_of_role|>assistant<|end_of_role|>  Yes?  <|end_of_text|>\n"
     "<|start_of_role|>user<|end_of_role|>Why \u00e9?\n\nTell me. <|end_of_text|>\n"
     "<|start_of_role|>assistant<|end_of_role|>",
     "<|start_of_role|>user<|end_of_role|> Hi \n<|end_of_text|>\n"
     "<|start_of_role|>assistant<|end_of_role|>  Yes?  <|end_of_text|>\n"
     "<|start_of_role|>user<|end_of_role|>Why \u00e9?\n\nTell me. <|end_of_text|>\n"
     "<|start_of_role|>assistant<|end_of_role|>Because:\n"},
    /* No template: the format of Phi-2's model card. */
    {"phi", NULL, "Instruct:  Hi \n\nOutput:   Yes?  \nInstruct: Why \u00e9?\n\nTell me. \nOutput:",
     "Instruct:  Hi \n\nOutput:   Yes?  \nInstruct: Why \u00e9?\n\nTell me. \nOutput: Because:\n"},
};

static void test_published(void)
{
    struct tokenizer *plain = load("{}", N_WITHOUT_INST, false);
    struct tokenizer *with_inst = load("{}", N_MARKERS, false);
    for (size_t i = 0; i < sizeof published / sizeof published[0]; i++) {
        const struct published *p = &published[i];
        bool marks = strcmp(p->name, "mistral-v3") == 0 || strcmp(p->name, "mistral-tekken") == 0 ||
                     strcmp(p->name, "granite") == 0;
        const struct tokenizer *tok = marks ? with_inst : plain;
        CU_ASSERT_TRUE(renders(tok, p->name, spaced + 1, 3, CHAT_SYSTEM_ERROR, p->without));
        CU_ASSERT_TRUE(renders(tok, p->name, spaced + 1, 4, CHAT_SYSTEM_ERROR, p->begun));
        if (p->with_system)
            CU_ASSERT_TRUE(renders(tok, p->name, spaced, 4, CHAT_SYSTEM_ERROR, p->with_system));
    }
    tokenizer_free(plain);
    tokenizer_free(with_inst);
}

/* Choices as replies: the ids are those of the texts together, and white space at the prompt's end
 * is the reply's. */
static void test_replies(void)
{
    struct status st = {0};
    struct chat_template template;
    struct tokenizer *tok = load("{}", N_WITHOUT_INST, false);
    static const struct {
        const char *name;
        size_t white; /* ids of white space at the prompt's end */
    } cases[] = {{"gemma", 1}, {"llama3", 2}, {"llama2", 0}, {"chatml", 1}, {"phi", 0}};
    const struct text texts[] = {text_of("A"), text_of(" yes\n")};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct token_list prompt = {0}, ids[2] = {{0}};
        struct chat_replies replies = {.texts = texts, .n = 2, .ids = ids};
        ASSERT_OK(chat_template_find(&template, tok, cases[i].name, &st));
        ASSERT_OK(chat_template_render(&template, tok, spaced + 1, 3, CHAT_SYSTEM_ERROR, &prompt,
                                       NULL, &st));
        ASSERT_OK(chat_template_render_replies(&template, tok, spaced + 1, 3, CHAT_SYSTEM_ERROR,
                                               &replies, &st));
        CU_ASSERT_EQUAL(replies.n_context, prompt.count - cases[i].white);
        CU_ASSERT_EQUAL_FATAL(ids[0].count, prompt.count + 1);
        CU_ASSERT_EQUAL_FATAL(ids[1].count, prompt.count + 5);
        for (int r = 0; r < 2; r++)
            CU_ASSERT_EQUAL(memcmp(ids[r].ids, prompt.ids, prompt.count * sizeof *prompt.ids), 0);
        CU_ASSERT_EQUAL(ids[0].ids[prompt.count], 3 + 'A');
        CU_ASSERT_EQUAL(ids[1].ids[prompt.count], SPACE);
        CU_ASSERT_EQUAL(ids[1].ids[prompt.count + 4], 3 + '\n');
        token_list_release(&prompt);
        token_list_release(&ids[0]);
        token_list_release(&ids[1]);
    }
    tokenizer_free(tok);
}

/* Its markers are pieces, and the text between them starts with the vocabulary's own space. */
static void test_mistral_v3(void)
{
    struct status st = {0};
    struct chat_template template;
    struct token_list ids = {0};
    struct tokenizer *tok = load("{}", N_MARKERS, true);
    static const int32_t expected[] = {1,       INST,    SPACE,   3 + 'W',
                                       3 + 'h', 3 + 'y', 3 + '?', INST + 1};
    ASSERT_OK(chat_template_find(&template, tok, "mistral-v3", &st));
    ASSERT_OK(
        chat_template_render(&template, tok, talk + 3, 1, CHAT_SYSTEM_ERROR, &ids, NULL, &st));
    CU_ASSERT_EQUAL_FATAL(ids.count, 8);
    CU_ASSERT_EQUAL(memcmp(ids.ids, expected, sizeof expected), 0);
    token_list_release(&ids);
    tokenizer_free(tok);
}

static void test_system_messages(void)
{
    struct status st = {0};
    struct chat_template template;
    struct token_list ids = {0};
    struct tokenizer *tok = load("{}", N_WITHOUT_INST, false);
    ASSERT_OK(chat_template_find(&template, tok, "gemma", &st));
    ASSERT_OK(token_list_append(&ids, 7, &st));
    ASSERT_FAILS(chat_template_render(&template, tok, talk, 2, CHAT_SYSTEM_ERROR, &ids, NULL, &st),
                 STATUS_USAGE, "gemma has no place for a system message");
    CU_ASSERT_EQUAL(ids.count, 1);
    token_list_release(&ids);
    CU_ASSERT_TRUE(renders(tok, "gemma", talk, 2, CHAT_SYSTEM_DROP,
                           "<s><start_of_turn>user\nHi<end_of_turn>\n<start_of_turn>model\n"));
    CU_ASSERT_TRUE(
        renders(tok, "gemma", talk, 2, CHAT_SYSTEM_PREPEND_USER,
                "<s><start_of_turn>user\nBe brief.\n\nHi<end_of_turn>\n<start_of_turn>model\n"));
    CU_ASSERT_TRUE(renders(tok, "mistral", spaced, 2, CHAT_SYSTEM_PREPEND_USER,
                           "<s>[INST] Be brief.\n\n Hi \n [/INST]"));
    enum chat_system_as as;
    CU_ASSERT_TRUE(chat_system_as_find("prepend-user", &as) && as == CHAT_SYSTEM_PREPEND_USER);
    CU_ASSERT_TRUE(chat_system_as_find("drop", &as) && as == CHAT_SYSTEM_DROP);
    CU_ASSERT_FALSE(chat_system_as_find("role", &as));
    tokenizer_free(tok);
}

static void test_order(void)
{
    struct status st = {0};
    struct chat_template template;
    struct tokenizer *tok = load("{}", N_WITHOUT_INST, false);
    ASSERT_OK(chat_template_find(&template, tok, "chatml", &st));
    static const struct {
        int from, n;
        const char *says;
    } wrong[] = {
        {0, 1, "has no message of the user"},
        {0, 0, "has no message of the user"},
        {2, 2, "message 1 of the chat is not the user's"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        ASSERT_FAILS(chat_template_render(&template, tok, talk + wrong[i].from, wrong[i].n,
                                          CHAT_SYSTEM_ERROR, NULL, NULL, &st),
                     STATUS_USAGE, wrong[i].says);
    static const struct chat_message twice[] = {SAYS(CHAT_USER, "a"), SAYS(CHAT_SYSTEM, "b"),
                                                SAYS(CHAT_USER, "c")};
    ASSERT_FAILS(chat_template_render(&template, tok, twice, 3, CHAT_SYSTEM_ERROR, NULL, NULL, &st),
                 STATUS_USAGE, "message 2 of the chat is not the assistant's");
    tokenizer_free(tok);
}

/* Every marker, in every format, as user, assistant and system: as many ids of markers come out as
 * without it. */
static size_t count_markers(const struct tokenizer *tok, const char *format, struct text evil)
{
    struct status st = {0};
    struct chat_template template;
    struct token_list ids = {0};
    struct chat_message messages[] = {
        {CHAT_SYSTEM, evil}, {CHAT_USER, evil}, {CHAT_ASSISTANT, evil}, {CHAT_USER, evil}};
    size_t n = 0;
    ASSERT_OK(chat_template_find(&template, tok, format, &st));
    ASSERT_OK(chat_template_render(&template, tok, messages, 4, CHAT_SYSTEM_PREPEND_USER, &ids,
                                   NULL, &st));
    for (size_t i = 0; i < ids.count; i++)
        n += ids.ids[i] == 1 || ids.ids[i] == 2 || (ids.ids[i] >= 259 && ids.ids[i] != SPACE);
    token_list_release(&ids);
    return n;
}

static void test_injection(void)
{
    static const char *const names[] = {"gemma3",  "gemma",          "llama2",     "llama3.1",
                                        "llama3",  "mistral-tekken", "mistral-v3", "mistral-v1",
                                        "mistral", "chatml",         "granite",    "phi"};
    struct tokenizer *tok = load("{}", N_MARKERS, false);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        size_t plain = count_markers(tok, names[i], text_of("x"));
        CU_ASSERT_EQUAL(count_markers(tok, names[i], text_of("a<s></s>b")), plain);
        for (int m = 0; m < N_MARKERS; m++)
            CU_ASSERT_EQUAL(count_markers(tok, names[i], text_of(markers[m].piece)), plain);
    }
    tokenizer_free(tok);
}

/* ---- recognising ---- */

static const struct recognised {
    const char *source; /* as JSON */
    size_t n_pieces;
    const char *name, *default_system; /* NULL: none */
} recognised[] = {
    {"\"{{ bos_token }} <start_of_turn> {{ role }}\"", N_MARKERS, "gemma", NULL},
    {"\"set first_user_prefix = x <start_of_turn>\"", N_MARKERS, "gemma3", NULL},
    {"\"[INST] <<SYS>>\"", N_WITHOUT_INST, "llama2", NULL},
    {"\"[INST]\"", N_WITHOUT_INST, "mistral", NULL},
    {"\"{{- ' [INST] ' + system_message }}\"", N_WITHOUT_INST, "mistral-v1", NULL},
    {"\"[INST]\"", N_MARKERS, "mistral-v3-early", NULL},
    {"\"[AVAILABLE_TOOLS] [INST] \"", N_MARKERS, "mistral-v3", NULL},
    {"\"[AVAILABLE_TOOLS] \\\"[INST]\\\" \"", N_MARKERS, "mistral-tekken", NULL},
    {"\"<|start_header_id|>\"", N_MARKERS, "llama3", NULL},
    {"\"<|start_header_id|> Cutting Knowledge Date: \"", N_MARKERS, "llama3.1", ""},
    {"\"'<|start_of_role|>user<|end_of_role|>' + m\"", N_MARKERS, "granite", NULL},
    {"\"'<|im_start|>system\\n' + m + '<|im_end|>\\n'\"", N_MARKERS, "chatml", NULL},
    {"\"'<|im_start|>system\\n' + m + '<|im_end|>' '<|im_start|>system\\nBe good.<|im_end|>\\n'\"",
     N_MARKERS, "chatml", "Be good."},
    {"\"'<|im_start|>system\\\\nBe good.<|im_end|>\\\\n'\"", N_MARKERS, "chatml", "Be good."},
    {"[{\"name\": \"tool_use\", \"template\": \"[INST]\"}, {\"name\": \"default\", \"template\": "
     "\"<start_of_turn>\"}]",
     N_MARKERS, "gemma", NULL},
};

static void test_recognising(void)
{
    for (size_t i = 0; i < sizeof recognised / sizeof recognised[0]; i++) {
        struct status st = {0};
        struct chat_template template;
        const struct recognised *r = &recognised[i];
        char config[1024], hash[SHA256_HEX_SIZE];
        snprintf(config, sizeof config, "{\"chat_template\": %s}", r->source);
        struct tokenizer *tok = load(config, r->n_pieces, false);
        ASSERT_OK(chat_template_find(&template, tok, NULL, &st));
        CU_ASSERT_STRING_EQUAL(template.name, r->name);
        sha256_text(tokenizer_get_info(tok)->chat_template, hash);
        CU_ASSERT_STRING_EQUAL(template.sha256, hash);
        if (r->default_system)
            CU_ASSERT_TRUE(text_equal(template.default_system, text_of(r->default_system)))
        else
            CU_ASSERT_PTR_NULL(template.default_system.data);
        tokenizer_free(tok);
    }
}

static void test_default_system(void)
{
    struct tokenizer *tok = load(
        "{\"chat_template\": \"'<|im_start|>system\\nBe good.<|im_end|>\\n'\"}", N_MARKERS, false);
    CU_ASSERT_TRUE(renders(tok, NULL, talk + 3, 1, CHAT_SYSTEM_ERROR,
                           "<|im_start|>system\nBe good.<|im_end|>\n<|im_start|>user\nWhy?"
                           "<|im_end|>\n<|im_start|>assistant\n"));
    static const struct chat_message own[] = {SAYS(CHAT_SYSTEM, "Be bad."),
                                              SAYS(CHAT_USER, "Why?")};
    CU_ASSERT_TRUE(renders(tok, NULL, own, 2, CHAT_SYSTEM_ERROR,
                           "<|im_start|>system\nBe bad.<|im_end|>\n<|im_start|>user\nWhy?"
                           "<|im_end|>\n<|im_start|>assistant\n"));
    tokenizer_free(tok);
}

static void test_unknown(void)
{
    struct status st = {0};
    struct chat_template template;
    struct token_list ids = {0};
    struct tokenizer *tok = load("{}", 2, false);
    ASSERT_FAILS(
        chat_template_find(&template, tok, NULL, &st), STATUS_UNSUPPORTED,
        "no chat template; formats to choose from with --chat-template: gemma3, gemma, llama2");
    ASSERT_FAILS(chat_template_find(&template, tok, "nosuch", &st), STATUS_USAGE, "\"nosuch\"");
    ASSERT_OK(chat_template_find(&template, tok, "llama3", &st));
    CU_ASSERT_STRING_EQUAL(template.sha256, "");
    ASSERT_FAILS(
        chat_template_render(&template, tok, talk + 3, 1, CHAT_SYSTEM_ERROR, &ids, NULL, &st),
        STATUS_UNSUPPORTED, "the vocabulary has no <|start_header_id|>");
    CU_ASSERT_EQUAL(ids.count, 0);
    token_list_release(&ids);
    tokenizer_free(tok);
    static const char *const strange[] = {
        "{\"chat_template\": \"### Instruction:\"}",
        "{\"chat_template\": \"<start_of_turn> You are a policy expert\"}",
        "{\"chat_template\": \"<|start_header_id|> <BEGIN UNSAFE CONTENT CATEGORIES>\"}",
        "{\"chat_template\": \"<|user|>[INST]\"}",
        "{\"chat_template\": \"<|start_of_role|> You are a safety agent\"}",
        "{\"chat_template\": \"<|start_of_role|> Knowledge Cutoff Date: April 2024.\"}",
    };
    for (size_t i = 0; i < sizeof strange / sizeof strange[0]; i++) {
        tok = load(strange[i], N_MARKERS, false);
        ASSERT_FAILS(chat_template_find(&template, tok, NULL, &st), STATUS_UNSUPPORTED,
                     "not one of the known formats");
        tokenizer_free(tok);
    }
}

static const struct test_case tests[] = {
    {"prompts as the models' own templates render them", test_goldens},
    {"what the published templates render", test_published},
    {"replies behind a prompt", test_replies},
    {"Mistral with markers as pieces", test_mistral_v3},
    {"a system message is dropped, put in front, or an error", test_system_messages},
    {"messages out of turn", test_order},
    {"no message can end its turn or start another", test_injection},
    {"templates are recognised, and hashed", test_recognising},
    {"a template's own system message", test_default_system},
    {"templates and formats that are not known", test_unknown},
};

SUITE("chat_template", tests)
