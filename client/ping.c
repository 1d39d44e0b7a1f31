/* ft ping: the status that the server tells by UDP (doc/PROTOCOL.md, "UDP status"). */
#include <errno.h>
#include <inttypes.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/command.h"
#include "client/interrupt.h"
#include "client/hosts.h"
#include "lib/clock.h"
#include "lib/num.h"
#include "lib/own.h"
#include "lib/text.h"

enum { DATAGRAM = 1024, REPLY_MAX = 1472, NONCE_BYTES = 12, STATUS_MAX = 32, VERSION_MAX = 64 };

static const uint64_t timeout_default_usec = 2 * USEC_PER_SEC, again_usec = 500 * USEC_PER_MSEC;

struct reply {
	struct message_str nonce, status, version;
	uint64_t uptime_s, sessions, sessions_max, transfers, in_rate, out_rate;
};

#define COUNT(k, field)                                                                    \
	{                                                                                  \
		.key = (k), .type = MESSAGE_UINT, .offset = offsetof(struct reply, field), \
		.max = INT64_MAX                                                           \
	}

static const struct message_field reply_fields[] = {
	{ .key = "uptime_s",
	  .type = MESSAGE_UINT,
	  .offset = offsetof(struct reply, uptime_s),
	  .max = UINT32_MAX },
	COUNT("sessions", sessions),
	COUNT("sessions_max", sessions_max),
	COUNT("transfers", transfers),
	COUNT("bytes_in_rate", in_rate),
	COUNT("bytes_out_rate", out_rate),
	{ .key = "nonce", .type = MESSAGE_STR, .offset = offsetof(struct reply, nonce), .max = 64 },
	{ .key = "status",
	  .type = MESSAGE_STR,
	  .offset = offsetof(struct reply, status),
	  .max = STATUS_MAX },
	{ .key = "version",
	  .type = MESSAGE_STR,
	  .offset = offsetof(struct reply, version),
	  .max = VERSION_MAX },
};
enum { HAS_UPTIME = 1 << 0, HAS_SESSIONS = 1 << 1, HAS_TRANSFERS = 1 << 3, HAS_RATES = 1 << 4 };

struct ping {
	struct client *client;
	int fd;
	char question[DATAGRAM];
	char nonce[2 * NONCE_BYTES + 1];
	uint64_t asked_usec;
};

/* A socket that only hears the first address of host. -errno; -EHOSTUNREACH and *ret_gai. */
static int
open_socket(const struct url *url, int *ret_gai)
{
	struct addrinfo hints = { .ai_socktype = SOCK_DGRAM, .ai_flags = AI_NUMERICSERV }, *list;
	auto_close int fd = -1;
	char port[8];
	int r = 0;

	(void)snprintf(port, sizeof(port), "%u", url->port);
	*ret_gai = getaddrinfo(url->host, port, &hints, &list);
	if (*ret_gai != 0)
		return -EHOSTUNREACH;
	fd = socket(list->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, list->ai_addr, list->ai_addrlen) < 0)
		r = -errno;
	freeaddrinfo(list);
	return r < 0 ? r : take_fd(&fd);
}

/* Padded, so that the answer need not be shorter. */
static void
make_question(struct ping *p)
{
	uint8_t random[NONCE_BYTES];
	int n;

	if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
		memset(random, 0, sizeof(random));
	(void)text_hex(p->nonce, random, sizeof(random));
	memset(p->question, ' ', sizeof(p->question));
	n = snprintf(p->question, sizeof(p->question), "{\"nonce\":\"%s\"}", p->nonce);
	p->question[n] = ' ';
}

/* A datagram that came: 1 and the object, or 0: not the answer. */
static int
take_reply(struct ping *p, json_t **ret, struct reply *ret_reply, uint64_t *ret_has)
{
	char text[REPLY_MAX];
	struct reply reply = { .uptime_s = 0 };
	const char *key, *why;
	json_t *o;
	ssize_t n;

	n = recv(p->fd, text, sizeof(text), MSG_DONTWAIT);
	if (n <= 0 || message_parse(text, (size_t)n, &o) < 0)
		return 0;
	if (message_decode(o, reply_fields, ARRAY_SIZE(reply_fields), &reply, ret_has, &key, &why) <
		0 ||
	    !answer_is(&reply.nonce, p->nonce) || reply.status.data == NULL) {
		json_decref(o);
		return 0;
	}
	*ret = o;
	*ret_reply = reply;
	return 1;
}

static void
show(const struct ping *p, const struct reply *r, uint64_t has)
{
	char status[4 * STATUS_MAX], version[4 * VERSION_MAX], text[NUM_TEXT_MAX];
	char other[NUM_TEXT_MAX];

	(void)printf("%s", text_escape(status, sizeof(status), r->status.data, r->status.len));
	if (r->version.data != NULL)
		(void)printf("  version %s", text_escape(version, sizeof(version), r->version.data,
							 r->version.len));
	if (has & HAS_UPTIME)
		(void)printf("  up %s", num_format_elapsed(r->uptime_s * USEC_PER_SEC, text));
	if (has & HAS_SESSIONS)
		(void)printf("  sessions %" PRIu64 "/%" PRIu64, r->sessions, r->sessions_max);
	if (has & HAS_TRANSFERS)
		(void)printf("  transfers %" PRIu64, r->transfers);
	if (has & HAS_RATES)
		(void)printf("  in %s/s out %s/s", num_format_size(r->in_rate, text),
			     num_format_size(r->out_rate, other));
	(void)printf("  %.1f ms\n", (double)(clock_usec() - p->asked_usec) / (double)USEC_PER_MSEC);
}

static int
tell(struct ping *p, json_t *object, const struct reply *r, uint64_t has)
{
	struct report *report = &p->client->report;
	int status = answer_is(&r->status, "ready") ? 0 : STATUS_BUSY;

	if (report->json) {
		(void)json_object_del(object, "nonce");
		report_json(report, json_incref(object));
	} else if (!report->quiet) {
		show(p, r, has);
	}
	return status;
}

/* Asks again every half second. 1: answered, *ret_status is the exit status; 0: not in time. */
static int
ask(struct ping *p, uint64_t timeout_usec, int *ret_status)
{
	uint64_t end = clock_usec() + timeout_usec, now;
	struct pollfd poll_fd = { .fd = p->fd, .events = POLLIN };
	struct reply reply;
	uint64_t has, left;
	json_t *object;

	p->asked_usec = 0;
	while ((now = clock_usec()) < end && !interrupt_seen()) {
		if (now >= p->asked_usec + again_usec) {
			(void)send(p->fd, p->question, sizeof(p->question), MSG_NOSIGNAL);
			p->asked_usec = now;
		}
		left = end - now < again_usec ? end - now : again_usec;
		if (poll(&poll_fd, 1, (int)(left / USEC_PER_MSEC) + 1) <= 0)
			continue;
		if (take_reply(p, &object, &reply, &has) > 0) {
			*ret_status = tell(p, object, &reply, has);
			json_decref(object);
			return 1;
		}
		if (clock_usec() <
		    now + USEC_PER_MSEC) /* "port unreachable" comes at once, again and again */
			(void)poll(NULL, 0, 10);
	}
	return 0;
}

int
command_ping(struct client *c, int argc, char **argv)
{
	uint64_t timeout = options_has(&c->options, OPTION_BIT(timeout)) ? c->options.timeout_usec
									 : timeout_default_usec;
	struct ping p = { .client = c };
	auto_close int fd = -1;
	struct failure f;
	const char *why;
	struct url url;
	int gai = 0, status;

	(void)argc;
	if (url_parse_host(argv[0], &url, &why) < 0)
		return command_bad_url(c, argv[0], why);
	fd = open_socket(&url, &gai);
	if (fd < 0) {
		(void)failure_set(&f, FAILURE_STOP, STATUS_CONNECT, "connect", "%s",
				  gai != 0 ? gai_strerror(gai) : strerror(errno));
		report_failure(&c->report, argv[0], &f);
		return 0;
	}
	p.fd = fd;
	make_question(&p);
	if (ask(&p, timeout, &status) > 0)
		return status;
	if (interrupt_seen())
		(void)failure_interrupted(&f);
	else
		(void)failure_set(&f, FAILURE_STOP, STATUS_CONNECT, "timeout", "no answer");
	report_failure(&c->report, argv[0], &f);
	return 0;
}
