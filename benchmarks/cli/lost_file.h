/* lost_file.h - a mapped file that is cut short while it is in use: a message instead of a crash.
 *
 * Reading behind the end of such a file raises SIGBUS, and nothing computed from it may count.  The
 * program then ends as with any file that cannot be read: one line that names it, exit code 3.
 * What was committed to a store stays; the transaction in flight is rolled back by whoever opens it
 * next. */
#ifndef ASSAY_CLI_LOST_FILE_H
#define ASSAY_CLI_LOST_FILE_H

void lost_file_watch(void);

#endif
