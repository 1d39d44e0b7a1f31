/* Questions to somebody at a terminal. */
#pragma once

#include <stdbool.h>

/* Whether there is anybody to ask: input and standard error are a terminal. */
bool ask_possible(void);

/* Asks on the standard error; what was typed before does not count. 1: "yes" was the answer, 0: any
 * other, or none; -EINTR. */
int ask_yes(const char *question);
