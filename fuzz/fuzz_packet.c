/* The privilege packets of a gate that was taken over: to the supervisor in any order, and to a
 * verifier. The first byte says which; to the supervisor each packet is two bytes of length and the
 * packet. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "daemon/supervisor/asks.h"
#include "daemon/supervisor/journal.h"
#include "daemon/verifier/secret.h"
#include "fuzz/fuzz.h"
#include "lib/own.h"

enum { TO_VERIFIER = 1, BEHIND_PROXY = 2 };

/* ---- the verifier */

/* alice's password is "a", bob's "b"; of the kind that is hashed fastest */
static const char users[] = "alice:$1$abcdefgh$jUYc1Xi7pkozuzWQ0Dft71:certificate\n"
			    "bob:$1$abcdefgh$b87kcZGCHxnDcs5/seZNN1:disabled,key="
			    "0000000000000000000000000000000000000000000000000000000000000001\n";

static void
to_verifier(const uint8_t *data, size_t size)
{
	struct user u = { .name = "untouched" };
	char why[USERS_WHY_MAX] = "";
	struct packet_login login = { .password_len = 0 };
	enum verified_result r;

	memcpy(&login, data, size < sizeof(login) ? size : sizeof(login));
	r = secret_check(&login, users, sizeof(users) - 1, &u, why);
	must(memchr(why, '\0', sizeof(why)) != NULL);
	if (r == VERIFIED_YES || r == VERIFIED_DISABLED)
		must(strcmp(u.name, login.user) == 0);
	else if (r == VERIFIED_NO)
		must(u.name[0] == '\0' || strcmp(u.name, login.user) == 0);
	else
		must(strcmp(u.name, "untouched") == 0);
	must(r != VERIFIED_BROKEN || why[0] != '\0');
}

/* ---- the supervisor */

static struct supervisor *
supervisor(void)
{
	static struct config_problems problems;
	static struct supervisor *sup;

	if (sup != NULL)
		return sup;
	log_start(CONFIG_LOG_STDERR, CONFIG_LOG_ERROR);
	sup = calloc(1, sizeof(*sup));
	must(sup != NULL);
	must(config_parse("access = { deny = ( \"203.0.113.0/24\" ); };", "fuzz", &sup->config,
			  &problems) == 0);
	config_problems_done(&problems);
	sup->draining = true; /* nobody is let in, so nothing has to be born */
	return sup;
}

/* Nothing that a gate says gives it more than an answer, and who is not let in gets no second one.
 */
static void
to_supervisor(const uint8_t *data, size_t size, bool proxy)
{
	struct connection c = { .sup = supervisor(), .stage = STAGE_GATE, .fd = -1, .stream = -1 };
	struct packet_verdict v;
	int pair[2], r = 0;
	bool refused = false;
	socklen_t len;
	size_t n;

	must(addr_parse("192.0.2.1", 40000, &c.peer, &len) == 0);
	must(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0);
	c.privilege = pair[1];
	c.source = proxy ? source_hold_unnamed() : source_hold(&c.peer);
	must(c.source != NULL);
	c.source->gates = 1;
	while (size >= 2 && r == 0) {
		n = (size_t)data[0] << 8 | data[1];
		n = n < size - 2 ? n : size - 2;
		if (n == 0)
			break;
		must(send(pair[0], data + 2, n, 0) == (ssize_t)n);
		r = asks_take(&c);
		must(r == 0 || r == -EPROTO);
		must(r == 0 || recv(pair[0], &v, sizeof(v), MSG_DONTWAIT) < 0);
		must(r < 0 || recv(pair[0], &v, sizeof(v), MSG_DONTWAIT) == (ssize_t)sizeof(v));
		must(r < 0 || !refused);
		refused = r == 0 && v.code[0] != '\0';
		must(c.login == NULL && c.source->gates == 1);
		data += 2 + n;
		size -= 2 + n;
	}
	source_release(c.source);
	(void)close(pair[0]);
	(void)close(pair[1]);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	if (data[0] & TO_VERIFIER)
		to_verifier(data + 1, size - 1);
	else
		to_supervisor(data + 1, size - 1, (data[0] & BEHIND_PROXY) != 0);
	return 0;
}
