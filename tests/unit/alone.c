#include "tests/unit/alone.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "lib/own.h"
#include "tests/unit/scratch.h"

int alone_client = -1;

static struct board_orders orders;
static struct board_report report;
static struct board_public public;
static struct config *config;

int
alone_start(struct session *s, const char *share)
{
	struct config_problems problems = { 0 };
	auto_free char *text = NULL;
	struct session_start start = {
		.public = &public,
		.orders = &orders,
		.report = &report,
		.privilege = -1,
	};
	int pair[2], r;

	orders.rate = UINT64_MAX;
	if (asprintf(&text,
		     "shares = ( { path = \"/\"; root = \"%s\"; anonymous = \"anywhere\"; %s } );",
		     scratch_path(), share) < 0)
		return -ENOMEM;
	r = config_parse(text, "test", &config, &problems);
	if (r < 0) {
		config_problems_print(&problems, stderr);
		return r;
	}
	config_problems_done(&problems);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	alone_client = pair[0];
	start.config = config;
	start.connection = pair[1];
	r = session_init(s, &start);
	if (r == 0)
		session_open_shares(s);
	return r;
}

void
alone_end(struct session *s)
{
	session_done(s);
	close_fd(&alone_client);
	free(config);
	config = NULL;
	public = (struct board_public){ 0 };
}
