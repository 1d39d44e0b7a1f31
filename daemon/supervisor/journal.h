/*
 * What the daemon tells the administrator: the journal (with fields) when run by systemd, else
 * lines on stderr; and the socket on which the roles' records come in. Only the supervisor writes.
 */
#pragma once

#include <stdint.h>
#include <syslog.h>

#include "daemon/supervisor/supervisor.h"

struct carried_sockets;

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

/* The roles' socket: the pair that another binary had (taken over), or a new one. 0 or -errno. */
int journal_start(struct supervisor *sup, const struct carried_sockets *carried);
/* Both ends (borrowed). */
void journal_descriptors(const struct journal *j, int64_t *ret_ours, int64_t *ret_roles);
void journal_stop(struct supervisor *sup);
/* Takes some of what the roles have said: while it is still known whose it is. */
void journal_listen(struct supervisor *sup);
/* Writes the record of the session's last transfer from its report, if none has come for it, and
 * tells how many others were lost: nobody listened while there was no supervisor. */
void journal_catch_up(struct session *s);
/* What roles get as ROLE_FD_LOG (borrowed). */
int journal_role_fd(const struct journal *j);
