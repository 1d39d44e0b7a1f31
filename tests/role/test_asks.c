/* What the supervisor takes from a gate: every packet in every wrong size, type and order. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "daemon/common/packet.h"
#include "daemon/supervisor/asks.h"
#include "daemon/supervisor/journal.h"
#include "lib/clock.h"
#include "lib/io.h"
#include "lib/own.h"
#include "tests/unit/unit.h"

static struct supervisor *sup;
static struct connection *c;
static int gate = -1; /* its end of the privilege socket */

static union addr
address(const char *text)
{
	socklen_t len;
	union addr a;

	assert_int_equal(addr_parse(text, 40000, &a, &len), 0);
	return a;
}

/* A gate for the peer; proxy: its source is still to be named. */
static void
begin(const char *peer, bool proxy)
{
	const union addr a = address(peer);
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	gate = pair[0];
	c = calloc(1, sizeof(*c));
	assert_non_null(c);
	*c = (struct connection){ .sup = sup,
				  .stage = STAGE_GATE,
				  .fd = -1,
				  .privilege = pair[1],
				  .stream = -1,
				  .peer = a,
				  .source = proxy ? source_hold_unnamed() : source_hold(&a) };
	c->source->gates = 1;
}

static void
end(void)
{
	source_release(c->source);
	close_fd(&c->privilege);
	close_fd(&gate);
	free(c);
}

static int
set_up(void **state)
{
	struct config_problems problems = { 0 };

	(void)state;
	log_start(CONFIG_LOG_STDERR, CONFIG_LOG_ERROR);
	sup = calloc(1, sizeof(*sup));
	if (sup == NULL || config_parse("access = { deny = ( \"203.0.113.0/24\" ); };", "test",
					&sup->config, &problems) < 0)
		return -1;
	config_problems_done(&problems);
	sup->draining = true; /* nobody is let in, so nothing has to be born */
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	free(sup->config);
	free(sup);
	return 0;
}

/* What the supervisor makes of these bytes. */
static int
take(const void *bytes, size_t n)
{
	assert_int_equal(send(gate, bytes, n, 0), n);
	return asks_take(c);
}

static int
take_peer(const char *peer)
{
	struct packet_peer q = { .head.type = GATE_PEER };

	if (peer != NULL)
		q.peer = address(peer);
	return take(&q, sizeof(q));
}

static int
take_anonymous(void)
{
	const struct packet_gate q = { .type = GATE_ANONYMOUS };

	return take(&q, sizeof(q));
}

static int
take_login(void)
{
	const struct packet_login q = { .head.type = GATE_LOGIN };

	return take(&q, sizeof(q));
}

static void
expect_verdict(const char *code)
{
	struct packet_verdict v;

	assert_int_equal(io_recv_packet(gate, &v, sizeof(v), NULL, 0, NULL, MSG_DONTWAIT),
			 sizeof(v));
	assert_string_equal(v.code, code);
}

static void
every_size_but_the_right_one(void **state)
{
	uint8_t bytes[2 * sizeof(struct packet_peer)] = { GATE_PEER };

	(void)state;
	for (int type = 0; type < 300; type++) {
		bytes[0] = (uint8_t)type;
		bytes[1] = (uint8_t)(type >> 8);
		for (size_t n = 1; n <= sizeof(bytes); n += type > 5 ? 16 : 1) {
			if ((type == GATE_ANONYMOUS && n == sizeof(struct packet_gate)) ||
			    (type == GATE_LOGIN && n == sizeof(struct packet_login)))
				continue;
			begin("192.0.2.1", false);
			assert_int_equal(take(bytes, n), -EPROTO);
			end();
		}
	}
}

static void
each_once_and_in_order(void **state)
{
	(void)state;
	begin("192.0.2.1", false); /* who is no proxy names nobody */
	assert_int_equal(take_peer("192.0.2.9"), -EPROTO);
	end();
	begin("192.0.2.1", false);
	assert_int_equal(take_anonymous(), 0);
	expect_verdict("draining");
	assert_int_equal(take_anonymous(), -EPROTO);
	end();
	begin("198.51.100.7", true); /* a proxy's client is named first */
	assert_int_equal(take_anonymous(), -EPROTO);
	end();
	begin("198.51.100.7", true);
	assert_int_equal(take_peer("192.0.2.1"), 0);
	expect_verdict("");
	assert_int_equal(take_peer("192.0.2.2"), -EPROTO);
	end();
	begin("198.51.100.7", true);
	assert_int_equal(take_peer("192.0.2.1"), 0);
	expect_verdict("");
	assert_int_equal(take_anonymous(), 0);
	expect_verdict("draining");
	assert_int_equal(take_peer("192.0.2.2"), -EPROTO);
	end();
}

/* The packet is for a verifier: it stays where it is, and so does whatever comes behind it. */
static void
a_login_is_looked_at_and_left(void **state)
{
	struct packet_login left;

	(void)state;
	begin("192.0.2.1", false);
	assert_int_equal(take_login(), 0);
	expect_verdict("draining");
	assert_int_equal(take_anonymous(), -EPROTO);
	assert_int_equal(recv(c->privilege, &left, sizeof(left), MSG_DONTWAIT), sizeof(left));
	assert_int_equal(left.head.type, GATE_LOGIN);
	end();
	begin("192.0.2.1", false);
	assert_int_equal(take_anonymous(), 0);
	expect_verdict("draining");
	assert_int_equal(take_login(), -EPROTO);
	end();
	begin("198.51.100.7", true); /* a proxy's client is named first */
	assert_int_equal(take_login(), -EPROTO);
	end();
}

static void
a_version_of_tls_that_is_none(void **state)
{
	struct packet_gate q = { .type = GATE_ANONYMOUS, .tls = 11 };

	(void)state;
	begin("192.0.2.1", false);
	assert_int_equal(take(&q, sizeof(q)), -EPROTO);
	end();
}

static void
descriptors_are_not_taken(void **state)
{
	const struct packet_gate q = { .type = GATE_ANONYMOUS };

	(void)state;
	begin("192.0.2.1", false);
	assert_int_equal(io_send_packet(gate, &q, sizeof(q), (int[]){ 0 }, 1, 0), 0);
	assert_int_equal(asks_take(c), -EPROTO);
	end();
}

static void
whom_it_names_counts_from_then_on(void **state)
{
	char text[ADDR_TEXT_MAX];

	(void)state;
	begin("198.51.100.7", true);
	assert_int_equal(take_peer("2001:db8::1"), 0);
	expect_verdict("");
	assert_string_equal(addr_format_host(&c->peer, text), "2001:db8::1");
	assert_false(c->source->unnamed);
	assert_int_equal(c->source->gates, 1);
	end();
	begin("198.51.100.7", true); /* nobody: the proxy itself */
	assert_int_equal(take_peer(NULL), 0);
	expect_verdict("");
	assert_string_equal(addr_format_host(&c->peer, text), "198.51.100.7");
	end();
}

static void
whom_it_names_is_judged(void **state)
{
	static const struct {
		const char *proxy, *peer, *code;
	} rows[] = {
		{ "198.51.100.7", "192.0.2.1", "" },
		{ "198.51.100.7", "203.0.113.9", "address_refused" },
		{ "198.51.100.7", "127.0.0.1", "address_refused" },
		{ "198.51.100.7", "127.9.9.9", "address_refused" },
		{ "198.51.100.7", "::1", "address_refused" },
		{ "127.0.0.1", "127.0.0.1", "" },
		{ "::1", "127.0.0.1", "" },
		{ "203.0.113.1", "192.0.2.1", "" }, /* no source itself */
		{ "203.0.113.1", NULL, "address_refused" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		begin(rows[i].proxy, true);
		assert_int_equal(take_peer(rows[i].peer), 0);
		expect_verdict(rows[i].code);
		if (rows[i].code[0] != '\0') /* and has its answer */
			assert_int_equal(take_anonymous(), -EPROTO);
		end();
	}
}

static void
an_address_is_an_address_and_nothing_else(void **state)
{
	struct packet_peer q = { .head.type = GATE_PEER };

	(void)state;
	for (int family = 0; family < 300; family++) {
		if (family == AF_UNSPEC || family == AF_INET || family == AF_INET6)
			continue;
		begin("198.51.100.7", true);
		q.peer.sa.sa_family = (sa_family_t)family;
		assert_int_equal(take(&q, sizeof(q)), -EPROTO);
		end();
	}
	memset(&q.peer, 0xff, sizeof(q.peer)); /* also in what is no address */
	q.peer.sa.sa_family = AF_INET6;
	begin("198.51.100.7", true);
	assert_int_equal(take(&q, sizeof(q)), 0);
	assert_int_equal(c->peer.in6.sin6_scope_id, 0);
	assert_int_equal(c->peer.in6.sin6_flowinfo, 0);
	end();
}

static void
nothing_and_the_end(void **state)
{
	(void)state;
	begin("192.0.2.1", false);
	assert_int_equal(asks_take(c), 0);
	close_fd(&gate);
	assert_int_equal(asks_take(c), -ENODATA);
	end();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_size_but_the_right_one),
		cmocka_unit_test(each_once_and_in_order),
		cmocka_unit_test(a_login_is_looked_at_and_left),
		cmocka_unit_test(a_version_of_tls_that_is_none),
		cmocka_unit_test(descriptors_are_not_taken),
		cmocka_unit_test(whom_it_names_counts_from_then_on),
		cmocka_unit_test(whom_it_names_is_judged),
		cmocka_unit_test(an_address_is_an_address_and_nothing_else),
		cmocka_unit_test(nothing_and_the_end),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
