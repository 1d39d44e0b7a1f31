#include "daemon/supervisor/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-journal.h>

#include "daemon/common/rolelog.h"
#include "daemon/supervisor/carried.h"
#include "daemon/supervisor/chatter.h"
#include "daemon/supervisor/gates.h"
#include "daemon/supervisor/houses.h"
#include "daemon/supervisor/sessions.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/io.h"
#include "lib/num.h"
#include "lib/own.h"
#include "lib/text.h"

enum { LINE_MAX_BYTES = 4096, FIELDS_MAX = 16, RECORDS_A_TURN = 64, RECEIVE_BUFFER = 4 << 20 };

/* Refusals come as fast as strangers connect: so many lines a second, the rest is only counted. */
enum { REFUSALS_A_SECOND = 20 };

struct journal {
	struct supervisor *sup;
	int ours, roles; /* the pair */
	sd_event_source *io;
	struct chatter chatter;
};

static bool to_journal;
static int level_now = LOG_INFO;

/* --- what is written */

/* Is our stderr what systemd connected to the journal? (systemd.exec(5), JOURNAL_STREAM) */
static bool
stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long dev, ino;
	struct stat st;

	if (stream == NULL || sscanf(stream, "%llu:%llu", &dev, &ino) != 2)
		return false;
	return fstat(STDERR_FILENO, &st) == 0 && st.st_dev == dev && st.st_ino == ino;
}

void
log_start(enum config_log_target target, enum config_log_level level)
{
	to_journal =
	    target == CONFIG_LOG_JOURNAL || (target == CONFIG_LOG_AUTO && stderr_is_journal());
	level_now = (int)level;
}

void
log_set_level(enum config_log_level level)
{
	level_now = (int)level;
}

struct fields {
	struct iovec v[FIELDS_MAX];
	int n;
	size_t used;
	char text[ROLELOG_PATH_MAX + 2 * LINE_MAX_BYTES];
};

static void
fields_init(struct fields *f)
{
	f->n = 0;
	f->used = 0;
}

static void
field_took(struct fields *f, size_t len)
{
	f->v[f->n++] = (struct iovec){ .iov_base = f->text + f->used, .iov_len = len };
	f->used += len;
}

/* A field that does not fit any more is left out. */
static void __attribute__((format(printf, 2, 3))) field(struct fields *f, const char *format, ...)
{
	size_t room = sizeof(f->text) - f->used;
	va_list ap;
	int n;

	va_start(ap, format);
	n = vsnprintf(f->text + f->used, room, format, ap);
	va_end(ap);
	if (n > 0 && (size_t)n < room && f->n < FIELDS_MAX)
		field_took(f, (size_t)n);
}

/* A value of any bytes: the journal keeps them as they are. */
static void
field_bytes(struct fields *f, const char *key, const char *bytes, size_t len)
{
	size_t k = strlen(key);

	if (f->n == FIELDS_MAX || k + len > sizeof(f->text) - f->used)
		return;
	memcpy(f->text + f->used, key, k);
	memcpy(f->text + f->used + k, bytes, len);
	field_took(f, k + len);
}

/* One record: the line, and the fields where there is a journal. */
static void
emit(int level, const char *line, struct fields *f)
{
	char stamp[CLOCK_TEXT_MAX];

	if (level > level_now)
		return;
	if (to_journal) {
		field(f, "MESSAGE=%s", line);
		field(f, "PRIORITY=%d", level);
		if (sd_journal_sendv(f->v, f->n) == 0)
			return;
	}
	(void)dprintf(STDERR_FILENO, "%s %s\n", clock_format_rfc3339(clock_real_ns(), stamp), line);
}

void
log_line(int level, const char *format, ...)
{
	struct fields f;
	char line[LINE_MAX_BYTES];
	va_list ap;

	if (level > level_now)
		return;
	va_start(ap, format);
	(void)vsnprintf(line, sizeof(line), format, ap);
	va_end(ap);
	fields_init(&f);
	emit(level, line, &f);
}

void
log_event(int level, const char *message_id, const char *format, ...)
{
	struct fields f;
	char line[LINE_MAX_BYTES];
	va_list ap;

	va_start(ap, format);
	(void)vsnprintf(line, sizeof(line), format, ap);
	va_end(ap);
	fields_init(&f);
	field(&f, "MESSAGE_ID=%s", message_id);
	emit(level, line, &f);
}

void
log_refusal(const union addr *peer, const char *user, const char *code, const char *why)
{
	static uint64_t second, in_second, unsaid;
	uint64_t now = clock_usec() / USEC_PER_SEC;
	char line[LINE_MAX_BYTES], host[ADDR_TEXT_MAX];
	struct fields f;

	if (now != second) {
		if (unsaid > 0)
			log_line(LOG_INFO, "%llu more refusals", (unsigned long long)unsaid);
		second = now;
		in_second = 0;
		unsaid = 0;
	}
	if (++in_second > REFUSALS_A_SECOND) {
		unsaid++;
		return;
	}
	fields_init(&f);
	(void)addr_format(peer, host);
	(void)snprintf(line, sizeof(line), "%s refused: %s (%s)%s%s", host, code, why,
		       user == NULL      ? ""
		       : user[0] == '\0' ? ", unknown user"
					 : ", user ",
		       user != NULL ? user : "");
	field(&f, "MESSAGE_ID=%s", MESSAGE_ID_REFUSAL);
	if (user != NULL && user[0] != '\0')
		field(&f, "FTD_USER=%s", user);
	field(&f, "FTD_PEER=%s", host);
	field(&f, "FTD_RESULT=%s", code);
	emit(LOG_INFO, line, &f);
}

void
log_login(const struct session *s)
{
	char line[LINE_MAX_BYTES], host[ADDR_TEXT_MAX];
	struct fields f;

	fields_init(&f);
	(void)addr_format(&s->peer, host);
	(void)snprintf(line, sizeof(line), "s%llu %s logged in as %s",
		       (unsigned long long)s->number, host, s->user);
	field(&f, "MESSAGE_ID=%s", MESSAGE_ID_LOGIN);
	field(&f, "FTD_SESSION=s%llu", (unsigned long long)s->number);
	field(&f, "FTD_PEER=%s", host);
	field(&f, "FTD_USER=%s", s->user);
	emit(LOG_INFO, line, &f);
}

/* --- what comes in from the roles */

struct record {
	struct rolelog_record head;
	char bytes[ROLELOG_PATH_MAX + ROLELOG_TEXT_MAX];
};

/* The parts, if the record is what its lengths say; every string ends. */
static bool
record_open(struct record *rec, size_t len, const char **ret_path, char *text, size_t text_size)
{
	const struct rolelog_record *h = &rec->head;

	if (len < sizeof(*h) || h->path_len > ROLELOG_PATH_MAX || h->text_len > ROLELOG_TEXT_MAX ||
	    len != sizeof(*h) + h->path_len + h->text_len || h->kind >= ROLELOG_KINDS)
		return false;
	rec->head.opt[sizeof(h->opt) - 1] = '\0';
	rec->head.result[sizeof(h->result) - 1] = '\0';
	*ret_path = rec->bytes;
	(void)text_escape(text, text_size, rec->bytes + h->path_len, h->text_len);
	return true;
}

/* Who speaks: a session, a gate, or a role that belongs to no connection (number 0). */
struct speaker {
	struct session *session;
	uint64_t number;
	union addr peer;
};

static struct speaker
speaker_of(struct supervisor *sup, pid_t pid)
{
	struct speaker w = { .session = sessions_of_pid(sup, pid) };

	if (w.session == NULL && gates_of_pid(sup, pid, &w.number, &w.peer) < 0) {
		houses_listen(sup);
		w.session = sessions_of_pid(sup, pid);
		if (w.session == NULL)
			(void)gates_of_pid(sup, pid, &w.number, &w.peer);
	}
	if (w.session != NULL) {
		w.number = w.session->number;
		w.peer = w.session->peer;
	}
	return w;
}

static void
who_fields(struct fields *f, const struct speaker *w)
{
	char host[ADDR_TEXT_MAX];

	if (w->number == 0)
		return;
	field(f, "FTD_SESSION=s%llu", (unsigned long long)w->number);
	field(f, "FTD_PEER=%s", addr_format(&w->peer, host));
	if (w->session != NULL)
		field(f, "FTD_USER=%s", sessions_user(w->session));
}

static void
count_transfer(struct supervisor *sup, const struct rolelog_record *h)
{
	if (strcmp(h->result, "ok") != 0)
		return;
	histogram_add(&sup->durations_ms, histogram_ms_bounds, h->usec / USEC_PER_MSEC);
	histogram_add(&sup->sizes, histogram_bytes_bounds, h->bytes);
}

static void
transfer_record(struct supervisor *sup, const struct speaker *w, const struct record *rec,
		const char *path, const char *text)
{
	const struct rolelog_record *h = &rec->head;
	const char *result =
	    strcmp(h->result, "ok") == 0 || err_known(h->result) ? h->result : "internal";
	char line[LINE_MAX_BYTES], shown[1024], host[ADDR_TEXT_MAX], opt[64], size[NUM_TEXT_MAX];
	char parts[48] = "";
	struct fields f;

	fields_init(&f);
	count_transfer(sup, h);
	(void)text_escape(shown, sizeof(shown), path, h->path_len);
	(void)text_escape(opt, sizeof(opt), h->opt, strlen(h->opt));
	if (h->parts > 1)
		(void)snprintf(parts, sizeof(parts), ", %llu parts", (unsigned long long)h->parts);
	(void)snprintf(line, sizeof(line), "s%llu %s %s /%s: %s, %s in %llu.%03llu s%s%s%s",
		       (unsigned long long)w->number, addr_format(&w->peer, host), opt, shown,
		       result, num_format_size(h->bytes, size),
		       (unsigned long long)(h->usec / USEC_PER_SEC),
		       (unsigned long long)(h->usec % USEC_PER_SEC / USEC_PER_MSEC), parts,
		       text[0] != '\0' ? ": " : "", text);
	field(&f, "MESSAGE_ID=%s", MESSAGE_ID_TRANSFER);
	who_fields(&f, w);
	if (w->session != NULL && h->transfer != 0)
		field(&f, "FTD_TRANSFER=t%llu",
		      (unsigned long long)sessions_transfer_id(w->session, h->transfer));
	field(&f, "FTD_OP=%s", opt);
	field_bytes(&f, "FTD_PATH=/", path, h->path_len);
	field(&f, "FTD_BYTES=%llu", (unsigned long long)h->bytes);
	field(&f, "FTD_USEC=%llu", (unsigned long long)h->usec);
	if (h->parts > 0)
		field(&f, "FTD_PARTS=%llu", (unsigned long long)h->parts);
	field(&f, "FTD_RESULT=%s", result);
	emit(LOG_INFO, line, &f);
}

static void
take_transfer(struct supervisor *sup, const struct speaker *w, const struct record *rec,
	      const char *path, const char *text)
{
	transfer_record(sup, w, rec, path, text);
	board_orders_at(&sup->boards, w->session->slot)->records++;
}

void
journal_catch_up(struct session *s)
{
	struct board_orders *o = board_orders_at(&s->sup->boards, s->slot);
	const struct board_result *l = &s->seen.last;
	const struct speaker w = { .session = s, .number = s->number, .peer = s->peer };
	struct record rec = { .head = { .path_len = l->path_len,
					.transfer = l->transfer,
					.bytes = l->bytes,
					.usec = l->usec,
					.parts = l->parts } };
	uint64_t missing = s->seen.records > o->records ? s->seen.records - o->records : 0;
	char text[2 * BOARD_REASON_MAX];

	if (missing == 0)
		return;
	if (missing > 1)
		log_line(LOG_WARNING, "s%llu: %llu records of transfers are lost before this one",
			 (unsigned long long)s->number, (unsigned long long)missing - 1);
	memcpy(rec.head.opt, l->opt, sizeof(rec.head.opt));
	memcpy(rec.head.result, l->result, sizeof(rec.head.result));
	transfer_record(s->sup, &w, &rec, l->path,
			text_escape(text, sizeof(text), l->reason, strlen(l->reason)));
	o->records = s->seen.records;
}

static void
text_record(const struct speaker *w, const struct rolelog_record *h, const char *text)
{
	char line[LINE_MAX_BYTES], host[ADDR_TEXT_MAX];
	struct fields f;
	int level = (int)h->level;

	if (h->level > LOG_DEBUG)
		level = LOG_DEBUG;
	if (h->level < LOG_ERR) /* may go to all terminals: the supervisor's to say */
		level = LOG_ERR;
	fields_init(&f);
	if (w->number != 0)
		(void)snprintf(line, sizeof(line), "s%llu %s %s", (unsigned long long)w->number,
			       addr_format(&w->peer, host), text);
	else
		(void)snprintf(line, sizeof(line), "%s", text);
	who_fields(&f, w);
	emit(level, line, &f);
}

static void
handle_record(struct journal *j, struct record *rec, size_t len, pid_t pid)
{
	struct speaker w;
	char text[2 * ROLELOG_TEXT_MAX];
	uint64_t unsaid;
	const char *path;
	bool sound = record_open(rec, len, &path, text, sizeof(text));
	bool transfer = sound && rec->head.kind == ROLELOG_TRANSFER;

	if (!chatter_allows(&j->chatter, pid, transfer ? CHATTER_TRANSFER : CHATTER_TEXT,
			    clock_usec(), &unsaid))
		return;
	if (unsaid > 0)
		log_line(LOG_WARNING, "pid %d says too much: %llu log records were left out",
			 (int)pid, (unsigned long long)unsaid);
	if (sound && rec->head.dropped > 0)
		log_line(LOG_WARNING, "pid %d lost %llu log records before this one", (int)pid,
			 (unsigned long long)rec->head.dropped);
	w = speaker_of(j->sup, pid);
	if (!sound || (transfer && w.session == NULL)) /* only sessions have transfers */
		log_line(LOG_WARNING, "pid %d sent a log record that is none, dropping it",
			 (int)pid);
	else if (transfer)
		take_transfer(j->sup, &w, rec, path, text);
	else
		text_record(&w, &rec->head, text);
}

/* Whether there may be more. */
static bool
listen_for_a_turn(struct journal *j)
{
	struct record rec;
	pid_t pid;
	ssize_t n;

	for (int i = 0; i < RECORDS_A_TURN; i++) {
		pid = 0;
		n = io_recv_packet(j->ours, &rec, sizeof(rec), NULL, 0, &pid, MSG_DONTWAIT);
		if (n < 0 && n != -EMSGSIZE && n != -EPROTO)
			return false;
		handle_record(j, &rec, n < 0 ? 0 : (size_t)n, pid);
	}
	return true;
}

/* Before everything else, so that records are read before their session is gone; but a flood of
 * them has to wait its turn like all others. */
static int
on_record(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	bool flood = listen_for_a_turn(userdata);

	(void)fd;
	(void)events;
	(void)sd_event_source_set_priority(source, flood ? SD_EVENT_PRIORITY_NORMAL
							 : SD_EVENT_PRIORITY_IMPORTANT);
	return 0;
}

void
journal_listen(struct supervisor *sup)
{
	if (sup->journal != NULL)
		(void)listen_for_a_turn(sup->journal);
}

static int
open_pair(const struct carried_sockets *carried, int *ret)
{
	if (carried == NULL)
		return socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ret) < 0 ? -errno : 0;
	ret[0] = (int)carried->log_ours;
	ret[1] = (int)carried->log_roles;
	for (int i = 0; i < 2; i++)
		if (fcntl(ret[i], F_SETFD, FD_CLOEXEC) < 0)
			return -errno;
	return 0;
}

int
journal_start(struct supervisor *sup, const struct carried_sockets *carried)
{
	const int on = 1, size = RECEIVE_BUFFER;
	struct journal *j = calloc(1, sizeof(*j));
	int pair[2];
	int r;

	if (j == NULL)
		return -ENOMEM;
	r = open_pair(carried, pair);
	if (r < 0) {
		free(j);
		return r;
	}
	*j = (struct journal){ .sup = sup, .ours = pair[0], .roles = pair[1] };
	sup->journal = j;
	if (setsockopt(j->ours, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) < 0)
		return -errno;
	(void)setsockopt(j->roles, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	r = sd_event_add_io(sup->event, &j->io, j->ours, EPOLLIN, on_record, j);
	if (r < 0)
		return r;
	return sd_event_source_set_priority(j->io, SD_EVENT_PRIORITY_IMPORTANT);
}

void
journal_stop(struct supervisor *sup)
{
	struct journal *j = sup->journal;

	if (j == NULL)
		return;
	journal_listen(sup);
	(void)sd_event_source_disable_unref(j->io);
	close_fd(&j->ours);
	close_fd(&j->roles);
	free(j);
	sup->journal = NULL;
}

void
journal_descriptors(const struct journal *j, int64_t *ret_ours, int64_t *ret_roles)
{
	*ret_ours = j->ours;
	*ret_roles = j->roles;
}

int
journal_role_fd(const struct journal *j)
{
	return j->roles;
}
