/* A session without a process of its own, for the parts that work on files; its share is the
 * scratch directory. */
#pragma once

#include "daemon/session/session.h"

/* share: the inner part of the share's group in ftd.conf. Not 0: failed. */
int alone_start(struct session *s, const char *share);
void alone_end(struct session *s);
/* The client's end of its connection. */
extern int alone_client;
