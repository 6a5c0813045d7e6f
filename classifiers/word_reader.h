/* word_reader.h - a text to its words, as word lists and n-gram classifiers see them.
 *
 *   word_reader_init() -> word_reader_next() until false -> word_reader_check()
 *
 * A word is a run of letters, digits and marks, in lower case (Unicode simple mapping); everything
 * else separates, apostrophes, hyphens, underscores and invalid bytes too.  Characters that do not
 * show (soft hyphen, zero-width space and joiners, variation selectors) are dropped, so that they
 * do not hide a word.  Scripts that are written without spaces give one word for each run.
 *
 * A reader lives on its owner's stack and borrows the text.
 *
 *   struct word_reader reader;
 *   word_reader_init(&reader, text);
 *   while (word_reader_next(&reader)) ... reader.word, reader.start, reader.end ...
 *   code = word_reader_check(&reader, st);       was the text read to its end?
 *   word_reader_release(&reader);
 */
#ifndef ASSAY_WORD_READER_H
#define ASSAY_WORD_READER_H

#include "engine/base/strbuf.h"
#include "engine/base/text.h"

/* Of one word before lower case; a longer one comes cut, with `is_cut` set. */
#define WORD_MAX_BYTES 128

struct word_reader {
    struct text text;
    size_t position;
    struct text word;  /* in lower case; valid until the next call */
    size_t start, end; /* where it stood in `text` */
    bool is_cut;
    char raw[WORD_MAX_BYTES];
    struct strbuf lower; /* of a word that is not ASCII */
};

void word_reader_init(struct word_reader *reader, struct text text);
bool word_reader_next(struct word_reader *reader);
status_code word_reader_check(const struct word_reader *reader, struct status *st) MUST_CHECK;
void word_reader_release(struct word_reader *reader);

#endif
