/*
 * How roles log: one datagram to the supervisor, never blocking; what does not fit in the socket is
 * counted and the count goes with the next record. The supervisor adds session, peer and user from
 * the sender's pid, so no role can speak for another.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum rolelog_kind { ROLELOG_TEXT, ROLELOG_TRANSFER, ROLELOG_REFUSAL, ROLELOG_KINDS };

/* Followed by the path (path_len bytes, any bytes) and the text (text_len bytes, escaped already).
 */
struct rolelog_record {
	uint32_t kind;
	uint32_t level; /* syslog level */
	uint32_t path_len, text_len;
	uint64_t transfer; /* its ordinal in the session, 0: none */
	uint64_t bytes, usec;
	uint64_t parts;   /* requests that it took, 0: one */
	uint64_t dropped; /* records lost before this one */
	char opt[24];
	char result[32]; /* "ok" or a code of lib/codes.def */
};
enum { ROLELOG_PATH_MAX = 4096, ROLELOG_TEXT_MAX = 1024 };

/* The descriptor to use and the lowest level that is sent. */
void rolelog_init(int fd, unsigned level);
void rolelog_set_level(unsigned level);

/* A line of text; level as in syslog(3). */
void rolelog(unsigned level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* One record per transfer, ended well or not. */
struct rolelog_transfer {
	const char *opt;
	uint64_t transfer;
	const char *path;
	size_t path_len;
	uint64_t bytes, usec, parts;
	const char *result; /* "ok" or a code */
	const char *reason; /* may be NULL */
};
void rolelog_transfer(const struct rolelog_transfer *t);
