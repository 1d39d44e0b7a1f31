#include "daemon/supervisor/carried.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/common/board.h"
#include "lib/message.h"
#include "lib/num.h"
#include "lib/own.h"

/* ---- one object, both ways by the same table */

static int
put_field(json_t *object, const struct message_field *f, const void *args)
{
	const void *at = (const uint8_t *)args + f->offset;
	json_t *value;

	if (f->type == MESSAGE_BOOL)
		value = json_boolean(*(const bool *)at);
	else if (f->type == MESSAGE_STR)
		value = json_stringn(((const struct message_str *)at)->data,
				     ((const struct message_str *)at)->len);
	else
		value = json_integer(*(const json_int_t *)at);
	return json_object_set_new(object, f->key, value) < 0 ? -ENOMEM : 0;
}

static json_t *
put_object(const struct message_field *fields, size_t n, const void *args)
{
	json_t *object = json_object();

	for (size_t i = 0; i < n; i++)
		if (put_field(object, &fields[i], args) < 0) {
			json_decref(object);
			return NULL;
		}
	return object;
}

/* args is zeroed. */
static int
get_object(json_t *object, const struct message_field *fields, size_t n, void *args)
{
	const char *key, *why;
	uint64_t has;
	int r;

	if (!json_is_object(object))
		return -EBADMSG;
	r = message_decode(object, fields, n, args, &has, &key, &why);
	return r == -ENOMEM ? r : r < 0 ? -EBADMSG : 0;
}

/* ---- the tables; what has no end is INT64_MAX there */

#define U(type, key)                                                            \
	{                                                                       \
#key, MESSAGE_UINT, offsetof(struct type, key), INT64_MAX, true \
	}
#define FD(type, key)                                                  \
	{                                                              \
#key, MESSAGE_INT, offsetof(struct type, key), 0, true \
	}
#define B(type, key)                                                    \
	{                                                               \
#key, MESSAGE_BOOL, offsetof(struct type, key), 0, true \
	}

static const struct message_field socket_fields[] = {
	FD(carried_sockets, control),   FD(carried_sockets, udp),
	FD(carried_sockets, pid_file),  FD(carried_sockets, log_ours),
	FD(carried_sockets, log_roles), FD(carried_sockets, asker),
	U(carried_sockets, asker_uid),  U(carried_sockets, asker_pid),
	U(carried_sockets, asker_role), B(carried_sockets, handed),
};

static const struct message_field state_fields[] = {
	U(carried, generation),
	U(carried, started_usec),
	U(carried, next_id),
	{ "started_real_ns", MESSAGE_INT, offsetof(struct carried, started_real_ns), 0, true },
	B(carried, started_as_root),
};

static const struct message_field total_fields[] = {
	U(totals, sessions), U(totals, refused),  U(totals, uploads),  U(totals, downloads),
	U(totals, failed),   U(totals, requests), U(totals, bytes_in), U(totals, bytes_out),
};

static const struct message_field session_fields[] = {
	U(carried_session, number),
	FD(carried_session, privilege),
};

/* Bans, penalties and limits: a name, and two numbers. */
struct row {
	struct message_str name;
	int64_t since;
	uint64_t number;
};
static const struct message_field row_fields[] = {
	{ "name", MESSAGE_STR, offsetof(struct row, name), ADDR_TEXT_MAX + USER_NAME_MAX, true },
	{ "since", MESSAGE_INT, offsetof(struct row, since), 0, true },
	U(row, number),
};

static uint64_t
bounded(uint64_t n)
{
	return n < INT64_MAX ? n : INT64_MAX;
}

static uint64_t
endless(uint64_t n)
{
	return n == INT64_MAX ? UINT64_MAX : n;
}

/* ---- writing */

static int
put_row(json_t *rows, const char *name, int64_t since, uint64_t number)
{
	const struct row row = { .name = { name, strlen(name) },
				 .since = since,
				 .number = bounded(number) };

	return json_array_append_new(rows, put_object(row_fields, ARRAY_SIZE(row_fields), &row));
}

static json_t *
put_bans(const struct bans *b)
{
	json_t *rows = json_array();
	char text[ADDR_TEXT_MAX];

	for (size_t i = 0; i < b->n; i++)
		if (put_row(rows, subnet_format(&b->list[i].net, text), b->list[i].since_real_ns,
			    b->list[i].until_usec) < 0) {
			json_decref(rows);
			return NULL;
		}
	return rows;
}

static json_t *
put_penalties(const struct penalties *p)
{
	json_t *rows = json_array();
	char text[ADDR_TEXT_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(p->list); i++)
		if (p->list[i].until_usec > 0 &&
		    put_row(rows, subnet_format(&p->list[i].source, text), p->list[i].since_real_ns,
			    p->list[i].until_usec) < 0) {
			json_decref(rows);
			return NULL;
		}
	return rows;
}

static json_t *
put_rates(const struct carried *c)
{
	json_t *rows = json_array();

	for (size_t i = 0; i < c->n_rates; i++)
		if (put_row(rows, c->rates[i].user, 0, c->rates[i].limit) < 0) {
			json_decref(rows);
			return NULL;
		}
	return rows;
}

static json_t *
put_sessions(const struct carried *c)
{
	json_t *rows = json_array();

	for (size_t i = 0; i < c->n_sessions; i++)
		if (json_array_append_new(rows,
					  put_object(session_fields, ARRAY_SIZE(session_fields),
						     &c->sessions[i])) < 0) {
			json_decref(rows);
			return NULL;
		}
	return rows;
}

static json_t *
put_histogram(const struct histogram *h)
{
	json_t *numbers = json_array();
	int r = 0;

	for (int i = 0; i < HISTOGRAM_BUCKETS; i++)
		r |=
		    json_array_append_new(numbers, json_integer((json_int_t)bounded(h->bucket[i])));
	r |= json_array_append_new(numbers, json_integer((json_int_t)bounded(h->count)));
	r |= json_array_append_new(numbers, json_integer((json_int_t)bounded(h->sum)));
	if (r == 0)
		return numbers;
	json_decref(numbers);
	return NULL;
}

static json_t *
put_listen(const struct carried *c)
{
	json_t *numbers = json_array();

	for (size_t i = 0; i < c->n_listen; i++)
		(void)json_array_append_new(numbers, json_integer(c->listen[i]));
	return numbers;
}

int
carried_write(const struct carried *c, char **ret, size_t *ret_len)
{
	auto_json json_t *o =
	    json_pack("{s:i, s:i, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "version",
		      CARRIED_VERSION, "boards", BOARD_VERSION, "sockets",
		      put_object(socket_fields, ARRAY_SIZE(socket_fields), &c->sockets), "listen",
		      put_listen(c), "state", put_object(state_fields, ARRAY_SIZE(state_fields), c),
		      "totals", put_object(total_fields, ARRAY_SIZE(total_fields), &c->totals),
		      "durations_ms", put_histogram(&c->durations_ms), "sizes",
		      put_histogram(&c->sizes), "sessions", put_sessions(c), "rates", put_rates(c),
		      "bans", put_bans(&c->bans), "penalties", put_penalties(&c->penalties));
	char *text = o != NULL ? json_dumps(o, JSON_COMPACT) : NULL;
	size_t len = text != NULL ? strlen(text) : 0;

	if (text == NULL)
		return -ENOMEM;
	if (len > CARRIED_BYTES_MAX) {
		free(text);
		return -E2BIG;
	}
	*ret = text;
	*ret_len = len;
	return 0;
}

/* ---- reading */

static bool
are_numbers(int64_t fd)
{
	return fd >= -1 && fd <= CARRIED_FD_MAX;
}

static int
get_sockets(json_t *o, struct carried_sockets *s)
{
	int r = get_object(o, socket_fields, ARRAY_SIZE(socket_fields), s);

	if (r < 0)
		return r;
	if (!are_numbers(s->control) || !are_numbers(s->udp) || !are_numbers(s->pid_file) ||
	    !are_numbers(s->log_ours) || !are_numbers(s->log_roles) || !are_numbers(s->asker))
		return -EBADMSG;
	return s->control < 0 || s->pid_file < 0 || s->log_ours < 0 || s->log_roles < 0 ? -EBADMSG
											: 0;
}

static int
get_listen(json_t *list, struct carried *c)
{
	json_int_t fd;

	if (!json_is_array(list) || json_array_size(list) > CONFIG_LISTENERS_MAX)
		return -EBADMSG;
	for (size_t i = 0; i < json_array_size(list); i++) {
		if (!json_is_integer(json_array_get(list, i)))
			return -EBADMSG;
		fd = json_integer_value(json_array_get(list, i));
		if (fd < 0 || !are_numbers(fd))
			return -EBADMSG;
		c->listen[c->n_listen++] = (int)fd;
	}
	return 0;
}

static int
get_histogram(json_t *list, struct histogram *h)
{
	uint64_t numbers[HISTOGRAM_BUCKETS + 2];

	if (!json_is_array(list) || json_array_size(list) != ARRAY_SIZE(numbers))
		return -EBADMSG;
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		if (!json_is_integer(json_array_get(list, i)) ||
		    json_integer_value(json_array_get(list, i)) < 0)
			return -EBADMSG;
		numbers[i] = (uint64_t)json_integer_value(json_array_get(list, i));
	}
	memcpy(h->bucket, numbers, sizeof(h->bucket));
	h->count = numbers[HISTOGRAM_BUCKETS];
	h->sum = numbers[HISTOGRAM_BUCKETS + 1];
	return 0;
}

static int
get_sessions(json_t *list, struct carried *c)
{
	struct carried_session s;
	int r;

	if (!json_is_array(list) || json_array_size(list) > CONFIG_SESSIONS_MAX)
		return -EBADMSG;
	c->sessions = calloc(json_array_size(list) + 1, sizeof(*c->sessions));
	if (c->sessions == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < json_array_size(list); i++) {
		s = (struct carried_session){ .number = 0 };
		r = get_object(json_array_get(list, i), session_fields, ARRAY_SIZE(session_fields),
			       &s);
		if (r < 0)
			return r;
		if (s.number == 0 || s.privilege < 0 || !are_numbers(s.privilege))
			return -EBADMSG;
		c->sessions[c->n_sessions++] = s;
	}
	return 0;
}

/* Calls take for each row of the list, which has at most so many. */
static int
get_rows(json_t *list, size_t most, int (*take)(struct carried *c, const struct row *row),
	 struct carried *c)
{
	struct row row;
	int r = json_is_array(list) && json_array_size(list) <= most ? 0 : -EBADMSG;

	for (size_t i = 0; r == 0 && i < json_array_size(list); i++) {
		row = (struct row){ .number = 0 };
		r = get_object(json_array_get(list, i), row_fields, ARRAY_SIZE(row_fields), &row);
		if (r == 0)
			r = take(c, &row);
	}
	return r;
}

static int
take_ban(struct carried *c, const struct row *row)
{
	struct ban *b = &c->bans.list[c->bans.n++];

	b->since_real_ns = row->since;
	b->until_usec = endless(row->number);
	return subnet_parse(row->name.data, &b->net) < 0 ? -EBADMSG : 0;
}

static int
take_penalty(struct carried *c, const struct row *row)
{
	struct subnet source;

	if (subnet_parse(row->name.data, &source) < 0)
		return -EBADMSG;
	penalties_restore(&c->penalties, &source, row->since, row->number);
	return 0;
}

static int
take_rate(struct carried *c, const struct row *row)
{
	struct carried_rate *rate = &c->rates[c->n_rates++];

	if (row->name.len > USER_NAME_MAX)
		return -EBADMSG;
	memcpy(rate->user, row->name.data, row->name.len + 1);
	rate->limit = endless(row->number);
	return 0;
}

static int
get_all(json_t *o, struct carried *c)
{
	json_t *rates = json_object_get(o, "rates");
	int r;

	c->rates = calloc(CARRIED_RATES_MAX, sizeof(*c->rates));
	if (c->rates == NULL)
		return -ENOMEM;
	r = get_object(json_object_get(o, "state"), state_fields, ARRAY_SIZE(state_fields), c);
	if (r == 0)
		r = get_sockets(json_object_get(o, "sockets"), &c->sockets);
	if (r == 0)
		r = get_listen(json_object_get(o, "listen"), c);
	if (r == 0)
		r = get_object(json_object_get(o, "totals"), total_fields, ARRAY_SIZE(total_fields),
			       &c->totals);
	if (r == 0)
		r = get_histogram(json_object_get(o, "durations_ms"), &c->durations_ms);
	if (r == 0)
		r = get_histogram(json_object_get(o, "sizes"), &c->sizes);
	if (r == 0)
		r = get_sessions(json_object_get(o, "sessions"), c);
	if (r == 0)
		r = get_rows(rates, CARRIED_RATES_MAX, take_rate, c);
	if (r == 0)
		r = get_rows(json_object_get(o, "bans"), BANS_MAX, take_ban, c);
	if (r == 0)
		r = get_rows(json_object_get(o, "penalties"), PENALTIES_SETS * PENALTIES_WAYS,
			     take_penalty, c);
	return r;
}

int
carried_read(const char *text, size_t len, struct carried **ret, const char **ret_why)
{
	auto_json json_t *o = NULL;
	struct carried *c;
	int r = len <= CARRIED_BYTES_MAX ? message_parse(text, len, &o) : -EBADMSG;

	*ret_why = "the state is not what a supervisor writes";
	if (r < 0)
		return r == -ENOMEM ? r : -EBADMSG;
	if (json_integer_value(json_object_get(o, "version")) != CARRIED_VERSION ||
	    json_integer_value(json_object_get(o, "boards")) != BOARD_VERSION) {
		*ret_why =
		    "the versions keep their state differently; sessions would be lost, so restart "
		    "instead";
		return -EBADMSG;
	}
	c = calloc(1, sizeof(*c));
	if (c == NULL)
		return -ENOMEM;
	r = get_all(o, c);
	if (r < 0) {
		carried_free(c);
		return r;
	}
	*ret = c;
	return 0;
}

struct carried *
carried_free(struct carried *c)
{
	if (c == NULL)
		return NULL;
	free(c->sessions);
	free(c->rates);
	free(c);
	return NULL;
}

int
carried_privilege(const struct carried *c, uint64_t number)
{
	for (size_t i = 0; c != NULL && i < c->n_sessions; i++)
		if (c->sessions[i].number == number)
			return (int)c->sessions[i].privilege;
	return -1;
}
