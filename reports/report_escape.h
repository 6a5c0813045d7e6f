/* report_escape.h - outside text made safe for the format it is printed in.
 *
 * Every function appends valid UTF-8: invalid bytes become U+FFFD.  NULs and control characters
 * become their Unicode pictures (U+2400 and up), so that they are seen and change nothing.
 */
#ifndef ASSAY_REPORT_ESCAPE_H
#define ASSAY_REPORT_ESCAPE_H

#include "engine/base/strbuf.h"
#include "engine/base/text.h"

/* HTML and XML, for content and for quoted attributes alike: & < > " ' are references.  Newlines
 * and tabs are kept; in attributes of XML they are written as references. */
void escape_html(struct strbuf *out, struct text text);
void escape_xml(struct strbuf *out, struct text text);

/* A Markdown table cell: one line, with Markdown's and HTML's own characters escaped. */
void escape_markdown(struct strbuf *out, struct text text);

/* One line for a terminal: control characters cannot move its cursor. */
void escape_line(struct strbuf *out, struct text text);

#endif
