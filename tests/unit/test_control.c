#include "daemon/supervisor/control.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "lib/err.h"
#include "lib/io.h"
#include "tests/unit/fake_supervisor.h"
#include "tests/unit/scratch.h"
#include "tests/unit/unit.h"

/* The control socket with real sockets and a real loop, and a supervisor that is none. */

enum { SLOTS = 2000, ROUNDS = 20000 };

static struct sockaddr_un address = { .sun_family = AF_UNIX };

/* ---- a peer ---- */

struct peer {
	int fd;
	struct buf in;
};

static struct control *
control(void)
{
	return fake.sup.control;
}

static struct packet_kept disk; /* what the keeper says of it; type 0: nothing */

static bool
keeper_answers(void)
{
	struct packet_kept end = { .type = KEPT_END, .serial = fake.asked.serial };

	if (fake.asked.type != KEEPER_DISK || disk.type == 0)
		return false;
	fake.asked.type = 0;
	disk.serial = end.serial;
	questions_take(&fake.sup, &disk);
	questions_take(&fake.sup, &end);
	return true;
}

/* Everything that can happen without waiting. */
static void
settle(void)
{
	int i = 0;

	do {
		while (i++ < ROUNDS && sd_event_run(fake.sup.event, 0) > 0)
			;
	} while (keeper_answers());
}

static struct peer
peer_connect(void)
{
	struct peer p = { .fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0) };

	assert_true(p.fd >= 0);
	assert_return_code(connect(p.fd, (const struct sockaddr *)&address, sizeof(address)),
			   errno);
	buf_init(&p.in, 16 << 20);
	settle();
	return p;
}

static void
peer_close(struct peer *p)
{
	close_fd(&p->fd);
	buf_done(&p->in);
	settle();
}

static void
say_bytes(struct peer *p, const void *bytes, size_t len)
{
	assert_int_equal(send(p->fd, bytes, len, MSG_NOSIGNAL), len);
	settle();
}

static void
say(struct peer *p, const char *header)
{
	uint8_t frame[FRAME_PREFIX + FRAME_HEADER_MAX];
	size_t len = strlen(header);

	frame_prefix(frame, len);
	memcpy(frame + FRAME_PREFIX, header, len);
	say_bytes(p, frame, FRAME_PREFIX + len);
}

/* Takes what has come. False: it is the end. */
static bool
take(struct peer *p)
{
	uint8_t *at;
	ssize_t n;

	assert_int_equal(buf_reserve(&p->in, 64 << 10, &at), 0);
	n = recv(p->fd, at, 64 << 10, MSG_DONTWAIT);
	if (n > 0)
		buf_added(&p->in, (size_t)n);
	settle();
	return n > 0 || (n < 0 && errno == EAGAIN);
}

/* The next frame, or NULL: none comes. The caller owns it. */
static json_t *
hear(struct peer *p)
{
	const char *header;
	json_t *object = NULL;
	size_t len, used;

	settle();
	for (int i = 0; i < 64; i++) {
		if (frame_next(buf_data(&p->in), buf_len(&p->in), &header, &len, &used) == 1) {
			assert_int_equal(message_parse(header, len, &object), 0);
			buf_consume(&p->in, used);
			return object;
		}
		if (!take(p))
			return NULL;
	}
	return NULL;
}

static json_t *
ask(struct peer *p, const char *header)
{
	json_t *answer;

	say(p, header);
	answer = hear(p);
	assert_non_null(answer);
	return answer;
}

static const char *
text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text != NULL ? text : "";
}

static json_int_t
number_of(const json_t *object, const char *key)
{
	assert_true(json_is_integer(json_object_get(object, key)));
	return json_integer_value(json_object_get(object, key));
}

/* The request is refused with the code, and the message names what it should. */
static void
assert_refused(struct peer *p, const char *header, const char *code, const char *named)
{
	auto_json json_t *answer = ask(p, header);

	assert_string_equal(text_of(answer, "status"), "error");
	assert_string_equal(text_of(answer, "code"), code);
	if (strstr(text_of(answer, "message"), named) == NULL)
		fail_msg("\"%s\" is not in \"%s\"", named, text_of(answer, "message"));
}

static void
assert_quiet(struct peer *p)
{
	auto_json json_t *answer = hear(p);

	assert_null(answer);
}

static void
assert_end(struct peer *p)
{
	char byte;

	settle();
	assert_int_equal(recv(p->fd, &byte, 1, MSG_DONTWAIT), 0);
}

/* The daemon still serves everybody else. */
static void
assert_served(void)
{
	struct peer p = peer_connect();
	auto_json json_t *answer = ask(&p, "{\"opt\":\"version\"}");

	assert_string_equal(text_of(answer, "version"), PACKAGE_VERSION);
	peer_close(&p);
}

static size_t
peers_served(void)
{
	size_t n = 0;

	for (size_t i = 0; i < CONTROL_PEERS_MAX; i++)
		n += control()->peers[i] != NULL;
	return n;
}

/* ---- each test begins anew ---- */

static int
set_up(void **state)
{
	int dir = scratch_make(), fd;

	(void)state;
	if (dir < 0 || fchmod(dir, 0755) < 0)
		return -1;
	close_fd(&dir);
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s/control", scratch_path());
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(fd, 64) < 0 || chmod(address.sun_path, 0777) < 0)
		return -1;
	fake_start(SLOTS);
	disk = (struct packet_kept){ .type = KEPT_DISK, .size = 2 << 20, .held = 1 << 20 };
	if (sd_event_new(&fake.sup.event) < 0)
		return -1;
	return control_start(&fake.sup, fd);
}

static int
tear_down(void **state)
{
	(void)state;
	control_stop(&fake.sup);
	fake.sup.event = sd_event_unref(fake.sup.event);
	fake_stop();
	scratch_remove();
	return 0;
}

/* ---- who may ---- */

static void
test_roles(void **state)
{
	static const gid_t groups[] = { 5, 100, 200 };
	struct control *c = control();

	(void)state;
	c->viewers = 100;
	c->operators = 200;
	fake.sup.started_as_root = true;
	assert_int_equal(control_role_of(c, 0, groups, 0), CONTROL_ADMIN);
	assert_int_equal(control_role_of(c, 4711, groups, 3), CONTROL_OPERATOR);
	assert_int_equal(control_role_of(c, 4711, groups, 2), CONTROL_VIEWER);
	assert_int_equal(control_role_of(c, 4711, groups, 1), CONTROL_NOBODY);
	c->viewers = c->operators = (gid_t)-1;
	assert_int_equal(control_role_of(c, 4711, (const gid_t[]){ (gid_t)-1 }, 1), CONTROL_NOBODY);
	if (geteuid() != 0)
		assert_int_equal(control_role_of(c, geteuid(), groups, 0), CONTROL_VIEWER);
	fake.sup.started_as_root = false;
	assert_int_equal(control_role_of(c, geteuid(), groups, 0), CONTROL_ADMIN);
}

static void
test_role_is_needed(void **state)
{
	struct peer p = peer_connect();
	auto_json json_t *answer = NULL;

	(void)state;
	control()->peers[0]->request.role = CONTROL_VIEWER;
	(void)fake_session(3, "192.0.2.7");
	answer = ask(&p, "{\"opt\":\"kick\",\"id\":\"s1003\"}");
	assert_string_equal(text_of(answer, "code"), "permission");
	assert_string_equal(text_of(answer, "role"), "operator");
	assert_refused(&p, "{\"opt\":\"shutdown\"}", "permission", "admin");
	assert_int_equal(fake.sup.slots[3]->quit, BOARD_STAY);
	assert_int_equal(fake.shutdowns, 0);
	peer_close(&p);
}

static void
test_eight_a_user(void **state)
{
	struct peer p[CONTROL_PEERS_PER_UID], more;
	auto_json json_t *answer = NULL;

	(void)state;
	for (size_t i = 0; i < CONTROL_PEERS_PER_UID; i++)
		p[i] = peer_connect();
	more = peer_connect();
	answer = hear(&more);
	assert_string_equal(text_of(answer, "code"), "busy");
	assert_true(json_is_true(json_object_get(answer, "close")));
	assert_end(&more);
	peer_close(&more);
	peer_close(&p[3]);
	assert_served();
	for (size_t i = 0; i < CONTROL_PEERS_PER_UID; i++)
		if (i != 3)
			peer_close(&p[i]);
	assert_int_equal(peers_served(), 0);
}

/* Fills the places as different users would. */
static size_t
fill(struct peer *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		p[i] = peer_connect();
		for (size_t k = 0; k < CONTROL_PEERS_MAX; k++)
			if (control()->peers[k] != NULL && control()->peers[k]->request.uid < 10000)
				control()->peers[k]->request.uid = (uid_t)(10000 + i);
	}
	return peers_served();
}

static void
test_places_for_root(void **state)
{
	struct peer p[CONTROL_PEERS_MAX - CONTROL_PEERS_FOR_ROOT], other, root;
	auto_json json_t *refused = NULL;

	(void)state;
	if (geteuid() != 0)
		skip();
	assert_int_equal(fill(p, ARRAY_SIZE(p)), ARRAY_SIZE(p));
	control()->viewers = getegid();
	assert_return_code(seteuid(65534), errno);
	other = (struct peer){ .fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0) };
	assert_return_code(connect(other.fd, (const struct sockaddr *)&address, sizeof(address)),
			   errno);
	assert_return_code(seteuid(0), errno);
	buf_init(&other.in, 1 << 20);
	refused = hear(&other);
	assert_string_equal(text_of(refused, "code"), "busy");
	root = peer_connect();
	json_decref(ask(&root, "{\"opt\":\"version\"}"));
	peer_close(&root);
	peer_close(&other);
	for (size_t i = 0; i < ARRAY_SIZE(p); i++)
		peer_close(&p[i]);
}

/* ---- frames ---- */

static void
test_refusals(void **state)
{
	struct peer p = peer_connect();

	(void)state;
	assert_refused(&p, "{\"opt\":\"statu\"}", "unsupported", "did you mean status?");
	assert_refused(&p, "{\"opt\":\"\\u001b[2J\"}", "unsupported", "there is no command");
	assert_refused(&p, "{\"opt\":5}", "bad_request", "opt must be a string");
	assert_refused(&p, "{}", "bad_request", "opt is missing");
	assert_refused(&p, "nonsense", "bad_request", "JSON");
	assert_refused(&p, "{\"opt\":\"show\",\"id\":7}", "bad_request", "id must be a string");
	assert_refused(&p, "{\"opt\":\"show\",\"id\":\"x7\"}", "bad_request", "s412");
	assert_refused(&p, "{\"opt\":\"show\",\"id\":\"s99999999999999999999999\"}", "bad_request",
		       "id");
	assert_refused(&p, "{\"opt\":\"show\",\"id\":\"s7\"}", "not_found", "s7");
	assert_refused(&p, "{\"opt\":\"config-show\",\"key\":\"limits.x\"}", "not_found",
		       "limits.x");
	assert_refused(&p, "{\"opt\":\"config-check\",\"file\":\"/etc/shadow\"}", "bad_request",
		       "text");
	assert_refused(&p, "{\"opt\":\"wait\",\"state\":\"rich\"}", "bad_request", "drained");
	assert_refused(&p, "{\"opt\":\"shutdown\",\"grace\":\"long\"}", "bad_request", "grace");
	peer_close(&p);
	assert_served();
}

static void
test_bad_length_ends(void **state)
{
	static const uint8_t lengths[][FRAME_PREFIX] = { { 0 },
							 { 1, 0, 1, 0 },
							 { 255, 255, 255, 255 } };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		struct peer p = peer_connect();
		auto_json json_t *answer = NULL;

		say_bytes(&p, lengths[i], FRAME_PREFIX);
		answer = hear(&p);
		assert_string_equal(text_of(answer, "code"), "bad_frame");
		assert_true(json_is_true(json_object_get(answer, "close")));
		assert_end(&p);
		peer_close(&p);
	}
}

static void
test_requests_sent_ahead(void **state)
{
	static const char *const opts[] = { "version", "status", "list-sessions" };
	struct peer p = peer_connect();
	char text[64];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(opts); i++) {
		(void)snprintf(text, sizeof(text), "{\"opt\":\"%s\"}", opts[i]);
		say(&p, text);
	}
	assert_return_code(shutdown(p.fd, SHUT_WR), errno); /* every answer still comes */
	for (size_t i = 0; i < ARRAY_SIZE(opts); i++) {
		auto_json json_t *answer = hear(&p);

		assert_string_equal(text_of(answer, "status"), "ok");
		assert_int_equal(json_object_get(answer, "pid") != NULL, i == 1);
		assert_int_equal(json_object_get(answer, "sessions") != NULL, i > 0);
	}
	assert_end(&p);
	peer_close(&p);
}

/* A frame begun has a time limit, a quiet peer has none. */
static void
test_half_frame(void **state)
{
	struct peer quiet = peer_connect(), half;
	struct control_peer *served;
	int enabled;

	(void)state;
	served = control()->peers[0];
	assert_true(sd_event_source_get_enabled(served->timer, &enabled) == 0);
	half = peer_connect();
	say_bytes(&half, "\x20\x00\x00\x00{\"opt", 9);
	served = control()->peers[1];
	assert_true(sd_event_source_get_enabled(served->timer, &enabled) > 0);
	assert_true(served->frame_usec > clock_usec() &&
		    served->frame_usec < clock_usec() + 11 * USEC_PER_SEC);
	assert_served();
	assert_return_code(sd_event_source_set_time(served->timer, clock_usec()), 0);
	assert_true(sd_event_run(fake.sup.event, USEC_PER_SEC) > 0);
	assert_end(&half);
	json_decref(ask(&quiet, "{\"opt\":\"version\"}"));
	peer_close(&half);
	peer_close(&quiet);
}

static void
test_frame_byte_by_byte(void **state)
{
	static const char frame[] = "\x11\x00\x00\x00{\"opt\":\"version\"}";
	struct peer p = peer_connect();
	auto_json json_t *answer = NULL;

	(void)state;
	for (size_t i = 0; i + 1 < sizeof(frame); i++)
		say_bytes(&p, frame + i, 1);
	answer = hear(&p);
	assert_string_equal(text_of(answer, "version"), PACKAGE_VERSION);
	peer_close(&p);
}

/* Fills the socket with requests and reads nothing. */
static void
test_flood_without_reading(void **state)
{
	static const char frame[] = "\x11\x00\x00\x00{\"opt\":\"metrics\"}";
	struct peer p = peer_connect();
	struct control_peer *served = control()->peers[0];
	size_t most = 0;

	(void)state;
	for (int i = 0;
	     i < 20000 && send(p.fd, frame, sizeof(frame) - 1, MSG_NOSIGNAL | MSG_DONTWAIT) > 0;
	     i++) {
		if (i % 16 == 0)
			settle();
		most = buf_len(&served->out) > most ? buf_len(&served->out) : most;
	}
	settle();
	assert_true(most >= CONTROL_UNREAD_MAX);
	assert_true(most < CONTROL_UNREAD_MAX + FRAME_PREFIX + FRAME_HEADER_MAX);
	assert_true(served->answer_usec > clock_usec());
	assert_served();
	while (buf_len(&p.in) < 1 << 20 && take(&p)) /* who reads again is served again */
		;
	assert_true(buf_len(&p.in) >= 1 << 20);
	peer_close(&p);
	assert_int_equal(peers_served(), 0);
}

/* An answer that nobody takes ends the peer. */
static void
test_answer_not_taken(void **state)
{
	struct peer p = peer_connect();
	struct control_peer *served = control()->peers[0];
	int enabled;

	(void)state;
	for (uint32_t i = 0; i < SLOTS; i++)
		(void)fake_session(i, "192.0.2.7");
	say(&p, "{\"opt\":\"list-sessions\"}");
	assert_true(sd_event_source_get_enabled(served->timer, &enabled) > 0);
	assert_return_code(sd_event_source_set_time(served->timer, clock_usec()), 0);
	assert_true(sd_event_run(fake.sup.event, USEC_PER_SEC) > 0);
	settle();
	assert_int_equal(peers_served(), 0);
	peer_close(&p);
}

/* ---- lists ---- */

static void
test_list_is_made_as_it_is_read(void **state)
{
	struct peer p = peer_connect();
	struct control_peer *served = control()->peers[0];
	bool more = true;
	size_t rows = 0;

	(void)state;
	for (uint32_t i = 0; i < SLOTS; i++)
		(void)fake_session(i, "2001:db8::7");
	say(&p, "{\"opt\":\"list-sessions\"}");
	assert_true(fake.refreshed < SLOTS); /* the rest is not made yet */
	assert_true(buf_len(&served->out) < 2 * CONTROL_UNREAD_MAX);
	while (more) {
		auto_json json_t *answer = hear(&p);

		assert_string_equal(text_of(answer, "status"), "ok");
		rows += json_array_size(json_object_get(answer, "sessions"));
		more = json_is_true(json_object_get(answer, "more"));
		assert_true(buf_len(&served->out) < 2 * CONTROL_UNREAD_MAX);
	}
	assert_int_equal(rows, SLOTS);
	assert_int_equal(fake.refreshed, SLOTS);
	assert_int_equal(buf_len(&served->out), 0);
	assert_null(served->out.mem);
	peer_close(&p);
}

static void
test_transfer_row(void **state)
{
	struct session *s = fake_session(7, "192.0.2.7");
	struct peer p = peer_connect();
	auto_json json_t *answer = NULL;
	const json_t *row;

	(void)state;
	fake_transfer(s, "in/b\xc3\xa4r", 3000, 1000, 500);
	answer = ask(&p, "{\"opt\":\"list-transfers\"}");
	row = json_array_get(json_object_get(answer, "transfers"), 0);
	assert_string_equal(text_of(row, "id"), "t9007");
	assert_string_equal(text_of(row, "session"), "s1007");
	assert_string_equal(text_of(row, "path"), "/in/b\xc3\xa4r");
	assert_string_equal(text_of(row, "direction"), "upload");
	assert_string_equal(text_of(row, "state"), "receiving");
	assert_string_equal(text_of(row, "peer"), "192.0.2.7:40000");
	assert_int_equal(number_of(row, "eta_ms"), 4000);
	assert_int_equal(number_of(json_object_get(answer, "totals"), "up_rate"), 500);
	assert_true(json_is_null(json_object_get(row, "tls")));
	peer_close(&p);
}

static void
test_odd_transfers(void **state)
{
	struct session *s = fake_session(7, "192.0.2.7");
	struct peer p = peer_connect();
	auto_json json_t *answer = NULL, *shown = NULL;
	const json_t *row;

	(void)state;
	fake_transfer(s, "\xff", UINT64_MAX, UINT64_MAX - 1, 0);
	s->stalled_usec = 48 * USEC_PER_SEC;
	answer = ask(&p, "{\"opt\":\"list-transfers\"}");
	row = json_array_get(json_object_get(answer, "transfers"), 0);
	assert_true(json_is_null(json_object_get(row, "size")));
	assert_true(json_is_null(json_object_get(row, "eta_ms")));
	assert_string_equal(text_of(row, "path_hex"), "2fff");
	assert_string_equal(text_of(row, "state"), "stalled");
	assert_int_equal(number_of(row, "stalled_ms"), 48000);
	s->seen.state = 77; /* as a broken session may say */
	memset(s->seen.path, 1, sizeof(s->seen.path));
	s->seen.path_len = BOARD_PATH_MAX;
	shown = ask(&p, "{\"opt\":\"show\",\"id\":\"t9007\"}");
	assert_string_equal(text_of(json_object_get(shown, "session"), "id"), "s1007");
	assert_int_equal(strlen(text_of(json_object_get(shown, "transfer"), "path")),
			 BOARD_PATH_MAX);
	peer_close(&p);
}

/* The longest rows there can be still fit their frames. */
static void
test_longest_rows(void **state)
{
	struct peer p = peer_connect();
	bool more = true;
	size_t rows = 0;

	(void)state;
	for (uint32_t i = 0; i < 20; i++) {
		struct session *s = fake_session(i, "2001:db8:1111:2222:3333:4444:5555:6666");

		fake_transfer(s, "x", INT64_MAX, INT64_MAX, 1);
		memset(s->seen.path, 1, sizeof(s->seen.path));
		s->seen.path_len = BOARD_PATH_MAX;
		memset(s->seen.opt, 1, sizeof(s->seen.opt) - 1);
		s->seen.bytes_in = s->seen.bytes_out = s->seen.uploads = INT64_MAX;
	}
	say(&p, "{\"opt\":\"list-transfers\"}");
	while (more) {
		auto_json json_t *answer = hear(&p);

		assert_string_equal(text_of(answer, "status"), "ok");
		rows += json_array_size(json_object_get(answer, "transfers"));
		more = json_is_true(json_object_get(answer, "more"));
	}
	assert_int_equal(rows, 20);
	peer_close(&p);
}

/* ---- status, metrics, configuration ---- */

static void
test_status(void **state)
{
	static const char *const keys[] = {
		"version",
		"pid",
		"started",
		"uptime_s",
		"state",
		"generation",
		"listen",
		"sessions",
		"sessions_max",
		"sessions_total",
		"refused_total",
		"transfers",
		"uploads_total",
		"downloads_total",
		"failed_total",
		"bytes_in_total",
		"bytes_out_total",
		"bytes_in_rate",
		"bytes_out_rate",
		"tls",
		"disk",
		"warnings",
	};
	struct peer p = peer_connect();
	auto_json json_t *answer = NULL;

	(void)state;
	fake.sup.retired.uploads = 12;
	fake_transfer(fake_session(1, "::1"), "a", 1, 0, 0);
	answer = ask(&p, "{\"opt\":\"status\"}");
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (json_object_get(answer, keys[i]) == NULL)
			fail_msg("status lacks %s", keys[i]);
	assert_string_equal(text_of(answer, "state"), "ready");
	assert_int_equal(number_of(answer, "uploads_total"), 12);
	assert_int_equal(number_of(answer, "transfers"), 1);
	assert_int_equal(json_array_size(json_object_get(answer, "warnings")), 0);
	assert_int_equal(number_of(json_array_get(json_object_get(answer, "disk"), 0), "total"),
			 2 << 20);
	peer_close(&p);
}

/* It is waited for, but nobody else waits; of a word about something else nothing is taken. */
static void
test_status_of_a_silent_disk(void **state)
{
	struct packet_kept other = { .type = KEPT_UPLOAD, .held = 5 };
	struct peer p = peer_connect();
	auto_json json_t *answer = NULL;
	const json_t *row;

	(void)state;
	disk.type = 0;
	say(&p, "{\"opt\":\"status\"}");
	assert_quiet(&p);
	assert_served();
	other.serial = fake.asked.serial;
	questions_take(&fake.sup, &other);
	assert_quiet(&p);
	disk = (struct packet_kept){ .type = KEPT_DISK, .error = -EIO };
	answer = hear(&p);
	row = json_array_get(json_object_get(answer, "disk"), 0);
	assert_true(json_is_null(json_object_get(row, "total")));
	assert_int_equal(json_array_size(json_object_get(answer, "warnings")), 1);
	peer_close(&p);
}

static void
test_status_warns(void **state)
{
	struct peer p = peer_connect();
	auto_json json_t *answer = NULL;

	(void)state;
	fake.sup.config->free_space = INT64_MAX;
	fake.sup.config->sessions = 10;
	for (uint32_t i = 0; i < 9; i++)
		(void)fake_session(i, "::1");
	fake.reload_failure = "no luck";
	fake.certificate_problem = "key.pem is not the key of certificate.pem";
	fake.certificate = (struct house_certificate){ .known = true };
	fake.days_left = 13;
	fake.sup.draining = true;
	answer = ask(&p, "{\"opt\":\"status\"}");
	assert_string_equal(text_of(answer, "state"), "draining");
	assert_int_equal(json_array_size(json_object_get(answer, "warnings")), 6);
	peer_close(&p);
}

static void
test_status_tells_the_certificate(void **state)
{
	struct peer p = peer_connect();
	auto_json json_t *answer = NULL;
	const json_t *tls;

	(void)state;
	fake.certificate = (struct house_certificate){ .known = true,
						       .fingerprint = { 0xab },
						       .not_after = 1000000000,
						       .subject = "CN = \xc3\xa4" };
	fake.days_left = 14;
	answer = ask(&p, "{\"opt\":\"status\"}");
	tls = json_object_get(answer, "tls");
	assert_string_equal(text_of(tls, "subject"), "CN = \xc3\xa4");
	assert_string_equal(text_of(tls, "not_after"), "2001-09-09T01:46:40.000Z");
	assert_int_equal(number_of(tls, "days_left"), 14);
	assert_string_equal(
	    text_of(tls, "fingerprint"),
	    "sha256:ab00000000000000000000000000000000000000000000000000000000000000");
	assert_int_equal(json_array_size(json_object_get(answer, "warnings")), 0);
	peer_close(&p);
}

static void
test_lists_tell_the_version_of_tls(void **state)
{
	struct peer p = peer_connect();
	auto_json json_t *answer = NULL;

	(void)state;
	fake_session(1, "::1")->tls = CONFIG_TLS_1_3;
	answer = ask(&p, "{\"opt\":\"list-sessions\"}");
	assert_string_equal(text_of(json_array_get(json_object_get(answer, "sessions"), 0), "tls"),
			    "1.3");
	peer_close(&p);
}

static void
test_metrics(void **state)
{
	struct peer p = peer_connect();
	auto_json json_t *answer = NULL;
	const char *text;

	(void)state;
	(void)fake_session(1, "192.0.2.1");
	(void)fake_session(2, "192.0.2.2");
	(void)fake_session(3, "192.0.2.1");
	fake.sup.config->total_rate = 4096;
	fake.sup.durations_ms.bucket[0] = 3;
	fake.sup.durations_ms.bucket[HISTOGRAM_BUCKETS - 1] = 2;
	fake.sup.durations_ms.count = 5;
	fake.sup.durations_ms.sum = 1234567;
	(void)snprintf(fake.sup.config->shares[0].root, PATH_MAX, "%s", "/.\"\\\n/..");
	answer = ask(&p, "{\"opt\":\"metrics\"}");
	text = text_of(answer, "text");
	assert_string_equal(text + strlen(text) - 6, "# EOF\n");
	assert_non_null(strstr(text, "\nftd_sessions 3\n"));
	assert_non_null(strstr(text, "\nftd_limit_used{limit=\"sessions_per_address\"} 2\n"));
	assert_non_null(strstr(text, "\nftd_transfer_duration_seconds_bucket{le=\"+Inf\"} 5\n"));
	assert_non_null(strstr(text, "\nftd_transfer_duration_seconds_sum 1234.567\n"));
	assert_non_null(
	    strstr(text, "\nftd_limit_rate_bytes_per_second{limit=\"total_rate\"} 4096\n"));
	assert_non_null(
	    strstr(text, "\nftd_limit_time_seconds{limit=\"shutdown_grace\"} 30.000\n"));
	assert_null(strstr(text, "\n/.."));
	peer_close(&p);
}

static void
test_config_check_of_a_text(void **state)
{
	struct peer p = peer_connect();
	auto_json json_t *good = NULL, *bad = NULL;
	const json_t *problem;

	(void)state;
	good = ask(&p, "{\"opt\":\"config-check\",\"text\":\"run_as = \\\"ftd\\\";\"}");
	assert_true(json_is_true(json_object_get(good, "valid")));
	bad = ask(&p, "{\"opt\":\"config-check\",\"text\":\"\\nlimit = 5;\",\"file\":\"x.conf\"}");
	assert_true(json_is_false(json_object_get(bad, "valid")));
	assert_string_equal(text_of(bad, "file"), "x.conf");
	problem = json_array_get(json_object_get(bad, "problems"), 0);
	assert_int_equal(number_of(problem, "line"), 2);
	assert_refused(&p, "{\"opt\":\"config-check\",\"file\":\"/etc/shadow\"}", "bad_request",
		       "text is missing");
	peer_close(&p);
}

/* Rows come in as many frames as they need; one that no frame can hold is said so. */
static void
test_config_show(void **state)
{
	struct peer p = peer_connect();
	struct config *c = fake.sup.config;
	bool more = true;
	size_t rows = 0;

	(void)state;
	c->n_shares = 8;
	for (unsigned i = 0; i < c->n_shares; i++)
		memset(c->shares[i].root, 'x', PATH_MAX - 1);
	say(&p, "{\"opt\":\"config-show\"}");
	while (more) {
		auto_json json_t *answer = hear(&p);

		assert_string_equal(text_of(answer, "status"), "ok");
		rows += json_array_size(json_object_get(answer, "options"));
		more = json_is_true(json_object_get(answer, "more"));
	}
	assert_true(rows > 20);
	c->n_shares = CONFIG_SHARES_MAX;
	for (unsigned i = 0; i < c->n_shares; i++)
		memset(c->shares[i].root, 'x', PATH_MAX - 1);
	assert_refused(&p, "{\"opt\":\"config-show\",\"key\":\"shares\"}", "internal", "frame");
	json_decref(ask(&p, "{\"opt\":\"config-show\",\"key\":\"run_as\"}"));
	peer_close(&p);
}

/* ---- acts and waits ---- */

static void
test_kick_waits(void **state)
{
	struct peer p = peer_connect();
	auto_json json_t *answer = NULL;

	(void)state;
	(void)fake_session(1, "192.0.2.7");
	(void)fake_session(2, "192.0.2.8");
	(void)fake_session(3, "198.51.100.1");
	say(&p, "{\"opt\":\"kick\",\"from\":\"192.0.2.0/24\",\"reason\":\"work\"}");
	assert_quiet(&p);
	assert_int_equal(fake.sup.slots[1]->quit, BOARD_QUIT_KICKED);
	assert_int_equal(fake.sup.slots[3]->quit, BOARD_STAY);
	fake_session_gone(1);
	control_changed(&fake.sup);
	assert_quiet(&p);
	fake_session_gone(2);
	fake_session(2, "192.0.2.9")->number = 5000; /* another one has the slot */
	control_changed(&fake.sup);
	answer = hear(&p);
	assert_int_equal(number_of(answer, "kicked"), 2);
	assert_int_equal(number_of(answer, "pending"), 0);
	assert_int_equal(json_array_size(json_object_get(answer, "sessions")), 2);
	peer_close(&p);
}

static void
test_kick_a_user(void **state)
{
	struct peer p = peer_connect();
	struct session *alice = fake_session(1, "192.0.2.7"), *bob = fake_session(2, "2001:db8::5");

	(void)state;
	(void)snprintf(alice->user, sizeof(alice->user), "alice");
	(void)snprintf(bob->user, sizeof(bob->user), "bob");
	(void)fake_session(3, "192.0.2.9");
	assert_refused(&p, "{\"opt\":\"kick\",\"user\":\"carol\"}", "not_found", "carol");
	assert_refused(&p, "{\"opt\":\"kick\",\"user\":\"bob\",\"ban\":\"soon\"}", "bad_request",
		       "soon");
	auto_json json_t *kicked =
	    ask(&p, "{\"opt\":\"kick\",\"user\":\"bob\",\"ban\":\"10m\",\"no_wait\":true}");

	assert_int_equal(number_of(kicked, "kicked"), 1);
	assert_int_equal(alice->quit, BOARD_STAY);
	assert_int_equal(bob->quit, BOARD_QUIT_KICKED);
	assert_int_equal(fake.sup.bans.n, 1);
	assert_int_equal(fake.sup.bans.list[0].net.bits, 64); /* what counts as one source */
	/* the network that was named, also where nobody is */
	auto_json json_t *nobody =
	    ask(&p, "{\"opt\":\"kick\",\"from\":\"10.0.0.0/8\",\"ban\":\"10m\"}");

	assert_int_equal(number_of(nobody, "kicked"), 0);
	assert_int_equal(fake.sup.bans.n, 2);
	peer_close(&p);
}

static void
test_penalties(void **state)
{
	struct peer p = peer_connect();
	socklen_t len;
	union addr a;

	(void)state;
	fake.sup.config->penalty = 600 * USEC_PER_SEC;
	assert_int_equal(addr_parse("2001:db8::5", 1, &a, &len), 0);
	assert_true(penalties_charge(&fake.sup.penalties, &a, PENALTY_CRASH,
				     fake.sup.config->penalty, clock_usec()));
	assert_int_equal(addr_parse("192.0.2.5", 1, &a, &len), 0);
	assert_false(penalties_charge(&fake.sup.penalties, &a, PENALTY_LOGIN,
				      fake.sup.config->penalty, clock_usec()));
	auto_json json_t *banned = ask(&p, "{\"opt\":\"ban\",\"address\":\"192.0.2.0/24\"}");
	auto_json json_t *list = ask(&p, "{\"opt\":\"list-bans\"}");
	const json_t *rows = json_object_get(list, "bans");

	assert_string_equal(text_of(banned, "status"), "ok");
	assert_int_equal(json_array_size(rows), 2); /* who is still served is not there */
	assert_string_equal(text_of(json_array_get(rows, 0), "kind"), "ban");
	assert_string_equal(text_of(json_array_get(rows, 1), "kind"), "penalty");
	assert_string_equal(text_of(json_array_get(rows, 1), "address"), "2001:db8::/64");
	assert_in_range(number_of(json_array_get(rows, 1), "left_ms"), 70000, 75000);
	auto_json json_t *lifted = ask(&p, "{\"opt\":\"unban\",\"address\":\"2001:db8::5\"}");

	assert_string_equal(text_of(lifted, "status"), "ok");
	assert_refused(&p, "{\"opt\":\"unban\",\"address\":\"2001:db8::5\"}", "not_found",
		       "2001:db8::5");
	peer_close(&p);
}

static void
test_traffic(void **state)
{
	struct peer p = peer_connect();
	struct session *s = fake_session(1, "192.0.2.7");

	(void)state;
	fake_transfer(s, "a", 100, 10, 1);
	auto_json json_t *limit = ask(&p, "{\"opt\":\"limit\",\"id\":\"t9001\",\"rate\":\"2K\"}");

	assert_int_equal(number_of(limit, "rate"), 2048);
	assert_true(s->rate_limit == 2048);
	say(&p, "{\"opt\":\"pause\",\"id\":\"t9001\"}");
	assert_quiet(&p); /* it still moves */
	assert_true(s->pause == 1);
	s->seen.state = BOARD_PAUSED;
	control_changed(&fake.sup);
	auto_json json_t *paused = hear(&p);

	assert_string_equal(text_of(paused, "transfer"), "t9001");
	say(&p, "{\"opt\":\"resume\",\"id\":\"s1001\"}");
	assert_quiet(&p);
	assert_true(s->pause == 0);
	s->seen.state = BOARD_RECEIVING;
	control_changed(&fake.sup);
	auto_json json_t *resumed = hear(&p);

	assert_string_equal(text_of(resumed, "session"), "s1001");
	say(&p, "{\"opt\":\"cancel\",\"id\":\"t9001\"}");
	assert_quiet(&p);
	assert_int_equal(fake.cancelled, 1001);
	assert_int_equal(fake.cancelled_ordinal, 1);
	s->seen.transfer = 0;
	control_changed(&fake.sup);
	auto_json json_t *cancelled = hear(&p);

	assert_false(json_is_true(json_object_get(cancelled, "pending")));
	assert_refused(&p, "{\"opt\":\"cancel\",\"id\":\"s1001\"}", "bad_request", "s1001");
	assert_refused(&p, "{\"opt\":\"cancel\",\"id\":\"t9001\"}", "not_found", "t9001");
	assert_refused(&p, "{\"opt\":\"limit\",\"id\":\"s1001\",\"rate\":\"1\"}", "bad_request",
		       "at least 1K");
	assert_refused(&p, "{\"opt\":\"pause\",\"id\":\"s1\"}", "not_found", "s1");
	assert_refused(&p, "{\"opt\":\"limit\",\"rate\":\"2K\"}", "bad_request", "id and user");
	assert_refused(&p, "{\"opt\":\"limit\",\"id\":\"s1001\",\"user\":\"a\",\"rate\":\"2K\"}",
		       "bad_request", "id and user");
	assert_refused(&p, "{\"opt\":\"limit\",\"user\":\"alice\",\"rate\":\"2K\"}", "not_found",
		       "alice");
	auto_json json_t *lifted =
	    ask(&p, "{\"opt\":\"limit\",\"user\":\"alice\",\"rate\":\"none\"}");

	assert_string_equal(text_of(lifted, "user"), "alice");
	assert_string_equal(fake.limited_user, "alice");
	assert_true(fake.user_rate == UINT64_MAX);
	peer_close(&p);
}

static void
test_kick_refusals(void **state)
{
	struct peer p = peer_connect();
	auto_json json_t *answer = NULL;

	(void)state;
	(void)fake_session(1, "192.0.2.7");
	assert_refused(&p, "{\"opt\":\"kick\"}", "bad_request", "id, from and user");
	assert_refused(&p, "{\"opt\":\"kick\",\"id\":\"s1\",\"from\":\"::/0\"}", "bad_request",
		       "id, from and user");
	assert_refused(&p, "{\"opt\":\"kick\",\"from\":\"10.0.0.1/8\"}", "bad_request",
		       "10.0.0.0/8");
	assert_refused(&p, "{\"opt\":\"kick\",\"from\":\"ten\"}", "bad_request", "ten");
	assert_refused(&p, "{\"opt\":\"kick\",\"from\":\"10.0.0.0/8\"}", "not_found", "10.0.0.0/8");
	assert_refused(&p, "{\"opt\":\"kick\",\"id\":\"t9001\"}", "not_found", "t9001");
	answer = ask(&p, "{\"opt\":\"kick\",\"id\":\"s1001\",\"no_wait\":true}");
	assert_int_equal(number_of(answer, "pending"), 1);
	peer_close(&p);
}

static void
test_reload_is_decided(void **state)
{
	struct peer p = peer_connect();
	auto_json json_t *answer = NULL;

	(void)state;
	say(&p, "{\"opt\":\"reload\"}");
	assert_quiet(&p);
	fake.sup.reload = NULL;
	fake.sup.generation = 2;
	control_changed(&fake.sup);
	answer = hear(&p);
	assert_int_equal(number_of(answer, "generation"), 2);
	say(&p, "{\"opt\":\"reload\"}");
	fake.sup.reload = NULL;
	fake.reload_failure = "the houses did not start";
	control_changed(&fake.sup);
	json_decref(answer);
	answer = hear(&p);
	assert_string_equal(text_of(answer, "status"), "error");
	assert_non_null(strstr(text_of(answer, "message"), "the houses did not start"));
	peer_close(&p);
}

static void
test_reload_problems(void **state)
{
	struct peer p = peer_connect();
	auto_json json_t *answer = NULL, *dry = NULL;
	const json_t *problem;

	(void)state;
	fake.reload_answer = -EINVAL;
	fake.reload_problem = "no such key";
	answer = ask(&p, "{\"opt\":\"reload\"}");
	assert_string_equal(text_of(answer, "code"), "bad_request");
	assert_non_null(strstr(text_of(answer, "message"), "/etc/ftd.conf:12: no such key"));
	problem = json_array_get(json_object_get(answer, "problems"), 0);
	assert_int_equal(number_of(problem, "line"), 12);
	fake.reload_answer = -EBUSY;
	fake.reload_problem = NULL;
	assert_refused(&p, "{\"opt\":\"reload\"}", "busy", "starting, reloading");
	fake.reload_answer = 0;
	dry = ask(&p, "{\"opt\":\"reload\",\"dry_run\":true}");
	assert_true(json_is_true(json_object_get(dry, "dry_run")));
	assert_int_equal(json_array_size(json_object_get(dry, "changes")), 1);
	assert_null(fake.sup.reload);
	peer_close(&p);
}

static void
test_waits(void **state)
{
	struct peer p = peer_connect();
	auto_json json_t *answer = NULL;

	(void)state;
	fake_transfer(fake_session(4, "::1"), "a", 1, 0, 0);
	say(&p, "{\"opt\":\"wait\",\"state\":\"idle\"}");
	assert_quiet(&p);
	say(&p, "{\"opt\":\"wait\",\"state\":\"drained\"}"); /* waits in the socket */
	fake.sup.slots[4]->seen.transfer = 0;
	control_changed(&fake.sup);
	answer = hear(&p);
	assert_true(json_is_true(json_object_get(answer, "reached")));
	assert_quiet(&p);
	fake_session_gone(4);
	control_changed(&fake.sup);
	json_decref(answer);
	answer = hear(&p);
	assert_true(json_is_true(json_object_get(answer, "reached")));
	json_decref(answer);
	answer = ask(&p, "{\"opt\":\"wait\",\"state\":\"ready\",\"no_wait\":true}");
	assert_true(json_is_false(json_object_get(answer, "reached")));
	peer_close(&p);
}

static void
test_who_leaves_while_waiting_is_forgotten(void **state)
{
	struct peer p = peer_connect();

	(void)state;
	(void)fake_session(1, "::1");
	say(&p, "{\"opt\":\"wait\",\"state\":\"drained\"}");
	assert_int_equal(peers_served(), 1);
	peer_close(&p);
	assert_int_equal(peers_served(), 0);
}

static void
test_shutdown_is_answered_at_the_end(void **state)
{
	struct peer p = peer_connect(), list = peer_connect();
	auto_json json_t *answer = NULL;

	(void)state;
	for (uint32_t i = 0; i < SLOTS; i++)
		(void)fake_session(i, "::1");
	say(&list,
	    "{\"opt\":\"list-sessions\"}"); /* stays unfinished: nothing is made of what is gone */
	say(&p, "{\"opt\":\"shutdown\",\"grace\":\"5m\"}");
	assert_quiet(&p);
	assert_int_equal(fake.shutdowns, 1);
	assert_int_equal(fake.grace_usec, 300 * USEC_PER_SEC);
	free(take_ptr(fake.sup.slots[0]));
	fake.refreshed = 0;
	control_stop(&fake.sup);
	assert_int_equal(fake.refreshed, 0);
	answer = hear(&p);
	assert_string_equal(text_of(answer, "state"), "ended");
	assert_end(&p);
	peer_close(&p);
	peer_close(&list);
}

static void
test_shutdown_without_waiting(void **state)
{
	struct peer p = peer_connect();
	auto_json json_t *answer = ask(&p, "{\"opt\":\"shutdown\",\"no_wait\":true}");

	(void)state;
	assert_string_equal(text_of(answer, "state"), "draining");
	assert_int_equal(fake.grace_usec, 30 * USEC_PER_SEC);
	peer_close(&p);
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_roles),
		T(test_role_is_needed),
		T(test_eight_a_user),
		T(test_places_for_root),
		T(test_refusals),
		T(test_bad_length_ends),
		T(test_requests_sent_ahead),
		T(test_half_frame),
		T(test_frame_byte_by_byte),
		T(test_flood_without_reading),
		T(test_answer_not_taken),
		T(test_list_is_made_as_it_is_read),
		T(test_transfer_row),
		T(test_odd_transfers),
		T(test_longest_rows),
		T(test_status),
		T(test_status_of_a_silent_disk),
		T(test_status_warns),
		T(test_status_tells_the_certificate),
		T(test_lists_tell_the_version_of_tls),
		T(test_metrics),
		T(test_config_check_of_a_text),
		T(test_config_show),
		T(test_kick_waits),
		T(test_kick_a_user),
		T(test_penalties),
		T(test_traffic),
		T(test_kick_refusals),
		T(test_reload_is_decided),
		T(test_reload_problems),
		T(test_waits),
		T(test_who_leaves_while_waiting_is_forgotten),
		T(test_shutdown_is_answered_at_the_end),
		T(test_shutdown_without_waiting),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
