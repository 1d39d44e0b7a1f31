/*
 * One session: one client's files. It sees plain frames only and carries out one request after the
 * other. Everything here runs in the session process, behind its sandbox. See doc/ARCHITECTURE.md.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "daemon/common/access.h"
#include "daemon/common/board.h"
#include "daemon/common/ledger.h"
#include "daemon/common/walk.h"
#include "daemon/config/config.h"
#include "daemon/session/bucket.h"
#include "lib/buf.h"
#include "lib/digest.h"
#include "lib/message.h"
#include "lib/path.h"
#include "lib/request.h"

struct beat; /* beat.c: the helper thread that says "working" */
struct packet_birth;
struct group; /* group.c: small uploads that wait for a shared sync */

/* conn.c: the socket, never blocking; see its functions below */
struct conn {
	int fd;
	struct buf in;     /* at most 256 KiB read ahead */
	struct buf out;    /* at most 1 MiB of unread answers, then reading stops */
	bool eof;          /* the client has closed its sending side */
	bool dead;         /* an answer met a reset: nothing is sent any more, reading goes on */
	uint64_t deadline; /* reading ends then with -ETIME (CLOCK_MONOTONIC), 0: none */
};

struct session_share {
	const struct config_share *config;
	int root;                 /* negative where the directory cannot be opened */
	int ftd;                  /* .ftd/staging beneath it, -1 until staging_place() needs it */
	int uploads;              /* .ftd/uploads, -1 until staging_uploads() needs it */
	int digests;              /* .ftd/digests, -1 until atrest_table.c needs it */
	uint64_t ftd_mount;       /* the mount it is on */
	bool ftd_whole;           /* syncfs(2) can be trusted there */
	uint64_t room_until_usec; /* until then there is room (room.c) */
	struct ledger *ledger;    /* quota.c: of the user; NULL until it is needed */
};

struct session {
	const struct config *config;
	uint64_t number; /* 412 of "s412" */
	struct access_subject subject;
	struct access_view view; /* of the subject */
	bool own_uid;            /* it runs as an account of the user's own */
	const struct board_orders *orders;
	const struct board_public *public;
	struct board_report *report;
	int privilege;        /* to the supervisor; its end says that the supervisor is gone: -1 */
	uint64_t looked_usec; /* when it was last looked at */

	struct session_share shares[CONFIG_SHARES_MAX]; /* as in config->shares */
	struct conn conn;
	const struct packet_birth *login; /* to be answered first; NULL: nobody has logged in */
	bool hello; /* the client said hello: notices, early errors and signs of life are allowed */
	struct beat *beat;
	struct group *group;
	struct bucket bucket;               /* of the rate that is ordered */
	struct digest *digest;              /* scratch of the transfer under way */
	const struct transfer_watch *watch; /* who watches it; NULL: nobody */
	/* SESSION_CHUNK bytes for contents, from session_chunk(); trimmed when idle */
	uint8_t *chunk;
	uint64_t transfers; /* ordinals given */
	uint64_t moved;     /* by the transfer under way, in requests before this one */
	struct {            /* the resumable upload that the session was busy with last */
		struct staged_id id;
		uint64_t transfer, started_usec, moved;
		int64_t started_real_ns;
	} resumed;
	/* written since the last commit: a bit per share below 31, bit 31 for the rest */
	unsigned touched;
	uint64_t written;    /* files published since the last commit */
	uint64_t staging_id; /* random: no two sessions choose the same staging name */
	uint64_t staged;     /* staging names given */
	bool leaving;        /* only the last words are left to be sent */
	bool said_last;      /* nothing follows an answer that closes */
	bool recorded;       /* the log knows how the request under way has ended */
	bool left;           /* something in staging that the keeper is to sweep */
	bool nonsense;       /* the client sent what is no frame or no request */
};
enum { SESSION_CHUNK = 256 << 10, SESSION_SMALL = 1 << 20 };

/* ---- session.c ---- */
/* Descriptors and pages of a session that starts; taken over. */
struct session_start {
	const struct config *config;
	const struct board_public *public;
	const struct board_orders *orders;
	struct board_report *report;
	uint64_t number;
	struct access_subject subject;
	bool own_uid;
	bool hello;                       /* the gate has answered one */
	const struct packet_birth *login; /* BIRTH_LOGIN: to be answered; else NULL */
	int connection, privilege;
};
/* Opens nothing yet but takes everything over. 0 or -errno. */
int session_init(struct session *s, const struct session_start *start);
/* Opens the roots of the shares that are there for the subject; one that fails stays closed. */
void session_open_shares(struct session *s);
/* Serves the connection to its end and closes it in order. */
void session_serve(struct session *s);
void session_done(struct session *s);
/* s->chunk, mapped if it is not. NULL without memory. */
uint8_t *session_chunk(struct session *s);
/* The supervisor wants this session to end, or is gone itself. */
bool session_ending(const struct session *s);
/* Somebody watches over it: the supervisor that it was born under, or one that came after. */
bool session_watched(const struct session *s);

/* ---- conn.c ----
 * All return 0 or positive, or negative: -ENODATA (the client is gone: end quietly), -ETIMEDOUT
 * (stalled: end), -ECANCELED (the supervisor's orders end the session now), -errno. After a
 * negative answer from a conn_* function the session ends; callers only unwind. Reading the body of
 * a transfer may also end with -EINTR: gap_check() or pace_paused() knows why; and with -ETIME at
 * conn.deadline. */
int conn_init(struct conn *c, int fd);
void conn_done(struct conn *c);
/* At least n bytes (n <= 256 KiB) are in c->in; sends waiting answers meanwhile. idle: waits
 * without limit between requests (orders end it), else stall_timeout without a byte ends it. */
int conn_need(struct session *s, size_t n, bool idle);
/* Whatever can be read without waiting is read into c->in. 1: there are bytes; 0: none now. */
int conn_poll(struct session *s);
/* Between 1 and size body bytes: first from c->in, then straight from the socket. -ENODATA at the
 * end. */
ssize_t conn_read_body(struct session *s, void *dst, size_t size);
/* Drops n body bytes. */
int conn_skip(struct session *s, uint64_t n);
/* Queues a frame; sends what the socket takes; waits only above 1 MiB unread (stall_timeout). */
int conn_put(struct session *s, json_t *object);
/* Sends content bytes behind the queued answers, waiting as long as the client reads; a few are
 * queued as well. */
int conn_write_body(struct session *s, const void *data, size_t len);
/* Sends content bytes of the file behind the queued answers, without reading them: 1 to n of them.
 * 0: that cannot be done here, the caller reads them and sees why; or conn_*. */
ssize_t conn_send_file(struct session *s, int fd, uint64_t at, size_t n);
/* Sends of what is queued what the socket takes now: before and in work that takes long. */
void conn_push(struct session *s);
/* Sends what is queued, waiting up to stall_timeout. */
int conn_flush(struct session *s);
/* Waits ms, or until the supervisor pokes, and sends meanwhile what is queued. 0 or -errno. */
int conn_rest(struct session *s, int ms);
/* Gives buffers back when they are empty (before idling). */
void conn_trim(struct session *s);

/* ---- reply.c: answers. They never take ownership of extra unless said. ---- */
/* {"status":"ok","id":…} plus the keys of extra (stolen; NULL: none). */
int reply_ok(struct session *s, const struct request *rq, json_t *extra);
/* The same with "more": true. */
int reply_more(struct session *s, const struct request *rq, json_t *extra);
/* {"status":"error","code":…,"message":…}; r is negative (errno or FTD_E); message NULL:
 * err_text(r); extra (stolen) e.g. current, limit, retry_after_ms, close, name. To who was kicked
 * "cancelled" is the last word, with the reason. */
int
reply_error(struct session *s, const struct request *rq, int r, const char *message, json_t *extra);
/* The same with "close": true; message "": err_text(r), retry_after_ms 0: none. */
int reply_last(struct session *s, const struct request *rq, int r, const char *message,
	       uint64_t retry_after_ms);
/* The same object without an id, for those who send it otherwise. NULL without memory. */
json_t *reply_error_object(int r, const char *message, json_t *extra);
/* {"status":"continue"}: the body may come now. */
int reply_continue(struct session *s, const struct request *rq);
/* {"status":"working","phase":…}: a sign of life. */
int reply_working(struct session *s, const struct request *rq, const char *phase);

/* ---- login.c ---- */
/* Answers the login that the session was born with. 0 or conn_*. */
int login_answer(struct session *s, const struct packet_birth *birth);

/* ---- dispatch.c ---- */
/* Handlers: answer the request themselves. They return 0 (go on), 1 (close after flushing), or a
 * negative conn_* failure (end). A refusal is answered and is 0. Bodies of operations other than
 * upload are skipped by the dispatcher before the handler runs. */
typedef int (*operation_fn)(struct session *s, const struct request *rq);
#define OPERATION(opt, stem, need, need_to, flags) \
	int op_##stem(struct session *s, const struct request *rq);
#include "lib/operations.def"
#undef OPERATION
/* One request: frame, table row, names, rights, handler. 0 go on, 1 close, negative end. */
int dispatch_one(struct session *s);
/* Finds the places that the request names and judges, by the row, whether the subject may do this
 * to them. 0: rq->source and rq->target are those in *ret, NULL where the row has none; or the
 * refusal, with rq's untouched and ret_message (REQUEST_WHY_MAX; "": what the code says). */
struct places;
int dispatch_authorise(struct session *s, const struct access_operation *o, struct request *rq,
		       struct places *ret, char *ret_message);
/* Reads the next header (waits). The caller owns *ret. -FTD_E_bad_frame, -FTD_E_bad_request or
 * conn_*. */
int dispatch_header(struct session *s, bool idle, json_t **ret, struct request *ret_rq);
/* Decodes by table or answers bad_request naming the key, or unsupported where need lists a key
 * that the table does not have: 1 decoded, 0 refused and answered, negative end. Every handler
 * calls it (n = 0: no keys of its own) and frees names with message_args_done(). */
int dispatch_decode(struct session *s, const struct request *rq, const struct message_field *fields,
		    size_t n, void *args, uint64_t *ret_has);
/* Is the next frame, if wholly here without waiting, a cancel? 1: yes; it is consumed and *ret is
 * the request to be answered after the one under way (dispatch_cancel_done() answers and frees it);
 * 0: no. */
int dispatch_cancelled(struct session *s, struct request *ret);
int dispatch_cancel_done(struct session *s, struct request *cancel);

/* ---- gap.c: between two chunks ---- */
/* Looks at the orders: 0 go on; -ECANCELED with *ret_code ("cancelled", "draining") when this
 * transfer or this session is to end now; never waits. */
int gap_check(struct session *s, const char **ret_code);
/* This session ends now, whatever it is doing: the administrator wants it, or the supervisor was
 * gone before it knew of it. */
bool gap_kicked(const struct session *s);
/* The reason that goes with orders->quit; buf holds BOARD_TEXT_MAX. Returns buf. */
const char *gap_reason(const struct session *s, char *buf);

/* ---- pace.c: how fast content moves, and whether it does ---- */
/* How many of the next want content bytes may move now, in either direction: 1 to want. 0: none
 * yet, after a wait of at most a quarter of a second: look at the orders and ask again. -errno. */
ssize_t pace_allowed(struct session *s, size_t want);
/* So many of them have moved. */
void pace_moved(struct session *s, size_t n);
/* The rate that is ordered: bytes a second, UINT64_MAX: unlimited. */
uint64_t pace_rate(const struct session *s);
/* The orders let the transfer under way stand still. */
bool pace_paused(const struct session *s);
/* Stands still as long as they do, with signs of life, where a frame may be sent. stop (NULL: none)
 * is looked at meanwhile. 0: go on, or orders end the transfer; 1: stop says why; or conn_*. */
struct stop;
int pace_pause(struct session *s, const struct request *rq, struct stop *stop);
/* The same and then stop_look(), in work that moves nothing: with signs of life of the phase, where
 * it is not NULL. 0: go on; 1: stop says why it ends; or conn_*. */
int pace_work(struct session *s, const struct request *rq, struct stop *stop, const char *phase);

/* ---- report.c: the session's page ---- */
void report_state(struct session *s, enum board_state state);
void report_heartbeat(struct session *s);
void report_request(struct session *s);
/* size UINT64_MAX: unknown. Gives the transfer its ordinal. */
void report_transfer_begin(struct session *s, const char *opt, bool upload, const char *path,
			   uint64_t size);
/* It is part of this resumable upload, of size bytes: all that the session does for one after the
 * other is one transfer. */
void report_resumable(struct session *s, const struct staged_id *id, uint64_t size);
void report_transfer_progress(struct session *s, uint64_t offset);
/* It stands still by order, or goes on. */
void report_transfer_paused(struct session *s, bool paused);
/* result "ok" or a code; writes the journal record, counters and goes back to BOARD_WORKING.
 * bytes_moved: content bytes that went over the wire for it (uploads count in, downloads out). */
void report_transfer_end(struct session *s, const char *result, const char *reason);
/* An upload that is wholly received and now waits for its group: its ordinal, to be ended later
 * with report_upload_end(). */
uint64_t report_transfer_park(struct session *s);
struct publish;
void report_upload_end(struct session *s, const struct publish *p, const char *result,
		       const char *reason);

/* The session ends in order, with this exit status. */
void report_end(struct session *s, int status);

/* ---- shares.c: names to places ---- */
struct place {
	unsigned share;  /* index; PLACE_VIRTUAL: a directory above shares, or no share at all */
	unsigned rights; /* RIGHT_* of the subject there */
	char name[PATH_BYTES_MAX + 1]; /* normalised name in the namespace */
	const char *rest; /* what is left of it beneath the share; "" is the share's root */
};
enum { PLACE_VIRTUAL = ACCESS_VIRTUAL };
/* What a request names; a name is "" where it could not be read. */
struct places {
	struct place source, target;
};
/* Finds the share of a normalised name. What may be done there is for others to judge. 0, or
 * -FTD_E_not_found, -FTD_E_permission where it is in none that the subject may see. */
int shares_locate(const struct session *s, const char *name, struct place *ret);
/* The rights of the subject at a path inside a share. */
unsigned shares_rights(const struct session *s, unsigned share, const char *rest);
/* need (RIGHT_*) at the place. 0 or -FTD_E_permission. */
int shares_authorise(const struct place *p, unsigned need);
/* What may be told of failure r there: -FTD_E_permission instead of all that says what exists, for
 * a subject without the right to list. */
int shares_conceal(const struct place *p, int r);
/* The same for one who has these rights. */
int shares_told(unsigned rights, int r);
/* Bytes that may still be written into the share (less limits.free_space) and its size. 0 or
 * -errno. */
int shares_space(const struct session *s, unsigned share, uint64_t *ret_room, uint64_t *ret_total);
/* Whether shares hang beneath the normalised name: it is a directory then, whatever the storage has
 * there, and cannot be made, replaced, renamed or removed. */
bool shares_above(const struct session *s, const char *name);
/* The visible child names that shares put into the virtual or real directory name ("" is the root):
 * calls child for each distinct one. */
int shares_children(struct session *s, const char *name,
		    int (*child)(void *userdata, const char *name, size_t len), void *userdata);
bool shares_follow(const struct session *s, const struct place *p); /* links = "inside" */
bool shares_gone(int dir); /* whether the directory was removed */
/* Its root, borrowed; -EIO where that is not, or not any more. */
int shares_root(const struct session *s, unsigned share);
/* Opens what the place names, flags as open(2). Descriptor or negative. */
int shares_open(const struct session *s, const struct place *p, int flags);
/* The directory that holds it, and the leaf's name (points into p). */
int shares_open_parent(const struct session *s, const struct place *p, const char **ret_leaf);

/* ---- entry.c ---- */
struct entry_stat {
	mode_t mode;
	uint64_t size;
	int64_t mtime_ns;
	uint64_t inode, device;
	int64_t birth_ns;
};
/* Of a descriptor (leaf NULL) or of leaf in the directory, not following links. 0 or -errno. */
int entry_stat(int dir, const char *leaf, struct entry_stat *ret);
/* Nanoseconds since 1970, or before. 0 or -errno. */
int entry_set_mtime(int fd, int64_t mtime_ns);
enum { ENTRY_ETAG_MAX = 80 };
const char *entry_etag(const struct entry_stat *st, char *buf);
/* An entry object (doc/PROTOCOL.md, "Names") with the given name; NULL without memory. */
json_t *entry_json(const char *name, size_t name_len, const struct entry_stat *st);

/* ---- staging.c ---- */
struct staging {
	struct staged_id id;
	/* where it lies (borrowed): home, or the target directory */
	int dir;
	int home;                     /* the share's .ftd/staging, or .ftd/uploads (borrowed) */
	char name[STAGED_NAME_MAX];   /* its name there; "": published, or none */
	char marker[STAGED_NAME_MAX]; /* the note in home of one that lies elsewhere; "":
					 none */
	int marker_fd;
	unsigned share;
	int fd;                    /* read-write, held by an OFD lock */
	bool elsewhere;            /* in the target directory */
	bool allocated;            /* room.c: its room is taken */
	mode_t mode;               /* as it was made */
	struct ledger_record hold; /* quota.c: what is reserved for it, LEDGER_FREE: nothing */
	uint64_t target_device, target_inode;
};
/* Chooses the place (doc/ARCHITECTURE.md, promise 4), makes the file (mode & 0777, less the umask)
 * and locks it. target is the name to be, target_dir the directory that will hold it and must stay
 * open as long as *ret. Its owner may write it, whatever mode says: then the mode is to be set, or
 * staging_restrict() to follow. 0 or -errno. */
int staging_place(struct session *s, const struct place *target, int target_dir, mode_t mode,
		  struct staging *ret);
/* Takes back what mode does not say. 0 or -errno. */
int staging_restrict(const struct session *s, const struct staging *st, mode_t mode);
/* The same as staging_place() for a resumable upload of this id: anew, whatever was there, */
int staging_keep(struct session *s, const struct place *target, int target_dir, mode_t mode,
		 const struct staged_id *id, struct staging *ret);
/* or as it is, to have size bytes (UINT64_MAX: unknown). It is not locked. -FTD_E_upload_unknown
 * where it is not there. */
int staging_resume(struct session *s, const struct place *target, int target_dir, bool elsewhere,
		   const struct staged_id *id, uint64_t size, struct staging *ret);
/* Closes it; it stays where it is, and so does what is reserved. */
void staging_leave(struct staging *st);
/* .ftd/uploads of the share, made where it is not there and nobody else is to make it. Borrowed descriptor or -errno. */
int staging_uploads(struct session *s, unsigned share);
/* Unlinks it (unless published) and closes. */
void staging_discard(struct session *s, struct staging *st);

/* ---- publish.c ---- */
enum publish_how { PUBLISH_REPLACE, PUBLISH_FAIL, PUBLISH_KEEP_BOTH };
struct publish {
	struct staging staging; /* moved in */
	int target_dir;         /* owned */
	char leaf[PATH_COMPONENT_MAX + 1];
	unsigned
	    rights; /* of the subject there: without RIGHT_LIST nothing is told of what exists */
	enum publish_how how;
	bool match; /* if_match: */
	char etag[ENTRY_ETAG_MAX];
	json_t *id; /* owned */
	uint64_t size;
	struct digest_value digest;
	/* directories that got new entries on the way (parents), to be synced too; owned */
	int made[16];
	unsigned n_made;
	bool made_many;       /* more than fit: sync the whole file system */
	struct entry_stat st; /* set: what was published */
	json_t *current; /* owned; set on failure: the entry in the way, where it may be told */
	/* for the journal record of grouped uploads */
	uint64_t transfer, bytes, started_usec, parts;
	char *name; /* owned; normalised name in the namespace */
};
/* Publishes n contents of one session in the promised order: one sync of the contents, the renames,
 * one sync of the directories; results[i] is 0 or negative. Never leaves a part under a name. */
void publish_all(struct session *s, struct publish *p, size_t n, int *results);
/* The receipt of what was published, as doc/PROTOCOL.md has it. NULL without memory. */
json_t *publish_receipt(const struct session *s, const struct publish *p);
/* Nothing open, nothing owned. */
void publish_init(struct publish *p);
/* Frees all of it; what was not published is discarded. */
void publish_done(struct session *s, struct publish *p);

/* ---- group.c ---- */
/* Adds (moves in) an upload whose content is complete; flushes when full or 50 ms old. Negative:
 * conn_*. */
int group_add(struct session *s, struct publish *p);
/* Publishes and answers all that wait. 0 or conn_* failure. */
int group_flush(struct session *s);
bool group_pending(const struct session *s);
/* Frees the list, if none waits. */
void group_trim(struct session *s);
/* Milliseconds until the group must go, -1: none waits. */
int group_wait_ms(const struct session *s);

/* ---- beat.c ---- */
/* From now on "working" is said for rq every 4 s (only if hello was said), until beat_end(). */
int beat_begin(struct session *s, const struct request *rq, const char *phase);
void beat_end(struct session *s);
/* Ends the thread. */
void beat_done(struct session *s);
