#include "daemon/supervisor/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

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

enum { RECORDS_A_TURN = 64, RECEIVE_BUFFER = 4 << 20 };

struct journal {
	struct supervisor *sup;
	int ours, roles; /* the pair */
	sd_event_source *io;
	struct chatter chatter;
};

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
who_fields(struct log_fields *f, const struct speaker *w)
{
	char host[ADDR_TEXT_MAX];

	if (w->number == 0)
		return;
	log_field(f, "FTD_SESSION=s%llu", (unsigned long long)w->number);
	log_field(f, "FTD_PEER=%s", addr_format(&w->peer, host));
	if (w->session != NULL)
		log_field(f, "FTD_USER=%s", sessions_user(w->session));
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
	char line[LOG_LINE_MAX], shown[1024], host[ADDR_TEXT_MAX], opt[64], size[NUM_TEXT_MAX];
	char parts[48] = "";
	struct log_fields f;

	log_fields_init(&f);
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
	log_field(&f, "MESSAGE_ID=%s", MESSAGE_ID_TRANSFER);
	who_fields(&f, w);
	if (w->session != NULL && h->transfer != 0)
		log_field(&f, "FTD_TRANSFER=t%llu",
			  (unsigned long long)sessions_transfer_id(w->session, h->transfer));
	log_field(&f, "FTD_OP=%s", opt);
	log_field_bytes(&f, "FTD_PATH=/", path, h->path_len);
	log_field(&f, "FTD_BYTES=%llu", (unsigned long long)h->bytes);
	log_field(&f, "FTD_USEC=%llu", (unsigned long long)h->usec);
	if (h->parts > 0)
		log_field(&f, "FTD_PARTS=%llu", (unsigned long long)h->parts);
	log_field(&f, "FTD_RESULT=%s", result);
	log_emit(LOG_INFO, line, &f);
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
	char line[LOG_LINE_MAX], host[ADDR_TEXT_MAX];
	struct log_fields f;
	int level = (int)h->level;

	if (h->level > LOG_DEBUG)
		level = LOG_DEBUG;
	if (h->level < LOG_ERR) /* may go to all terminals: the supervisor's to say */
		level = LOG_ERR;
	log_fields_init(&f);
	if (w->number != 0)
		(void)snprintf(line, sizeof(line), "s%llu %s %s", (unsigned long long)w->number,
			       addr_format(&w->peer, host), text);
	else
		(void)snprintf(line, sizeof(line), "%s", text);
	who_fields(&f, w);
	log_emit(level, line, &f);
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
