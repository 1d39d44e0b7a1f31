/*
 * The content of one file into another without its moving: shared where the file system can, else
 * copied by the kernel, else by hand. Holes stay holes. No logging.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "daemon/session/session.h"

struct clone {
	struct session *s;
	int from, to;   /* borrowed; to is empty */
	unsigned share; /* in which it is written */
	uint64_t size;  /* of from */
	/* At each gap: 0, or what clone_content() returns. */
	int (*look)(void *userdata);
	void *userdata;

	uint64_t done; /* so much of it, from the beginning, is there */
	bool shares;   /* the two have the same blocks */
	bool by_hand;  /* the kernel cannot copy from there to here */
};

/* Copies all of it. 0, -FTD_E_changed where from ends before, -FTD_E_disk_full, -errno; or look's.
 * Not synced. */
int clone_content(struct clone *c);
