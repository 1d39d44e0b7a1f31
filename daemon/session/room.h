/*
 * What uploads must leave free on the file system (limits.free_space), also those that run at once:
 * a large one allocates its room before it begins and is looked at then, the others are looked at
 * whenever something of them was written. No logging.
 */
#pragma once

#include "daemon/session/session.h"

/* Before size bytes are received; UINT64_MAX: unknown. 0, -FTD_E_disk_full, -errno. */
int room_take(const struct session *s, struct staging *st, uint64_t size);
/* After bytes were written. 0, -FTD_E_disk_full, -errno. */
int room_check(struct session *s, const struct staging *st);
/* Of a hole in the file nothing is needed. */
void room_give_back(const struct staging *st, uint64_t at, uint64_t n);
