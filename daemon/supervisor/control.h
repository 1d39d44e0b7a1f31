/*
 * The control socket, between its files: control.c (who may speak, how many), control_peer.c (bytes
 * and frames of one peer), control_command.c (the table, one request from begin to end), and the
 * commands: control_ban.c, control_status.c (with control_disks.c), control_list.c,
 * control_metrics.c, control_config.c, control_explain.c, control_kick.c, control_reexec.c,
 * control_reload.c, control_traffic.c, control_uploads.c, control_users.c, control_wait.c. Runs in
 * the supervisor; every byte of a peer is hostile. Fuzzed (fuzz/control.c).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <jansson.h>
#include <systemd/sd-event.h>

#include "daemon/common/access.h"
#include "daemon/supervisor/questions.h"
#include "daemon/supervisor/supervisor.h"
#include "lib/buf.h"
#include "lib/frame.h"
#include "lib/message.h"

enum {
	CONTROL_PEERS_MAX = 32,
	CONTROL_PEERS_PER_UID = 8,
	CONTROL_PEERS_FOR_ROOT = 2,    /* of the 32 */
	CONTROL_UNREAD_MAX = 64 << 10, /* bytes of answers; above it nothing more is made */
	CONTROL_ROWS_PER_FRAME = 8,    /* sessions, transfers: of the longest rows so many fit */
	CONTROL_USERS_PER_FRAME = 64,  /* of users */
	CONTROL_ID_MAX = 50,           /* bytes of "s412", or of an upload's as its client has it */
	CONTROL_PATIENCE_SEC = 10,     /* for a frame begun, or an answer not taken */
};

/* ---- control_command.c: one request ---- */

/* What a step answers; negative: the request is refused. */
enum control_step {
	CONTROL_DONE, /* answer is the last frame */
	CONTROL_MORE, /* answer is a frame, another follows when the peer has room for it */
	CONTROL_WAIT, /* nothing to say yet: again when control_changed() */
};

struct control_request {
	struct supervisor *sup;
	uid_t uid;
	pid_t pid;
	enum control_role role;
	bool ending; /* the daemon ends: this is the last step */

	const struct control_command *command; /* NULL: no request is under way */
	json_t *object;                        /* the arguments in state borrow from it */
	void *state;
	char message[512]; /* for people, with a refusal; "": what the code says */
};

struct control_verb {
	const struct message_field *fields;
	size_t n_fields;
	size_t state_size; /* of the struct that fields are decoded into; zeroed before the first
			      step */
	/* Fills in answer (which has "status": "ok" and goes to the peer after DONE and MORE, and,
	 * with the refusal's code and message, after a failure). enum control_step or negative. */
	int (*step)(struct control_request *rq, json_t *answer);
	void (*done)(void *state); /* NULL: nothing but the memory itself */
};

#define COMMAND(name, words, stem, role, changes, arguments, help) \
	extern const struct control_verb control_##stem;
#include "lib/control.def"
#undef COMMAND

/* Begins the request in the header of a frame. 0; negative (with rq->message, and keys in answer):
 * it is refused, and no request is under way. */
int control_begin(struct control_request *rq, const char *text, size_t len, json_t *answer);
/* The next step: enum control_step, or negative: the request ends in a refusal. */
int control_step(struct control_request *rq, json_t *answer);
/* Sets message and returns r: for `return control_refuse(rq, -FTD_E_not_found, "…")`. */
int control_refuse(struct control_request *rq, int r, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Ends it, however it went. */
void control_end(struct control_request *rq);

/* {"status": "ok"}, or NULL. */
json_t *control_answer_new(void);
/* Makes an answer into the refusal for r (negative). 0 or -ENOMEM. */
int control_answer_refuse(json_t *answer, int r, const char *message);
/* Steals value. 0 or -ENOMEM. */
int control_set(json_t *answer, const char *key, json_t *value);
/* A number as JSON has it: at most 2^63-1. UINT64_MAX where null_if_max: null. */
json_t *control_number(uint64_t n);
json_t *control_number_or_null(uint64_t n);
json_t *control_time(int64_t real_ns);
/* Text that may be of any bytes: escaped where it is not UTF-8. */
json_t *control_text(const char *text);

/* Rows that are there already, told in as many frames as they need. */
struct control_pages {
	json_t *rows; /* owned; NULL: none */
	size_t at;    /* the next one */
};
/* Puts the next rows into answer as the array key. CONTROL_MORE, CONTROL_DONE or -ENOMEM. */
int control_page(struct control_pages *pages, json_t *answer, const char *key);
void control_pages_done(struct control_pages *pages);

/* ---- control_list.c ---- */
/* "s412" */
json_t *control_id(char kind, uint64_t number);
/* The session that "s412" is, or that does "t9031"; NULL: *ret_error is the refusal. */
struct session *control_find(struct control_request *rq, const char *text, int *ret_error);
bool control_has_transfer(const struct session *s);
bool control_is_stalled(const struct session *s);

/* ---- control_ban.c; of the request what is wrong is refused ---- */
int control_read_net(struct control_request *rq, const char *text, struct subnet *ret);
/* When a duration from now is over; key is what the request calls it. */
int
control_read_until(struct control_request *rq, const char *key, const char *text, uint64_t *ret);
int control_add_ban(struct control_request *rq, const struct subnet *net, uint64_t until_usec);

/* ---- control_config.c ---- */
/* Every problem as a row. 0 or -ENOMEM. */
int control_problem_rows(const struct config_problems *problems, json_t **ret);

/* ---- control_disks.c ---- */
struct control_disk {
	struct question question; /* first: tell() is given it */
	unsigned share;           /* the first of this root */
	const char *path;         /* borrowed from the configuration in force */
	uint64_t told_usec;       /* when the keeper told what follows, 0: never */
	uint64_t asked_usec;      /* since when it is asked in vain, 0: it has answered */
	uint64_t free, total;     /* bytes; UINT64_MAX: cannot be told */
	bool full_of_files;       /* it takes no more of them, however small */
	bool read_only;
	bool elsewhere; /* another file system than when the configuration was loaded */
};
/* Asks about those of which nothing was told for a second. false: answers are to come, within a
 * second or not at all; a step answers CONTROL_WAIT and asks again. */
bool control_disks_ask(struct supervisor *sup);
/* The disks of the share roots, as they were told (borrowed). Returns how many. */
unsigned control_disks(struct supervisor *sup, const struct control_disk **ret);
/* Forgets them: the configuration is another, or there is an end. */
void control_disks_done(struct control *c);

/* ---- control_uploads.c ---- */
/* A question about one upload, to one keeper after the other, and what came of it. */
struct control_upload {
	struct question question; /* first: tell() is given it */
	const struct supervisor *sup;
	struct packet_keeper packet;
	uint64_t begun_usec, until_usec; /* 0: not begun; how long this keeper has */
	bool asked;                      /* this keeper was */
	bool found;                      /* it has it */
	int error;                       /* why it may be nowhere */
	json_t *row;
};
/* "u…" without the part that is its client's secret; null: of none. */
json_t *control_upload_id(const uint64_t id[2]);
bool control_is_upload(const char *text);
/* Step of `show u…`. */
int control_show_upload(struct control_request *rq, const char *text, struct control_upload *u,
			json_t *answer);
void control_upload_done(struct control_upload *u);

/* ---- control_peer.c ---- */
struct control_peer {
	struct control *control;
	int fd;
	sd_event_source *io, *timer;
	struct control_request request;
	bool waiting; /* for control_changed() */
	bool closing; /* nothing more is read; the end comes when the answers are gone */

	uint8_t prefix[FRAME_PREFIX];
	uint8_t *header;                  /* of the frame that is being read */
	size_t have, length;              /* bytes of prefix and header; of the header alone */
	uint64_t frame_usec, answer_usec; /* when patience with either ends, 0: it does not run */
	struct buf out;
};

/* Takes fd over. The role is told by the credentials. 0 or -errno. */
int control_peer_new(struct control *c, int fd, uid_t uid, pid_t pid, enum control_role role,
		     struct control_peer **ret);
struct control_peer *control_peer_free(struct control_peer *p);
/* Goes on with the request under way as far as the peer has room. false: the peer is to be freed.
 */
bool control_peer_run(struct control_peer *p);

/* Its connection (borrowed). */
int control_descriptor(const struct control_request *rq);
/* One more answer, of this binary to who asked the one before it: {"status": "ok", …}. */
int control_peer_tell(struct control_peer *p, json_t *answer);

/* ---- control_reexec.c ---- */
struct carried_sockets;
/* Answers who asked for another binary, which this is; the descriptor is taken over. */
void control_welcome(struct supervisor *sup, const struct carried_sockets *sockets);

/* ---- control.c ---- */
struct control {
	struct supervisor *sup;
	int fd;
	sd_event_source *listen, *retry, *changed;
	gid_t viewers, operators; /* (gid_t)-1: no such group */
	struct control_peer *peers[CONTROL_PEERS_MAX];

	unsigned n_disks; /* 0: not looked at */
	struct control_disk disks[CONFIG_SHARES_MAX];
};
/* The role of a peer with these credentials. */
enum control_role
control_role_of(const struct control *c, uid_t uid, const gid_t *groups, size_t n);
/* The place for a peer of this uid, or NULL: there is none. */
struct control_peer **control_place(struct control *c, uid_t uid);
/* Frees it and its place. */
void control_drop(struct control_peer *p);
