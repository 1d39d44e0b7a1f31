/*
 * Processes that a former supervisor started: they are nobody's children any more. A pid alone may
 * by now be somebody else's; when its process was started tells (struct board_process). No logging.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "daemon/common/board.h"

enum kin {
	KIN_GONE,    /* it has ended; who has the pid now, if anybody, is a stranger */
	KIN_OURS,    /* it lives */
	KIN_UNKNOWN, /* a process lives of which /proc tells us nothing (hidepid=): it may be
			waited for, and not more */
};
/* Looks for it. *ret_pidfd: the caller's; -1 where it is gone, or there is no descriptor for it. */
enum kin kin_find(const struct board_process *p, int *ret_pidfd);

/* It is a child of this process, if only one that is to be reaped. */
bool kin_is_child(pid_t pid);

/* Its process has ended. */
bool kin_ended(int pidfd);

/* Waits until it has, or until the time of clock_usec(). */
void kin_wait(int pidfd, uint64_t until_usec);
