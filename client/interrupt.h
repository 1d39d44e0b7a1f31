/*
 * Ctrl-C and its relatives: the handler sets a flag, waiting calls return -EINTR and somebody
 * looks. A signal that comes just before a call begins to wait would be missed, so it rings every
 * second.
 */
#pragma once

#include <stdbool.h>

/* From now on SIGINT, SIGTERM and SIGHUP set the flag; SIGPIPE and SIGXFSZ are ignored.
 * 0 or -errno. */
int interrupt_catch(void);

bool interrupt_seen(void);
