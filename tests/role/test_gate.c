/* A gate against a fake supervisor: what it takes, what it leaves, what it asks, in every order. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <jansson.h>

#include "daemon/common/role.h"
#include "daemon/common/sandbox.h"
#include "daemon/gate/gate.h"
#include "lib/clock.h"
#include "lib/frame.h"
#include "lib/io.h"
#include "lib/message.h"
#include "lib/own.h"
#include "tests/unit/unit.h"

enum { PATIENCE_MS = 5000, LOGIN_MS = 1500 };

struct peer {
	pid_t pid;
	int client;     /* the stranger's end */
	int connection; /* the supervisor's own copy */
	int privilege;
};

static struct config config = { .size = sizeof(struct config),
				.plaintext = CONFIG_ANYWHERE,
				.sessions = 10,
				.sessions_per_address = 5 };
static struct board_public public = { .version = "test" };

static void
tcp_pair(int *ret_client, int *ret_server)
{
	union addr a = { .in = { .sin_family = AF_INET,
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) } };
	auto_close int l = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(a.in);

	assert_int_equal(bind(l, &a.sa, len), 0);
	assert_int_equal(listen(l, 1), 0);
	assert_int_equal(getsockname(l, &a.sa, &len), 0);
	*ret_client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(*ret_client, &a.sa, len), 0);
	*ret_server = accept4(l, NULL, NULL, SOCK_CLOEXEC);
	assert_true(*ret_server >= 0);
}

static void
gate_start_with(struct peer *p, uint32_t flags, const char *peer)
{
	const struct gate_world world = { .config = &config, .public = &public };
	int fds[BIRTH_FDS] = { -1, -1, -1 };
	struct packet_birth birth = { .connection = 412,
				      .flags = flags,
				      .deadline_usec = clock_usec() + LOGIN_MS * USEC_PER_MSEC };
	socklen_t len;
	int pair[2];

	assert_int_equal(addr_parse(peer, 40000, &birth.peer, &len), 0);
	tcp_pair(&p->client, &p->connection);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	p->privilege = pair[0];
	p->pid = fork();
	assert_true(p->pid >= 0);
	if (p->pid == 0) {
		(void)close(p->client);
		(void)close(p->privilege);
		if (sandbox_landlock(NULL, 0) < 0 || sandbox_enter(SANDBOX_GATEHOUSE) < 0 ||
		    sandbox_enter(SANDBOX_GATE) < 0)
			_exit(99);
		fds[BIRTH_CONNECTION] = p->connection;
		fds[BIRTH_PRIVILEGE] = pair[1];
		_exit(gate_run(&world, &birth, fds));
	}
	(void)close(pair[1]);
}

static void
gate_start(struct peer *p)
{
	gate_start_with(p, BIRTH_LOOPBACK, "127.0.0.1");
}

static int
gate_end(struct peer *p)
{
	uint64_t deadline = clock_usec() + PATIENCE_MS * USEC_PER_MSEC;
	int status = -1;

	close_fd(&p->client);
	close_fd(&p->privilege);
	close_fd(&p->connection);
	while (waitpid(p->pid, &status, WNOHANG) == 0) {
		if (clock_usec() > deadline) {
			(void)kill(p->pid, SIGKILL);
			(void)waitpid(p->pid, &status, 0);
			break;
		}
		(void)usleep(2000);
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void
send_bytes(const struct peer *p, const void *bytes, size_t n)
{
	assert_int_equal(io_write_full(p->client, bytes, n), 0);
}

static void
send_frame(const struct peer *p, const char *json)
{
	uint8_t prefix[FRAME_PREFIX];

	frame_prefix(prefix, strlen(json));
	send_bytes(p, prefix, sizeof(prefix));
	send_bytes(p, json, strlen(json));
}

static json_t *
get_frame(const struct peer *p)
{
	struct pollfd pfd = { .fd = p->client, .events = POLLIN };
	uint8_t prefix[FRAME_PREFIX];
	char header[FRAME_HEADER_MAX];
	json_t *o;
	int len;

	assert_int_equal(poll(&pfd, 1, PATIENCE_MS), 1);
	assert_int_equal(io_read_full(p->client, prefix, sizeof(prefix)), sizeof(prefix));
	len = frame_length(prefix);
	assert_true(len > 0);
	assert_int_equal(io_read_full(p->client, header, (size_t)len), len);
	assert_int_equal(message_parse(header, (size_t)len, &o), 0);
	return o;
}

static void
expect_refusal(struct peer *p, const char *code)
{
	auto_json json_t *o = get_frame(p);

	assert_string_equal(json_string_value(json_object_get(o, "code")), code);
	assert_true(json_is_true(json_object_get(o, "close")));
}

/* What the gate asks the supervisor; -1 when it asks nothing and ends. */
static int
asked(const struct peer *p, struct packet_gate *ret)
{
	struct pollfd pfd = { .fd = p->privilege, .events = POLLIN };
	ssize_t n;

	assert_int_equal(poll(&pfd, 1, PATIENCE_MS), 1);
	n = io_recv_packet(p->privilege, ret, sizeof(*ret), NULL, 0, NULL, 0);
	return n == (ssize_t)sizeof(*ret) ? 0 : -1;
}

static void
say_verdict(const struct peer *p, const char *code)
{
	struct packet_verdict v = { .retry_after_ms = 1500, .limit = 5, .current = UINT64_MAX };

	memcpy(v.code, code, strlen(code));
	memcpy(v.message, "because", 7);
	assert_int_equal(io_send_packet(p->privilege, &v, sizeof(v), NULL, 0, 0), 0);
}

/* After a yes everything that was not answered lies in the socket still, to the byte. */
static void
expect_left_over(struct peer *p, const void *bytes, size_t n)
{
	struct pollfd pfd = { .fd = p->connection, .events = POLLIN };
	char got[1024];

	assert_true(n <= sizeof(got));
	assert_int_equal(poll(&pfd, 1, PATIENCE_MS), 1);
	assert_int_equal(recv(p->connection, got, sizeof(got), MSG_DONTWAIT), n);
	assert_memory_equal(got, bytes, n);
}

static void
a_request_is_left_for_the_session(void **state)
{
	static const char sent[] = "\x0e\0\0\0{\"opt\":\"list\"}and a body";
	struct packet_gate q;
	struct peer p;

	(void)state;
	gate_start(&p);
	send_bytes(&p, sent, sizeof(sent) - 1);
	assert_int_equal(asked(&p, &q), 0);
	assert_int_equal(q.type, GATE_ANONYMOUS);
	assert_int_equal(q.said_hello, 0);
	say_verdict(&p, "");
	(void)usleep(50000); /* it must not read any more */
	expect_left_over(&p, sent, sizeof(sent) - 1);
	assert_int_equal(gate_end(&p), 0);
}

static void
hello_and_ping_are_answered_and_taken(void **state)
{
	static const char rest[] = "\x0e\0\0\0{\"opt\":\"list\"}";
	struct packet_gate q;
	struct peer p;
	json_t *o;

	(void)state;
	gate_start(&p);
	send_frame(&p, "{\"opt\":\"hello\",\"id\":\"a\",\"body\":3}");
	send_bytes(&p, "xyz", 3);
	send_frame(&p, "{\"opt\":\"ping\",\"id\":9}");
	send_bytes(&p, rest, sizeof(rest) - 1);
	o = get_frame(&p);
	assert_string_equal(json_string_value(json_object_get(o, "id")), "a");
	assert_string_equal(json_string_value(json_object_get(o, "session")), "s412");
	json_decref(o);
	o = get_frame(&p);
	assert_int_equal(json_integer_value(json_object_get(o, "id")), 9);
	json_decref(o);
	assert_int_equal(asked(&p, &q), 0);
	assert_int_equal(q.said_hello, 1);
	say_verdict(&p, "");
	(void)usleep(50000);
	expect_left_over(&p, rest, sizeof(rest) - 1);
	assert_int_equal(gate_end(&p), 0);
}

static void
many_pings_ahead_are_the_sessions_work(void **state)
{
	struct packet_gate q;
	struct peer p;
	json_t *o;

	(void)state;
	gate_start(&p);
	for (int i = 0; i < 1000; i++)
		send_frame(&p, "{\"opt\":\"ping\"}");
	for (int i = 0; i < 16; i++) {
		o = get_frame(&p);
		assert_string_equal(json_string_value(json_object_get(o, "status")), "ok");
		json_decref(o);
	}
	assert_int_equal(asked(&p, &q), 0);
	say_verdict(&p, "");
	assert_int_equal(gate_end(&p), 0);
}

static void
a_bare_header_is_left_for_the_session(void **state)
{
	static const char sent[] = "{\"opt\":\"upload\"";
	struct packet_gate q;
	struct peer p;

	(void)state;
	gate_start(&p);
	send_bytes(&p, sent, sizeof(sent) - 1);
	assert_int_equal(asked(&p, &q), 0);
	say_verdict(&p, "");
	(void)usleep(50000);
	expect_left_over(&p, sent, sizeof(sent) - 1);
	assert_int_equal(gate_end(&p), 0);
}

static void
a_no_is_passed_on(void **state)
{
	struct packet_gate q;
	struct peer p;
	json_t *o;

	(void)state;
	gate_start(&p);
	send_frame(&p, "{\"opt\":\"list\",\"id\":7}");
	assert_int_equal(asked(&p, &q), 0);
	say_verdict(&p, "limit_sessions");
	o = get_frame(&p);
	assert_string_equal(json_string_value(json_object_get(o, "code")), "limit_sessions");
	assert_string_equal(json_string_value(json_object_get(o, "message")), "because");
	assert_int_equal(json_integer_value(json_object_get(o, "id")), 7);
	assert_int_equal(json_integer_value(json_object_get(o, "retry_after_ms")), 1500);
	assert_int_equal(json_integer_value(json_object_get(o, "limit")), 5);
	assert_null(json_object_get(o, "current"));
	assert_true(json_is_true(json_object_get(o, "close")));
	json_decref(o);
	assert_int_equal(gate_end(&p), 0);
}

static void
what_is_no_frame_is_refused(void **state)
{
	static const struct {
		const char *bytes;
		size_t n;
		const char *code;
		int class;
	} cases[] = {
		{ "GET / HTTP/1.1\r\n", 16, "bad_frame", ROLE_EXIT_CLIENT },
		{ "\0\0\0\0", 4, "bad_frame", ROLE_EXIT_CLIENT },
		{ "\xff\xff\xff\xff", 4, "bad_frame", ROLE_EXIT_CLIENT },
		{ "\x01\0\x01\0", 4, "bad_frame", ROLE_EXIT_CLIENT },
		{ "\r\n\r\n\0\r\nQUIT\n", 12, "bad_frame", ROLE_EXIT_CLIENT },
		{ "\x02\0\0\0{x", 6, "bad_request", ROLE_EXIT_CLIENT },
		{ "\x03\0\0\0[1]", 7, "bad_request", ROLE_EXIT_CLIENT },
		{ "\x21\0\0\0{\"opt\":\"hello\",\"opt\":\"hello\"   }", 37, "bad_request",
		  ROLE_EXIT_CLIENT },
		{ "\x1f\0\0\0{\"opt\":\"hello\",\"body\":-999999 }", 35, "bad_request",
		  ROLE_EXIT_CLIENT },
		{ "\x1f\0\0\0{\"opt\":\"hello\",\"version\":[77] }", 35, "version", ROLE_EXIT_OK },
	};
	struct peer p;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		gate_start(&p);
		send_bytes(&p, cases[i].bytes, cases[i].n);
		expect_refusal(&p, cases[i].code);
		assert_int_equal(gate_end(&p), cases[i].class);
	}
}

static void
every_truncation_ends_quietly(void **state)
{
	static const char sent[] = "\x0f\0\0\0{\"opt\":\"hello\"}";
	struct packet_gate q;
	struct peer p;

	(void)state;
	for (size_t n = 0; n < sizeof(sent) - 1; n++) {
		gate_start(&p);
		send_bytes(&p, sent, n);
		assert_int_equal(shutdown(p.client, SHUT_WR), 0);
		assert_int_equal(asked(&p, &q), -1);
		assert_int_equal(gate_end(&p), 0);
	}
}

static void
one_byte_at_a_time_is_ended_by_the_deadline(void **state)
{
	static const char sent[] = "\x0e\0\0\0{\"opt\":\"list\"}";
	uint64_t began = clock_usec();
	struct peer p;

	(void)state;
	gate_start(&p);
	for (size_t i = 0; i < 10; i++) {
		send_bytes(&p, sent + i, 1);
		(void)usleep(100000);
	}
	expect_refusal(&p, "timeout");
	assert_true(clock_usec() - began < 2 * LOGIN_MS * USEC_PER_MSEC);
	assert_int_equal(gate_end(&p), ROLE_EXIT_LATE);
}

static void
the_largest_header_fits(void **state)
{
	static char header[FRAME_HEADER_MAX + 1];
	struct packet_gate q;
	struct peer p;

	(void)state;
	memset(header, ' ', FRAME_HEADER_MAX);
	memcpy(header, "{\"opt\":\"list\"}", 14);
	gate_start(&p);
	send_frame(&p, header);
	assert_int_equal(asked(&p, &q), 0);
	say_verdict(&p, "");
	assert_int_equal(gate_end(&p), 0);
}

/* --- behind a trusted proxy */

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define HEADER SIGNATURE "\x21\x11\0\x0c\xc0\0\2\1\xc6\x33\x64\2\x30\x39\x1f\x41"
#define LIST "\x0e\0\0\0{\"opt\":\"list\"}"

/* Whom the gate names, before it asks for anything else; text: ADDR_TEXT_MAX. */
static const char *
named(const struct peer *p, char *text)
{
	struct pollfd pfd = { .fd = p->privilege, .events = POLLIN };
	struct packet_peer q;

	assert_int_equal(poll(&pfd, 1, PATIENCE_MS), 1);
	assert_int_equal(io_recv_packet(p->privilege, &q, sizeof(q), NULL, 0, NULL, 0), sizeof(q));
	assert_int_equal(q.head.type, GATE_PEER);
	return q.peer.sa.sa_family == AF_UNSPEC ? "nobody" : addr_format(&q.peer, text);
}

static void
a_trusted_proxy_names_its_client(void **state)
{
	static const struct {
		const char *bytes;
		size_t n;
		const char *peer;
	} cases[] = {
		{ HEADER LIST, sizeof(HEADER LIST) - 1, "192.0.2.1:12345" },
		{ SIGNATURE "\x20\0\0\0" LIST, sizeof(SIGNATURE "\x20\0\0\0" LIST) - 1, "nobody" },
		{ LIST, sizeof(LIST) - 1, "nobody" }, /* no header at all */
	};
	char text[ADDR_TEXT_MAX];
	struct packet_gate q;
	struct peer p;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		gate_start_with(&p, BIRTH_PROXY, "198.51.100.7");
		send_bytes(&p, cases[i].bytes, cases[i].n);
		assert_string_equal(named(&p, text), cases[i].peer);
		say_verdict(&p, "");
		assert_int_equal(asked(&p, &q), 0);
		assert_int_equal(q.type, GATE_ANONYMOUS);
		say_verdict(&p, "");
		(void)usleep(50000);
		expect_left_over(&p, LIST, sizeof(LIST) - 1); /* and nothing of the header */
		assert_int_equal(gate_end(&p), ROLE_EXIT_OK);
	}
}

/* It comes in single bytes, with more behind the address than is looked at. */
static void
a_header_in_pieces_with_much_behind_it(void **state)
{
	static const char sent[] = SIGNATURE "\x21\x11\x03\xe8\xc0\0\2\1\xc6\x33\x64\2\x30\x39"
					     "\x1f\x41";
	char text[ADDR_TEXT_MAX], rest[1000 - 12] = "";
	struct packet_gate q;
	struct peer p;

	(void)state;
	gate_start_with(&p, BIRTH_PROXY, "198.51.100.7");
	for (size_t i = 0; i < sizeof(sent) - 1; i++) {
		send_bytes(&p, sent + i, 1);
		(void)usleep(2000);
	}
	send_bytes(&p, rest, sizeof(rest));
	assert_string_equal(named(&p, text), "192.0.2.1:12345");
	say_verdict(&p, "");
	send_bytes(&p, LIST, sizeof(LIST) - 1);
	assert_int_equal(asked(&p, &q), 0);
	assert_int_equal(gate_end(&p), ROLE_EXIT_OK);
}

static void
whoever_is_not_wanted_hears_it_before_anything_else(void **state)
{
	char text[ADDR_TEXT_MAX];
	struct peer p;

	(void)state;
	gate_start_with(&p, BIRTH_PROXY, "198.51.100.7");
	send_bytes(&p, HEADER, sizeof(HEADER) - 1);
	(void)named(&p, text);
	say_verdict(&p, "address_refused");
	expect_refusal(&p, "address_refused");
	assert_int_equal(gate_end(&p), ROLE_EXIT_OK);
}

/* What counts for plain text is the client's address, not the proxy's. */
static void
plain_text_is_the_clients_question(void **state)
{
	char text[ADDR_TEXT_MAX];
	struct packet_gate q;
	struct peer p;

	(void)state;
	config.plaintext = CONFIG_LOOPBACK;
	gate_start_with(&p, BIRTH_PROXY, "127.0.0.1");
	send_bytes(&p, HEADER, sizeof(HEADER) - 1);
	send_frame(&p, "{\"opt\":\"hello\"}");
	(void)named(&p, text);
	say_verdict(&p, "");
	assert_int_equal(asked(&p, &q), 0); /* for the supervisor's no */
	say_verdict(&p, "tls_required");
	expect_refusal(&p, "tls_required");
	assert_int_equal(gate_end(&p), ROLE_EXIT_OK);
	config.plaintext = CONFIG_ANYWHERE;
}

static void
headers_that_are_none(void **state)
{
	static const struct {
		const char *bytes;
		size_t n;
	} cases[] = {
		{ "\r\n\r\n\0\r\nQUIX\n\x21\x11\0\x0c", 16 },
		{ SIGNATURE "\x11\x11\0\x0c", 16 },
		{ SIGNATURE "\x21\x11\xff\xff", 16 },
		{ SIGNATURE "\x21\x11\0\1\xc0", 17 },
	};
	char text[ADDR_TEXT_MAX];
	struct peer p;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		gate_start_with(&p, BIRTH_PROXY, "198.51.100.7");
		send_bytes(&p, cases[i].bytes, cases[i].n);
		expect_refusal(&p, "bad_frame");
		assert_int_equal(gate_end(&p), ROLE_EXIT_CLIENT);
	}
	gate_start_with(&p, BIRTH_PROXY, "198.51.100.7"); /* a second one is the client's own */
	send_bytes(&p, HEADER HEADER, sizeof(HEADER HEADER) - 1);
	(void)named(&p, text);
	say_verdict(&p, "");
	expect_refusal(&p, "bad_frame");
	assert_int_equal(gate_end(&p), ROLE_EXIT_CLIENT);
}

static void
half_a_header_ends_by_the_deadline(void **state)
{
	struct peer p;

	(void)state;
	gate_start_with(&p, BIRTH_PROXY, "198.51.100.7");
	send_bytes(&p, HEADER, 20);
	expect_refusal(&p, "timeout");
	assert_int_equal(gate_end(&p), ROLE_EXIT_LATE);
}

static void
without_a_supervisor_it_ends(void **state)
{
	struct peer p;

	(void)state;
	gate_start(&p);
	close_fd(&p.privilege);
	assert_int_equal(gate_end(&p), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_is_left_for_the_session),
		cmocka_unit_test(hello_and_ping_are_answered_and_taken),
		cmocka_unit_test(many_pings_ahead_are_the_sessions_work),
		cmocka_unit_test(a_bare_header_is_left_for_the_session),
		cmocka_unit_test(a_no_is_passed_on),
		cmocka_unit_test(what_is_no_frame_is_refused),
		cmocka_unit_test(every_truncation_ends_quietly),
		cmocka_unit_test(one_byte_at_a_time_is_ended_by_the_deadline),
		cmocka_unit_test(the_largest_header_fits),
		cmocka_unit_test(a_trusted_proxy_names_its_client),
		cmocka_unit_test(a_header_in_pieces_with_much_behind_it),
		cmocka_unit_test(whoever_is_not_wanted_hears_it_before_anything_else),
		cmocka_unit_test(plain_text_is_the_clients_question),
		cmocka_unit_test(headers_that_are_none),
		cmocka_unit_test(half_a_header_ends_by_the_deadline),
		cmocka_unit_test(without_a_supervisor_it_ends),
	};

	/* behind the sandbox, as the daemon runs it */
	if (sandbox_compile(SANDBOX_GATEHOUSE) < 0 || sandbox_compile(SANDBOX_GATE) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
