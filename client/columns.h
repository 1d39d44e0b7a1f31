/* Entries as ft ls shows them. Names come from the server: escaped. Pure but for the time zone. */
#pragma once

#include <stdbool.h>

#include "client/answer.h"

enum {
	COLUMNS_NAME_MAX = 4 * (ANSWER_NAME_MAX + 1) + 1,
	COLUMNS_LINE_MAX = COLUMNS_NAME_MAX + 128
};

/* The name, with a slash behind that of a directory. dst holds COLUMNS_NAME_MAX. Returns dst. */
char *columns_name(char *dst, const struct entry *e);

/* "-rw-r--r--   1234567  2026-11-22 12:09  name". human: "1.2 MiB". dst holds COLUMNS_LINE_MAX. */
char *columns_line(char *dst, const struct entry *e, bool human);

enum { COLUMNS_MODE_MAX = 11, COLUMNS_TIME_MAX = 40 };
/* "drwxr-xr-x". Returns dst. */
char *columns_mode(char dst[COLUMNS_MODE_MAX], const struct entry *e);
/* In the local time zone; exact: with seconds and zone. Returns dst. */
char *columns_time(char dst[COLUMNS_TIME_MAX], int64_t mtime_ns, bool exact);
