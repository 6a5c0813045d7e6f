/* training_variants.h - texts made from training texts, to teach what the texts as found do not.
 *
 *   a recipe's "variants" -> training_variants_read() -> _swap() and _quote() for one text at a
 * time
 *
 * Swapped: a word for a group of people is replaced by that of another group.  The copy has the
 * labels of its original, so no group's name can mean more than another's.
 * Quoted: a text that attacks people is put into a sentence that speaks against it.  The copy has
 * low labels: who reports or condemns an attack does not make one.
 *
 *   {"max_bytes": 300,
 *    "swap": [["women", "muslims", ...], ["gay", "black", ...]],
 *    "quote": {"sentences": ["Nobody should ever write {text}", ...],
 *              "of": "identity_attack", "from": 0.7, "labels": {"toxicity": 0.3, ...}}}
 *
 * Words of one list stand for each other, in lower case; a text's first list that has a word of it
 * counts.  `of` and `from` say which texts may be quoted.
 */
#ifndef ASSAY_TRAINING_VARIANTS_H
#define ASSAY_TRAINING_VARIANTS_H

#include "classifiers/training.h"
#include "engine/base/json.h"
#include "engine/base/strbuf.h"

#define VARIANTS_MAX_LISTS 8
#define VARIANTS_MAX_WORDS 64

struct training_variants {
    size_t max_bytes; /* longer texts have no variants */
    struct word_list {
        struct text words[VARIANTS_MAX_WORDS]; /* owned by the recipe */
        size_t n;
    } lists[VARIANTS_MAX_LISTS];
    size_t n_lists;
    struct text sentences[VARIANTS_MAX_WORDS]; /* each holds {text} once */
    size_t n_sentences;
    int quoted_head; /* texts of which this head's label is at least quoted_from */
    float quoted_from;
    float quoted_label[LINEAR_MAX_HEADS]; /* of a quoting text; NAN: it says nothing of the head */
};

/* Reads the object.  `options` says what the heads are; `value` must outlive the result. */
status_code training_variants_read(struct training_variants *variants,
                                   const struct json_value *value,
                                   const struct training_options *options,
                                   struct status *st) MUST_CHECK;

/* Writes a copy of the text with other groups; false when it names none.  `random` picks them. */
bool training_variants_swap(const struct training_variants *variants, struct text text,
                            uint64_t random, struct strbuf *out);

/* Writes a sentence that quotes the example and changes its labels; false when it is none to
 * quote. */
bool training_variants_quote(const struct training_variants *variants,
                             struct training_example *example, uint64_t random, struct strbuf *out);

#endif
