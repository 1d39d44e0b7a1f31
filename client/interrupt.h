/* Ctrl-C and its relatives: the handler sets a flag, waiting calls return -EINTR and somebody
 * looks. */
#pragma once

#include <stdbool.h>

/* From now on SIGINT, SIGTERM and SIGHUP set the flag; SIGPIPE is ignored. 0 or -errno. */
int interrupt_catch(void);

bool interrupt_seen(void);
