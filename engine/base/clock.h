/* clock.h - how long something took.  Never an input of a result. */
#ifndef ASSAY_BASE_CLOCK_H
#define ASSAY_BASE_CLOCK_H

/* Seconds since some moment in the past; never runs backwards. */
double clock_seconds(void);

#endif
