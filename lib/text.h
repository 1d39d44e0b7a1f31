/*
 * Bytes from outside made fit to show, and back. Pure, fuzzed (fuzz/fuzz_text.c).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Whether the len bytes are UTF-8 by RFC 3629 (no surrogates, no overlong forms). NUL counts as
 * valid. */
bool text_utf8_valid(const char *s, size_t len);

/* Writes s for a terminal or a log: printable UTF-8 as it is; C0, DEL, C1, what breaks the line or
 * turns its direction, and invalid bytes as \xNN; a backslash doubled. Cut with "..." where dst
 * (size bytes, NUL included) is too small, never in the middle of a character. Returns dst. */
char *text_escape(char *dst, size_t size, const char *s, size_t len);

/* Lower-case hex of len bytes; dst holds 2 * len + 1. Returns dst. */
char *text_hex(char *dst, const void *bytes, size_t len);

/* The bytes of an even number of hex digits (either case). Returns how many, -EINVAL (odd, not hex)
 * or -ENOBUFS (more than size). */
int text_unhex(void *dst, size_t size, const char *hex, size_t hex_len);

/* Edit distance is small: the name among n names that the writer of word meant, or NULL. */
const char *text_nearest(const char *word, const char *const *names, size_t n);
