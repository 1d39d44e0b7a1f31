/*
 * The PROXY header, version 2, as HAProxy and others write it before the connection's own first
 * byte: for whom a trusted proxy connects. What it says besides the address is skipped unread.
 * Pure, no logging; fuzz/fuzz_proxy.c.
 */
#pragma once

#include <stdint.h>

#include "lib/addr.h"

enum {
	PROXY_HEADER_FIXED = 16, /* what tells how long the whole is */
	PROXY_HEADER_LOOK = 52,  /* with the longest addresses that are read */
	PROXY_HEADER_MAX = 4096, /* with what follows them */
};

/* How long the whole header is: PROXY_HEADER_FIXED to PROXY_HEADER_MAX. -FTD_E_bad_frame: longer,
 * or none of version 2. */
int proxy_header_length(const uint8_t first[PROXY_HEADER_FIXED]);

/* Whom it names: first are its first PROXY_HEADER_LOOK bytes, or all of it where it is shorter.
 * AF_UNSPEC: nobody, what counts is who has connected (LOCAL, or a client without an internet
 * address). 0 or -FTD_E_bad_frame. */
int proxy_header_read(const uint8_t *first, union addr *ret);
