/*
 * Answers as text for people. Everything that came from the daemon is escaped before it is printed:
 * it may carry what strangers chose.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <jansson.h>

#include "ctl/table.h"

enum { REPORT_TEXT_MAX = 5000 };

struct report {
	FILE *to;
	bool colour;
	bool verdict; /* only whether all is well (--check) */
	size_t width; /* of the terminal, 0: none */
};

/* Begin and end of a colour; "" where there are none. */
const char *report_bold(const struct report *r);
const char *report_yellow(const struct report *r);
const char *report_plain(const struct report *r);

/* "title      text", a line. */
void report_line(struct report *r, const char *title, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The text of a key, fit to show; "-" where there is none. A name of any bytes (key_hex) is
 * understood. Returns buf (REPORT_TEXT_MAX). */
const char *report_text(const json_t *object, const char *key, char *buf);
/* The same of a value. */
const char *report_value(const json_t *value, char *buf);

/* Prints a text of any length. */
void report_print(struct report *r, const json_t *value);

/* 0 where the key is missing or null. */
uint64_t report_number(const json_t *object, const char *key);
bool report_has(const json_t *object, const char *key); /* there and not null */

/* A size for people; "?" for null. Returns buf (NUM_TEXT_MAX). */
const char *report_size(const json_t *object, const char *key, char *buf);
/* Time since the RFC 3339 time of the key, for people; "-" without. Returns buf (NUM_TEXT_MAX). */
const char *report_age(const json_t *object, const char *key, char *buf);

/* The next cell of a table: the key's text, or its size. */
void report_add_text(struct table *t, const json_t *row, const char *key);
void report_add_size(struct table *t, const json_t *row, const char *key);

/* Prints and frees the table. */
void report_table(struct report *r, struct table *t);
/* The same, and how many rows it has: "1 session", "2 sessions". */
void report_list(struct report *r, struct table *t, const json_t *rows, const char *one,
		 const char *many);

void report_sessions(struct report *r, json_t *answer);
void report_transfers(struct report *r, json_t *answer);
void report_uploads(struct report *r, json_t *answer);
void report_upload(struct report *r, const json_t *upload);
void report_discard(struct report *r, json_t *answer);
void report_show(struct report *r, json_t *answer);
void report_status(struct report *r, json_t *answer);
void report_metrics(struct report *r, json_t *answer);
void report_version(struct report *r, json_t *answer);
void report_check(struct report *r, json_t *answer);
void report_options(struct report *r, json_t *answer);
void report_explain(struct report *r, json_t *answer);
void report_wait(struct report *r, json_t *answer);
void report_kick(struct report *r, json_t *answer);
void report_cancel(struct report *r, json_t *answer);
void report_pause(struct report *r, json_t *answer);
void report_resume(struct report *r, json_t *answer);
void report_limit(struct report *r, json_t *answer);
void report_bans(struct report *r, json_t *answer);
void report_users(struct report *r, json_t *answer);
void report_ban(struct report *r, json_t *answer);
void report_unban(struct report *r, json_t *answer);
void report_user_edit(struct report *r, json_t *answer);
void report_user(struct report *r, json_t *answer);
void report_reexec(struct report *r, json_t *answer);
void report_reload(struct report *r, json_t *answer);
void report_shutdown(struct report *r, json_t *answer);
/* The rows of "problems", one a line. */
void report_problems(struct report *r, const char *file, const json_t *answer);
