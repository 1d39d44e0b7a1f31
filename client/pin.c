/* ft pin: which certificate a server has, written down before it is met or as it is met. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "client/ask.h"
#include "client/command.h"
#include "client/connect.h"
#include "client/interrupt.h"
#include "client/known.h"
#include "lib/own.h"
#include "lib/text.h"

/* Asks the server to show its certificate; none is accepted, so nothing more is said to it. */
static int
fetch(struct client *c, const struct url *u, struct tls_client_result *ret, struct failure *f)
{
	const struct tls_client_options o = { .host = u->host,
					      .ca_file = c->session.identity.ca_file,
					      .pin = "" };
	struct wire w;
	int r;

	r = connect_tcp(&w, u, c->session.timeout_usec, f);
	if (r < 0)
		return r;
	r = tls_client_start(&w, &o, ret);
	r = r == -EKEYREJECTED ? 0 : identity_no_tls(&w, r, ret, f);
	wire_done(&w);
	return r;
}

static int
remember(struct client *c, const char *server, const char *fingerprint, struct failure *f)
{
	char shown[KNOWN_SERVER_MAX];
	int r;

	r = identity_remember(server, fingerprint, f);
	if (r < 0)
		return r;
	if (!c->report.quiet)
		(void)fprintf(stderr, "%s is known by %s now\n",
			      text_escape(shown, sizeof(shown), server, strlen(server)),
			      fingerprint);
	return 0;
}

/* Shows the certificate that the server has at the moment, and lets the user decide. */
static int
meet(struct client *c, const struct url *u, const char *server, struct failure *f)
{
	struct tls_client_result shown;
	char known[FINGERPRINT_MAX], name[KNOWN_SERVER_MAX];
	int known_r, r;

	known_r = identity_look_up(server, known, f);
	if (known_r < 0 && known_r != -ENOENT)
		return known_r;
	r = fetch(c, u, &shown, f);
	if (r < 0)
		return r;
	(void)printf("%s\n", shown.fingerprint);
	(void)fflush(stdout);
	if (known_r == 0 && strcmp(known, shown.fingerprint) == 0)
		return 0;
	if (!ask_possible())
		return failure_set(f, FAILURE_STOP, STATUS_IDENTITY, "identity",
				   "not known. If that is its fingerprint: ft pin %s %s",
				   text_escape(name, sizeof(name), server, strlen(server)),
				   shown.fingerprint);
	if (known_r == 0)
		(void)fprintf(stderr, "It is known by another one, %s.\n", known);
	(void)fprintf(stderr, "%s: %s\n",
		      shown.vouched ? "An authority vouches for it" : "Nobody vouches for it",
		      shown.vouched ? "it will do without being remembered" : shown.chain);
	r = ask_yes("Is that its fingerprint, and shall it be remembered?");
	if (r < 0 && interrupt_seen())
		return failure_interrupted(f);
	if (r <= 0)
		return failure_set(f, FAILURE_STOP, STATUS_IDENTITY, "identity", "not remembered");
	return remember(c, server, shown.fingerprint, f);
}

int
command_pin(struct client *c, int argc, char **argv)
{
	char server[KNOWN_SERVER_MAX], fingerprint[FINGERPRINT_MAX];
	bool removes = options_has(&c->options, OPTION_BIT(remove));
	struct failure f;
	struct url url;
	const char *why;
	int r;

	if (url_parse_host(argv[0], &url, &why) < 0)
		return command_bad_url(c, argv[0], why);
	if (argc > 1 && removes)
		return command_usage(c, "--remove takes the host alone");
	if (argc > 1 && fingerprint_parse(argv[1], fingerprint) < 0)
		return command_usage(c, "%s is no fingerprint: sha256: and 64 digits", argv[1]);
	(void)known_server(&url, server);
	if (removes)
		r = identity_remember(server, NULL, &f);
	else
		r = argc > 1 ? remember(c, server, fingerprint, &f) : meet(c, &url, server, &f);
	if (r < 0)
		report_failure(&c->report, argv[0], &f);
	return 0;
}
