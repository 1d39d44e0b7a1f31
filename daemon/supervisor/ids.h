/*
 * Numbers of sessions and transfers: never used again, also not after a restart. They are reserved
 * in blocks in a small file of the state directory before they are given out.
 */
#pragma once

#include <stdint.h>

struct ids {
	int dir; /* of the state file, -1: none could be opened */
	uint64_t next;
	uint64_t reserved; /* below this number all are reserved */
};

/* Opens the state file in the directory (taken over). A directory that cannot be written only costs
 * the promise over restarts: numbers then begin from the clock. 0, or the negative errno of the
 * trouble (the ids work all the same). */
int ids_open(struct ids *ids, int dir);
void ids_close(struct ids *ids);
uint64_t ids_next(struct ids *ids);
/* This number was given out before, whatever the file says. */
void ids_pass(struct ids *ids, uint64_t number);
