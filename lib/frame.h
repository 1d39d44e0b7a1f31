/*
 * The frame of the wire and of the control socket: a length (4 bytes, little-endian, signed 32-bit,
 * 1 to 65,536) and so many bytes of header. Pure, no logging; fuzz/fuzz_frame.c.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum { FRAME_PREFIX = 4, FRAME_HEADER_MAX = 65536 };

/* What the first four bytes of a connection say (doc/PROTOCOL.md, "Connection"). */
enum frame_first {
	FRAME_FIRST_FRAME,
	FRAME_FIRST_TLS,
	FRAME_FIRST_PROXY,
	FRAME_FIRST_BARE, /* a JSON object without a length */
	FRAME_FIRST_BAD,
};
enum frame_first frame_first(const uint8_t first[FRAME_PREFIX]);

/* The length that the four bytes say, or -FTD_E_bad_frame. */
int frame_length(const uint8_t prefix[FRAME_PREFIX]);

/* Is a whole header in buf? 1: yes, *ret points into buf, *ret_len its length, *ret_used what
 * prefix and header take together. 0: more bytes are needed. -FTD_E_bad_frame: never will be. */
int frame_next(const uint8_t *buf, size_t len, const char **ret, size_t *ret_len, size_t *ret_used);

/* Writes the prefix for a header of len bytes (1 to FRAME_HEADER_MAX). */
void frame_prefix(uint8_t prefix[FRAME_PREFIX], size_t len);

/* Length of the bare JSON object at the start of buf, told by its braces: positive; 0: more bytes
 * are needed; -FTD_E_bad_frame: longer than FRAME_HEADER_MAX or no object. */
int frame_bare_next(const uint8_t *buf, size_t len);
