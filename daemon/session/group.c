#include "daemon/session/session.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "lib/clock.h"
#include "lib/err.h"
#include "lib/own.h"

enum { GROUP_MAX = 512, GROUP_MS = 50, SIZE_MIN = 8 };

struct group {
	struct publish *list;
	size_t n, size;
	unsigned descriptors; /* that the list holds */
	unsigned descriptors_max;
	uint64_t since_usec;
};

bool
group_pending(const struct session *s)
{
	return s->group != NULL && s->group->n > 0;
}

int
group_wait_ms(const struct session *s)
{
	uint64_t age;

	if (!group_pending(s))
		return -1;
	age = (clock_usec() - s->group->since_usec) / USEC_PER_MSEC;
	return age < GROUP_MS ? GROUP_MS - (int)age : 0;
}

void
group_trim(struct session *s)
{
	if (s->group == NULL || group_pending(s))
		return;
	free(s->group->list);
	free(s->group);
	s->group = NULL;
}

/* Half of what the process may open: the rest is for what is under way. */
static unsigned
descriptors_max(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur > UINT32_MAX)
		return GROUP_MAX;
	return (unsigned)limit.rlim_cur / 2;
}

static int
reserve(struct session *s)
{
	struct group *g = s->group;
	struct publish *list;
	size_t size;

	if (g == NULL) {
		g = calloc(1, sizeof(*g));
		if (g == NULL)
			return -ENOMEM;
		g->descriptors_max = descriptors_max();
		s->group = g;
	}
	if (g->n < g->size)
		return 0;
	size = g->size > 0 ? 2 * g->size : SIZE_MIN;
	list = reallocarray(g->list, size, sizeof(*list));
	if (list == NULL)
		return -ENOMEM;
	g->list = list;
	g->size = size;
	return 0;
}

int
group_add(struct session *s, struct publish *p)
{
	struct group *g;
	int r;

	r = reserve(s);
	if (r < 0)
		return r;
	g = s->group;
	if (g->n == 0)
		g->since_usec = clock_usec();
	g->descriptors += 2 + p->n_made + (p->staging.marker_fd >= 0);
	g->list[g->n++] = *p;
	publish_init(p);
	if (g->n == GROUP_MAX || g->descriptors >= g->descriptors_max || group_wait_ms(s) == 0)
		return group_flush(s);
	return 0;
}

/* Answer and record of one. */
static int
answer(struct session *s, struct publish *p, int result)
{
	struct request rq = { .id = p->id };
	json_t *extra = NULL;

	if (result >= 0) {
		report_upload_end(s, p, "ok", NULL);
		extra = publish_receipt(s, p);
		return extra != NULL ? reply_ok(s, &rq, extra) : -ENOMEM;
	}
	report_upload_end(s, p, err_code(result), err_text(result));
	if (p->current != NULL)
		extra = json_pack("{s:o}", "current", take_ptr(p->current));
	return reply_error(s, &rq, shares_told(p->rights, result), NULL, extra);
}

int
group_flush(struct session *s)
{
	struct group *g = s->group;
	int results[GROUP_MAX];
	struct request first;
	size_t n;
	int r = 0;

	if (!group_pending(s))
		return 0;
	first = (struct request){ .id = g->list[0].id };
	report_state(s, BOARD_SYNCING);
	(void)beat_begin(s, &first, "syncing");
	publish_all(s, g->list, g->n, results);
	beat_end(s);
	report_state(s, BOARD_WORKING);

	n = g->n;
	g->n = 0; /* what is answered waits no more */
	g->descriptors = 0;
	for (size_t i = 0; i < n; i++) {
		int told = answer(s, &g->list[i], results[i]);

		publish_done(s, &g->list[i]);
		if (told < 0 && r == 0) {
			r = told;
			s->conn.dead = true; /* the rest is not waited for again */
		}
	}
	return r;
}
