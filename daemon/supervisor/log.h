/*
 * What the daemon tells the administrator: the journal (with fields) when run by systemd, else
 * lines on stderr.
 */
#pragma once

#include <stddef.h>
#include <sys/uio.h>
#include <syslog.h>

#include "daemon/common/rolelog.h"
#include "daemon/config/config.h"
#include "lib/addr.h"

struct session;

/* MESSAGE_ID of the journal, one a kind (systemd/ftd.catalog explains them). */
#define MESSAGE_ID_START "0f7a2c7be5d94b0f9a6f3c1fd0a1e6b1"
#define MESSAGE_ID_STOP "1c4d2b5a8e6f4f3d8b7a9c0e2d4f6a82"
#define MESSAGE_ID_RELOAD "2b9e4f6c1d3a4c5e9f8b7d6a5c4e3f13"
#define MESSAGE_ID_TRANSFER "3e8d7c6b5a4f4e3d8c2b1a0f9e8d7c64"
#define MESSAGE_ID_LOGIN "6c3f1b7a9d2e4f58a1c0b4e7d5f8a926"
#define MESSAGE_ID_REFUSAL "4a1b2c3d4e5f4a6b8c7d8e9f0a1b2c35"

/* Before anything is logged. */
void log_start(enum config_log_target target, enum config_log_level level);
void log_set_level(enum config_log_level level);

/* A line of the supervisor's own. */
void log_line(int level, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The same with a MESSAGE_ID. */
void log_event(int level, const char *message_id, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* A connection that was refused before it was a session. user: who it said it is, if the users file
 * has such a one; "": it has none, and the name, which may be a password in the wrong place, is
 * not told; NULL: it said nothing. */
void log_refusal(const union addr *peer, const char *user, const char *code, const char *why);

/* A session whose user has shown who they are. */
void log_login(const struct session *s);

/* ---- one record with fields of its own */

enum { LOG_LINE_MAX = 4096, LOG_FIELDS_MAX = 16 };

struct log_fields {
	struct iovec v[LOG_FIELDS_MAX];
	int n;
	size_t used;
	char text[ROLELOG_PATH_MAX + 2 * LOG_LINE_MAX];
};

void log_fields_init(struct log_fields *f);
/* A field that does not fit any more is left out. */
void log_field(struct log_fields *f, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A value of any bytes: the journal keeps them as they are. */
void log_field_bytes(struct log_fields *f, const char *key, const char *bytes, size_t len);
/* One record: the line, and the fields where there is a journal. */
void log_emit(int level, const char *line, struct log_fields *f);
