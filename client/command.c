#include "client/command.h"

#include <locale.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "client/hosts.h"
#include "client/interrupt.h"
#include "lib/num.h"
#include "lib/own.h"
#include "lib/text.h"

#define OPTIONS_COMMON                                                                             \
	(OPTION_BIT(retry_for) | OPTION_BIT(timeout) | OPTION_BIT(plain) | OPTION_BIT(json) |      \
	 OPTION_BIT(tls) | OPTION_BIT(ca) | OPTION_BIT(pin) | OPTION_BIT(cert) | OPTION_BIT(key) | \
	 OPTION_BIT(identity) | OPTION_BIT(password_command) | OPTION_BIT(quiet) |                 \
	 OPTION_BIT(verbose) | OPTION_BIT(help))
#define OPTIONS_TRANSFER                                                                   \
	(OPTIONS_COMMON | OPTION_BIT(if_exists) | OPTION_BIT(digest) | OPTION_BIT(limit) | \
	 OPTION_BIT(connections) | OPTION_BIT(include) | OPTION_BIT(exclude) |             \
	 OPTION_BIT(no_progress))

const struct command commands[COMMAND_COUNT] = {
#define COMMAND(name, stem, min, max, options, operands, help) \
	{ name, command_##stem, min, max, options, operands, help },
#include "client/commands.def"
#undef COMMAND
};

/* What moves files, and so has progress and a summary. */
static bool
moves(const struct command *command)
{
	return (command->options & OPTION_BIT(no_progress)) != 0;
}

const struct command *
command_find(const char *name)
{
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

int
command_usage(const struct client *c, const char *format, ...)
{
	char text[1024], shown[2048];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	(void)fprintf(stderr, "ft: %s\n", text_escape(shown, sizeof(shown), text, strlen(text)));
	if (c != NULL && c->command != NULL)
		(void)fprintf(stderr, "usage: ft %s [OPTION...] %s\n", c->command->name,
			      c->command->operands);
	return STATUS_USAGE;
}

int
command_bad_url(const struct client *c, const char *text, const char *why)
{
	return command_usage(c, "%s: %s", url_has_password(text) ? "the address" : text, why);
}

struct url *
command_urls(struct client *c, int n, char **names, int *ret_status)
{
	struct url *urls = calloc((size_t)n, sizeof(*urls));
	const char *why;

	*ret_status = STATUS_OTHER;
	if (urls == NULL)
		return NULL;
	for (int i = 0; i < n; i++)
		if (hosts_resolve(names[i], &urls[i], &why) < 0) {
			*ret_status = command_bad_url(c, names[i], why);
			free(urls);
			return NULL;
		}
	return urls;
}

static int
unknown(const char *name)
{
	const char *names[COMMAND_COUNT], *nearest;
	size_t n = 0;

	for (size_t i = 0; i < COMMAND_COUNT; i++)
		if (commands[i].operands != NULL)
			names[n++] = commands[i].name;
	nearest = text_nearest(name, names, n);
	return command_usage(NULL, "unknown command %s%s%s%s", name,
			     nearest != NULL ? " (did you mean " : "",
			     nearest != NULL ? nearest : "",
			     nearest != NULL ? "?)" : "; \"ft help\" tells what there is");
}

/* 130 only where nothing had begun yet. */
static int
status_of(const struct client *c, int status)
{
	const struct report *r = &c->report;

	if (status == 0)
		status = report_status(r);
	if (status == STATUS_INTERRUPTED && interrupt_seen() && r->ok == 0 &&
	    r->progress.files == 0)
		return STATUS_NOTHING_BEGUN;
	return status;
}

static int
run(struct client *c, int argc, char **argv)
{
	int status;

	if (report_init(&c->report, c->command->name, &c->options, moves(c->command)) < 0)
		return STATUS_OTHER;
	session_init(&c->session, &c->options, &c->report);
	pace_init(&c->pace, c->options.limit);
	status = status_of(c, c->command->run(c, argc, argv));
	session_done(&c->session);
	(void)report_done(&c->report);
	if (fflush(stdout) != 0 && status == 0)
		status = STATUS_LOCAL;
	return status;
}

/* "ft put --help" is "ft help put". */
static int
help_instead(struct client *c)
{
	char *name[] = { (char *)(uintptr_t)c->command->name, NULL };

	return command_help(c, 1, name);
}

int
command_main(int argc, char **argv)
{
	auto_free char **before = NULL;
	struct client c = { .command = NULL };
	char why[OPTIONS_WHY_MAX];
	const char *name = argc > 1 ? argv[1] : "help";
	int first;

	(void)setlocale(LC_CTYPE, "");
	if (interrupt_catch() < 0)
		return STATUS_OTHER;
	if (strcmp(name, "--help") == 0 || strcmp(name, "--version") == 0)
		name += 2;
	c.command = command_find(name);
	if (c.command == NULL)
		return unknown(name);
	if (argc <= 1)
		return command_help(&c, 0, argv + 1) == 0 ? STATUS_USAGE : STATUS_OTHER;
	if (c.command->operands == NULL)
		return c.command->run(&c, argc - 2, argv + 2);

	/* getopt_long() moves operands to the end; the hint how to go on shows what was typed */
	before = calloc((size_t)argc, sizeof(*before));
	if (before == NULL)
		return STATUS_OTHER;
	memcpy(before, argv + 2, (size_t)(argc - 2) * sizeof(*before));
	c.argv = before;
	first = options_parse(argc - 1, argv + 1, c.command->options, &c.options, why);
	if (first < 0)
		return command_usage(&c, "%s", why);
	if (options_has(&c.options, OPTION_BIT(help)))
		return help_instead(&c);
	argc -= 1 + first;
	argv += 1 + first;
	if (argc < c.command->min || argc > c.command->max)
		return command_usage(&c, "%s takes %s", c.command->name,
				     c.command->operands[0] != '\0' ? c.command->operands
								    : "no operands");
	return run(&c, argc, argv);
}
