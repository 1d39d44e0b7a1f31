#include "daemon/session/session.h"

#include <stdio.h>
#include <string.h>

#include "daemon/common/rolelog.h"
#include "lib/clock.h"

/* The page is shared memory: nothing here makes a system call but the record of a transfer's end.
 */

static struct board_report *
begin(struct session *s)
{
	board_write_begin(&s->report->seq);
	atomic_store_explicit(&s->report->heartbeat_usec, clock_usec(), memory_order_relaxed);
	return s->report;
}

static void
end(struct session *s)
{
	board_write_end(&s->report->seq);
}

static void
set_state(struct board_report *p, enum board_state state)
{
	if (p->state != (uint32_t)state)
		p->since_usec = p->heartbeat_usec;
	p->state = (uint32_t)state;
}

void
report_state(struct session *s, enum board_state state)
{
	struct board_report *p = begin(s);

	set_state(p, state);
	end(s);
}

void
report_heartbeat(struct session *s)
{
	(void)begin(s);
	end(s);
}

void
report_request(struct session *s)
{
	struct board_report *p = begin(s);

	s->recorded = false;
	p->requests++;
	set_state(p, BOARD_WORKING);
	end(s);
}

void
report_transfer_begin(struct session *s, const char *opt, bool upload, const char *path,
		      uint64_t size)
{
	size_t len = strlen(path);
	size_t cut = len > BOARD_PATH_MAX ? len - BOARD_PATH_MAX : 0;
	struct board_report *p = begin(s);

	p->transfer = ++s->transfers;
	p->transfer_started_usec = p->progress_usec = p->heartbeat_usec;
	p->transfer_started_real_ns = clock_real_ns();
	p->size = size;
	p->offset = s->moved = 0;
	p->upload = upload;
	p->path_len = (uint32_t)(len - cut);
	memcpy(p->path, path + cut, len - cut);
	(void)snprintf(p->opt, sizeof(p->opt), "%s", opt);
	set_state(p, upload ? BOARD_RECEIVING : BOARD_SENDING);
	end(s);
}

void
report_resumable(struct session *s, const struct staged_id *id, uint64_t size)
{
	struct board_report *p = begin(s);

	p->resumable[0] = id->session;
	p->resumable[1] = id->number;
	p->size = size;
	if (memcmp(&s->resumed.id, id, sizeof(*id)) != 0) {
		s->resumed.id = *id;
		s->resumed.transfer = p->transfer;
		s->resumed.started_usec = p->transfer_started_usec;
		s->resumed.started_real_ns = p->transfer_started_real_ns;
		s->resumed.moved = 0;
	}
	p->transfer = s->resumed.transfer;
	p->transfer_started_usec = s->resumed.started_usec;
	p->transfer_started_real_ns = s->resumed.started_real_ns;
	p->offset = s->moved = s->resumed.moved;
	end(s);
}

void
report_transfer_progress(struct session *s, uint64_t offset)
{
	struct board_report *p = begin(s);

	offset += s->moved;
	if (offset > p->offset) {
		/* what is copied or verified here does not go over the wire */
		if (p->state == BOARD_RECEIVING)
			p->bytes_in += offset - p->offset;
		if (p->state == BOARD_SENDING)
			p->bytes_out += offset - p->offset;
		p->progress_usec = p->heartbeat_usec;
	}
	p->offset = offset;
	end(s);
}

void
report_transfer_paused(struct session *s, bool paused)
{
	struct board_report *p = begin(s);

	p->progress_usec = p->heartbeat_usec; /* to stand still by order is not to stall */
	set_state(p, paused ? BOARD_PAUSED : p->upload ? BOARD_RECEIVING : BOARD_SENDING);
	end(s);
}

/* No transfer is under way any more. */
static void
clear_transfer(struct session *s, struct board_report *p)
{
	if ((p->resumable[0] | p->resumable[1]) != 0)
		s->resumed.moved = p->offset;
	p->transfer = 0;
	p->path_len = 0;
	p->offset = s->moved = 0;
	p->resumable[0] = p->resumable[1] = 0;
	set_state(p, BOARD_WORKING);
}

static void
count(struct board_report *p, bool upload, bool good)
{
	p->failed += !good;
	p->uploads += good && upload;
	p->downloads += good && p->state == BOARD_SENDING;
}

/* The log gets a record; the page has the last one, for a supervisor that never saw it. */
static void
record(struct session *s, const struct rolelog_transfer *t)
{
	size_t cut = t->path_len > BOARD_PATH_MAX ? t->path_len - BOARD_PATH_MAX : 0;
	struct board_report *p = begin(s);
	struct board_result *l = &p->last;

	p->records++;
	l->transfer = t->transfer;
	l->bytes = t->bytes;
	l->usec = t->usec;
	l->parts = t->parts;
	(void)snprintf(l->opt, sizeof(l->opt), "%s", t->opt);
	(void)snprintf(l->result, sizeof(l->result), "%s", t->result);
	(void)snprintf(l->reason, sizeof(l->reason), "%s", t->reason != NULL ? t->reason : "");
	l->path_len = (uint32_t)(t->path_len - cut);
	memcpy(l->path, t->path + cut, t->path_len - cut);
	end(s);
	rolelog_transfer(t);
}

void
report_transfer_end(struct session *s, const char *result, const char *reason)
{
	struct board_report *p = s->report;
	const struct rolelog_transfer t = { .opt = p->opt,
					    .path = p->path,
					    .path_len = p->path_len,
					    .transfer = p->transfer,
					    .bytes = p->offset - s->moved,
					    .usec = clock_usec() - p->transfer_started_usec,
					    .result = result,
					    .reason = reason };

	record(s, &t);
	s->recorded = true;
	p = begin(s);
	count(p, p->upload != 0, strcmp(result, "ok") == 0);
	clear_transfer(s, p);
	end(s);
}

uint64_t
report_transfer_park(struct session *s)
{
	uint64_t transfer = s->report->transfer;
	struct board_report *p = begin(s);

	clear_transfer(s, p);
	end(s);
	return transfer;
}

void
report_upload_end(struct session *s, const struct publish *p, const char *result,
		  const char *reason)
{
	const struct rolelog_transfer t = { .opt = "upload",
					    .path = p->name,
					    .path_len = strlen(p->name),
					    .transfer = p->transfer,
					    .bytes = p->bytes,
					    .parts = p->parts,
					    .usec = clock_usec() - p->started_usec,
					    .result = result,
					    .reason = reason };
	struct board_report *page;

	record(s, &t);
	page = begin(s);
	count(page, true, strcmp(result, "ok") == 0);
	end(s);
}

void
report_end(struct session *s, int status)
{
	struct board_report *p = begin(s);

	p->ended = 1 + (uint32_t)status;
	end(s);
}
