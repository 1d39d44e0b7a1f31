#include "daemon/beacon/beacon.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <jansson.h>

#include "daemon/beacon/answer.h"
#include "daemon/common/packet.h"
#include "daemon/common/role.h"
#include "daemon/common/rolelog.h"
#include "daemon/common/sandbox.h"
#include "lib/clock.h"
#include "lib/own.h"

enum { ANSWERS_A_TURN = 256 };

static const struct config *config;
static const struct board_public *public;
static struct beacon_limiter limiter;

bool
beacon_may_answer(struct beacon_limiter *l, const union addr *peer, uint64_t now_usec)
{
	const struct subnet source = addr_source(peer);
	uint32_t h = subnet_hash(&source) % BEACON_BUCKETS;
	uint64_t earned;

	earned = (now_usec - l->bucket[h].filled_usec) * BEACON_ANSWERS_A_SECOND / USEC_PER_SEC;
	if (earned > 0) {
		earned += l->bucket[h].tokens;
		l->bucket[h].tokens =
		    earned > BEACON_ANSWERS_A_SECOND ? BEACON_ANSWERS_A_SECOND : (uint32_t)earned;
		l->bucket[h].filled_usec = now_usec;
	}
	if (l->bucket[h].tokens == 0)
		return false;
	l->bucket[h].tokens--;
	return true;
}

static bool
is_trusted(const union addr *peer)
{
	for (unsigned i = 0; i < config->status_allow.n; i++)
		if (subnet_has(&config->status_allow.list[i], peer))
			return true;
	return false;
}

static void
answer_one(const void *request, size_t len, const union addr *from, socklen_t from_len)
{
	struct board_public state;
	char answer[ANSWER_MAX];
	union addr peer = *from;
	bool trusted;
	size_t n;

	addr_normalise(&peer);
	trusted = is_trusted(&peer);
	if (!trusted && !beacon_may_answer(&limiter, &peer, clock_usec()))
		return;
	(void)board_read_public(public, &state);
	n = answer_make(&state, clock_usec(), request, len, trusted, answer);
	if (n > 0)
		(void)sendto(ROLE_FD_EXTRA, answer, n, MSG_DONTWAIT | MSG_NOSIGNAL, &from->sa,
			     from_len);
}

static void
serve_turn(void)
{
	char request[ANSWER_REQUEST_MAX];
	socklen_t len;
	union addr from;
	ssize_t n;

	for (int i = 0; i < ANSWERS_A_TURN; i++) {
		len = sizeof(from);
		memset(&from, 0, sizeof(from));
		n = recvfrom(ROLE_FD_EXTRA, request, sizeof(request), MSG_DONTWAIT | MSG_TRUNC,
			     &from.sa, &len);
		if (n < 0)
			return;
		if (n <= (ssize_t)sizeof(request))
			answer_one(request, (size_t)n, &from, len);
	}
}

static int
loop(void)
{
	struct pollfd p[] = { { .fd = ROLE_FD_EXTRA, .events = POLLIN },
			      { .fd = ROLE_FD_HOUSE, .events = POLLIN } };

	for (;;) {
		if (poll(p, ARRAY_SIZE(p), -1) < 0 && errno != EINTR)
			return ROLE_EXIT_BROKEN;
		if (p[1].revents != 0)
			return ROLE_EXIT_OK; /* the supervisor says nothing but its end */
		if (p[0].revents != 0)
			serve_turn();
	}
}

static int
enter_sandbox(void)
{
	int r = sandbox_compile(SANDBOX_BEACON);

	if (r < 0)
		return r;
	r = sandbox_landlock(NULL, 0);
	if (r < 0 && config->sandbox == CONFIG_SANDBOX_REQUIRE)
		return r;
	return sandbox_enter(SANDBOX_BEACON);
}

int
beacon_main(void)
{
	int r;

	if (role_begin("ftd-beacon") < 0)
		return ROLE_EXIT_SETUP;
	if (role_map_config(ROLE_FD_CONFIG, &config) < 0)
		return ROLE_EXIT_SETUP;
	rolelog_init(ROLE_FD_LOG, config->log_level);
	public = board_map_public(ROLE_FD_PUBLIC);
	(void)close(ROLE_FD_PUBLIC);
	if (public == NULL)
		return ROLE_EXIT_SETUP;
	json_object_seed(0);
	r = enter_sandbox();
	if (r < 0) {
		rolelog(3, "beacon: cannot enter the sandbox, not starting: %s", strerror(-r));
		return ROLE_EXIT_SETUP;
	}
	return loop();
}
